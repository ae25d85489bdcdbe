//! The policy file: text -> raw -> resolved, and which rules a tool falls under.
//!
//! `raw` is what was written, `Policy` what it means: a resolved policy cannot be wrong. Expressions are CEL.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::panic, reason = "a test whose setting does not hold says so and ends"))]

extern crate alloc;

pub mod classify;
pub mod defaults;
pub mod effective;
mod expr;
pub mod init;
pub mod pair;
mod policy;
mod problem;
mod raw;
mod resolve;
mod rules;
mod secret;
mod tools;
pub mod undo;
mod words;

pub use expr::{Expr, Fault, Purpose, Scope, view};
pub use policy::{
    Admin, Database, Durability, Journal, Keep, Limits, Loss, Policy, Principal, Transport, Upstream, UpstreamLimits,
};
pub use problem::{Problem, Problems};
pub use raw::schema_json;
pub use rules::{
    Consistency, EvidenceRules, Identity, Judgement, KeyPlacement, OnDisconnect, ReadPlan, Repeat, Strength, ToolRules,
};
pub use secret::{Expanded, Secret};
pub use tools::{Annotations, RulesFor, ToolFacts};

#[cfg(test)]
mod schema_tests;
