//! A reply is lost on its way: what each client package hears of it, and that its SDK hears it without throwing.

use anyhow::{Context, Result, ensure};
use e2e::Gateway;
use e2e::foreign::client::{ALL, Foreign};
use e2e::foreign::{file, node};
use e2e::gateway::wrap;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use testkit::Fault;
use testkit::faults::Plan;
use testkit::server::{Options, Running, serve_http};
use testkit::worlds::{Messages, Served};

/// A world that loses the reply of each mutation, reached once with reads that confirm and once without.
const POLICY: &str = r#"
tools:
  - { match: "post.list_*", effect: read }
  - { match: "blind.list_*", effect: read }
  - match: post.send_message
    effect: write
    readback:
      read: post.list_messages
      args: '{"to": args.to}'
      expect: 'found(read, args) > found(pre, args)'
      absent: 'found(read, args) == found(pre, args) && same_count(read, pre)'
  - match: post.pay
    effect: write
    readback:
      read: post.list_payments
      args: '{"to": args.to}'
      expect: 'found(read, args) > found(pre, args)'
      absent: 'found(read, args) == found(pre, args) && same_count(read, pre)'
  # What is unknown holds up its own target, and without one the whole upstream.
  - { match: blind.send_message, effect: write, target: args.to }
  - { match: blind.pay, effect: write, target: args.to }
"#;

struct World {
    post: Running,
    blind: Running,
    gateway: Gateway,
}

async fn losing() -> Result<Running> {
    let world = Arc::new(Served::<Messages>::in_memory());
    let faults = Plan { rates: vec![(Fault::EffectLost, 1.0)], ..Plan::default() };
    Ok(serve_http(([127, 0, 0, 1], 0).into(), world, Options { faults, ..Options::default() }).await?)
}

async fn world() -> Result<Option<World>> {
    let (post, blind) = (losing().await?, losing().await?);
    let upstreams = [("post", &post), ("blind", &blind)]
        .map(|(name, running)| format!("  {name}: {{ mcp: {{ url: {:?} }} }}\n", running.url));
    let policy = format!("upstreams:\n{}{POLICY}", upstreams.concat());
    Ok(Gateway::start(&policy).await?.map(|gateway| World { post, blind, gateway }))
}

fn wish(url: &str, prefix: &str, to: &str) -> Value {
    let other = format!("{to}'s neighbour");
    json!({ "server": "lost", "url": url, "prefix": prefix, "folder": "/", "calls": [
        call("send_message", json!({ "to": to, "text": "the pump has stopped" })),
        call("pay", json!({ "to": other, "amount": 7 })),
    ]})
}

/// Its answer is kept under the tool's name.
fn call(tool: &str, given: Value) -> Value {
    json!({ "name": tool, "given": given, "as": tool })
}

fn guard(result: &Value) -> Result<&Value> {
    result.pointer("/_meta/cofferdam~1guard").with_context(|| format!("no word of the gateway in {result}"))
}

fn each_once(server: &Running, calls: usize) -> Result<()> {
    let truth = server.world().truth();
    let effects = truth["ledger"].as_array().with_context(|| format!("no ledger in {truth}"))?;
    ensure!(effects.len() == calls, "{calls} calls had {} effects: {truth}", effects.len());
    Ok(())
}

fn text(result: &Value) -> String {
    let content = result["content"].as_array().into_iter().flatten();
    content.filter_map(|item| item["text"].as_str()).collect::<Vec<_>>().join("\n")
}

//= S-23
//= S-26
#[tokio::test]
async fn a_reply_that_was_lost_is_heard_as_applied_by_every_client_also_where_an_output_is_promised() -> Result<()> {
    let Some(world) = world().await? else { return Ok(()) };
    for (number, client) in ALL.into_iter().enumerate() {
        for (door, prefix) in [(world.gateway.url_of("post"), ""), (world.gateway.url(), "post__")] {
            let to = format!("reader-{number}{prefix}");
            let Some(report) = client.play(wish(&door, prefix, &to), &[]).await? else { return Ok(()) };
            let at = format!("{} at {door}", client.name);
            ensure!(report.failures().is_empty(), "{at} throws: {:?}\n{}", report.failures(), world.gateway.log());
            for tool in ["send_message", "pay"] {
                applied(&report.results[tool], tool).with_context(|| format!("{at}, {tool}"))?;
            }
        }
    }
    each_once(&world.post, 4 * ALL.len())
}

fn applied(result: &Value, tool: &str) -> Result<()> {
    let guard = guard(result)?;
    ensure!(guard["code"] == "applied_no_receipt", "{guard}");
    ensure!(guard["executed"] == "yes", "{guard}");
    ensure!(text(result).contains("was executed"), "the text says so: {result}");
    ensure!(result.get("structuredContent").is_none_or(Value::is_null), "nothing is invented: {result}");
    // Clients insist on structured content where it is promised, unless the result is an error.
    let promised = tool == "pay";
    ensure!(result["isError"].as_bool().unwrap_or(false) == promised, "{result}");
    Ok(())
}

//= S-23
//= S-26
#[tokio::test]
async fn a_lost_reply_that_nothing_can_tell_is_heard_as_unknown_and_never_as_failed() -> Result<()> {
    let Some(world) = world().await? else { return Ok(()) };
    for (number, client) in ALL.into_iter().enumerate() {
        let report = blind(client, &world, &format!("reader-{number}")).await?;
        let Some(results) = report else { return Ok(()) };
        for tool in ["send_message", "pay"] {
            let result = &results[tool];
            let guard = guard(result)?;
            ensure!(guard["code"] == "outcome_unknown" && guard["executed"] == "unknown", "{}: {guard}", client.name);
            ensure!(result["isError"] == true, "{}: {result}", client.name);
            let text = text(result);
            ensure!(
                text.contains("may have been executed") && text.contains("not a failure"),
                "{}: {text}",
                client.name
            );
        }
    }
    each_once(&world.blind, 2 * ALL.len())
}

//= S-23
#[tokio::test]
async fn a_wrapped_server_that_dies_after_the_effect_is_heard_as_unknown_and_is_there_again() -> Result<()> {
    let Some(node) = node()? else { return Ok(()) };
    for client in ALL {
        let place = tempfile::tempdir()?;
        let lines = place.path().join("lines");
        let server = [node.clone(), file("node/dies.mjs"), lines.clone()].map(|part| part.display().to_string());
        let policy = place.path().join("cofferdam.yaml");
        std::fs::write(
            &policy,
            format!(
                "upstreams:\n  dies: {{ local: true, mcp: {{ command: {} }} }}\ntools:\n  - {{ match: dies.list, effect: read }}\n  \
                 - {{ match: \"dies.append*\", effect: write, target: args.line }}\n",
                json!(server)
            ),
        )?;
        let policy = policy.display().to_string();
        let calls = [
            call("append", json!({ "line": "one" })),
            call("append_typed", json!({ "line": "two" })),
            call("list", json!({})),
        ];
        let Some(with) = wrapped(client, place.path(), &["--config", &policy], &server, &calls).await? else {
            return Ok(());
        };
        let last = [call("append", json!({ "line": "three" }))];
        let Some(without) = wrapped(client, place.path(), &[], &server, &last).await? else { return Ok(()) };
        for result in [&with["append"], &with["append_typed"], &without["append"]] {
            let guard = guard(result).with_context(|| client.name)?;
            ensure!(guard["code"] == "outcome_unknown" && guard["executed"] == "unknown", "{}: {guard}", client.name);
        }
        let listed = &with["list"]["structuredContent"]["lines"];
        ensure!(*listed == json!(["one", "two"]), "{}: {}", client.name, with["list"]);
        ensure!(std::fs::read_to_string(&lines)? == "one\ntwo\nthree\n", "{}: each was done once", client.name);
    }
    Ok(())
}

/// What the client hears from the server behind a wrap.
async fn wrapped(
    client: Foreign,
    place: &Path,
    options: &[&str],
    server: &[String],
    calls: &[Value],
) -> Result<Option<Value>> {
    let Some(wrapped) = wrap(place, options, server)? else { return Ok(None) };
    let wrapped = std::iter::once(wrapped.as_std().get_program()).chain(wrapped.as_std().get_args());
    let command: Vec<_> = wrapped.map(|part| part.to_string_lossy().into_owned()).collect();
    let wish = json!({ "server": "lost", "command": command, "folder": place, "calls": calls });
    let state = place.display().to_string();
    let Some(report) = client.play(wish, &[("XDG_STATE_HOME", &state)]).await? else { return Ok(None) };
    ensure!(report.failures().is_empty(), "{} throws: {:?}", client.name, report.failures());
    Ok(Some(report.results))
}

async fn blind(client: Foreign, world: &World, to: &str) -> Result<Option<Value>> {
    let Some(report) = client.play(wish(&world.gateway.url_of("blind"), "", to), &[]).await? else { return Ok(None) };
    ensure!(report.failures().is_empty(), "{} throws: {:?}", client.name, report.failures());
    Ok(Some(report.results))
}
