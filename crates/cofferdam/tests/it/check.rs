//! `cofferdam check`: a policy is accepted or refused at its place, and what is enforced is said.

use crate::Tested;
use crate::cli::Desk;
use serde_json::json;
use std::sync::Arc;
use testkit::server::Options;
use testkit::shop::{self, Shop};

const TOKEN: &str = "tok-s3cr3t-0123456789";

#[test]
fn an_error_is_reported_at_its_line_and_column_with_a_hint() -> Tested {
    let desk = Desk::new()?;
    desk.write("cofferdam.yaml", "upstreams:\n  shop:\n    mcp: { urll: \"http://127.0.0.1:9/mcp\" }\n")?;
    let said = desk.run(&["check"])?;
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.out.contains("unknown key `urll`") && said.out.contains("cofferdam.yaml:3:12"), "{said:?}");
    assert!(said.out.contains("did you mean `url`?"), "{said:?}");
    let problems = desk.run(&["check", "--json"])?.json()?;
    assert_eq!((&problems[0]["line"], &problems[0]["column"]), (&json!(3), &json!(12)));
    Ok(())
}

#[test]
fn everything_that_is_wrong_in_meaning_is_reported_at_once() -> Tested {
    let desk = Desk::new()?;
    desk.write(
        "cofferdam.yaml",
        "listen: 0.0.0.0:7070\nupstreams:\n  shop: { mcp: { url: \"http://127.0.0.1:9/mcp\" } }\ntools:\n  \
         - { match: shop.pay, effect: keyed }\n  - { match: shop.x, when: \"args. ==\", effect: read }\n",
    )?;
    let problems = desk.run(&["check", "--offline", "--json"])?.json()?;
    let mut lines = problems.as_array().ok_or("no list")?.iter().map(|one| one["line"].clone()).collect::<Vec<_>>();
    lines.dedup();
    assert_eq!(lines, [json!(1), json!(5), json!(6)], "{problems}");
    Ok(())
}

#[test]
fn a_variable_that_is_not_set_is_an_error_and_its_value_is_never_shown() -> Tested {
    let desk = Desk::new()?;
    let policy = "upstreams:\n  shop:\n    mcp:\n      url: \"http://127.0.0.1:9/mcp\"\n      \
                  headers: { Authorization: \"Bearer ${SHOP_TOKEN}\" }\n";
    desk.write("cofferdam.yaml", policy)?;
    let unset = desk.run(&["check", "--offline"])?;
    assert_eq!(unset.code, Some(3));
    assert!(unset.out.contains("SHOP_TOKEN"), "{unset:?}");
    for args in [&["check", "--offline"][..], &["check", "--offline", "--json"], &["check", "--log", "trace"]] {
        let said = desk.run_with(args, &[("SHOP_TOKEN", TOKEN)])?;
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(!said.all().contains(TOKEN), "{said:?}");
    }
    Ok(())
}

#[test]
fn a_server_that_does_not_start_is_named_and_its_own_words_can_be_had() -> Tested {
    let desk = Desk::new()?;
    let policy = "upstreams:\n  broken: { mcp: { command: [sh, -c, \"echo no such database >&2; exit 3\"] } }\n  \
                  missing: { mcp: { command: [/no/such/program] } }\n";
    desk.write("cofferdam.yaml", policy)?;
    let said = desk.run(&["check"])?;
    assert_eq!(said.code, Some(0), "the policy is one: {said:?}");
    assert!(said.out.contains("nothing is known of their tools: broken, missing"), "{said:?}");
    assert!(said.out.contains("no such program") && said.out.contains("--log info"), "{said:?}");
    let words = desk.run(&["check", "--log", "info"])?;
    assert!(words.err.contains("no such database"), "{words:?}");
    Ok(())
}

#[tokio::test]
async fn what_holds_for_each_tool_is_said_and_what_cannot_be_confirmed_is_named() -> Tested {
    let shop = Arc::new(Shop::in_memory()?);
    let running = shop::serve_http(([127, 0, 0, 1], 0).into(), shop, Options::default()).await?;
    let desk = Desk::new()?;
    let policy = format!(
        "upstreams:\n  shop: {{ mcp: {{ url: {:?} }} }}\ntools:\n  - {{ match: \"shop.get_*\", effect: read }}\n  \
         - {{ match: shop.create_order, effect: write }}\n  - {{ match: shop.no_such_tool, effect: read }}\n",
        running.url
    );
    desk.write("cofferdam.yaml", &policy)?;
    let said = tokio::task::spawn_blocking(move || desk.run(&["check", "--json"])).await??;
    let checked = said.json()?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let tools = checked["upstreams"][0]["tools"].as_array().ok_or("no tools")?;
    let effect = |name: &str| {
        let tool = tools.iter().find(|tool| tool["tool"] == name);
        tool.map(|tool| (tool["effect"].clone(), tool["cases"][0]["source"].clone()))
    };
    assert_eq!(effect("get_order"), Some((json!("read"), json!("policy"))));
    assert_eq!(effect("create_order"), Some((json!("write"), json!("policy"))));
    // It says of itself that it only reads, and nobody trusts it.
    assert_eq!(effect("list_orders").map(|(effect, _)| effect), Some(json!("destructive")));
    assert!(checked["without_readback"].as_array().is_some_and(|all| all.contains(&json!("shop.create_order"))));
    assert_eq!(checked["unmatched"], json!(["no tool matches `shop.no_such_tool`"]));
    running.shutdown().await;
    Ok(())
}

#[test]
fn an_upstream_that_does_not_answer_is_named_and_the_policy_is_still_accepted() -> Tested {
    let desk = Desk::new()?;
    desk.write("cofferdam.yaml", "upstreams:\n  gone: { mcp: { command: [\"/no/such/program\"] } }\n")?;
    let said = desk.run(&["check"])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("Not reached, so nothing is known of their tools: gone."), "{said:?}");
    Ok(())
}
