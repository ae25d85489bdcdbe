//! The chain of events: each event's hash covers the one before it, so that a changed, lost or inserted event shows.
//!
//! It guards against damage and careless edits, not against somebody who can write the file and computes it anew.

use crate::StoredEvent;
use vocab::{Epoch, Event, Hash, Lsn};

/// The end of a chain: what the next event hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    /// Position of the last event; 0 before the first.
    pub lsn: Lsn,
    pub hash: Hash,
}

impl Tip {
    /// The beginning of the chain of one database.
    pub(crate) fn genesis(database: &[u8; 16]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"cofferdam journal chain 1");
        hasher.update(database);
        Self { lsn: Lsn(0), hash: Hash(*hasher.finalize().as_bytes()) }
    }

    /// The tip after one more event.
    pub(crate) fn after(self, epoch: Epoch, event: &Event) -> Self {
        let lsn = Lsn(self.lsn.0 + 1);
        let mut fixed = [0_u8; 86];
        fixed[..32].copy_from_slice(&self.hash.0);
        fixed[32..40].copy_from_slice(&lsn.0.to_le_bytes());
        fixed[40..48].copy_from_slice(&epoch.0.to_le_bytes());
        fixed[48..64].copy_from_slice(&event.step.0);
        fixed[64..72].copy_from_slice(&event.at.as_micros().to_le_bytes());
        fixed[72..76].copy_from_slice(&event.attempt.to_le_bytes());
        fixed[76] = event.kind.number();
        fixed[77] = event.class.map_or(0, vocab::EvidenceClass::number);
        fixed[78..86].copy_from_slice(&(event.detail.len() as u64).to_le_bytes());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&fixed);
        hasher.update(event.detail.as_bytes());
        Self { lsn, hash: Hash(*hasher.finalize().as_bytes()) }
    }
}

/// Events of one retention run that are no longer there: the chain goes on from `hash` after `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub first: Lsn,
    pub last: Lsn,
    pub hash: Hash,
}

/// Walks a chain over what is left of it.
#[derive(Debug)]
pub(crate) struct Walk {
    pub tip: Tip,
    pub events: u64,
    pub findings: Vec<String>,
}

impl Walk {
    pub(crate) fn from(tip: Tip) -> Self {
        Self { tip, events: 0, findings: Vec::new() }
    }

    /// The event that must come next, with the hash that was stored for it.
    pub(crate) fn event(&mut self, stored: &StoredEvent, hash: Hash) {
        self.events += 1;
        if stored.lsn.0 != self.tip.lsn.0 + 1 {
            let missing = self.tip.lsn.0 + 1;
            self.find(format!("events {missing} to {} are missing", stored.lsn.0.saturating_sub(1)));
            self.tip = Tip { lsn: stored.lsn, hash };
            return;
        }
        let next = self.tip.after(stored.epoch, &stored.event);
        if next.hash != hash {
            self.find(format!("event {} does not match its hash", stored.lsn.0));
        }
        self.tip = Tip { lsn: stored.lsn, hash };
    }

    /// A gap that covers the next position.
    pub(crate) fn skip(&mut self, gap: &Gap) {
        self.tip = Tip { lsn: gap.last, hash: gap.hash };
    }

    pub(crate) fn find(&mut self, finding: String) {
        // A damaged file could yield millions; the first ones tell the story.
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

pub(crate) const FINDINGS_MAX: usize = 64;
