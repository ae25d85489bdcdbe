//! `cofferdam init`: a policy from servers and from clients' files, which `check` accepts and which holds no secret.

use crate::Tested;
use crate::cli::Desk;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use testkit::server::Options;
use testkit::shop::{self, Shop};

const CLAUDE: &str = r#"{ "mcpServers": {
  "github": { "command": "npx", "args": ["-y", "server-github", "--token", "ghp_s3cr3ts3cr3ts3cr3ts3cr3t"],
              "env": { "GITHUB_TOKEN": "ghp_0therS3cr3tS3cr3tS3cr3t" } },
  "files": { "command": "npx", "args": ["-y", "server-filesystem", "/data"] } } }"#;

const VS_CODE: &str = r#"{ "servers": {
  "shop": { "type": "http", "url": "https://shop.example/mcp", "headers": { "Authorization": "Bearer s3cr3t-t0ken" } },
  "files": { "type": "stdio", "command": "npx", "args": ["-y", "server-filesystem", "/data"] } } }"#;

#[test]
fn clients_files_come_over_without_their_secrets_and_without_doubles() -> Tested {
    let desk = Desk::new()?;
    desk.write(".config/Claude/claude_desktop_config.json", CLAUDE)?;
    desk.write(".vscode/mcp.json", VS_CODE)?;
    let said = desk.run(&["init", "--offline", "--import", "claude-desktop", "--import", "vscode", "--json"])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let written = said.json()?;
    let names = written["upstreams"].as_array().ok_or("no list")?;
    let names = names.iter().filter_map(|one| one["name"].as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["github", "files", "shop"]);
    let policy = desk.read("cofferdam.yaml")?;
    for secret in ["ghp_", "s3cr3t"] {
        assert!(!policy.contains(secret) && !said.all().contains(secret), "{policy}\n{said:?}");
    }
    let variables = written["variables"].as_array().ok_or("no variables")?;
    let variables = variables.iter().filter_map(|name| Some((name.as_str()?, "value-0123456789")));
    let checked = desk.run_with(&["check", "--offline"], &variables.collect::<Vec<_>>())?;
    assert_eq!(checked.code, Some(0), "{checked:?}\n{policy}");
    assert_eq!(desk.path("cofferdam.yaml").metadata()?.permissions().mode() & 0o077, 0);
    Ok(())
}

#[test]
fn a_file_that_exists_is_replaced_only_when_that_is_asked_for() -> Tested {
    let desk = Desk::new()?;
    desk.write("cofferdam.yaml", "mine\n")?;
    let said = desk.run(&["init", "--offline", "--url", "shop=https://shop.example/mcp"])?;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("--force"), "{said:?}");
    assert_eq!(desk.read("cofferdam.yaml")?, "mine\n");
    let said = desk.run(&["init", "--offline", "--force", "--url", "shop=https://shop.example/mcp"])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(desk.read("cofferdam.yaml")?.contains("https://shop.example/mcp"));
    Ok(())
}

#[tokio::test]
async fn a_server_is_asked_for_its_tools_and_each_gets_a_proposal_that_check_accepts() -> Tested {
    let shop = Arc::new(Shop::in_memory()?);
    let running = shop::serve_http(([127, 0, 0, 1], 0).into(), shop, Options::default()).await?;
    let desk = Desk::new()?;
    let url = format!("shop={}", running.url);
    let desk = tokio::task::spawn_blocking(move || {
        let said = desk.run(&["init", "--url", &url, "--", "/no/such/server", "--stdio"])?;
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.out.contains("shop: 10 tools") && said.out.contains("server: could not be asked"), "{said:?}");
        let checked = desk.run(&["check"])?;
        assert_eq!(checked.code, Some(0), "{checked:?}");
        std::io::Result::Ok(desk)
    })
    .await??;
    let policy = desk.read("cofferdam.yaml")?;
    assert!(policy.contains("match: \"shop.issue_refund\"\n    effect: destructive"), "{policy}");
    assert!(policy.contains("read: \"shop.list_refunds\""), "{policy}");
    running.shutdown().await;
    Ok(())
}

#[test]
fn a_dollar_on_the_command_line_is_meant_as_it_is() -> Tested {
    let desk = Desk::new()?;
    desk.run(&["init", "--offline", "--command", "files=serve '$HOME/x' \"a b\""])?;
    assert!(desk.read("cofferdam.yaml")?.contains("command: [\"serve\", \"$$HOME/x\", \"a b\"]"));
    assert_eq!(desk.run(&["check", "--offline"])?.code, Some(0));
    Ok(())
}

#[test]
fn without_a_server_nothing_is_written() -> Tested {
    let desk = Desk::new()?;
    let said = desk.run(&["init"])?;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("--import") && !desk.path("cofferdam.yaml").exists(), "{said:?}");
    Ok(())
}
