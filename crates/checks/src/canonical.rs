//! The canonical form of a document and the hashes made of it: what makes two sets of arguments the same.
//!
//! Keys by code point, exact numbers (1, 1.0 and 10e-1 are one number; 9007199254740992 and ..993 are two), strings as
//! code points without Unicode normalisation, `null` apart from absent. Not RFC 8785, whose numbers are doubles.

mod differ;
mod number;
mod write;

use crate::json::{self, Document, Error, Item, Limits};
use alloc::vec::Vec;
use vocab::{Hash, Name};

pub use differ::{PATHS_MAX, differing_paths};
use write::{HashSink, write};

/// Names of members from the root; in arrays a decimal index, or `*` for every element.
pub type Path = Vec<Name>;

/// Reads `order.items`, or `/order/items` where a name has a dot in it.
pub fn path(text: &str) -> Path {
    match text.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~").into()).collect(),
        None if text.is_empty() => Path::new(),
        None => text.split('.').map(Name::from).collect(),
    }
}

/// The canonical form itself; for stored responses, tests and people.
///
/// # Errors
/// Not strict JSON within the default limits.
pub fn canonical(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(json::scan(bytes, &Limits::default())?.canonical())
}

/// BLAKE3 of the canonical form.
///
/// # Errors
/// Not strict JSON within the default limits.
//= S-23
pub fn fingerprint(bytes: &[u8]) -> Result<Hash, Error> {
    Ok(json::scan(bytes, &Limits::default())?.fingerprint())
}

impl Document<'_> {
    pub fn canonical(&self) -> Vec<u8> {
        self.root().canonical()
    }

    pub fn fingerprint(&self) -> Hash {
        self.root().fingerprint()
    }

    /// As if the volatile members were absent.
    pub fn fingerprint_without(&self, volatile: &[Path]) -> Hash {
        if volatile.is_empty() {
            return self.fingerprint();
        }
        let mut sink = HashSink::new();
        let active: Vec<&[Name]> = volatile.iter().map(Vec::as_slice).filter(|path| !path.is_empty()).collect();
        write(self, 0, &active, &mut sink);
        sink.finish()
    }

    /// Only the named members, in no particular order; one that is absent differs from one that is `null`. With no path
    /// at all, or when none is there, everything counts: nothing named must not mean that all calls are alike.
    pub fn fingerprint_of(&self, identity: &[Path]) -> Hash {
        let mut found: Vec<(&Path, Item<'_>)> = identity
            .iter()
            .filter_map(|path| self.root().find(path.iter().map(|name| &**name)).map(|item| (path, item)))
            .collect();
        if found.is_empty() {
            return self.fingerprint();
        }
        found.sort_by(|left, right| left.0.cmp(right.0));
        found.dedup_by(|left, right| left.0 == right.0);
        let mut sink = HashSink::new();
        sink.tag(b"identity1");
        for (path, item) in found {
            sink.count(path.len());
            for name in path {
                sink.part(name.as_bytes());
            }
            item.write(&mut sink);
            sink.tag(b"\n");
        }
        sink.finish()
    }
}

impl Item<'_> {
    pub fn canonical(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.range().len());
        self.write(&mut out);
        out
    }

    pub fn fingerprint(self) -> Hash {
        let mut sink = HashSink::new();
        self.write(&mut sink);
        sink.finish()
    }
}

#[cfg(test)]
mod tests;
