//! A compensation as a call: its key is that of the step which it takes back, and nothing else makes two of them one.

use super::{Arguments, With, kept, mixed, patience, read, upstream_key};
use crate::api::CallError;
use checks::identity;
use engine::rollback::Undoing;
use engine::{Continues, Undoes};
use std::sync::Arc;
use vocab::{CallId, KeySource};

/// # Errors
/// The arguments are no JSON object at all.
//= S-09
pub(crate) fn compensation(
    with: &With<'_>,
    undoing: &Arc<Undoing>,
    number: u32,
    call: CallId,
) -> Result<engine::Call, CallError> {
    let intent = &undoing.change.intent;
    let arguments = with.tool.with_rules(with.policy, |rules| read(with, &undoing.args, rules))?;
    let Arguments { rules, value, finding, fingerprint, content } = arguments;
    let key = identity::compensation_key(&intent.key, intent.generation, number);
    Ok(engine::Call {
        call,
        step: crate::ids::Ids::step(),
        key,
        key_source: KeySource::Position,
        fingerprint,
        // As for any call of this content: what an inferred read shows may be another's doing.
        content: identity::content(&undoing.upstream, &undoing.tool, &mixed(b"content1", content, None)),
        // Its own: no call of an agent is taken for it, nor it for one.
        scope: identity::hash(&[b"scope1", b"compensation", &key.0]),
        wire: None,
        tenant: intent.tenant.clone(),
        principal: intent.principal.clone(),
        run: intent.run,
        lane: rules.lane(&value),
        args: kept(&undoing.args, &rules),
        upstream_key: upstream_key(&rules, &value, &key),
        continues: Continues::Nothing,
        undoes: Some(Undoes { undoing: Arc::clone(undoing), number }),
        finding,
        deadline: with.now + patience(with, None, &rules),
        structured: with.tool.is_structured(),
        rules,
    })
}
