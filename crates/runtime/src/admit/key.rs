//! What names a call: the strongest source wins.

use super::With;
use crate::api::{Continuation, Request};
use crate::legs;
use checks::identity::{self, Id, Owner};
use engine::Continues;
use vocab::planted::{self, Planted};
use vocab::{Hash, KeySource, RunId, StepId};

/// Longest id of a model's call that is taken for a name.
const MODEL_CALL_MAX: usize = 255;

pub(super) struct Named {
    pub(super) key: Hash,
    pub(super) source: KeySource,
    /// State and responses of a continuation, for its fingerprint.
    pub(super) leg: Option<Hash>,
    pub(super) continues: Continues,
}

/// The name, and what is wrong with the keys that the client sent: then the call must not run.
//= S-09
//= S-23
pub(super) fn of(
    with: &With<'_>,
    owner: &Owner<'_>,
    request: &Request,
    run: RunId,
    step: StepId,
    argument: Option<&str>,
    fingerprint: &Hash,
) -> (Named, Option<String>) {
    let found = request.explicit_keys.iter().map(String::as_str).chain(argument);
    let (explicit, doubt) = match identity::explicit_key(found) {
        Ok(explicit) => (explicit, None),
        // Nobody can say which was meant: refused, under a name of its own.
        Err(error) => (None, Some(error.to_string())),
    };
    let id = match (explicit, model_call(request)) {
        (Some(key), _) => Id::Explicit(key),
        (None, Some(id)) if doubt.is_none() => Id::ModelCall { id, run },
        _ => Id::Fresh(step),
    };
    let key = identity::step_key(owner, &id);
    let named = match &request.continuation {
        None => Named { key, source: id.source(), leg: None, continues: Continues::Nothing },
        Some(leg) => leg_of(with, owner, key, id.source(), leg, fingerprint),
    };
    (named, doubt)
}

/// The model's call id, as far as it names anything: a counted one (`call_0`) begins again in every conversation, so it
/// means something only in a run that somebody named.
fn model_call(request: &Request) -> Option<&str> {
    let id = request.model_call.as_deref().filter(|id| (1..=MODEL_CALL_MAX).contains(&id.len()))?;
    (request.run.explicit || identity::is_provider_random(id)).then_some(id)
}

/// One leg per state: the state names it, and the responses are part of what it says. The same responses once more are
/// the same leg, others are a conflict. Where there is
/// neither a state nor a key of the client, only the responses tell legs apart.
fn leg_of(
    with: &With<'_>,
    owner: &Owner<'_>,
    own: Hash,
    source: KeySource,
    leg: &Continuation,
    fingerprint: &Hash,
) -> Named {
    let state = leg.state.as_deref().unwrap_or_default();
    let responses = identity::hash(&[b"responses1", &canonical(&leg.responses).0]);
    let parent = with.legs.parent(&legs::state(owner, fingerprint, state), with.now);
    let said = identity::hash(&[b"leg1", state, &responses.0]);
    let by_input = leg.state.is_none() && parent.is_some() && source == KeySource::Fresh;
    let told_apart = if by_input || planted::is(Planted::TwoLegsOnOneState) { responses } else { Hash::default() };
    let continues = match parent {
        Some(parent) => Continues::Step(parent.step),
        None if leg.state.is_some() => Continues::Unknown,
        // Input that nobody asked for is one more argument.
        None => Continues::Nothing,
    };
    let (key, source) = match (parent, source) {
        // It continues a step that we know by its name.
        (Some(parent), KeySource::Fresh) => (identity::leg_key(&parent.key, state, &told_apart), KeySource::Position),
        (Some(parent), source) => (identity::leg_key(&parent.key, state, &told_apart), source),
        (None, KeySource::Fresh) => (own, source),
        // The parent is not known any more, but the client named both calls alike.
        (None, _) => (identity::leg_key(&own, state, &told_apart), source),
    };
    Named { key, source, leg: Some(said), continues }
}

fn canonical(responses: &[u8]) -> Hash {
    checks::fingerprint(responses).unwrap_or_else(|_| identity::hash(&[b"raw1", responses]))
}
