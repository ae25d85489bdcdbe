//! Messages that no well-meaning client sends.

use super::{POLICY, SESSIONS, STATELESS, Stage, assert_refused, body};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::Client;
use testkit::client::{CallOptions, Response};

/// The headers that the stateless revision demands of a call.
fn routed(client: &Client, name: &str) -> CallOptions {
    if !client.is_stateless() {
        return CallOptions::default();
    }
    CallOptions::default()
        .header("mcp-protocol-version", STATELESS)
        .header("mcp-method", "tools/call")
        .header("mcp-name", name)
}

async fn send(client: &Client, bytes: &[u8]) -> Result<Response> {
    client.raw(bytes, &routed(client, "append")).await?.context("HTTP answers")
}

/// A call of `append` as text, with these arguments as they are.
fn call(client: &Client, args: &str) -> String {
    let params = json!({ "name": "append", "arguments": "ARGS" });
    client.message(Some(&1.into()), "tools/call", params).to_string().replace("\"ARGS\"", args)
}

//= S-06
#[tokio::test]
async fn malformed_messages_are_refused_and_nothing_is_executed() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let client = stage.client(revision).await?;
        let good = call(&client, r#"{"text":"x"}"#);
        let deep = |count: usize| format!(r#"{{"text":"x","more":{}{}}}"#, "[".repeat(count), "]".repeat(count));
        let mut not_utf8 = good.clone().into_bytes();
        let at = good.find("\"x\"").context("the text")? + 1;
        not_utf8[at] = 0xff;
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            ("truncated", good.as_bytes()[..good.len() / 2].to_vec()),
            ("trailing garbage", [good.as_bytes(), b" {}"].concat()),
            ("not UTF-8", not_utf8),
            ("a NUL byte", [good.as_bytes(), b"\0"].concat()),
            ("nested 200 deep", call(&client, &deep(200)).into_bytes()),
            ("nested 100,000 deep", call(&client, &deep(100_000)).into_bytes()),
            ("nested 100,000 deep, unclosed", "[".repeat(100_000).into_bytes()),
            ("a key twice in the arguments", call(&client, r#"{"text":"x","text":"y"}"#).into_bytes()),
            ("a key twice, once escaped", call(&client, r#"{"text":"x","te\u0078t":"y"}"#).into_bytes()),
            ("the method twice", good.replacen('{', r#"{"method":"tools/list","#, 1).into_bytes()),
            ("the name twice", good.replacen(r#""name":"append""#, r#""name":"append","name":"drop""#, 1).into_bytes()),
            ("arguments that are a list", call(&client, "[1]").into_bytes()),
            ("arguments that are text", call(&client, r#""text""#).into_bytes()),
            ("not an object", b"\"tools/call\"".to_vec()),
            ("no version of JSON-RPC", good.replacen(r#""jsonrpc":"2.0","#, "", 1).into_bytes()),
            ("an id that is an object", good.replacen(r#""id":1"#, r#""id":{}"#, 1).into_bytes()),
            ("a batch, which this revision has not", format!("[{good},{good}]").into_bytes()),
            ("a number of no size", call(&client, r#"{"text":"x","n":1e999999999}"#).into_bytes()),
        ];
        let before = stage.effects(None).await?;
        for (what, bytes) in cases {
            // A number beyond all numbers may pass: it is the tool's to judge. Nothing else may.
            let response = send(&client, &bytes).await.with_context(|| what.to_owned())?;
            if what != "a number of no size" {
                assert_refused(&response, &format!("{revision}: {what}"));
                assert_eq!(stage.effects(None).await?, before, "{what}");
            }
            assert!(response.status < 500, "{what}: {}", response.status);
        }
        let answer = body(&send(&client, good.as_bytes()).await?);
        assert!(answer["result"].is_object() && answer["result"]["isError"] != true, "{answer}");
    }
    stage.is_well().await
}

//= S-07
#[tokio::test]
async fn oversized_messages_are_refused_and_nothing_is_executed() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let client = stage.client(revision).await?;
        for size in [2_usize, 5, 40] {
            let text = "x".repeat(size * 1024 * 1024);
            let bytes = call(&client, &json!({ "text": text }).to_string());
            // Whoever refuses early may hang up while the rest is still being sent.
            if let Ok(response) = send(&client, bytes.as_bytes()).await {
                assert_refused(&response, &format!("{revision}: {size} MiB"));
            }
            assert_eq!(stage.effects(Some(&text)).await?, 0, "{size} MiB");
        }
    }
    stage.is_well().await
}

#[tokio::test]
async fn unknown_methods_and_tools_are_protocol_errors() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let client = stage.client(revision).await?;
        for method in ["no/such", "tools/cal", "cofferdam/resolve", ""] {
            let error = client.request(method, json!({})).await.err().with_context(|| method.to_owned())?;
            let testkit::client::Error::Rpc { code, .. } = error else { anyhow::bail!("{method}: {error}") };
            assert!([-32601, -32600, -32020].contains(&code), "{method}: {code}");
        }
        let error = client.call("no_such_tool", json!({}), &CallOptions::default()).await.err();
        assert!(matches!(error, Some(testkit::client::Error::Rpc { code: -32602 | -32601, .. })), "{error:?}");
        // A notification is never answered, whatever it says.
        client.notify("no/such", json!({})).await?;
    }
    stage.is_well().await
}

//= G5
#[tokio::test]
async fn an_id_that_is_used_again_never_gets_another_calls_answer() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let client = stage.client(revision).await?;
        for text in ["one", "two"] {
            let text = format!("{text}-{revision}");
            let options = CallOptions::default().id("the-same");
            let answer = client.call("append", json!({ "text": text }), &options).await?;
            assert_eq!(answer.structured.as_ref().map(|entry| &entry["text"]), Some(&Value::from(text.as_str())));
            assert_eq!(stage.effects(Some(&text)).await?, 1);
        }
        // While the first is still out.
        let options = CallOptions::default().id("in-flight");
        let slow = |text: &str| json!({ "text": text, "ms": 400 });
        let (first, second) = tokio::join!(
            client.call("slow", slow(&format!("a-{revision}")), &options),
            client.call("slow", slow(&format!("b-{revision}")), &options)
        );
        for (answer, text) in [(first, "a"), (second, "b")] {
            let text = format!("{text}-{revision}");
            if let Ok(answer) = answer.as_ref()
                && !answer.is_error
            {
                assert!(answer.text.contains(&text), "{text}: {answer:?}");
                assert_eq!(stage.effects(Some(&text)).await?, 1);
            }
            assert!(stage.effects(Some(&text)).await? <= 1, "{text}");
        }
    }
    stage.is_well().await
}

//= S-23
#[tokio::test]
async fn the_same_bytes_delivered_twice_are_one_effect() -> Result<()> {
    let Some(stage) = Stage::set(POLICY).await? else { return Ok(()) };
    for revision in [SESSIONS, STATELESS] {
        let client = stage.client(revision).await?;
        let (text, options) = (format!("twice-{revision}"), CallOptions { twice: true, ..CallOptions::default() });
        client.call("slow", json!({ "text": text, "ms": 200 }), &options).await?;
        assert_eq!(stage.effects(Some(&text)).await?, 1, "{revision}");
    }
    Ok(())
}
