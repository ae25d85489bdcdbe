//! MCP messages to answers: handshake or `server/discover`, the list of tools, calls with their faults.

use super::{Options, STATELESS};
use crate::faults::{Bad, Fault, Faults};
use crate::world::{Call, ToolError, World};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

pub(super) struct Service {
    pub(super) world: Arc<dyn World>,
    pub(super) faults: Faults,
    pub(super) options: Options,
    /// Calls that have begun: they end even when their caller has left.
    pub(super) calls: TaskTracker,
}

/// What becomes of a message.
#[derive(Debug)]
pub(super) enum Handled {
    /// A notification or a response: nothing is answered.
    Nothing,
    Answer(Value),
    /// Nothing was done.
    Unavailable,
    /// It was done, and nobody says so.
    Lost,
    GatewayTimeout,
    Bad(Bad, Value),
}

pub(super) const PARSE_ERROR: i64 = -32700;
pub(super) const INVALID_REQUEST: i64 = -32600;
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;
pub(super) const INTERNAL: i64 = -32603;
pub(super) const HEADER_MISMATCH: i64 = -32020;
pub(super) const UNSUPPORTED_REVISION: i64 = -32022;

const REVISION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";

pub(super) fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

/// The revision that the message names for itself, as the stateless era has it.
pub(super) fn claimed_revision(message: &Value) -> Option<&str> {
    message["params"]["_meta"][REVISION_KEY].as_str()
}

impl Service {
    pub(super) fn new(world: Arc<dyn World>, options: Options) -> Self {
        Self { world, faults: Faults::new(options.faults.clone()), options, calls: TaskTracker::new() }
    }

    pub(super) fn speaks(&self, revision: &str) -> bool {
        self.options.revisions.contains(&revision)
    }

    /// `key` is the idempotency key of the transport, if it has one.
    pub(super) async fn handle(&self, message: &Value, key: Option<&str>) -> Handled {
        let Some(id) = message.get("id") else { return Handled::Nothing };
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            // A response to a request that we never send, or no message at all.
            return if message.get("result").is_some() || message.get("error").is_some() {
                Handled::Nothing
            } else {
                Handled::Answer(error(id, INVALID_REQUEST, "no method"))
            };
        };
        let stateless = claimed_revision(message).is_some();
        if let Some(refusal) = self.refusal(id, message) {
            return Handled::Answer(refusal);
        }
        let result = match method {
            "initialize" if !stateless => self.initialize(&message["params"]),
            "ping" if !stateless => json!({}),
            "server/discover" if stateless => self.discover(),
            "tools/list" => self.list(stateless),
            "tools/call" => return self.call(id, &message["params"], key, stateless).await,
            _ => return Handled::Answer(error(id, METHOD_NOT_FOUND, "method not found")),
        };
        Handled::Answer(self.answer(id, result, stateless))
    }

    /// What the stateless era demands of every request.
    fn refusal(&self, id: &Value, message: &Value) -> Option<Value> {
        let claimed = claimed_revision(message)?;
        if claimed != STATELESS || !self.speaks(STATELESS) {
            let mut refusal = error(id, UNSUPPORTED_REVISION, "unsupported protocol version");
            let supported: Vec<_> = self.options.revisions.iter().filter(|revision| **revision == STATELESS).collect();
            refusal["error"]["data"] = json!({ "supported": supported, "requested": claimed });
            return Some(refusal);
        }
        let capabilities = &message["params"]["_meta"][CAPABILITIES_KEY];
        (!capabilities.is_object()).then(|| error(id, INVALID_PARAMS, "no client capabilities in _meta"))
    }

    fn answer(&self, id: &Value, mut result: Value, stateless: bool) -> Value {
        if stateless {
            result["resultType"] = "complete".into();
            result["_meta"]["io.modelcontextprotocol/serverInfo"] = self.info();
        }
        json!({ "jsonrpc": "2.0", "id": id, "result": result })
    }

    fn info(&self) -> Value {
        json!({ "name": self.world.name(), "version": env!("CARGO_PKG_VERSION") })
    }

    fn initialize(&self, params: &Value) -> Value {
        let asked = params["protocolVersion"].as_str().unwrap_or_default();
        let with_sessions = || self.options.revisions.iter().filter(|revision| **revision != STATELESS);
        let revision = with_sessions().find(|revision| **revision == asked).or_else(|| with_sessions().next_back());
        json!({
            "protocolVersion": revision.unwrap_or(&"2025-11-25"),
            "capabilities": { "tools": {} },
            "serverInfo": self.info(),
            "instructions": self.world.instructions(),
        })
    }

    fn discover(&self) -> Value {
        json!({
            "supportedVersions": [STATELESS],
            "capabilities": { "tools": {} },
            "instructions": self.world.instructions(),
            "ttlMs": 0,
            "cacheScope": "private",
        })
    }

    fn list(&self, stateless: bool) -> Value {
        let tools: Vec<_> = self
            .world
            .tools()
            .into_iter()
            .map(|mut tool| {
                tool.output = tool.output.filter(|_| self.options.output_schemas);
                tool.listed(self.options.annotations)
            })
            .collect();
        if stateless {
            json!({ "tools": tools, "ttlMs": 0, "cacheScope": "private" })
        } else {
            json!({ "tools": tools })
        }
    }

    async fn call(&self, id: &Value, params: &Value, key: Option<&str>, stateless: bool) -> Handled {
        let name = params["name"].as_str().unwrap_or_default().to_owned();
        let Some(tool) = self.world.tools().into_iter().find(|tool| tool.name == name) else {
            return Handled::Answer(error(id, INVALID_PARAMS, "unknown tool"));
        };
        let args = params["arguments"].as_object().cloned().unwrap_or_default();
        let key = key.map(str::to_owned).or_else(|| key_in(params, &args));
        let is_structured = tool.output.is_some() && self.options.output_schemas;
        let once = |stale: bool, delay: bool| {
            let (world, name, args, key) = (Arc::clone(&self.world), name.clone(), args.clone(), key.clone());
            let wait = self.faults.plan().work + if delay { self.faults.plan().late } else { Duration::ZERO };
            // On its own task: a caller that leaves does not take the effect along.
            let begun = self.calls.spawn(async move {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                tokio::task::spawn_blocking(move || {
                    world.call(&Call { tool: &name, args: &args, key: key.as_deref(), stale })
                })
                .await
            });
            async move {
                match begun.await {
                    Ok(Ok(outcome)) => outcome,
                    _ => Err("the tool crashed".into()),
                }
            }
        };
        let answer = |outcome| match outcome {
            Ok(structured) => self.answer(id, result(structured, is_structured), stateless),
            Err(ToolError::Unknown) => error(id, INVALID_PARAMS, "unknown tool"),
            Err(ToolError::Failed(why)) => self.answer(id, failed(&why), stateless),
        };
        match self.faults.draw(&name, tool.hints.is_mutation()) {
            None => Handled::Answer(answer(once(false, false).await)),
            Some(Fault::Before503) => Handled::Unavailable,
            Some(Fault::BeforeIsError) => {
                let why = "the service is busy, nothing was done";
                Handled::Answer(self.answer(id, failed(why), stateless))
            }
            Some(Fault::StaleRead) => Handled::Answer(answer(once(true, false).await)),
            Some(Fault::EffectAfter) => Handled::Answer(answer(once(false, true).await)),
            Some(Fault::Duplicate) => {
                let first = once(false, false).await;
                let _second = once(false, false).await;
                Handled::Answer(answer(first))
            }
            Some(Fault::EffectLate) => {
                let outcome = once(false, false).await;
                tokio::time::sleep(self.faults.plan().late).await;
                Handled::Answer(answer(outcome))
            }
            Some(Fault::EffectLost) => {
                let _outcome = once(false, false).await;
                Handled::Lost
            }
            Some(Fault::Effect504) => {
                let _outcome = once(false, false).await;
                Handled::GatewayTimeout
            }
            Some(Fault::EffectBad(bad)) => Handled::Bad(bad, answer(once(false, false).await)),
        }
    }
}

/// The spellings of an idempotency key that are in use, besides the header.
fn key_in(params: &Value, args: &Map<String, Value>) -> Option<String> {
    let meta = &params["_meta"];
    ["idempotency-key", "io.modelcontextprotocol/idempotencyKey", "io.modelcontextprotocol/idempotency-key"]
        .into_iter()
        .find_map(|name| meta[name].as_str())
        .or_else(|| args.get("idempotency_key").and_then(Value::as_str))
        .map(str::to_owned)
}

fn result(structured: Value, is_structured: bool) -> Value {
    let mut result = json!({ "content": [{ "type": "text", "text": structured.to_string() }] });
    if is_structured {
        result["structuredContent"] = structured;
    }
    result
}

fn failed(why: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": why }], "isError": true })
}

/// The bytes of a misshapen answer, and how many bytes it claims to have.
pub(super) fn misshape(bad: Bad, mut answer: Value) -> (Vec<u8>, usize) {
    match bad {
        Bad::CutJson | Bad::CutBody => {
            let whole = answer.to_string().into_bytes();
            let half = whole[..whole.len() / 2].to_vec();
            let claimed = if bad == Bad::CutBody { whole.len() } else { half.len() };
            return (half, claimed);
        }
        Bad::NotJson => {
            let page = b"<html><body><h1>It works!</h1></body></html>".to_vec();
            let claimed = page.len();
            return (page, claimed);
        }
        Bad::WrongId => answer["id"] = "another-request".into(),
        Bad::NoContent => answer["result"] = json!({}),
        Bad::WrongShape if answer["result"]["structuredContent"].is_object() => {
            answer["result"]["structuredContent"] = json!({ "unexpected": [null, "garbage"] });
        }
        Bad::WrongShape => answer["result"]["content"] = "garbage".into(),
    }
    let whole = answer.to_string().into_bytes();
    let claimed = whole.len();
    (whole, claimed)
}
