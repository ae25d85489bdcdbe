//! The policies that are measured.

use super::case::{Case, Route};
use super::seat::UPSTREAM;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// How the gateway gets to the world.
pub enum Reach {
    Url(String),
    Command(Vec<String>),
}

impl Reach {
    fn mcp(&self) -> String {
        match self {
            Self::Url(url) => format!("{{ url: {url:?} }}"),
            Self::Command(command) => format!("{{ command: {command:?} }}"),
        }
    }
}

/// The policy of a case, without the lines that say where the gateway listens and keeps its journal.
pub async fn text(case: &Case, reach: &Reach, binary: &Path, directory: &Path) -> Result<String> {
    let upstream = format!("upstreams:\n  {UPSTREAM}:\n    mcp: {}\n", reach.mcp());
    Ok(match case.route {
        Route::Direct => String::new(),
        // That a 503 of this server comes before any work is what an operator knows and `init` cannot.
        Route::Readback => upstream + "    evidence: { sheds_first: true }\n" + &times(case) + readbacks(case.world),
        Route::Init => init(reach, binary, directory).await?,
        Route::Bare => upstream + &times(case),
    })
}

/// The server works on a call for at most as long as it can be late; a read is stale for half a second.
fn times(case: &Case) -> String {
    let (wait, late) = (case.scale.patience.as_millis() * 2 / 3, case.scale.late.as_millis());
    format!(
        "defaults:\n  timeouts: {{ step: {wait}ms, attempt: {wait}ms }}\n  quiescence: {late}ms\n  \
         absent_spacing: 1s\n  probe_wait: {wait}ms\n"
    )
}

/// `cofferdam init` against the running world; nothing of it is edited but where the gateway listens and writes.
async fn init(reach: &Reach, binary: &Path, directory: &Path) -> Result<String> {
    let file = directory.join("init.yaml");
    let mut command = Command::new(binary);
    command.args(["init", "--out"]).arg(&file);
    let (option, server) = match reach {
        Reach::Url(url) => ("--url", url.clone()),
        Reach::Command(words) => {
            let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
            ("--command", quoted.join(" "))
        }
    };
    command.args([option, &format!("{UPSTREAM}={server}")]);
    let output = command.current_dir(directory).stdin(Stdio::null()).output().await?;
    if !output.status.success() {
        bail!("write a policy with init: {}", String::from_utf8_lossy(&output.stderr));
    }
    let written = std::fs::read_to_string(&file)?;
    if !written.contains("  - match:") {
        bail!("write a policy with init: it found no tools:\n{written}");
    }
    let own = |line: &&str| !line.starts_with("listen:") && !line.starts_with("journal:");
    Ok(written.lines().filter(own).collect::<Vec<_>>().join("\n") + "\n")
}

fn readbacks(world: &str) -> &'static str {
    match world {
        "records" => RECORDS,
        "counters" => COUNTERS,
        _ => MESSAGES,
    }
}

const RECORDS: &str = r#"tools:
  - { match: "world.get_*", effect: read }
  - { match: "world.list_*", effect: read }
  - match: world.create_ticket
    effect: write
    readback:
      read: world.list_tickets
      args: '{"owner": args.owner}'
      expect: 'found(read, args) > found(pre, args)'
      absent: 'found(read, args) == found(pre, args) && same_count(read, pre)'
  - match: world.update_ticket
    effect: idempotent
    target: args.ticket_id
    readback:
      read: world.get_ticket
      args: '{"ticket_id": args.ticket_id}'
      expect: 'found(read, args) > 0'
      absent: 'found(read, args) == 0'
  - match: world.delete_ticket
    effect: destructive
    readback:
      read: world.get_ticket
      args: '{"ticket_id": args.ticket_id}'
      expect: 'gone(read)'
      absent: '!gone(read)'
"#;

const COUNTERS: &str = r#"tools:
  - { match: "world.get_*", effect: read }
  - match: world.increment_counter
    effect: write
    target: args.name
    readback:
      read: world.get_counter
      args: '{"name": args.name}'
      expect: 'read.value == pre.value + args.by'
      absent: 'read.value == pre.value'
  - match: world.toggle_switch
    effect: write
    target: args.name
    readback:
      read: world.get_switch
      args: '{"name": args.name}'
      expect: 'read.on != pre.on'
      absent: 'read.on == pre.on'
  - match: world.set_switch
    effect: idempotent
    target: args.name
    readback:
      read: world.get_switch
      args: '{"name": args.name}'
      expect: 'read.on == args.on'
      absent: 'read.on != args.on'
"#;

const MESSAGES: &str = r#"tools:
  - { match: "world.list_*", effect: read }
  - match: world.send_message
    effect: write
    target: args.to
    readback:
      read: world.list_messages
      args: '{"to": args.to}'
      expect: 'found(read, args) > found(pre, args)'
      absent: 'found(read, args) == found(pre, args) && same_count(read, pre)'
  - match: world.pay
    effect: destructive
    target: args.to
    readback:
      read: world.list_payments
      args: '{"to": args.to}'
      expect: 'found(read, args) > found(pre, args)'
      absent: 'found(read, args) == found(pre, args) && same_count(read, pre)'
"#;
