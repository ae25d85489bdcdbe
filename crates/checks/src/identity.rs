//! Names of steps, legs, scopes and runs: BLAKE3 over length-prefixed parts, so that no two lists of parts meet.
//!
//! The results are stored and sent to upstreams; the golden values in the tests must never change.

use alloc::string::String;
use core::fmt::Write;
use vocab::planted::{self, Planted};
use vocab::{Hash, KeySource, Name, RunId, StepId};

/// Longest idempotency key that a client may send, in bytes.
pub const KEY_MAX: usize = 255;
/// An id of a provider has at least this many random characters after its prefix.
const RANDOM_MIN: usize = 20;
const TOOLU_RANDOM_MIN: usize = 16;
/// Parts that are together no longer than this are hashed in one piece.
const GATHERED_MAX: usize = 512;

/// BLAKE3 over the parts, each with its length in front. The first part says what the hash is of.
pub fn hash(parts: &[&[u8]]) -> Hash {
    let framed = |part: &&[u8]| part.len().saturating_add(8);
    // Most lists fit into one block of the hash, which takes it whole much faster than piece by piece.
    let mut gathered = [0_u8; GATHERED_MAX];
    if parts.iter().map(framed).fold(0_usize, usize::saturating_add) <= GATHERED_MAX {
        let mut end = 0;
        for part in parts {
            gathered[end..end + 8].copy_from_slice(&(part.len() as u64).to_le_bytes());
            gathered[end + 8..end + 8 + part.len()].copy_from_slice(part);
            end += 8 + part.len();
        }
        return Hash(*blake3::hash(&gathered[..end]).as_bytes());
    }
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Hash(*hasher.finalize().as_bytes())
}

/// Whose step it is and what it calls.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    pub tenant: &'a str,
    pub principal: &'a str,
    pub upstream: &'a str,
    pub tool: &'a str,
}

/// What names a step among those of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id<'a> {
    /// Scope: the principal, over all runs.
    Explicit(&'a str),
    /// Scope: the principal for ids that a provider drew at random, else the run.
    ModelCall {
        id: &'a str,
        run: RunId,
    },
    Position {
        run: RunId,
        step: &'a str,
    },
    Fresh(StepId),
}

impl Id<'_> {
    pub const fn source(&self) -> KeySource {
        match self {
            Self::Explicit(_) => KeySource::Explicit,
            Self::ModelCall { .. } => KeySource::ModelCall,
            Self::Position { .. } => KeySource::Position,
            Self::Fresh(_) => KeySource::Fresh,
        }
    }
}

/// One key, one step: over retries, restarts and replicas.
//= S-09
//= S-23
pub fn step_key(owner: &Owner<'_>, id: &Id<'_>) -> Hash {
    let Owner { tenant, principal, upstream, tool } = owner;
    let tenant = if planted::is(Planted::TenantMissingFromKey) { &"" } else { tenant };
    let of = |source: &str, scope: &[u8], id: &[u8]| {
        hash(&[
            b"step1",
            tenant.as_bytes(),
            principal.as_bytes(),
            upstream.as_bytes(),
            tool.as_bytes(),
            source.as_bytes(),
            scope,
            id,
        ])
    };
    match id {
        Id::Explicit(key) => of("explicit", b"", key.as_bytes()),
        Id::ModelCall { id, .. } if is_provider_random(id) => of("model_call", b"", id.as_bytes()),
        Id::ModelCall { id, run } => of("model_call", &run.0, id.as_bytes()),
        Id::Position { run, step } => of("position", &run.0, step.as_bytes()),
        Id::Fresh(step) => of("fresh", b"", &step.0),
    }
}

/// The idempotency key sent to an upstream: the same for every attempt of one generation of a step.
///
/// 128 bits written as a UUID (version 8, made by rule): upstreams that want a UUID take it, and so do those that
/// allow 45 characters.
//= G2
pub fn upstream_key(step: &Hash, generation: u32) -> Name {
    let hash = hash(&[b"up1", &step.0, &generation.to_le_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.0[..16]);
    bytes[6] = bytes[6] & 0x0F | 0x80;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        if write!(text, "{byte:02x}").is_err() {
            unreachable!("writing to a string cannot fail");
        }
    }
    text.into()
}

/// One continuation of a step: which state it continues, with which responses (their fingerprint).
pub fn leg_key(step: &Hash, request_state: &[u8], responses: &Hash) -> Hash {
    hash(&[b"leg1", &step.0, &hash(&[request_state]).0, &responses.0])
}

/// The compensation of a step, by the number of its try.
//= S-09
pub fn compensation_key(step: &Hash, generation: u32, number: u32) -> Hash {
    hash(&[b"comp1", &step.0, &generation.to_le_bytes(), &number.to_le_bytes()])
}

/// The continuation of a step that handed out no state: known by the requests that it asked.
pub fn leg_key_stateless(step: &Hash, responses: &Hash) -> Hash {
    hash(&[b"leg1", &step.0, b"", &responses.0])
}

/// Within which an undelivered or unknown earlier step may be adopted: principal and run where the client named the
/// run, principal and client where it is only guessed.
pub fn scope(tenant: &str, principal: &str, within: Within<'_>) -> Hash {
    match within {
        Within::Run(run) => hash(&[b"scope1", tenant.as_bytes(), principal.as_bytes(), b"run", &run.0]),
        Within::Client(client) => {
            hash(&[b"scope1", tenant.as_bytes(), principal.as_bytes(), b"client", client.as_bytes()])
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within<'a> {
    Run(RunId),
    Client(&'a str),
}

/// Equal content: the same tool of the same upstream with the same identity arguments.
pub fn content(upstream: &str, tool: &str, arguments: &Hash) -> Hash {
    hash(&[b"content1", upstream.as_bytes(), tool.as_bytes(), &arguments.0])
}

/// The run that a client named (header, `_meta`, trace, session), within its principal: a name that another principal
/// chose is another run.
pub fn run_id(tenant: &str, principal: &str, name: &str) -> RunId {
    let hash = hash(&[b"run1", tenant.as_bytes(), principal.as_bytes(), name.as_bytes()]);
    let mut id = [0; 16];
    id.copy_from_slice(&hash.0[..16]);
    RunId(id)
}

/// Drawn at random by a model provider, so that the same id means the same call even under another run (a framework
/// replay under a new trace). Counted ids such as `call_0` repeat in every run.
pub fn is_provider_random(id: &str) -> bool {
    let random = |rest: &str, least: usize| {
        rest.len() >= least
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
            && rest.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    id.strip_prefix("toolu_").is_some_and(|rest| random(rest, TOOLU_RANDOM_MIN))
        || id.strip_prefix("call_").is_some_and(|rest| random(rest, RANDOM_MIN))
        || is_uuid(id)
}

fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
        // The nil UUID and its like are placeholders.
        && id.bytes().any(|byte| byte.is_ascii_hexdigit() && byte != b'0')
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("read the idempotency key: {0} bytes, and 1 to {KEY_MAX} are allowed")]
    Length(usize),
    #[error("read the idempotency key: it has a control character")]
    Unprintable,
    #[error("read the idempotency key: the call carries two that differ")]
    Differ,
}

/// The one explicit key of a call, from all places where one was found.
///
/// # Errors
/// A key of the wrong length or with control characters, or two that differ: nobody can say which was meant.
pub fn explicit_key<'a>(found: impl IntoIterator<Item = &'a str>) -> Result<Option<&'a str>, Error> {
    let mut key = None;
    for candidate in found {
        if candidate.is_empty() || candidate.len() > KEY_MAX {
            return Err(Error::Length(candidate.len()));
        }
        if candidate.chars().any(char::is_control) {
            return Err(Error::Unprintable);
        }
        match key {
            Some(earlier) if earlier != candidate => return Err(Error::Differ),
            _ => key = Some(candidate),
        }
    }
    Ok(key)
}

#[cfg(test)]
mod tests;
