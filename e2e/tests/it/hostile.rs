//! Bad input and faults: what the hostile tests share.

use anyhow::{Context, Result, bail};
use e2e::{Gateway, Server};
use serde_json::{Value, json};
use std::path::Path;
use testkit::client::{CallOptions, Client, Identity, Response};

mod callers;
mod messages;
mod process;
mod requests;
mod sessions;
mod upstreams;

pub const SESSIONS: &str = "2025-11-25";
pub const STATELESS: &str = testkit::server::STATELESS;

pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_effects"))
}

/// A gateway in front of a ledger in a process of its own.
pub struct Stage {
    pub gateway: Gateway,
    pub server: Server,
}

/// Rules for the ledger; `{url}` is its address.
pub const POLICY: &str = r#"upstreams:
  ledger: { mcp: { url: "{url}" } }
defaults:
  timeouts: { step: 4s, attempt: 2s }
  quiescence: 300ms
  absent_spacing: 100ms
  probe_wait: 2s
tools:
  - { match: ledger.get, effect: read }
  - { match: "ledger.list_*", effect: read }
  - { match: ledger.append, effect: write, target: args.text }
  - { match: ledger.slow, effect: write, target: args.text }
  - { match: ledger.send, effect: write, target: args.text }
"#;

impl Stage {
    pub async fn set(policy: &str) -> Result<Option<Self>> {
        Self::set_with(policy, &[]).await
    }

    pub async fn set_with(policy: &str, server: &[&str]) -> Result<Option<Self>> {
        // First the skip, then the work.
        if e2e::binary()?.is_none() {
            return Ok(None);
        }
        let server = Server::start(program(), server).await?;
        let gateway = Gateway::start(&policy.replace("{url}", &server.url)).await?;
        Ok(gateway.map(|gateway| Self { gateway, server }))
    }

    pub async fn client(&self, revision: &str) -> Result<Client> {
        self.client_as(Identity::speaking(revision)).await
    }

    pub async fn client_as(&self, identity: Identity) -> Result<Client> {
        Client::http(&self.gateway.url_of("ledger"), identity).await.context("connect")
    }

    /// Effects in the ledger, of all or with this text.
    pub async fn effects(&self, text: Option<&str>) -> Result<usize> {
        let truth = self.server.truth().await?;
        let entries = truth["ledger"].as_array().context("no ledger")?;
        Ok(entries.iter().filter(|entry| text.is_none_or(|text| entry["args"]["text"] == text)).count())
    }

    /// It still does its work, for those who behave.
    pub async fn is_well(&self) -> Result<()> {
        for revision in [SESSIONS, STATELESS] {
            let client = self.client(revision).await?;
            let text = format!("well-{revision}-{}", self.effects(None).await?);
            let answer = client.call("append", json!({ "text": text }), &CallOptions::default()).await?;
            if answer.is_error || self.effects(Some(&text)).await? != 1 {
                bail!("a well-behaved call went wrong: {answer:?}\n{}", self.gateway.log());
            }
        }
        Ok(())
    }
}

pub fn body(response: &Response) -> Value {
    let text = String::from_utf8_lossy(&response.body);
    let data = text.lines().find_map(|line| line.strip_prefix("data:")).unwrap_or(&text);
    serde_json::from_str(data.trim()).unwrap_or_default()
}

/// A refusal says so in words of HTTP, JSON-RPC or MCP, blames the caller, and says that nothing was executed.
pub fn assert_refused(response: &Response, what: &str) {
    let (status, body) = (response.status, body(response));
    let is_rpc_error = body["error"]["code"].is_i64();
    let is_tool_error =
        body["result"]["isError"] == true && body["result"]["_meta"]["cofferdam/guard"]["executed"] == "no";
    assert!(
        (400..500).contains(&status) || status == 200 && (is_rpc_error || is_tool_error),
        "{what}: {status} {}",
        String::from_utf8_lossy(&response.body).chars().take(400).collect::<String>()
    );
}
