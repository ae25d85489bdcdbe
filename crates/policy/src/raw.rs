//! What a policy file holds, as written. The comments are its reference: they become the JSON Schema and the page.
//!
//! No flattened, untagged or internally tagged types: with them serde loses the place of an error.

mod at;

use alloc::string::String;
use alloc::vec::Vec;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use at::{At, Cel, Entries, Size, Span, Text, place};

/// Policy of a Cofferdam gateway
///
/// Unknown keys are errors. Text may hold `${VAR}` or `${VAR:-default}`, replaced from the environment at load.
/// Time spans are text with a unit: `250ms`, `10s`, `5m`, `24h`, `30d`. Expressions are CEL.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CofferdamPolicy")]
pub(crate) struct File {
    /// Address of the agents' listener, `host:port`. Default `127.0.0.1:7070`. Anything but loopback demands at least
    /// one principal with a token. Since 0.1.
    pub listen: Option<Text>,
    /// The operator's side: a Unix socket (the default, mode 0600) or an address with a token of its own. Since 0.1.
    pub admin: Option<At<Admin>>,
    /// Who may call. Without it every caller of the loopback listener is one principal. Since 0.1.
    pub auth: Option<Auth>,
    /// Where intents and outcomes are kept, and for how long. Since 0.1.
    pub journal: Option<Journal>,
    /// The MCP servers to guard, by name. A name is lower-case letters, digits, `-` and `_`, at most 32. Since 0.1.
    pub upstreams: Option<Entries<Upstream>>,
    /// Rules for tools. Of all entries that match a tool the most specific one holds, alone: an exact name beats a
    /// pattern, a longer pattern beats a shorter one, an entry with `when` beats the same one without, and else the
    /// earlier one. Since 0.1.
    pub tools: Option<Vec<At<Tool>>>,
    /// Time spans for all tools; an upstream and a tool may say otherwise. Since 0.1.
    pub defaults: Option<Defaults>,
    /// What one gateway accepts at most. Since 0.1.
    pub limits: Option<Limits>,
}

/// The operator's side. Either `socket` or `listen` with `token`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// Path of a Unix socket. Default: `admin.sock` beside the journal.
    pub socket: Option<Text>,
    /// Address `host:port`, never the agents' one.
    pub listen: Option<Text>,
    /// Token for `listen`, demanded on loopback too: an agent can reach loopback.
    pub token: Option<Text>,
}

/// Who may call.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    /// Callers, told apart by bearer token. Two principals share no key, no result and no session.
    pub principals: Option<Vec<At<Principal>>>,
    /// Names under which requests may call the gateway, beside loopback ones on a loopback listener: behind a reverse
    /// proxy that passes `Host` on, the proxy's, such as `gateway.example`. Beyond loopback none means every name, because
    /// a token is demanded there. Since 0.1.
    pub hosts: Option<Vec<Text>>,
    /// What the header `Origin` of a request may say, such as `https://console.example`; on a loopback listener also
    /// loopback ones. Since 0.1.
    pub origins: Option<Vec<Text>>,
}

/// One caller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Principal {
    /// Its name in the journal.
    pub name: Text,
    /// The bearer token it sends; write `${VAR}`.
    pub token: Text,
    /// Whose limits and data these are. Default `default`.
    pub tenant: Option<Text>,
}

/// Where intents and outcomes are kept.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    /// A directory of this gateway alone. Default `./.cofferdam`.
    pub path: Option<Text>,
    /// Address of a Postgres database that several gateways share, such as `${DATABASE_URL}`. What belongs to one
    /// gateway alone, such as the operator's socket, stays in `path`. Default: a file in `path`.
    pub postgres: Option<Text>,
    /// How long a silent gateway keeps its steps before another one takes them over; it sends nothing in the last third
    /// of it. Only with `postgres`. Default `15s`.
    pub lease: Option<Span>,
    /// Longest pause of a gateway between its last look at the lease and the first byte that it sends. `quiescence` is
    /// at least `lease` and this. Only with `postgres`. Default `60s`.
    pub pause_max: Option<Span>,
    /// Settings of the database under which it loses what it has acknowledged, accepted by name. Only with `postgres`.
    /// Default: none.
    pub accept_loss: Option<Vec<Loss>>,
    /// What a commit survives. Default `full`.
    pub durability: Option<Durability>,
    /// How long things are kept.
    pub keep: Option<Keep>,
}

/// A setting of the database that weakens its commits.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Loss {
    /// `fsync = off`: a crash of its machine can damage everything.
    Fsync,
    /// `synchronous_commit` is `off` or `local`: the last commits before a crash or a failover are gone.
    SynchronousCommit,
    /// `full_page_writes = off`: a loss of power can damage pages.
    FullPageWrites,
}

/// What a commit of the journal survives.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Durability {
    /// Loss of power.
    Full,
    /// A crash of the process only: after a loss of power effects may be repeated.
    ProcessCrashOnly,
}

/// How long things are kept. Steps that are unknown, held or diverged are kept for ever.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keep {
    /// Result bodies, arguments and events of closed steps. Default `24h`.
    pub bodies: Option<Span>,
    /// What is left of a step so that its key runs nothing. Default `30d`; never shorter than the longest key window.
    pub tombstones: Option<Span>,
    /// Notes of reads. Default `24h`.
    pub reads: Option<Span>,
}

/// One MCP server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// How to reach it: `command` for a child process that speaks stdio, or `url` for streamable HTTP.
    pub mcp: At<Mcp>,
    /// Its annotations decide effects. Default `false`: anybody can write `readOnlyHint: true`.
    pub trusted: Option<bool>,
    /// A child process that has nothing in flight elsewhere, so that nothing of it lives on once it is dead: a file
    /// server is, one that calls a web API is not. Default `false`.
    pub local: Option<At<bool>>,
    /// What its answers prove.
    pub evidence: Option<Evidence>,
    /// Parts of an `isError` text that mean "it may have happened all the same", added to the built-in ones.
    pub ambiguous_error_patterns: Option<Vec<Text>>,
    /// Longest that it works on a request after the answer is overdue; before that "not there" is not believed.
    /// Default `120s`.
    pub quiescence: Option<Span>,
    /// Speak this MCP revision only. Default: negotiate.
    pub revision: Option<Text>,
    /// What it may use at most.
    pub limits: Option<UpstreamLimits>,
    /// Its own time spans.
    pub timeouts: Option<UpstreamTimeouts>,
}

/// How to reach an MCP server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mcp {
    /// Program and arguments of a child process.
    pub command: Option<Vec<Text>>,
    /// Environment of the child, added to a bare one. Values are secrets: never printed.
    pub env: Option<Entries<Text>>,
    /// Working directory of the child.
    pub cwd: Option<Text>,
    /// Address of a streamable HTTP server, `http://` or `https://`.
    pub url: Option<Text>,
    /// Headers of each request. Values are secrets: never printed.
    pub headers: Option<Entries<Text>>,
}

/// What the answers of an upstream prove.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Evidence {
    /// JSON-RPC -32602. Default `ambiguous`: the official TypeScript server runs the handler first and then answers
    /// -32602 when the *result* is invalid.
    pub invalid_params: Option<Proof>,
    /// HTTP 429. Default `refused`.
    pub rate_limit: Option<Proof>,
    /// HTTP 503 comes before any work is done. Default `false`.
    pub sheds_first: Option<bool>,
}

/// What an answer proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proof {
    /// Nothing ran.
    Refused,
    /// It may have run.
    Ambiguous,
}

/// What one upstream may use at most.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamLimits {
    /// Size of one message from it. Default `4MiB`.
    pub message_max: Option<Size>,
    /// Calls in flight. Default 64.
    pub calls_max: Option<At<u32>>,
    /// Sessions with it. Default 1024.
    pub sessions_max: Option<At<u32>>,
}

/// Time spans of one upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamTimeouts {
    /// Connect, TLS or spawn, and the handshake. Default `30s`.
    pub connect: Option<Span>,
    /// One attempt of a read or an idempotent step. Default `30s`.
    pub attempt: Option<Span>,
    /// A whole step, all attempts included. Default `60s`.
    pub step: Option<Span>,
    /// How long the stream of a mutation is kept for a late answer. Default `5m`.
    pub detached_max: Option<Span>,
}

/// Rules for one tool, or for all tools that a pattern matches.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    /// `upstream.tool`; the tool may hold `*`, and so may the whole: `shop.place_order`, `shop.get_*`, `*.search`.
    #[serde(rename = "match")]
    pub pattern: Text,
    /// CEL over `args`: the entry holds only where it is true, such as `args.action == "delete"`. A call for which it
    /// cannot be evaluated falls under the worst entry of the tool.
    pub when: Option<Cel>,
    /// What the tool does to the world. Default: the annotations of a trusted upstream, else `destructive`.
    pub effect: Option<At<Effect>>,
    /// When a mutation that succeeded is called again with equal content. Default `notice`, and `confirm` for a tool
    /// that is declared destructive.
    pub repeat: Option<Repeat>,
    /// CEL over `args` that names what the call acts on, such as `args.order_id`. Mutations of one target keep their
    /// order, and an unknown one holds up its own target only. Default: the whole upstream.
    pub target: Option<Cel>,
    /// Arguments that make two calls the same content, such as `[order_id, customer.id]`. Default: all.
    pub identity: Option<At<Vec<Text>>>,
    /// Where the upstream takes an idempotency key. Needed for `effect: keyed`.
    pub key: Option<At<Key>>,
    /// Argument in which the agent's side sends its own idempotency key.
    pub idempotency_argument: Option<Text>,
    /// The read after each call that confirms its effect; it also resolves an unknown outcome, unless `probe` says
    /// otherwise or it needs the call's result.
    pub readback: Option<At<Read>>,
    /// The read that resolves an unknown outcome, where the read-back cannot.
    pub probe: Option<At<Read>>,
    /// How a call of it is taken back by `cofferdam rollback`. It is made durable with each intent, before anything is
    /// sent. Default: there is no way back.
    pub compensate: Option<At<Compensate>>,
    /// As for the upstream.
    pub quiescence: Option<Span>,
    /// Distance of two reads that agree on "not there". Default `5s`.
    pub absent_spacing: Option<Span>,
    /// When the agent goes away while a mutation is out: keep its stream and journal the answer (`detach`, the
    /// default), or cancel it upstream.
    pub on_disconnect: Option<OnDisconnect>,
    /// Send a write again after evidence that it is not there. Only where the upstream fences late arrivals; never for
    /// `destructive`. Default `false`.
    pub redispatch_on_absent: Option<At<bool>>,
    /// Its own time spans.
    pub timeouts: Option<Timeouts>,
    /// How long the first caller waits for a probe after a lost reply. Default `50s`: the TypeScript SDK gives up at 60.
    pub probe_wait: Option<Span>,
    /// How long probes go on before a person is asked. Default `30m`.
    pub probe_budget: Option<Span>,
    /// Within which a call with equal content, whose earlier answer was not delivered, is taken for a re-issue.
    /// Default `10m`.
    pub reissue_window: Option<Span>,
}

/// What a tool does to the world, from harmless to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    /// Changes nothing.
    Read,
    /// An absolute write: done twice in a row it leaves the same state.
    Idempotent,
    /// The upstream honours an idempotency key, see `key`.
    Keyed,
    /// A second execution is a second effect.
    Write,
    /// A write that takes something away, or cannot be undone.
    Destructive,
}

/// What to do with a call whose equal twin succeeded before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Repeat {
    /// Run it.
    Allow,
    /// Run it and say so on the result.
    Notice,
    /// Refuse until a person confirms.
    Confirm,
    /// Refuse.
    Deny,
}

/// When the agent goes away while a mutation is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnDisconnect {
    /// Keep the stream and journal the answer.
    Detach,
    /// Cancel it upstream.
    Cancel,
}

/// Where the upstream takes an idempotency key: one of `argument`, `meta` and `header`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// Name of an argument.
    pub argument: Option<Text>,
    /// Name of a member of `_meta`.
    pub meta: Option<Text>,
    /// Name of an HTTP header.
    pub header: Option<Text>,
    /// How long the upstream remembers a key. Needed for `effect: keyed`.
    pub window: Option<Span>,
}

/// How a change is taken back. `call` and `args` for all kinds but `manual` and `none`.
///
/// Expressions know `args` (the arguments of the call that is taken back), `result` (its answer), `pre` (what its read
/// showed before it) and `step.key`; `only_if` knows `read` besides (what the same read shows now).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compensate {
    /// What kind of way back it is. Default `inverse`.
    pub kind: Option<At<Compensation>>,
    /// The tool that takes it back: `upstream.tool`, or `tool` of the same upstream.
    pub call: Option<Text>,
    /// Its arguments: CEL that gives an object, such as `{"order_id": result.order_id}`.
    pub args: Option<Cel>,
    /// CEL over what the tool's read-back shows now: it is taken back only while this is true, else it is a conflict.
    /// Default for `restore`: the world still shows what was written.
    pub only_if: Option<Cel>,
    /// For `none`: why there is no way back, in words that a report can show.
    pub reason: Option<Text>,
    /// For `manual`: what a person does, or where that is written.
    pub runbook: Option<Text>,
}

/// What kind of way back a change has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compensation {
    /// The upstream's own: out of a trash, from a snapshot, to a point in time.
    Native,
    /// The opposite call, with ids from the answer: create and delete.
    Inverse,
    /// The same thing written back as it was before. What was there is read before the call; if that fails, a
    /// destructive call is refused.
    Restore,
    /// Of a reservation that is not confirmed yet.
    Cancel,
    /// A person follows a runbook.
    Manual,
    /// There is none: what follows can only go forward.
    None,
}

/// A read of the world and what it says about a call.
///
/// Expressions know `args` (the arguments of the call), `result` (its answer, in a read-back), `pre` (what the read
/// showed before the call), `read` (what it shows now) and `step.key` (the key sent upstream). Functions beside CEL's
/// own: `found(haystack, needle)` counts the objects that agree with the needle, `without(object, ["name"])` leaves
/// members out, `unclear("why")` says that nothing can be told. An expression that cannot be evaluated tells nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Read {
    /// The tool that reads: `upstream.tool`, or `tool` of the same upstream.
    pub read: Text,
    /// Its arguments: CEL that gives an object, such as `{"order_id": args.order_id}`. Default `{}`.
    pub args: Option<Cel>,
    /// CEL: true when the world shows what the call meant to do.
    pub expect: Cel,
    /// CEL: true when the world shows that the call did nothing. Default: the read shows what it showed before.
    pub absent: Option<Cel>,
    /// How long an eventually consistent read may take to show the call. Default `10s`.
    pub within: Option<Span>,
    /// Does the read show a write at once? Default `eventual`.
    pub consistency: Option<Consistency>,
    /// `exact`: it asks by our key or by an id that the call's arguments hold, so no other writer can explain what it
    /// shows. Default `inferred`: it counts only against what was there before.
    pub strength: Option<Strength>,
}

/// Does a read show a write at once?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Consistency {
    /// At once.
    Strong,
    /// After a while.
    Eventual,
}

/// How much the answer of a read is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strength {
    /// Compared with what was there before.
    Inferred,
    /// By key or by an id that the client made.
    Exact,
}

/// Time spans of one step.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timeouts {
    /// One attempt of a read or an idempotent step. Default `30s`.
    pub attempt: Option<Span>,
    /// A whole step, all attempts included. Default `60s`.
    pub step: Option<Span>,
    /// How long the stream of a mutation is kept for a late answer. Default `5m`.
    pub detached_max: Option<Span>,
}

/// Time spans for all tools.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defaults {
    /// Timeouts of a step.
    pub timeouts: Option<Timeouts>,
    /// As for a tool.
    pub quiescence: Option<Span>,
    /// As for a tool.
    pub absent_spacing: Option<Span>,
    /// As for a tool.
    pub probe_wait: Option<Span>,
    /// As for a tool.
    pub probe_budget: Option<Span>,
    /// As for a tool.
    pub reissue_window: Option<Span>,
}

/// What one gateway accepts at most; more is refused, never queued without end.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Size of one message of an agent. Default `4MiB`.
    pub message_max: Option<Size>,
    /// Size of the arguments of one call. Default `1MiB`.
    pub args_max: Option<Size>,
    /// Nesting of one message. Default 64.
    pub depth_max: Option<At<u32>>,
    /// Sessions of agents. Default 1024.
    pub sessions_max: Option<At<u32>>,
    /// Calls in flight over all agents. Default 1024.
    pub calls_max: Option<At<u32>>,
}

/// Keys that the design names for later versions; a hint says so.
pub(crate) const LATER: [&str; 5] = ["verify", "runs", "facts", "mode", "notify"];

/// The JSON Schema of the policy file, pretty-printed; checked in as `docs/policy.schema.json`.
pub fn schema_json() -> String {
    let schema = schemars::schema_for!(File);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
