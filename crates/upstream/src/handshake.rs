//! The two handshakes: `initialize` of the session era, `server/discover` of the stateless one.
//!
//! Neither has an effect, which is why these two, and nothing else, may find out what an upstream speaks.

use crate::config::{Config, ConnectOptions, Transport};
use crate::failure::{fail, not_sent, rpc};
use crate::session::{RequestOptions, Session};
use bytes::Bytes;
use mcp::bridge::{Caller, initialize_params};
use mcp::{Envelope, Kind, Revision, code, json, splice, views};
use vocab::{Failure, FailureKind};

/// What a handshake settled.
pub struct Settled {
    pub revision: Revision,
    /// The `result` as it came.
    pub server: Bytes,
}

/// With a handshake and sessions, or without both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    Session,
    Stateless,
}

impl Era {
    pub const fn of(revision: Revision) -> Self {
        if revision.is_stateless() { Self::Stateless } else { Self::Session }
    }

    pub const fn other(self) -> Self {
        match self {
            Self::Session => Self::Stateless,
            Self::Stateless => Self::Session,
        }
    }
}

/// Asks in the words of one era; `named` is a revision that the upstream named itself.
///
/// # Errors
/// The upstream does not speak it, or did not answer.
pub async fn perform(
    era: Era,
    named: Option<Revision>,
    session: &dyn Session,
    config: &Config,
    options: &ConnectOptions,
) -> Result<Settled, Failure> {
    let request = match era {
        Era::Session => initialize(named, config, options)?,
        Era::Stateless => discover(config, options)?,
    };
    let answer = session.request(request, RequestOptions::default()).await?;
    let limits = mcp::Limits { bytes: config.limits.message_max, depth: config.limits.depth_max, batch: 1 };
    let answer = Envelope::parse(answer, &limits).map_err(|_| unusable("the handshake's answer is no message"))?;
    match (answer.kind(), answer.body_bytes()) {
        (Kind::Response, Some(result)) => {
            let revision = match era {
                Era::Session => revision_of(&result, config)?,
                Era::Stateless => stateless_in(&result)?,
            };
            Ok(Settled { revision, server: result })
        }
        _ => Err(rpc(answer.error().unwrap_or(b"{}"), None)),
    }
}

/// The notification that ends the handshake of the session era.
pub const INITIALIZED: Bytes = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);

fn initialize(named: Option<Revision>, config: &Config, options: &ConnectOptions) -> Result<Bytes, Failure> {
    let revision = named.unwrap_or_else(|| offered(config, options));
    let params = match &options.initialize {
        Some(params) => {
            checked(params)?;
            let version = json::quote(revision.as_str());
            splice::set(params, &["protocolVersion"], &version).map_err(|_| unreadable())?
        }
        None => {
            let info = info(config, options)?;
            let capabilities = options.capabilities.clone().unwrap_or_else(|| Bytes::from_static(b"{}"));
            checked(&capabilities)?;
            initialize_params(revision, &info, &capabilities)
        }
    };
    Ok(request("initialize", &params))
}

fn discover(config: &Config, options: &ConnectOptions) -> Result<Bytes, Failure> {
    let caller = match &options.initialize {
        Some(params) => {
            checked(params)?;
            Caller::from_initialize(params, Revision::LATEST).map_err(|_| unreadable())?
        }
        None => {
            let capabilities = options.capabilities.clone().unwrap_or_else(|| Bytes::from_static(b"{}"));
            checked(&capabilities)?;
            let client_info = info(config, options)?;
            Caller { revision: Revision::LATEST, client_info, capabilities, log_level: None }
        }
    };
    let members = caller.meta();
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, value)| (*name, &value[..])).collect();
    let params = splice::set_all(br#"{"_meta":{}}"#, &["_meta"], &members).map_err(|_| unreadable())?;
    Ok(request("server/discover", &params))
}

fn request(method: &str, params: &[u8]) -> Bytes {
    let head = format!(r#"{{"jsonrpc":"2.0","id":"cofferdam-{method}","method":"{method}","params":"#);
    [head.as_bytes(), params, b"}"].concat().into()
}

/// The revision that a refusal names and that is spoken here, of the era that was asked in if there is one.
pub fn named_in(refusal: &Failure, era: Era) -> Option<Revision> {
    let error = refusal.rpc_error.as_ref().filter(|error| code::of(error) == code::UNSUPPORTED_VERSION)?;
    let listed = json::find(error, &["data", "supported"]).ok()??;
    let spoken: Vec<Revision> = json::elements(error, listed.start)
        .ok()?
        .take(LISTED_MAX)
        .filter_map(|range| Revision::parse(&json::decode(&error[range])?))
        .collect();
    let same = spoken.iter().copied().filter(|one| Era::of(*one) == era).max();
    same.or_else(|| spoken.into_iter().max())
}

/// Most revisions of a list that are looked at.
const LISTED_MAX: usize = 64;

/// The one revision that is configured, else the caller's own, else the latest with a handshake.
fn offered(config: &Config, options: &ConnectOptions) -> Revision {
    let asked = options.initialize.as_ref().and_then(|params| {
        let version = views::Initialize::read(params).ok()?.protocol_version?;
        Revision::parse(&version)
    });
    let is_http = matches!(config.transport, Transport::Http { .. });
    config
        .revision
        .or(options.revision)
        .or(asked)
        .filter(|one| !one.is_stateless() && (!is_http || one.has_streamable_http()))
        .unwrap_or(Revision::LATEST_LEGACY)
}

fn info(config: &Config, options: &ConnectOptions) -> Result<Bytes, Failure> {
    if let Some(info) = &options.client_info {
        checked(info)?;
        return Ok(info.clone());
    }
    let (name, version) = (json::quote(&config.gateway.name), json::quote(&config.gateway.version));
    Ok([br#"{"name":"#, &name[..], br#","version":"#, &version[..], b"}"].concat().into())
}

fn revision_of(result: &Bytes, config: &Config) -> Result<Revision, Failure> {
    let version = json::text(result, &["protocolVersion"]).ok().flatten();
    let revision = version.as_deref().and_then(Revision::parse).filter(|one| !one.is_stateless());
    let revision = revision.ok_or_else(|| unusable("the upstream chose a revision that is not spoken here"))?;
    match config.revision {
        Some(wanted) if wanted != revision => Err(unusable("the upstream does not speak the configured revision")),
        _ => Ok(revision),
    }
}

/// A server that answers without a list has answered in this revision all the same.
fn stateless_in(result: &Bytes) -> Result<Revision, Failure> {
    let server = views::Server::read(result).map_err(|_| unusable("the answer to server/discover cannot be read"))?;
    let listed = &server.supported_versions;
    match listed.is_empty() || listed.iter().any(|one| one == Revision::LATEST.as_str()) {
        true => Ok(Revision::LATEST),
        false => Err(unusable("the upstream speaks no revision that is spoken here")),
    }
}

fn checked(json: &Bytes) -> Result<(), Failure> {
    json::check(json, json::DEPTH_MAX).map_err(|_| unreadable())
}

fn unreadable() -> Failure {
    not_sent("what the caller says of itself cannot be read")
}

fn unusable(detail: &str) -> Failure {
    fail(FailureKind::Unparsable, detail)
}
