//! Rollbacks through the shipped binary, with `kill -9` in the middle: each compensation leaves a line in a ledger of the
//! shop's own, so that one too many is counted.

use anyhow::{Context, Result, bail, ensure};
use e2e::gateway::{Gateway, Setup};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::client::{CallOptions, Client, Identity};
use testkit::server::{Options, Running};
use testkit::shop::{self, Shop};
use testkit::world::World;

const CHANGES: usize = 6;
/// For a rollback to be asked for again and again until it is done.
const PATIENCE: Duration = Duration::from_secs(120);
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Every order is taken back by an e-mail: two of them would be two.
const RULES: &str = r#"
defaults: { quiescence: 300ms, absent_spacing: 100ms }
tools:
  - { match: "shop.get_*", effect: read }
  - { match: "shop.list_*", effect: read }
  - match: shop.create_order
    effect: write
    target: args.customer
    compensate: { call: send_mail, args: '{"order_id": result.order_id, "text": "void"}' }
  - match: shop.set_address
    effect: write
    target: string(args.order_id)
    readback:
      read: shop.get_order
      args: '{"order_id": args.order_id}'
      expect: read.address == args.address
      consistency: strong
    compensate: { kind: restore, call: set_address, args: '{"order_id": args.order_id, "address": pre.address}' }
  - match: shop.issue_refund
    effect: destructive
    compensate: { kind: none, reason: money that was paid out does not come back by a call }
  - match: shop.send_mail
    effect: write
    target: string(args.order_id)
    readback:
      read: shop.list_mails
      args: '{"order_id": args.order_id}'
      expect: 'found(read, args) > found(pre, args)'
      absent: 'found(read, args) == found(pre, args) && same_count(read, pre)'
      consistency: strong
"#;

/// A shop that outlives every gateway in front of it.
struct Stage {
    shop: Arc<Shop>,
    running: Running,
    gateway: Gateway,
}

impl Stage {
    async fn set(binary: &Path) -> Result<Self> {
        let shop = Arc::new(Shop::in_memory()?);
        let running = shop::serve_http(([127, 0, 0, 1], 0).into(), Arc::clone(&shop), Options::default()).await?;
        let policy = format!("upstreams:\n  shop: {{ mcp: {{ url: {:?} }} }}\n{RULES}", running.url);
        let gateway = Gateway::start_binary(binary, Setup { policy, environment: Vec::new() }).await?;
        Ok(Self { shop, running, gateway })
    }

    async fn agent(&self, run: &str) -> Result<Client> {
        let identity = Identity::speaking("2025-11-25").header("Cofferdam-Run", run);
        Ok(Client::http(&self.gateway.url_of("shop"), identity).await?)
    }

    /// Makes orders in a run of this name and gives its id.
    async fn orders(&self, name: &str) -> Result<String> {
        let agent = self.agent(name).await?;
        for number in 0..CHANGES {
            let args = json!({ "customer": format!("{name} {number}"), "item": "desk", "quantity": 1, "amount": 5 });
            let answer = agent.call("create_order", args, &CallOptions::default()).await?;
            ensure!(!answer.is_error, "{}", answer.text);
        }
        self.run_of(name).await
    }

    /// The latest run.
    async fn run_of(&self, name: &str) -> Result<String> {
        let runs = self.json(&["runs", "--json"]).await?;
        let run = runs["runs"][0]["run"].as_str().with_context(|| format!("there is no run {name}"))?;
        Ok(run.to_owned())
    }

    async fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.gateway.cli(args).await?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    async fn plan(&self, run: &str) -> Result<Value> {
        self.json(&["rollback", run, "--plan", "--json"]).await
    }

    /// E-mails by order, as the shop has them.
    fn mails(&self) -> BTreeMap<i64, usize> {
        let mut mails = BTreeMap::new();
        for mail in self.shop.truth()["mails"].as_array().into_iter().flatten() {
            *mails.entry(mail["order_id"].as_i64().unwrap_or_default()).or_insert(0) += 1;
        }
        mails
    }

    /// Nobody was told better than it is, and nothing was taken back twice.
    async fn is_true(&self, run: &str) -> Result<Value> {
        let report = self.plan(run).await?;
        let mails = self.mails();
        ensure!(mails.values().all(|count| *count == 1), "a compensation ran twice: {mails:?}");
        let reverted = count(&report, "reverted_verified") + count(&report, "reverted_unverified");
        let untouched = count(&report, "not_attempted");
        ensure!(reverted <= self.orders_undone(run).await?, "more is said to be reverted than is: {report:#}");
        ensure!(
            untouched <= CHANGES - self.orders_undone(run).await?,
            "what was taken back is said to stand: {report:#}"
        );
        Ok(report)
    }

    /// Orders of this run with an e-mail, found by what the journal's steps were answered.
    async fn orders_undone(&self, run: &str) -> Result<usize> {
        let shown = self.json(&["show", run, "--json"]).await?;
        let mut undone = 0;
        for step in shown["steps"].as_array().into_iter().flatten().filter(|step| step["tool"] == "create_order") {
            let detail = self.json(&["show", step["step"].as_str().unwrap_or_default(), "--bodies", "--json"]).await?;
            let result: Value = serde_json::from_str(detail["bodies"]["result"].as_str().unwrap_or("{}"))?;
            let order = result["structuredContent"]["order_id"].as_i64();
            undone += usize::from(order.is_some_and(|order| self.mails().contains_key(&order)));
        }
        Ok(undone)
    }

    /// Asks again until everything is taken back.
    async fn finish(&self, run: &str) -> Result<()> {
        let began = Instant::now();
        loop {
            self.gateway.cli(&["rollback", run, "--who", "test"]).await?;
            let report = self.is_true(run).await?;
            if count(&report, "reverted_verified") == CHANGES {
                ensure!(self.orders_undone(run).await? == CHANGES, "{report:#}");
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("it is not taken back after {PATIENCE:?}: {report:#}\n{}", self.gateway.log());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

fn count(report: &Value, status: &str) -> usize {
    report["changes"].as_array().into_iter().flatten().filter(|change| change["status"] == status).count()
}

//= S-04
//= S-05
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_takes_back_it_goes_on_and_takes_nothing_back_twice() -> Result<()> {
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let mut stage = Stage::set(&binary).await?;
    let run = stage.orders("random").await?;
    for pause in [0, 4, 9, 15, 25, 40, 60] {
        let rolling = {
            let words = ["rollback", run.as_str(), "--who", "test"];
            let asked = stage.gateway.cli(&words);
            let killed = tokio::time::sleep(Duration::from_millis(pause));
            tokio::select! {
                done = asked => Some(done?),
                () = killed => None,
            }
        };
        drop(rolling);
        stage.gateway.restart().await?;
        stage.is_true(&run).await?;
    }
    stage.finish(&run).await?;
    stage.running.shutdown().await;
    Ok(())
}

//= S-04
//= S-05
//= G1
#[tokio::test(flavor = "multi_thread")]
async fn ended_at_each_named_point_of_a_compensation_it_takes_nothing_back_twice() -> Result<()> {
    let Some(binary) = e2e::failpoints_binary()? else { return Ok(()) };
    let mut stage = Stage::set(&binary).await?;
    let points = [
        "before_compensation",
        "before_intent_commit",
        "after_intent_commit",
        "before_send",
        "after_receipt",
        "before_outcome_commit",
        "after_outcome_commit",
        "before_release",
        "after_compensation",
    ];
    for point in points {
        let run = stage.orders(point).await?;
        stage.gateway.kill().await?;
        stage.gateway.spawn(&[("COFFERDAM_FAILPOINT", &format!("{point}:2"))])?;
        stage.gateway.wait_ready().await?;
        // It ends in the middle, so that whoever asks hears nothing.
        stage.gateway.cli(&["rollback", &run, "--who", "test"]).await?;
        stage.gateway.wait().await?;
        stage.gateway.restart().await?;
        stage.is_true(&run).await?;
        stage.finish(&run).await.with_context(|| format!("ended at {point}"))?;
    }
    stage.running.shutdown().await;
    Ok(())
}

//= S-04
#[tokio::test(flavor = "multi_thread")]
async fn what_came_back_what_could_not_and_why_is_said_with_and_without_a_gateway() -> Result<()> {
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let mut stage = Stage::set(&binary).await?;
    let agent = stage.agent("mixed").await?;
    for (tool, args) in [
        ("set_address", json!({ "order_id": 1, "address": "wrong" })),
        ("issue_refund", json!({ "order_id": 2, "amount": 5 })),
        ("set_address", json!({ "order_id": 3, "address": "wrong" })),
    ] {
        let answer = agent.call(tool, args, &CallOptions::default()).await?;
        ensure!(!answer.is_error, "{}", answer.text);
    }
    let other = Client::http(&stage.running.url, Identity::speaking("2025-11-25")).await?;
    other.call("set_address", json!({ "order_id": 3, "address": "own" }), &CallOptions::default()).await?;
    let run = stage.run_of("mixed").await?;

    let plan = stage.plan(&run).await?;
    let possible = |plan: &Value| {
        let changes = plan["changes"].as_array().cloned().unwrap_or_default();
        changes.iter().map(|change| change["possible"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(possible(&plan), [json!(false), json!(false), json!(true)], "{plan:#}");
    assert_eq!(stage.shop.truth()["orders"][0]["address"], "wrong", "a plan changes nothing");

    let output = stage.gateway.cli(&["rollback", &run, "--who", "test"]).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "something was left standing: {said}");
    assert!(said.contains("1 of 3 changes reverted and read back"), "{said}");
    assert!(said.contains("money that was paid out does not come back by a call"), "{said}");
    let orders = stage.shop.truth()["orders"].clone();
    assert_eq!((&orders[0]["address"], &orders[2]["address"]), (&json!("at the till"), &json!("own")));

    let claims = stage.gateway.directory().join("claims.json");
    let text = r#"{"claims": [
        {"claim": "undone", "tool": "shop.set_address", "args": {"order_id": 1}},
        {"claim": "undone", "tool": "issue_refund"},
        {"claim": "done", "tool": "shop.drop_database"}]}"#;
    std::fs::write(&claims, text)?;
    let claims = claims.display().to_string();
    let attest = ["attest", run.as_str(), claims.as_str(), "--json"];
    let verdicts = |judged: &Value| {
        let claims = judged["claims"].as_array().cloned().unwrap_or_default();
        claims.iter().filter_map(|one| one["verdict"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let wanted = ["confirmed", "contradicted", "no_record"];
    assert_eq!(verdicts(&stage.json(&attest).await?), wanted);

    // The same from the journal at rest; only to do it needs a gateway.
    stage.gateway.terminate()?;
    stage.gateway.wait().await?;
    let rest = stage.plan(&run).await?;
    assert_eq!((&rest["at_rest"], &rest["status"]), (&json!(true), &json!("not_revertible")), "{rest:#}");
    assert_eq!(verdicts(&stage.json(&attest).await?), wanted);
    assert_eq!(stage.gateway.cli(&["rollback", &run, "--who", "test"]).await?.status.code(), Some(5));
    stage.running.shutdown().await;
    Ok(())
}
