//! `cofferdam up`: the gateway as a process, its operator's side, its end, and what it refuses.

use crate::Tested;
use crate::cli::Desk;
use crate::gateway::{Gateway, wait_for};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use testkit::CallOptions;

const TOKEN: &str = "tok-s3cr3t-0123456789";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_command_shows_something_real_and_the_operator_sees_what_the_agent_did() -> Tested {
    let desk = Desk::new()?;
    let gateway = Gateway::start(&desk, &[], &[])?;
    assert_eq!((gateway.http("GET /livez")?.0, gateway.http("GET /readyz")?.0), (200, 200));
    let agent = gateway.agent().await?;
    let args = json!({ "order_id": 1, "amount": 5 });
    let answer = agent.call("shop__issue_refund", args, &CallOptions::default()).await?;
    assert!(!answer.is_error, "{answer:?}");
    agent.call("shop__get_order", json!({ "order_id": 1 }), &CallOptions::default()).await?;

    let again =
        agent.call("shop__issue_refund", json!({ "order_id": 1, "amount": 5 }), &CallOptions::default()).await?;

    let runs = desk.run(&["runs", "--json"])?.json()?;
    assert_eq!(runs["runs"][0]["mutations"], 1, "{runs}");
    let run = runs["runs"][0]["run"].as_str().ok_or("no run")?.to_owned();
    assert_eq!(again.guard_word("run"), Some(run.as_str()), "the agent and the operator name a run alike");
    let shown = desk.run(&["show", &run, "--json"])?.json()?;
    let refund = shown["steps"].as_array().and_then(|steps| steps.iter().find(|step| step["tool"] == "issue_refund"));
    let refund = refund.ok_or("the refund is not shown")?;
    assert_eq!((&refund["outcome"], &refund["verification"]), (&json!("succeeded"), &json!("verified")));
    let step = desk.run(&["show", refund["step"].as_str().unwrap_or_default()])?;
    assert!(step.out.contains("dispatched") && step.out.contains("readback"), "{step:?}");

    let doctor = desk.run(&["doctor", "--full"])?;
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    assert!(doctor.out.contains("upstream shop"), "{doctor:?}");
    assert_eq!(desk.run(&["journal", "backup", "copy.db"])?.code, Some(0));
    assert!(desk.path("copy.db").exists());
    let log = desk.read("gateway.log")?;
    assert!(log.contains("guarding") && log.contains("mutations=6"), "{log}");
    drop(agent);
    assert!(gateway.stop()?.success());
    Ok(())
}

#[test]
fn the_operators_side_is_its_owners_and_not_where_agents_call() -> Tested {
    let desk = Desk::new()?;
    let gateway = Gateway::start(&desk, &[], &[])?;
    let socket = desk.path(".cofferdam/admin.sock");
    assert_eq!(socket.metadata()?.permissions().mode() & 0o777, 0o600);
    assert_eq!(desk.path(".cofferdam").metadata()?.permissions().mode() & 0o777, 0o700);
    for path in ["/v1/health", "/v1/runs", "/mcp/../v1/health"] {
        assert_eq!(gateway.http(&format!("GET {path}"))?.0, 404, "{path}");
    }
    assert!(gateway.stop()?.success());
    assert!(!socket.exists());
    Ok(())
}

#[test]
fn an_address_for_the_operator_demands_its_token_on_loopback_too() -> Tested {
    let desk = Desk::new()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let policy = format!("admin: {{ listen: \"{port}\", token: \"${{ADMIN_TOKEN}}\" }}\n");
    desk.write("cofferdam.yaml", &policy)?;
    let gateway = Gateway::start(&desk, &["--config", "cofferdam.yaml"], &[("ADMIN_TOKEN", TOKEN)])?;
    let good = desk.run_with(&["runs", "--config", "cofferdam.yaml"], &[("ADMIN_TOKEN", TOKEN)])?;
    assert_eq!(good.code, Some(0), "{good:?}");
    let by_address = ["runs", "--admin", &port.to_string()];
    let bad = desk.run_with(&by_address, &[("COFFERDAM_ADMIN_TOKEN", "another-token-0123456789")])?;
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.err.contains("token"), "{bad:?}");
    assert_eq!(desk.run(&by_address)?.code, Some(1), "no token at all");
    assert!(gateway.stop()?.success());
    Ok(())
}

#[test]
fn a_gateway_that_was_named_and_does_not_answer_is_not_replaced_by_some_journal() -> Tested {
    let desk = Desk::new()?;
    assert!(Gateway::start(&desk, &[], &[])?.stop()?.success());
    assert_eq!(desk.run(&["runs"])?.code, Some(0), "there is a journal here");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let by_address = desk.run_with(&["runs", "--admin", &nobody], &[("COFFERDAM_ADMIN_TOKEN", TOKEN)])?;
    let by_socket = desk.run(&["doctor", "--socket", "no.sock"])?;
    for (said, name) in [(by_address, nobody.as_str()), (by_socket, "no.sock")] {
        assert_eq!((said.code, said.out.as_str()), (Some(5), ""), "{said:?}");
        assert!(said.err.contains(name), "{said:?}");
    }
    let said = desk.run(&["runs", "--socket", "no.sock", "--journal", ".cofferdam"])?;
    assert_eq!(said.code, Some(0), "a journal that was named beside it is read: {said:?}");
    Ok(())
}

#[test]
fn a_policy_that_cannot_say_where_its_gateway_is_is_told_and_not_passed_over() -> Tested {
    let desk = Desk::new()?;
    desk.write("cofferdam.yaml", "admin: { listen: \"127.0.0.1:9\", token: \"${ADMIN_TOKEN}\" }\n")?;
    let said = desk.run(&["runs"])?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("admin.token") && said.err.contains("cofferdam.yaml"), "{said:?}");
    assert!(Gateway::start(&desk, &[], &[])?.stop()?.success());
    let said = desk.run(&["runs"])?;
    assert_eq!(said.code, Some(0), "the usual journal is there now: {said:?}");
    assert!(said.err.contains("admin.token"), "{said:?}");
    Ok(())
}

#[test]
fn a_second_gateway_on_one_journal_is_refused_and_told_who_has_it() -> Tested {
    let desk = Desk::new()?;
    let gateway = Gateway::start(&desk, &[], &[])?;
    let second = desk.run(&["up", "--listen", "127.0.0.1:0"])?;
    assert_eq!(second.code, Some(6), "{second:?}");
    assert!(second.err.contains(&format!("process {}", gateway.id())), "{second:?}");
    assert_eq!(desk.run(&["runs"])?.code, Some(0), "the first one goes on");
    assert!(gateway.stop()?.success());
    Ok(())
}

#[test]
fn an_address_that_is_taken_or_open_to_the_world_is_refused() -> Tested {
    let desk = Desk::new()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let said = desk.run(&["up", "--listen", &taken.local_addr()?.to_string()])?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains(&taken.local_addr()?.to_string()), "{said:?}");
    let said = desk.run(&["up", "--listen", "0.0.0.0:0"])?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("principal"), "{said:?}");
    Ok(())
}

#[test]
fn a_policy_with_errors_starts_nothing() -> Tested {
    let desk = Desk::new()?;
    desk.write("cofferdam.yaml", "upstream: {}\n")?;
    let said = desk.run(&["up", "--config", "cofferdam.yaml"])?;
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("cofferdam.yaml:1:1"), "{said:?}");
    let said = desk.run(&["up", "--config", "cofferdam.yaml", "--json"])?;
    let told: serde_json::Value = serde_json::from_str(&said.err)?;
    assert_eq!((&told["problems"][0]["line"], &told["exit"]), (&json!(1), &json!(3)), "{said:?}");
    assert!(!desk.path(".cofferdam").exists());
    Ok(())
}

#[test]
fn a_changed_policy_is_taken_over_and_a_wrong_one_is_not() -> Tested {
    let desk = Desk::new()?;
    let policy = |name: &str| format!("upstreams:\n  {name}: {{ mcp: {{ url: \"http://127.0.0.1:9/mcp\" }} }}\n");
    let replace = |text: &str| {
        // In one step, as editors do.
        desk.write("next.yaml", text)?;
        std::fs::rename(desk.path("next.yaml"), desk.path("cofferdam.yaml"))
    };
    replace(&policy("first"))?;
    let gateway = Gateway::start(&desk, &["--config", "cofferdam.yaml"], &[])?;
    let doctor = || desk.run(&["doctor"]);
    assert!(doctor()?.out.contains("upstream first"));
    replace(&policy("second"))?;
    wait_for("the new upstream is known", || Ok(doctor()?.out.contains("upstream second")))?;
    assert!(!doctor()?.out.contains("upstream first"));

    replace("upstreams: [\n")?;
    wait_for("the wrong policy is reported", || Ok(doctor()?.out.contains("the older one stays in force")))?;
    let said = doctor()?;
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.out.contains("upstream second"), "{said:?}");
    assert!(desk.read("gateway.log")?.contains("the old one stays in force"));

    replace(&format!("listen: 127.0.0.1:7999\n{}", policy("third")))?;
    wait_for("the third one is known", || Ok(doctor()?.out.contains("upstream third")))?;
    assert!(!doctor()?.out.contains("the older one stays in force"));
    // `--listen` was given, so what the file says of it never counted.
    assert!(!desk.read("gateway.log")?.contains("`listen` is bound"));
    replace(&format!("journal: {{ path: elsewhere }}\n{}", policy("third")))?;
    wait_for("what wants a restart is said", || Ok(desk.read("gateway.log")?.contains("`journal` is bound")))?;
    // The operator's side stays where it is, whatever the file says of the journal now.
    let doctor = || desk.run(&["doctor", "--journal", ".cofferdam"]);
    wait_for("and seen later, too", || Ok(doctor()?.out.contains("but for `journal`: restart")))?;
    replace(&policy("third"))?;
    wait_for("what is as at the start wants none", || Ok(doctor()?.out.contains("in force as it is written")))?;
    assert_eq!(desk.read("gateway.log")?.matches("`journal` is bound").count(), 1);
    std::fs::remove_file(desk.path("cofferdam.yaml"))?;
    wait_for("a file that is gone is told", || Ok(doctor()?.out.contains("its file is gone")))?;
    assert!(doctor()?.out.contains("upstream third"));
    assert!(gateway.stop()?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_of_the_policy_are_in_no_output() -> Tested {
    let desk = Desk::new()?;
    let policy = "auth: { principals: [{ name: bot, token: \"${BOT_TOKEN}\" }] }\nupstreams:\n  \
                  web: { mcp: { url: \"http://127.0.0.1:9/mcp?key=${SHOP_TOKEN}\", headers: { X-Key: \"${SHOP_TOKEN}\" } } }\n  \
                  run: { mcp: { command: [\"/no/such/program\", \"${SHOP_TOKEN}\"], env: { KEY: \"${SHOP_TOKEN}\" } } }\n";
    desk.write("cofferdam.yaml", policy)?;
    let environment = [("SHOP_TOKEN", TOKEN), ("BOT_TOKEN", "bot-0ther-s3cr3t-token")];
    let gateway = Gateway::start(&desk, &["--config", "cofferdam.yaml", "--log", "trace"], &environment)?;
    let nobody = gateway.http("GET /mcp")?;
    assert_eq!(nobody.0, 401, "{nobody:?}");
    let identity =
        testkit::client::Identity::speaking("2025-11-25").header("authorization", "Bearer bot-0ther-s3cr3t-token");
    let agent = testkit::Client::http(gateway.url(), identity).await?;
    // It fails, and says why without what is secret.
    let answer = agent.call("web__x", json!({}), &CallOptions::default()).await;
    wait_for("both upstreams were asked", || {
        let log = desk.read("gateway.log")?;
        Ok(log.contains("upstream=web") && log.contains("upstream=run"))
    })?;
    let doctor = desk.run(&["doctor", "--json"])?;
    let mut all = format!("{answer:?}{}{}", doctor.all(), gateway.banner);
    drop(agent);
    assert!(gateway.stop()?.success());
    all += &desk.read("gateway.log")?;
    for secret in [TOKEN, "bot-0ther-s3cr3t-token"] {
        assert!(!all.contains(secret), "{all}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_hangs_holds_up_neither_the_start_nor_another_one() -> Tested {
    let desk = Desk::new()?;
    // It takes connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let shop = std::sync::Arc::new(testkit::shop::Shop::in_memory()?);
    let running = testkit::shop::serve_http(([127, 0, 0, 1], 0).into(), shop, testkit::Options::default()).await?;
    let policy = |name: &str| {
        format!(
            "upstreams:\n  silent: {{ mcp: {{ url: \"http://{}/mcp\" }}, timeouts: {{ connect: 10m }} }}\n  \
             {name}: {{ mcp: {{ url: {:?} }} }}\n",
            silent.local_addr().map(|address| address.to_string()).unwrap_or_default(),
            running.url
        )
    };
    desk.write("cofferdam.yaml", &policy("shop"))?;
    let gateway = Gateway::start(&desk, &["--config", "cofferdam.yaml"], &[])?;
    wait_for("the shop's tools are known", || Ok(desk.read("gateway.log")?.contains("upstream=\"shop\" tools=10")))?;
    desk.write("next.yaml", &policy("store"))?;
    std::fs::rename(desk.path("next.yaml"), desk.path("cofferdam.yaml"))?;
    wait_for("the store's tools are known", || Ok(desk.read("gateway.log")?.contains("upstream=\"store\" tools=10")))?;
    let agent =
        testkit::Client::http(&format!("{}/store", gateway.url()), testkit::client::Identity::speaking("2025-11-25"))
            .await?;
    let answer = agent.call("list_orders", json!({}), &CallOptions::default()).await?;
    assert!(!answer.is_error, "{answer:?}");
    drop(agent);
    assert!(gateway.stop()?.success());
    running.shutdown().await;
    Ok(())
}
