use alloc::sync::Arc;
use core::fmt;

/// A shared name: tenant, principal, upstream, tool. Cloning it copies a pointer.
pub type Name = Arc<str>;

/// A BLAKE3 hash: step keys, fingerprints, scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0[..6])
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// Name of one step: a UUID version 7 made by the runtime, so that ids sort by time of arrival.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub [u8; 16]);

/// Name of one run: the first 16 bytes of the hash of what identifies it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub [u8; 16]);

macro_rules! uuid_text {
    ($name:ident) => {
        /// Hyphenated lower-case hex, as UUIDs are written.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (index, part) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
                    if index > 0 {
                        f.write_str("-")?;
                    }
                    write_hex(f, &self.0[part])?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl $name {
            /// Reads the hyphenated or the plain form; `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                let mut bytes = [0_u8; 16];
                let mut digits = text.bytes().filter(|byte| *byte != b'-');
                for byte in &mut bytes {
                    let high = hex_digit(digits.next()?)?;
                    let low = hex_digit(digits.next()?)?;
                    *byte = high << 4 | low;
                }
                digits.next().is_none().then_some(Self(bytes))
            }
        }
    };
}

uuid_text!(StepId);
uuid_text!(RunId);

/// One caller that waits for an answer. Local to a process and never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Number of a journal's owner: each start raises it, so that a late writer is told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Position of an event in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// What the identity of a step was taken from; the strongest source wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySource {
    /// Nothing named it: a fresh key. Equal content then only makes a suspect duplicate.
    Fresh,
    /// Run and step id given by the guard API or the library.
    Position,
    /// The model's own tool-call id.
    ModelCall,
    /// An idempotency key that the client sent.
    Explicit,
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::string::ToString;

    #[test]
    fn a_step_id_reads_back_from_its_own_text() {
        let id = StepId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255]);
        assert_eq!(id.to_string(), "01020304-0506-0708-090a-0b0c0d0e0fff");
        assert_eq!(StepId::parse(&id.to_string()), Some(id));
        assert_eq!(StepId::parse("01"), None);
        assert_eq!(StepId::parse(&std::format!("{id}00")), None);
    }
}
