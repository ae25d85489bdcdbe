//! The mark beside the journal: how far it had come, so that an older copy put in its place is recognised.
//!
//! It sees a journal that is missing, another one, or one with an earlier epoch, position or history. It cannot see
//! that the whole directory was put back, mark included; a copy made by `backup` says so inside itself.

use super::log::Tip;
use super::place::{io, sync_directory};
use crate::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use vocab::{Epoch, Hash, Lsn};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) database: [u8; 16],
    pub(super) epoch: Epoch,
    pub(super) tip: Tip,
    /// Written beside a journal of form 1: its position is that of an event.
    pub(super) is_old: bool,
}

const HEAD: &[u8; 8] = b"cofmark2";
const LENGTH: usize = 8 + 16 + 8 + 8 + 8 + 32 + 32;
/// Form 1 told the position of the last event; a journal of that time, brought over, goes on after it.
const HEAD_1: &[u8; 8] = b"cofmark1";
const LENGTH_1: usize = LENGTH - 8;

impl Mark {
    /// To test with.
    pub(super) fn sample() -> Self {
        let tip = Tip { pos: 40, lsn: Lsn(77), hash: Hash([9; 32]) };
        Self { database: [3; 16], epoch: Epoch(5), tip, is_old: false }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTH);
        out.extend_from_slice(HEAD);
        out.extend_from_slice(&self.database);
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        out.extend_from_slice(&self.tip.pos.to_le_bytes());
        out.extend_from_slice(&self.tip.lsn.0.to_le_bytes());
        out.extend_from_slice(&self.tip.hash.0);
        out.extend_from_slice(blake3::hash(&out).as_bytes());
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (is_old, length) = if bytes.starts_with(HEAD_1) { (true, LENGTH_1) } else { (false, LENGTH) };
        let (body, sum) = bytes.split_at_checked(length - 32)?;
        if blake3::hash(body).as_bytes() != sum || !(is_old || body.starts_with(HEAD)) {
            return None;
        }
        let number = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
        let lsn = number(if is_old { 32 } else { 40 })?;
        Some(Self {
            is_old,
            database: body[8..24].try_into().ok()?,
            epoch: Epoch(number(24)?),
            tip: Tip {
                pos: number(32)?.cast_signed(),
                lsn: Lsn(lsn),
                hash: Hash(body[length - 64..length - 32].try_into().ok()?),
            },
        })
    }

    /// `None` when there is no mark or it is not readable.
    pub(super) fn read(path: &Path) -> Option<Self> {
        Self::parse(&std::fs::read(path).ok()?)
    }

    /// Replaces the mark; a crash leaves the old one or the new one.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let next = path.with_extension("mark-next");
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
            file.write_all(&self.bytes())?;
            file.sync_all()?;
            std::fs::rename(&next, path)
        };
        write().map_err(|error| io("write the mark", &error))?;
        path.parent().map_or(Ok(()), sync_directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_a_damaged_one_is_none() {
        let mark = Mark::sample();
        let bytes = mark.bytes();
        assert_eq!(bytes.len(), LENGTH);
        assert_eq!(Mark::parse(&bytes), Some(mark));
        assert_eq!(Mark::parse(&bytes[..40]), None);
        let mut damaged = bytes;
        damaged[30] ^= 1;
        assert_eq!(Mark::parse(&damaged), None);
    }
}
