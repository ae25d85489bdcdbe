//! What is said about a rollback: counts and reasons, and never more than the statuses carry.

use super::change::{Change, Standing};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use vocab::{Instant, RollbackStatus};

/// A change and how far it has been taken back.
pub type Item<'a> = (&'a Change, &'a Standing);

/// The run's status: its worst step's.
pub fn worst<'a>(items: impl IntoIterator<Item = Item<'a>>) -> RollbackStatus {
    let statuses = items.into_iter().map(|(_, standing)| standing.status);
    statuses.max().unwrap_or(RollbackStatus::NotNeeded)
}

/// "7 of 9 changes reverted and read back; 1 not revertible (send_mail 14:02); 1 unknown (pay 14:03)".
//= S-04
//= G3
pub fn sentence<'a>(items: impl IntoIterator<Item = Item<'a>>, clock: &dyn Fn(Instant) -> String) -> String {
    let items = items.into_iter().collect::<Vec<_>>();
    let of = |status| items.iter().filter(move |(_, standing)| standing.status == status);
    let idle = of(RollbackStatus::NotNeeded).count();
    let changes = items.len() - idle;
    let mut parts = Vec::new();
    if changes == 0 {
        parts.push(String::from("nothing was changed"));
    } else {
        let noun = if changes == 1 { "change" } else { "changes" };
        parts.push(format!(
            "{} of {changes} {noun} reverted and read back",
            of(RollbackStatus::RevertedVerified).count()
        ));
    }
    let others = [
        (RollbackStatus::RevertedUnverified, "reverted and not read back"),
        (RollbackStatus::NotAttempted, "not attempted"),
        (RollbackStatus::PartiallyReverted, "partially reverted"),
        (RollbackStatus::Conflict, "changed by somebody else since"),
        (RollbackStatus::NotRevertible, "not revertible"),
        (RollbackStatus::RevertFailed, "failed to revert"),
        (RollbackStatus::Unknown, "unknown"),
    ];
    for (status, words) in others {
        let named = of(status).map(|(change, _)| named(change, clock)).collect::<Vec<_>>();
        if !named.is_empty() {
            parts.push(format!("{} {words} ({})", named.len(), short_list(&named)));
        }
    }
    if idle > 0 {
        parts.push(format!("{idle} had no effect"));
    }
    parts.join("; ")
}

/// "4 of 5 changes can be undone now; 1 cannot (send_mail 14:02)". `possible` says it of each, by facts read now.
pub fn can_be_undone<'a>(
    items: impl IntoIterator<Item = (Item<'a>, bool)>,
    clock: &dyn Fn(Instant) -> String,
) -> String {
    let items = items.into_iter().filter(|((_, standing), _)| standing.status != RollbackStatus::NotNeeded);
    let items = items.collect::<Vec<_>>();
    let done = |status| matches!(status, RollbackStatus::RevertedVerified | RollbackStatus::RevertedUnverified);
    let reverted = items.iter().filter(|((_, standing), _)| done(standing.status)).count();
    let possible = items.iter().filter(|(_, possible)| *possible).count();
    let cannot = items.iter().filter(|((_, standing), possible)| !possible && !done(standing.status));
    let cannot = cannot.map(|((change, _), _)| named(change, clock)).collect::<Vec<_>>();
    if items.is_empty() {
        return String::from("nothing was changed: there is nothing to undo");
    }
    let noun = if items.len() == 1 { "change" } else { "changes" };
    let mut text = format!("{possible} of {} {noun} can be undone now", items.len());
    if reverted > 0 {
        text += &format!("; {reverted} reverted already");
    }
    if !cannot.is_empty() {
        text += &format!("; {} cannot ({})", cannot.len(), short_list(&cannot));
    }
    text
}

fn named(change: &Change, clock: &dyn Fn(Instant) -> String) -> String {
    format!("{} {}", change.row.intent.tool, clock(change.at()))
}

fn short_list(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
