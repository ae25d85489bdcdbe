//! `initialize` and `server/discover`: one told in the words of the other.

use crate::json::{self, Error};
use crate::views::Server;
use crate::{Revision, meta, splice};
use bytes::Bytes;

use super::request::UNNAMED;
use super::{object, strings};

/// The result of an `initialize` that a door answers for a stateless server, from its `server/discover` result.
///
/// # Errors
/// A member appears twice.
pub fn initialize_result(discover: &Bytes, revision: Revision) -> Result<Bytes, Error> {
    let server = Server::read(discover)?;
    let version = json::quote(revision.as_str());
    let mut members: Vec<(&str, &[u8])> = vec![
        ("protocolVersion", &version),
        ("capabilities", server.capabilities.as_deref().unwrap_or(b"{}")),
        ("serverInfo", server.info.as_deref().unwrap_or(UNNAMED)),
    ];
    members.extend(server.instructions.as_deref().map(|text| ("instructions", text)));
    Ok(object(&members).into())
}

/// The result of a `server/discover` that a door answers for a server of the session era, from its `initialize`
/// result. Core tasks do not exist for stateless clients.
///
/// # Errors
/// As [`initialize_result`].
pub fn discover_result(initialize: &Bytes, versions: &[Revision]) -> Result<Bytes, Error> {
    let server = Server::read(initialize)?;
    let capabilities = match server.capabilities.filter(|all| json::is_object(all)) {
        Some(all) => splice::remove(&all, &["tasks"])?,
        None => Bytes::from_static(b"{}"),
    };
    let versions = strings(versions.iter().map(|one| one.as_str()));
    let info = object(&[(meta::SERVER_INFO, server.info.as_deref().unwrap_or(UNNAMED))]);
    let mut members: Vec<(&str, &[u8])> = vec![
        ("supportedVersions", &versions),
        ("capabilities", &capabilities),
        ("resultType", b"\"complete\""),
        ("ttlMs", b"0"),
        ("cacheScope", b"\"private\""),
        ("_meta", &info),
    ];
    members.extend(server.instructions.as_deref().map(|text| ("instructions", text)));
    Ok(object(&members).into())
}

/// The params of an `initialize` for a caller who sent none.
#[must_use]
pub fn initialize_params(revision: Revision, client_info: &[u8], capabilities: &[u8]) -> Bytes {
    let version = json::quote(revision.as_str());
    object(&[("protocolVersion", &version), ("capabilities", capabilities), ("clientInfo", client_info)]).into()
}
