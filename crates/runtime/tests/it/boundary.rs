//! Nothing unchecked gets through.

use crate::bench::{Bench, result, stop};
use bytes::Bytes;
use runtime::CallError;
use vocab::{Code, Executed, Name};

//= S-17
//= S-26
//= G7
#[tokio::test(start_paused = true)]
async fn arguments_that_fail_the_schema_or_can_be_read_in_two_ways_are_refused_and_nothing_is_sent() {
    let bench = Bench::new();
    let deep = format!(r#"{{"account":{}{}}}"#, "[".repeat(80), "]".repeat(80));
    for args in ["{}", r#"{"account":7}"#, r#"{"account":"a","account":"b"}"#, &deep] {
        for tool in ["pay", "look"] {
            let stop = stop(bench.call(tool, args).await);
            assert_eq!((stop.code, stop.executed), (Code::InputInvalid, Executed::No), "{tool} {args}");
            assert!(!stop.why.is_empty());
        }
    }
    assert_eq!(bench.upstream.sends(), 0);
}

//= S-26
#[tokio::test(start_paused = true)]
async fn what_is_no_json_object_is_no_step() {
    let bench = Bench::new();
    for args in ["[]", "{", "7", "", r#"{"a":1}x"#] {
        let error = bench.refused(bench.request("pay", args));
        assert!(matches!(error, CallError::Malformed(_)), "{args}: {error}");
    }
    let error = bench.refused(bench.request("no_such_tool", "{}"));
    assert!(matches!(error, CallError::UnknownTool(_)), "{error}");
}

//= S-17
#[tokio::test(start_paused = true)]
async fn a_schema_that_changes_holds_from_the_next_call_on() {
    let bench = Bench::new();
    let shop = Name::from("shop");
    assert!(result(bench.call("note", r#"{"n":1}"#).await).0.contains("content"));
    bench.runtime.forget(&shop);
    assert!(bench.runtime.tool_known(&shop, "note"));
    let page = r#"{"tools":[{"name":"note","inputSchema":{"type":"object","required":["m"]}}]}"#;
    bench.runtime.learn(&shop, &Bytes::from_static(page.as_bytes()));
    assert_eq!(stop(bench.call("note", r#"{"n":2}"#).await).code, Code::InputInvalid);
    assert!(!bench.runtime.tool_known(&shop, "pay"));
}

#[tokio::test(start_paused = true)]
async fn a_reloaded_policy_holds_from_the_next_call_on() {
    let bench = Bench::new();
    let twice = |bench: &Bench| bench.request("lookup_strict", r#"{"account":"a"}"#);
    result(bench.ask(twice(&bench)).await);
    let rows = |bench: &Bench| {
        let filter = journal::Filter { reads: false, limit: 10, ..journal::Filter::default() };
        bench.runtime.journal().steps(&filter).expect("a read").len()
    };
    assert_eq!(rows(&bench), 0);
    let text = crate::bench::POLICY
        .replace("{ match: shop.lookup_strict, effect: read }", "{ match: shop.lookup_strict, effect: write }");
    bench.runtime.reload(crate::bench::policy(&text));
    result(bench.ask(twice(&bench)).await);
    assert_eq!(rows(&bench), 1, "it counts as a mutation now");
}
