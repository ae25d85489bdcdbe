//! What a caller is told when the engine is not asked, or not any more: never more than is known.

use crate::api::{Delivery, Reply, Stop};
use crate::slot::{Item, Slot};
use std::time::Duration;
use vocab::{Code, Executed, Verification};

pub(crate) fn overloaded(slot: &Slot, calls_max: usize) -> Item {
    let retry_after = Some(Duration::from_secs(1));
    reply(Stop { retry_after, ..stop(slot, Code::Overloaded, format!("{calls_max} calls wait already")) })
}

/// Nobody waits for it any more. What was sent goes on, and its outcome is journaled.
//= G3
pub(crate) fn cancelled(slot: &Slot, is_unsent: bool) -> Item {
    let (code, why) = if !slot.is_mutation() {
        (Code::Cancelled, "its caller cancelled it; it changes nothing")
    } else if is_unsent {
        (Code::Cancelled, "its caller cancelled it before anything was sent")
    } else {
        (Code::OutcomeUnknown, "its caller cancelled it when it may have been sent; a cancel undoes nothing")
    };
    reply(stop(slot, code, why.to_owned()))
}

//= G3
pub(crate) fn stopping(slot: &Slot) -> Item {
    let why = if slot.is_mutation() {
        "the gateway is shutting down before an answer came; what became of the call is found out at its next start"
    } else {
        "the gateway is shutting down before an answer came; this call changes nothing"
    };
    reply(Stop { executed: Executed::Unknown, ..stop(slot, Code::InProgress, why.to_owned()) })
}

fn stop(slot: &Slot, code: Code, why: String) -> Stop {
    Stop {
        code,
        executed: code.executed(),
        step: slot.step,
        earlier: None,
        tool: slot.tool.name.clone(),
        upstream: slot.tool.upstream.clone(),
        why,
        verification: Verification::None,
        retry_after: None,
        next_probe: None,
        success: false,
    }
}

fn reply(stop: Stop) -> Item {
    Item::Reply(Reply::Stop(Box::new(stop)), Delivery::unheeded())
}
