//! The whole gate, stage by stage, in the words that CI uses too.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// One stage: its name, what it is for, and the command.
struct Stage {
    name: &'static str,
    what: &'static str,
    command: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

const STAGES: &[Stage] = &[
    Stage { name: "fmt", what: "one form for all code", command: &["cargo", "fmt", "--all", "--check"], env: &[] },
    Stage {
        name: "clippy",
        what: "lints, warnings are errors",
        command: &["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        env: &[],
    },
    Stage {
        name: "doc",
        what: "the documentation of the crates, warnings are errors",
        command: &["cargo", "doc", "--workspace", "--no-deps", "--document-private-items", "--locked"],
        env: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Stage {
        name: "deny",
        what: "licences, bans and sources of dependencies; skipped where cargo-deny is not installed, CI installs it",
        command: &["cargo", "deny", "--all-features", "check", "licenses", "bans", "sources"],
        env: &[],
    },
    Stage {
        name: "test",
        what: "every test but those of the built binary; tidy is among them",
        command: &["cargo", "test", "--workspace", "--exclude", "e2e", "--locked"],
        env: &[],
    },
    Stage {
        name: "release",
        what: "the binary that ships",
        command: &["cargo", "build", "--release", "--locked", "--package", "cofferdam"],
        env: &[],
    },
    Stage {
        name: "e2e",
        what: "the built binary, through its doors",
        command: &["cargo", "test", "--package", "e2e", "--locked"],
        env: &[],
    },
];

pub fn run(root: &Path, wanted: &[String]) -> Result<()> {
    if wanted.iter().any(|name| name == "--list") {
        STAGES.iter().for_each(|stage| crate::say(&format!("{:8} {}", stage.name, stage.what)));
        return Ok(());
    }
    if let Some(unknown) = wanted.iter().find(|name| !STAGES.iter().any(|stage| stage.name == **name)) {
        bail!("find the stage {unknown:?}: see `cargo xtask check --list`");
    }
    let mut times = Vec::new();
    for stage in STAGES.iter().filter(|stage| wanted.is_empty() || wanted.iter().any(|name| name == stage.name)) {
        if stage.name == "deny" && !has_deny() {
            crate::say("deny: skipped, cargo-deny is not installed");
            continue;
        }
        crate::say(&format!("== {}: {}", stage.name, stage.command.join(" ")));
        let begun = Instant::now();
        let status = Command::new(stage.command[0])
            .args(&stage.command[1..])
            .envs(stage.env.iter().copied())
            .current_dir(root)
            .status()
            .with_context(|| format!("start the stage {}", stage.name))?;
        if !status.success() {
            bail!("pass the stage {}", stage.name);
        }
        times.push(format!("{} {} s", stage.name, begun.elapsed().as_secs()));
    }
    crate::say(&format!("passed: {}", times.join(", ")));
    Ok(())
}

fn has_deny() -> bool {
    Command::new("cargo").args(["deny", "--version"]).output().is_ok_and(|out| out.status.success())
}
