//! Translations between the two eras, message by message: sessions (up to 2025-11-25) and stateless (2026-07-28).
//!
//! Everything here is a function from bytes to bytes. Who waits for whom, and what is remembered between messages, is
//! the door's business. Inside one era nothing is translated.

mod handshake;
mod input;
mod notification;
mod request;
mod result;
mod subscribe;

use crate::json;

pub use handshake::{discover_result, initialize_params, initialize_result};
pub use input::{Ask, InputRequired, answer, can_ask, input_required, retry, url_elicitation};
pub use notification::{Level, notification_to_session, notification_to_stateless};
pub use request::{Caller, Local, Onward, request_to_session, request_to_stateless};
pub use result::{error_to_stateless, result_to_session, result_to_stateless};
pub use subscribe::{Filter, acknowledged, closed, listen_request, tagged};

/// Builds an object from members that are JSON already.
fn object(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&json::quote(name));
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out
}

/// Builds a list of strings.
fn strings<'a>(items: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&json::quote(item));
    }
    out.push(b']');
    out
}

#[cfg(test)]
mod tests;
