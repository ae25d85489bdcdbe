//! Notifications of servers.

use crate::envelope::Envelope;
use crate::json::{self, Error};
use crate::{meta, splice};
use bytes::Bytes;

/// Levels of log messages, from chatty to dire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "notice" => Self::Notice,
            "warning" => Self::Warning,
            "error" => Self::Error,
            "critical" => Self::Critical,
            "alert" => Self::Alert,
            "emergency" => Self::Emergency,
            _ => return None,
        })
    }
}

/// From a stateless server to a client of the session era; `None` when it means nothing there.
///
/// # Errors
/// A member that has to be removed appears twice.
pub fn notification_to_session(notification: &Envelope) -> Result<Option<Bytes>, Error> {
    if notification.is("notifications/subscriptions/acknowledged") {
        return Ok(None);
    }
    if notification.param(&["_meta", meta::SUBSCRIPTION_ID])?.is_none() {
        return Ok(Some(notification.bytes().clone()));
    }
    splice::remove(notification.bytes(), &["params", "_meta", meta::SUBSCRIPTION_ID]).map(Some)
}

/// From a server of the session era onto the stream of a stateless request; `None` when it does not belong there.
/// Log messages come only to those who asked, from the level that they asked for. Announcements of changes belong on a
/// listening stream: see [`super::Filter::accepts`] and [`super::tagged`].
///
/// # Errors
/// A member that has to be read appears twice.
pub fn notification_to_stateless(notification: &Envelope, level: Option<Level>) -> Result<Option<Bytes>, Error> {
    let passes = match notification.method().unwrap_or_default() {
        "notifications/message" => {
            let given = notification.param(&["level"])?.and_then(json::decode);
            let given = given.and_then(|text| Level::parse(&text)).unwrap_or(Level::Emergency);
            level.is_some_and(|wanted| given >= wanted)
        }
        "notifications/tools/list_changed"
        | "notifications/prompts/list_changed"
        | "notifications/resources/list_changed"
        | "notifications/resources/updated"
        | "notifications/tasks/status"
        | "notifications/elicitation/complete"
        | "notifications/cancelled" => false,
        _ => true,
    };
    Ok(passes.then(|| notification.bytes().clone()))
}
