//! The mark beside the journal: how far it had come, so that an older copy put in its place is recognised.
//!
//! It sees a journal that is missing, another one, or one with an earlier epoch, position or history. It cannot see
//! that the whole directory was put back, mark included; a copy made by `backup` says so inside itself.

use super::place::{io, sync_directory};
use crate::Error;
use crate::chain::Tip;
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
}

const HEAD: &[u8; 8] = b"cofmark1";
const LENGTH: usize = 8 + 16 + 8 + 8 + 32 + 32;

impl Mark {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTH);
        out.extend_from_slice(HEAD);
        out.extend_from_slice(&self.database);
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        out.extend_from_slice(&self.tip.lsn.0.to_le_bytes());
        out.extend_from_slice(&self.tip.hash.0);
        out.extend_from_slice(blake3::hash(&out).as_bytes());
        out
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(LENGTH - 32)?;
        if blake3::hash(body).as_bytes() != sum || !body.starts_with(HEAD) {
            return None;
        }
        Some(Self {
            database: body[8..24].try_into().ok()?,
            epoch: Epoch(u64::from_le_bytes(body[24..32].try_into().ok()?)),
            tip: Tip {
                lsn: Lsn(u64::from_le_bytes(body[32..40].try_into().ok()?)),
                hash: Hash(body[40..72].try_into().ok()?),
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
        let tip = Tip { lsn: Lsn(77), hash: Hash([9; 32]) };
        let mark = Mark { database: [3; 16], epoch: Epoch(5), tip };
        let bytes = mark.bytes();
        assert_eq!(bytes.len(), LENGTH);
        assert_eq!(Mark::parse(&bytes), Some(mark));
        assert_eq!(Mark::parse(&bytes[..40]), None);
        let mut damaged = bytes;
        damaged[30] ^= 1;
        assert_eq!(Mark::parse(&damaged), None);
    }
}
