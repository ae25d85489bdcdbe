//! The trace of a world as one number: every event and every output of the engine goes into it.

use std::fmt::{self, Debug, Write};

/// Events between two checkpoints.
const EVERY: u64 = 10_000;

#[derive(Default)]
pub struct Trace {
    hash: u64,
    events: u64,
    checkpoints: Vec<u64>,
}

impl Trace {
    pub fn event(&mut self, now: u64, label: &str) {
        self.word(now);
        self.write_str(label).unwrap_or_default();
        self.events += 1;
        if self.events.is_multiple_of(EVERY) {
            self.checkpoints.push(self.hash);
        }
    }

    pub fn output(&mut self, output: &impl Debug) {
        write!(self, "{output:?}").unwrap_or_default();
    }

    pub const fn events(&self) -> u64 {
        self.events
    }

    pub const fn hash(&self) -> u64 {
        self.hash
    }

    pub fn checkpoints(&self) -> Vec<u64> {
        self.checkpoints.clone()
    }

    const fn word(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        Ok(())
    }
}
