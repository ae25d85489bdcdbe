//! What names a call and its run, in every spelling in use.

use crate::hub::Origin;
use bytes::Bytes;
use checks::json::{self, Item, ItemKind, Limits};
use runtime::Run;

/// `_meta` members that carry an idempotency key.
const KEY_META: [&str; 4] = [
    "cofferdam/idempotency-key",
    "io.modelcontextprotocol/idempotencyKey",
    "io.modelcontextprotocol/idempotency-key",
    "idempotency-key",
];
/// `_meta` members that carry the model's own id of its tool call.
const MODEL_CALL_META: [&str; 5] =
    ["claudecode/toolUseId", "cofferdam/tool-call-id", "openai/toolCallId", "anthropic/toolUseId", "toolCallId"];
const RUN_META: &str = "cofferdam/run";
pub const RUN_HEADER: &str = "cofferdam-run";
pub const KEY_HEADER: &str = "idempotency-key";

/// The message was bounded when it was read.
const LIMITS: Limits = Limits { bytes: usize::MAX, depth: json::DEPTH_CEILING, values: json::VALUES_MAX };

/// Longest name of a run or a model's call; a longer one names nothing.
const NAME_MAX: usize = 255;

/// What a call says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Each distinct value, in the order of the spellings.
    pub keys: Vec<String>,
    pub model_call: Option<String>,
    pub run: Option<String>,
    pub trace: Option<String>,
}

/// Reads the names from `params` and the headers. A key that is no text counts as a key that cannot be used: the guard
/// refuses it, it is never ignored.
///
/// # Errors
/// Two readers could read the params differently: a member appears twice, a string is no text.
pub fn of(params: &Bytes, origin: &Origin) -> Result<Named, json::Error> {
    let run = origin.run.as_deref().and_then(name);
    let trace = origin.traceparent.as_deref().and_then(trace_id);
    let mut named = Named { run, trace, ..Named::default() };
    // Too long or odd is passed on, so that it is refused instead of ignored.
    named.keys.extend(origin.idempotency_key.clone());
    let document = json::scan(params, &LIMITS)?;
    let params = document.root();
    if let Some(meta) = params.get("_meta") {
        for spelling in KEY_META {
            add(&mut named.keys, meta.get(spelling));
        }
        named.model_call = MODEL_CALL_META.iter().find_map(|spelling| name(&meta.get(spelling)?.text()?));
        let run = meta.get(RUN_META).and_then(|run| name(&run.text()?));
        let trace = meta.get("traceparent").and_then(|parent| trace_id(&parent.text()?));
        named.run = named.run.take().or(run);
        named.trace = named.trace.take().or(trace);
    }
    add(&mut named.keys, params.get("idempotencyKey"));
    Ok(named)
}

fn add(keys: &mut Vec<String>, item: Option<Item<'_>>) {
    let Some(item) = item else { return };
    let key = match item.kind() {
        ItemKind::Null => return,
        ItemKind::String => item.text().map(std::borrow::Cow::into_owned).unwrap_or_default(),
        ItemKind::Number => String::from_utf8_lossy(item.raw()).into_owned(),
        // Not a key in any reading; an empty one is refused by the guard.
        _ => String::new(),
    };
    if !keys.contains(&key) {
        keys.push(key);
    }
}

fn name(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= NAME_MAX && !text.contains(char::is_control)).then(|| text.to_owned())
}

/// The trace id of a W3C `traceparent`; an all-zero one names nothing.
fn trace_id(parent: &str) -> Option<String> {
    let mut parts = parent.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (version.len() == 2 && trace.len() == 32 && is_hex(version) && is_hex(trace) && trace.bytes().any(|b| b != b'0'))
        .then(|| trace.to_ascii_lowercase())
}

/// The run of a call: what named it, strongest first.
pub fn run(named: &Named, session: Option<&str>, principal: &str, client: &str, hint: Option<&str>) -> Run {
    let client_name = client.to_owned();
    let (name, explicit) = match (&named.run, &named.trace, session) {
        (Some(run), _, _) => (run.clone(), true),
        (None, Some(trace), _) => (format!("trace:{trace}"), true),
        (None, None, Some(session)) => (["session:", session].concat(), false),
        // Without the connection, so that a re-issue on a new one is found.
        (None, None, None) => match hint {
            Some(hint) => (format!("client:{principal}/{client}?{hint}"), false),
            None => (format!("client:{principal}/{client}"), false),
        },
    };
    Run { name, explicit, client: client_name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &str)]) -> Origin {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header")));
        Origin::of(&pairs.collect::<HeaderMap>())
    }

    fn named(params: &str, origin: &Origin) -> Named {
        of(&Bytes::copy_from_slice(params.as_bytes()), origin).expect("unambiguous JSON")
    }

    //= S-09
    #[test]
    fn every_spelling_of_a_key_is_found_and_equal_ones_count_once() {
        for spelling in KEY_META {
            assert_eq!(named(&format!(r#"{{"_meta":{{"{spelling}":"k"}}}}"#), &Origin::default()).keys, ["k"]);
        }
        let both = headers(&[("idempotency-key", "k")]);
        assert_eq!(named(r#"{"idempotencyKey":"k","_meta":{"idempotency-key":"k"}}"#, &both).keys, ["k"]);
        assert_eq!(named(r#"{"idempotencyKey":"other"}"#, &both).keys, ["k", "other"]);
        assert_eq!(named(r#"{"idempotencyKey":{}}"#, &Origin::default()).keys, [""], "refused, not ignored");
    }

    //= S-09
    #[test]
    fn a_header_key_of_a_batch_gets_the_position_of_its_member() {
        let header = headers(&[("idempotency-key", "k")]);
        assert_eq!(named("{}", &header.at(0)).keys, ["k#0"]);
        assert_eq!(named("{}", &header.at(1)).keys, ["k#1"]);
    }

    #[test]
    fn the_strongest_name_of_a_run_wins() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let header = headers(&[("cofferdam-run", "a"), ("traceparent", trace)]);
        let run_of = |named: &Named, session| run(named, session, "p", "c/1", Some("h"));
        assert_eq!(run_of(&named(r#"{"_meta":{"cofferdam/run":"b"}}"#, &header), Some("s")).name, "a");
        let traced = headers(&[("traceparent", trace)]);
        assert_eq!(run_of(&named("{}", &traced), Some("s")).name, "trace:4bf92f3577b34da6a3ce929d0e0e4736");
        let nothing = named("{}", &Origin::default());
        assert_eq!(run_of(&nothing, Some("s")).name, "session:s");
        let guess = run_of(&nothing, None);
        assert_eq!((guess.name.as_str(), guess.explicit), ("client:p/c/1?h", false));
    }

    #[test]
    fn the_models_call_id_is_found() {
        let named = named(r#"{"_meta":{"claudecode/toolUseId":"toolu_01"}}"#, &Origin::default());
        assert_eq!(named.model_call.as_deref(), Some("toolu_01"));
    }
}
