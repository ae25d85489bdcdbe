//! From a request of a door to a call that the engine can decide on: input boundary, identity, lane, deadline.

mod compensation;
mod key;

pub(crate) use compensation::compensation;

use crate::api::{CallError, Request};
use crate::legs::Legs;
use crate::settings::Settings;
use crate::tools::Tool;
use bytes::Bytes;
use checks::canonical;
use checks::identity::{self, Owner, Within};
use checks::json::{self, Document, Problem};
use checks::{Limits, check_scanned};
use policy::{Identity, KeyPlacement, Policy, RulesFor, ToolRules};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use vocab::{CallId, Hash, Instant, Name, StepId};

/// The share of a step's time that is left when its caller is told: 5 s of a minute.
const EARLIER: u32 = 12;

/// What a call is looked at with.
pub(crate) struct With<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) policy: &'a Policy,
    pub(crate) tool: &'a Tool,
    pub(crate) legs: &'a Legs,
    pub(crate) now: Instant,
}

/// The arguments as far as they could be read.
struct Arguments {
    fingerprint: Hash,
    content: Hash,
    rules: Arc<ToolRules>,
    value: Value,
    finding: Option<String>,
}

/// By what else than its key a mutation is found again.
#[derive(Default)]
struct Same {
    content: Hash,
    scope: Hash,
    wire: Option<Hash>,
}

/// # Errors
/// The arguments are no JSON object at all.
//= S-17
//= S-26
//= G7
pub(crate) fn admit(with: &With<'_>, request: &Request, call: CallId, step: StepId) -> Result<engine::Call, CallError> {
    let arguments = with.tool.with_rules(with.policy, |rules| read(with, &request.args, rules))?;
    let Arguments { rules, value, finding, .. } = arguments;
    let fingerprint = arguments.fingerprint;
    let owner = Owner {
        tenant: &request.tenant,
        principal: &request.principal,
        upstream: &request.upstream,
        tool: &request.tool,
    };
    let run = identity::run_id(&request.tenant, &request.principal, &request.run.name);
    let own = rules.client_key(&value);
    let (named, doubt) = key::of(with, &owner, request, run, step, own, &fingerprint);
    let within = if request.run.explicit { Within::Run(run) } else { Within::Client(&request.run.client) };
    let leg = named.leg;
    let same = match rules.effect.is_mutation() {
        true => Same {
            content: identity::content(&request.upstream, &request.tool, &mixed(b"content1", arguments.content, leg)),
            scope: identity::scope(&request.tenant, &request.principal, within),
            wire: request.wire.as_deref().map(|wire| wire_hash(&owner, wire)),
        },
        // Nobody looks for a read by what it says or how it came.
        false => Same::default(),
    };
    Ok(engine::Call {
        call,
        step,
        key: named.key,
        key_source: named.source,
        fingerprint: mixed(b"call1", fingerprint, leg),
        content: same.content,
        scope: same.scope,
        wire: same.wire,
        tenant: request.tenant.clone(),
        principal: request.principal.clone(),
        run,
        lane: rules.lane(&value),
        args: kept(&request.args, &rules),
        upstream_key: upstream_key(&rules, &value, &named.key),
        continues: named.continues,
        undoes: None,
        finding: finding.or(doubt),
        deadline: with.now + patience(with, request.patience, &rules),
        structured: with.tool.is_structured(),
        rules,
    })
}

/// Reads and judges the arguments. What cannot be canonical (a duplicate key, a depth or size beyond the limits) is
/// known by its bytes, so that even a refusal names one step.
fn read(with: &With<'_>, args: &Bytes, rules: &RulesFor) -> Result<Arguments, CallError> {
    let limits = limits(with.policy);
    let document = match json::scan(args, &limits) {
        Ok(document) => document,
        Err(error) if is_refused(&error.problem) => return Ok(unreadable(args, rules, error.to_string())),
        Err(error) => return Err(CallError::Malformed(error.to_string())),
    };
    if document.root().kind() != json::ItemKind::Object {
        return Err(CallError::Malformed("arguments must be an object".to_owned()));
    }
    let (value, finding) = match check_scanned(&document, with.tool.input()) {
        Ok(value) => (value, None),
        // Which rules hold is asked even for what is refused: an argument may choose them.
        Err(finding) => (json::value(args).unwrap_or_default(), Some(finding.to_string())),
    };
    let rules = Arc::clone(rules.pick(&value));
    let fingerprint = document.fingerprint();
    let content = content(&document, &rules.identity, fingerprint);
    Ok(Arguments { fingerprint, content, rules, value, finding })
}

fn unreadable(args: &Bytes, rules: &RulesFor, finding: String) -> Arguments {
    let raw = identity::hash(&[b"raw1", args]);
    let rules = Arc::clone(rules.worst());
    Arguments { fingerprint: raw, content: raw, rules, value: Value::Null, finding: Some(finding) }
}

/// JSON that we do not take, as against what is no JSON.
const fn is_refused(problem: &Problem) -> bool {
    !matches!(
        problem,
        Problem::NotUtf8
            | Problem::BadEscape
            | Problem::ControlCharacter
            | Problem::BadNumber
            | Problem::UnexpectedEnd
            | Problem::Unexpected
            | Problem::TrailingBytes
    )
}

fn content(document: &Document<'_>, identity: &Identity, fingerprint: Hash) -> Hash {
    match identity {
        Identity::All => fingerprint,
        Identity::Paths(paths) => {
            let paths: Vec<canonical::Path> = paths.clone();
            document.fingerprint_of(&paths)
        }
    }
}

/// A leg is no repeat of the call that it continues, nor of a leg with another state.
fn mixed(what: &[u8], hash: Hash, leg: Option<Hash>) -> Hash {
    leg.map_or(hash, |leg| identity::hash(&[what, &hash.0, &leg.0]))
}

fn wire_hash(owner: &Owner<'_>, wire: &str) -> Hash {
    identity::hash(&[
        b"wire1",
        owner.tenant.as_bytes(),
        owner.principal.as_bytes(),
        owner.upstream.as_bytes(),
        wire.as_bytes(),
    ])
}

/// The key that the upstream gets, where policy places one. A caller that fills the argument itself has chosen it.
//= G2
fn upstream_key(rules: &ToolRules, args: &Value, key: &Hash) -> Option<Name> {
    let placement = rules.key.as_ref()?;
    if let KeyPlacement::Argument(name) = placement
        && let Some(own) = args.get(&**name).and_then(Value::as_str)
        && (1..=identity::KEY_MAX).contains(&own.len())
    {
        return Some(own.into());
    }
    Some(identity::upstream_key(key, 0))
}

/// A mutation's arguments may stay in memory for as long as nobody knows its outcome: without the message around them.
fn kept(args: &Bytes, rules: &ToolRules) -> Bytes {
    if rules.effect.is_mutation() { Bytes::copy_from_slice(args) } else { args.clone() }
}

/// A caller that names no time of its own hears a little before the step's is over: clients that give up after the
/// same time would hear nothing at all.
fn patience(with: &With<'_>, asked: Option<Duration>, rules: &ToolRules) -> Duration {
    match asked {
        Some(patience) => patience.min(with.settings.patience_max),
        None => rules.step_timeout - rules.step_timeout / EARLIER,
    }
}

pub(crate) fn limits(policy: &Policy) -> Limits {
    Limits {
        bytes: usize::try_from(policy.limits.args_max).unwrap_or(usize::MAX),
        depth: usize::try_from(policy.limits.depth_max).unwrap_or(json::DEPTH_MAX).min(json::DEPTH_CEILING),
        values: json::VALUES_MAX,
    }
}
