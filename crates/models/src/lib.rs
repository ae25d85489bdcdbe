//! Nothing ships from here: `tests` holds what is checked over all, or over very many, orders of events.
//!
//! `lease` is a model of how replicas share a step, looked through to its end. `group_commit` and `wake` take the
//! journal's queues and the runtime's waiting callers as they ship, file by file, with locks that yield to a scheduler.
