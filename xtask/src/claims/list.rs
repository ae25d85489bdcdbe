//! What must become true, in short. The essay behind it: "Agent Failures Are Distributed Systems Failures".

/// Number, and the claim in a sentence.
pub type Claim = (&'static str, &'static str);

pub const CLAIMS: &[Claim] = &[
    ("S-01", "Containment: a broken upstream, tool, model or run takes no other with it."),
    (
        "S-02",
        "Destructive streak: changes are weighed by blast radius before dispatch, and the run is stopped in time.",
    ),
    ("S-03", "Standing instructions: freeze, stop and approval are gateway state, read before every dispatch."),
    ("S-04", "Truthful rollback: whether a run can be, or was, undone comes from the journal and is read back."),
    (
        "S-05",
        "Checkpoints: a run has points to return to, with pre-images and a compensator for each change or none said.",
    ),
    ("S-06", "Garbage stops here: an unexpected tool result never becomes the input of the next step."),
    ("S-07", "Backpressure: overload is told to the agent early; no queue grows without bound."),
    ("S-08", "Deadlines on chains: a run's deadline binds its steps, attempts, model calls and retries."),
    (
        "S-09",
        "Bounded, idempotent retries: attempts are capped, and a mutation's identity outlives retry, crash and restart.",
    ),
    ("S-10", "Breakers on bad state: low confidence and contradictions halt a run, not only errors."),
    ("S-11", "Verification gates: no chain goes more than three calls deep without one."),
    ("S-12", "Reconciliation: two sources of one fact are compared before the agent builds on it."),
    ("S-13", "Freshness and authority: facts carry source, authority, time and shelf life."),
    ("S-14", "Consistency on retrieval: data just read is checked against itself."),
    ("S-15", "Read-your-writes: a mutation is read back before its chain goes on, or is shown as unverified."),
    ("S-16", "Several paths: no high-stakes decision rests on one model call."),
    ("S-17", "Schema and semantics: what crosses a boundary, either way, is checked before use."),
    ("S-18", "Structured traces: one trace follows a request through every call and decision."),
    ("S-19", "Latency histograms of tool calls, model calls and our own overhead."),
    ("S-20", "Semantic drift of outputs over time is detected."),
    ("S-21", "Decision-shift alerts, with a stated rate of false alarms."),
    ("S-22", "Operable from outside: logs, metrics, traces and alerts without touching the agent."),
    ("S-23", "Retries never hammer a failing tool, and a repeated call never makes a duplicate effect."),
    ("S-24", "Chain breaker: two bad calls in a row stop the chain."),
    ("S-25", "Intent check: after a mutation the state is read and compared with what was meant."),
    ("S-26", "Die at the boundary: a malformed answer dies where it enters."),
    ("S-27", "Graceful degradation: with low confidence the scope narrows or a person takes over."),
    ("S-28", "Designed for independent failure: a simulator and a kill campaign prove it."),
    ("I-1", "Air Canada: two pages that disagree are found before the customer is answered."),
    ("I-2", "Replit: the delete never runs during a freeze, and every later lie is contradicted by the journal."),
];

pub const GUARANTEES: &[Claim] = &[
    ("G1", "At most one dispatch of a non-idempotent step without proof that it did not run, or a person's override."),
    ("G2", "Keyed steps are re-sent only with the same key and the same bytes, inside the declared window."),
    ("G3", "No invented outcomes: what is told rests on a receipt or on evidence read back, or it says unknown."),
    ("G4", "Write-ahead: a mutation's intent is durable before it is sent, its outcome before it is released."),
    ("G5", "Faithful replay: same identity and arguments, same stored outcome; other arguments are refused."),
    ("G6", "Unknown is sticky: only evidence or a person resolves it."),
    ("G7", "Nothing unchecked gets through the boundary checks that policy names."),
    ("G8", "Orders hold: freeze, kill, approval and budget are read again before each dispatch."),
];

pub fn known(id: &str) -> bool {
    CLAIMS.iter().chain(GUARANTEES).any(|(own, _)| *own == id)
}
