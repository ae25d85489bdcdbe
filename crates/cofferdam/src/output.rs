//! What a command prints: tables for people, JSON for programs, never a control character of somebody else's.

mod table;

pub use table::Table;

use crate::exit::{Exit, Failed};
use serde::Serialize;
use std::io::{self, Write};

/// Where a command writes, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    pub json: bool,
}

impl Out {
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// One JSON value, indented, and a newline.
    pub fn value(self, value: &impl Serialize) -> Result<(), Failed> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failed::because("write the answer", error))?;
        self.line(&text)
    }

    pub fn line(self, text: &str) -> Result<(), Failed> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.write_all(b"\n")?;
        Ok(stdout.flush()?)
    }

    /// Either form of one answer.
    pub fn show(self, value: &impl Serialize, people: impl FnOnce() -> String) -> Result<(), Failed> {
        if self.json { self.value(value) } else { self.line(people().trim_end()) }
    }

    /// Beside the answer, for people: on standard error.
    pub fn note(self, text: &str) {
        // Standard error may be closed; the answer is what counts.
        writeln!(io::stderr().lock(), "{text}").ok();
    }

    /// Says why a policy starts nothing.
    pub fn refused(self, problems: &policy::Problems) {
        if self.json {
            let value =
                serde_json::json!({ "error": "read the policy", "problems": problems, "exit": Exit::Wrong as u8 });
            self.note(&value.to_string());
        } else {
            self.note(problems.render().trim_end());
        }
    }

    /// Says why a command failed and gives its exit code.
    pub fn failed(self, failed: &Failed) -> Exit {
        if failed.is_broken_pipe() {
            return Exit::Done;
        }
        if self.json {
            let value = serde_json::json!({ "error": failed.to_string(), "exit": failed.exit as u8 });
            self.note(&value.to_string());
        } else {
            self.note(&format!("cofferdam: failed to {}", printable(&failed.to_string())));
        }
        failed.exit
    }
}

/// A terminal must not obey what an upstream, an agent or a file says.
pub fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter }).collect()
}
