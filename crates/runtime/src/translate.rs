//! The engine's words for a door, with what only the call knows.

use crate::api::{Arrival, Phase, Reply, Stop};
use crate::slot::Slot;

pub(crate) fn reply(reply: engine::Reply, slot: &Slot) -> Reply {
    match reply {
        engine::Reply::Result { step, result, verification, replayed, notice } => {
            Reply::Result { step, result, verification, replayed, notice, mutation: slot.is_mutation() }
        }
        engine::Reply::Error { step, error } => Reply::Error { step, error },
        engine::Reply::Stop(stop) => Reply::Stop(Box::new(self::stop(stop, slot))),
    }
}

fn stop(stop: engine::Stop, slot: &Slot) -> Stop {
    Stop {
        code: stop.code,
        executed: stop.executed,
        step: stop.step,
        earlier: stop.earlier,
        tool: slot.tool.name.clone(),
        upstream: slot.tool.upstream.clone(),
        why: stop.why,
        verification: stop.verification,
        retry_after: stop.retry_after,
        next_probe: stop.next_probe,
        success: stop.success,
    }
}

impl From<engine::Phase> for Phase {
    fn from(phase: engine::Phase) -> Self {
        match phase {
            engine::Phase::Sent => Self::Sent,
            engine::Phase::Retrying { attempt } => Self::Retrying { attempt },
            engine::Phase::Probing { probes } => Self::Probing { probes },
            engine::Phase::Attached => Self::Attached,
            engine::Phase::ReadingBack => Self::ReadingBack,
        }
    }
}

impl From<Arrival> for engine::Arrival {
    fn from(arrival: Arrival) -> Self {
        match arrival {
            Arrival::Flushed => Self::Flushed,
            Arrival::Seen => Self::Seen,
            Arrival::Lost => Self::Lost,
        }
    }
}
