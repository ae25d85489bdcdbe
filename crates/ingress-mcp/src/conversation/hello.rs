//! Who the client is, as upstreams are to see it.

use bytes::Bytes;
use mcp::bridge::{self, Level};
use mcp::json;
use mcp::{Revision, views};
use upstream::ConnectOptions;

/// As whom a session with an upstream is opened.
pub struct Hello {
    pub options: ConnectOptions,
    /// What a stateless upstream is told with each request.
    pub caller: bridge::Caller,
    /// Tells stateless callers apart that share a conversation; empty for a session.
    pub key: Bytes,
    /// `name/version`, for the scope of a run that nobody named.
    pub client: String,
}

impl Hello {
    /// From the params of an `initialize`.
    ///
    /// # Errors
    /// A member appears twice, or the params are no object.
    pub fn of_session(params: &Bytes, revision: Revision) -> Result<Self, json::Error> {
        let caller = bridge::Caller::from_initialize(params, Revision::LATEST)?;
        let client = client_name(&caller.client_info);
        let options =
            ConnectOptions { initialize: Some(params.clone()), revision: Some(revision), ..ConnectOptions::default() };
        Ok(Self { options, caller, key: Bytes::new(), client })
    }

    pub fn of_stateless(view: &views::Caller) -> Self {
        let info = view.client_info.clone();
        let capabilities = view.capabilities.clone().unwrap_or_else(|| Bytes::from_static(b"{}"));
        let key = [info.as_deref().unwrap_or_default(), &capabilities].concat();
        let client = info.as_ref().map_or_else(|| "unknown".into(), |info| client_name(info));
        let options = ConnectOptions {
            initialize: None,
            client_info: info.clone(),
            capabilities: Some(capabilities.clone()),
            revision: Some(Revision::V2026_07_28),
        };
        let client_info = info.unwrap_or_else(|| Bytes::from_static(br#"{"name":"unknown","version":"0"}"#));
        let caller = bridge::Caller { revision: Revision::LATEST, client_info, capabilities, log_level: None };
        Self { options, caller, key: key.into(), client }
    }
}

/// Longest name of a client that is kept.
const CLIENT_MAX: usize = 128;

fn client_name(info: &[u8]) -> String {
    let text = |name: &str| json::text(info, &[name]).ok().flatten().unwrap_or_default().into_owned();
    format!("{}/{}", text("name"), text("version")).chars().filter(|c| !c.is_control()).take(CLIENT_MAX).collect()
}

/// What a request of 2026-07-28 says about its caller.
pub struct Asker {
    pub view: views::Caller,
    pub level: Option<Level>,
}

impl Asker {
    pub fn of(view: views::Caller) -> Self {
        let level = view.log_level.as_ref().and_then(|level| json::decode(level)).and_then(|text| Level::parse(&text));
        Self { view, level }
    }
}
