//! Value in, findings out: strict JSON, canonical form and fingerprints, identity of steps, schemas, answers of tools.
//!
//! Works on the bytes as they were received and is the only maker of `Checked<T>`. Knows no runs, policies or
//! protocols beyond the shape of a tool's result.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod answer;
pub mod canonical;
pub mod checked;
pub mod finding;
pub mod identity;
pub mod json;
pub mod schema;

pub use answer::{AnswerView, Kind, check_output};
pub use canonical::{Path, differing_paths, fingerprint};
pub use checked::{Checked, check_arguments, check_scanned};
pub use finding::{Finding, Rule};
pub use json::{Document, Limits};
pub use schema::{Schema, Unusable};
