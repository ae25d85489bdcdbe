//! How often an attempt may be made, by effect and evidence: the retry matrix. Attempts are counted in total.

use super::evidence::Evidence;
use crate::Engine;
use crate::input::Undoes;
use crate::step::Live;
use core::time::Duration;
use primitives::{backoff, entropy};
use vocab::planted::{self, Planted};
use vocab::{Effect, EvidenceClass, Instant};

const BACKOFF: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The longest hint of an upstream that is waited for.
const HINT_MAX: Duration = Duration::from_secs(30);
/// An upstream may forget a key a little before its window ends: its clock is not ours.
const WINDOW_MARGIN: Duration = Duration::from_secs(60);

//= G1
//= S-09
pub(crate) fn attempts_max(effect: Effect, evidence: Evidence) -> u32 {
    match (evidence.class, effect) {
        (EvidenceClass::Structural, Effect::Write | Effect::Destructive) => 2,
        (EvidenceClass::Attested, Effect::Write) if evidence.curable => 2,
        (EvidenceClass::Attested, Effect::Destructive) => 1,
        (EvidenceClass::Attested, _) if !evidence.curable => 1,
        (EvidenceClass::Structural | EvidenceClass::Attested | EvidenceClass::Ambiguous, Effect::Read) => 3,
        (EvidenceClass::Structural | EvidenceClass::Attested | EvidenceClass::Ambiguous, Effect::Idempotent) => 3,
        (EvidenceClass::Structural | EvidenceClass::Attested | EvidenceClass::Ambiguous, Effect::Keyed) => 5,
        (EvidenceClass::Reported, Effect::Read) if evidence.curable => 3,
        (EvidenceClass::BadAnswer, Effect::Read) => 2,
        (EvidenceClass::BadAnswer, Effect::Keyed) => 5,
        (EvidenceClass::BadAnswer, Effect::Write) if planted::is(Planted::ResendAfterBadAnswer) => 2,
        _ => 1,
    }
}

impl Engine {
    /// When the next attempt may begin, or `None` when this was the last.
    pub(crate) fn next_attempt(
        &self,
        now: Instant,
        live: &Live,
        evidence: Evidence,
        hint: Option<Duration>,
    ) -> Option<Instant> {
        if live.waiters.is_empty() || live.cancelled || live.attempts() >= attempts_max(live.intent.effect, evidence) {
            return None;
        }
        // What the world showed before the first attempt may not be so any more.
        if live.undoes.as_ref().is_some_and(Undoes::looks) {
            return None;
        }
        let wait = match hint {
            Some(hint) if hint <= HINT_MAX => hint,
            Some(_) => return None,
            None => {
                let retry = live.attempts().saturating_sub(1);
                let drawn = entropy::draw(entropy::seed(live.id().0), u64::from(live.status.attempt));
                backoff::full_jitter(BACKOFF, BACKOFF_MAX, retry, drawn)
            }
        };
        let at = now + wait;
        (at < live.deadline && self.may_resend(at, live, evidence)).then_some(at)
    }

    /// Does what may have happened already allow another copy?
    //= G1
    //= G2
    pub(crate) fn may_resend(&self, at: Instant, live: &Live, evidence: Evidence) -> bool {
        if evidence.is_proof() && !live.maybe {
            return true;
        }
        match live.intent.effect {
            Effect::Read => true,
            // A delayed copy of `SET x=1` after `SET x=2` is a lost update.
            Effect::Idempotent if planted::is(Planted::IdempotentResendOvertaken) => true,
            Effect::Idempotent => !self.lanes.is_overtaken(&live.intent, live.admission),
            Effect::Keyed => live.intent.upstream_key.is_some() && at < window_ends(live),
            Effect::Write | Effect::Destructive => {
                planted::is(Planted::ResendAfterTimeout)
                    || planted::is(Planted::RestartResendsWrites)
                    || (planted::is(Planted::ResendAfterBadAnswer) && evidence.class == EvidenceClass::BadAnswer)
            }
        }
    }
}

/// Until when the upstream certainly knows the key.
fn window_ends(live: &Live) -> Instant {
    let window = live.rules.key_window;
    let margin = WINDOW_MARGIN.max(window / 10);
    live.status.first_sent_at.unwrap_or(Instant::ZERO) + window.saturating_sub(margin)
}
