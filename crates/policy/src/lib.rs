//! The policy file: text -> raw -> resolved, and which rules a tool falls under.
//!
//! `raw` is what was written, `rules` what it means: a resolved policy cannot be wrong. Expressions are CEL.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod rules;

pub use rules::{
    Consistency, EvidenceRules, Judgement, KeyPlacement, OnDisconnect, ReadPlan, Repeat, Strength, ToolRules,
};
