//! Which crate may use which: lower layers only, and inside a layer the pairs that are declared.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// Lowest first. A crate uses crates of lower layers only; inside a layer, the pairs of `SIDEWAYS`.
const LAYERS: &[&[&str]] = &[
    &["vocab"],
    &["primitives", "checks", "policy", "engine"],
    &["mcp"],
    &["journal", "upstream", "runtime"],
    &["ingress-mcp", "admin"],
    &["cofferdam"],
];

/// First layer that may touch the world.
const ADAPTERS: usize = 3;

const SIDEWAYS: &[(&str, &str)] = &[
    ("engine", "primitives"),
    ("engine", "checks"),
    ("engine", "policy"),
    ("policy", "checks"),
    ("runtime", "journal"),
    ("runtime", "upstream"),
];

/// In no layer: they serve tests and chores, and nothing that ships may use them.
const ASIDE: &[&str] = &["sim", "models", "testkit", "e2e", "xtask", "bench"];

/// Crates aside that one shipped crate uses all the same.
const SHIPPED: &[(&str, &str, &str)] = &[("cofferdam", "testkit", "its shop is the bundled demo upstream")];

/// Only the runtime feeds an engine.
const ENGINE_USERS: &[&str] = &["runtime"];

/// What layers below the adapters may use from outside the workspace: pure data, hashing, parsing. A list of what is
/// allowed, because a list of what is banned would miss tomorrow's crate with a clock in it.
const PURE: &[&str] = &[
    "blake3",
    "bytes",
    "cel",
    "jsonschema",
    "memchr",
    "miette",
    "schemars",
    "serde",
    "serde-saphyr",
    "serde_json",
    "thiserror",
];

/// A crate of the workspace and what it is built from, dev-dependencies left out.
pub struct Member {
    pub name: String,
    pub uses: Vec<Used>,
}

pub struct Used {
    pub name: String,
    /// It lies in this workspace.
    pub ours: bool,
}

pub fn members(root: &Path) -> Result<Vec<Member>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("start cargo metadata")?;
    ensure!(out.status.success(), "ask cargo for metadata: {}", String::from_utf8_lossy(&out.stderr));
    let metadata: Metadata = serde_json::from_slice(&out.stdout).context("read what cargo metadata printed")?;
    let member = |package: Package| Member {
        name: package.name,
        uses: package
            .dependencies
            .into_iter()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
            .map(|dependency| Used { name: dependency.name, ours: dependency.path.is_some() })
            .collect(),
    };
    Ok(metadata.packages.into_iter().map(member).collect())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

pub fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// Crates whose own code can name no clock, file, socket or thread: `vocab` and the kernel.
pub fn kernel() -> impl Iterator<Item = &'static str> {
    LAYERS[..2].iter().copied().flatten().copied()
}

pub fn findings(members: &[Member]) -> Vec<String> {
    let mut found = Vec::new();
    for Member { name, uses } in members {
        let Some(own) = layer(name) else {
            if !ASIDE.contains(&name.as_str()) {
                found.push(format!("{name}: in no layer"));
            }
            continue;
        };
        found.extend(uses.iter().filter_map(|used| wrong(name, own, used)).map(|why| format!("{name} -> {why}")));
    }
    found
}

fn wrong(name: &str, own: usize, Used { name: used, ours }: &Used) -> Option<String> {
    if !ours {
        let impure = own < ADAPTERS && !PURE.contains(&used.as_str());
        return impure.then(|| format!("{used}: not among the pure crates that layers below the adapters may use"));
    }
    if used == "engine" && !ENGINE_USERS.contains(&name) {
        return Some("engine: only the runtime holds an engine".to_owned());
    }
    match layer(used) {
        Some(other) if other > own => Some(format!("{used}: points up")),
        Some(other) if other == own && !SIDEWAYS.contains(&(name, used.as_str())) => {
            Some(format!("{used}: not a declared neighbour"))
        }
        None if !SHIPPED.iter().any(|(from, to, _)| (*from, *to) == (name, used.as_str())) => {
            Some(format!("{used}: serves tests only"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, used: &str, ours: bool) -> Vec<String> {
        let uses = vec![Used { name: used.to_owned(), ours }];
        findings(&[Member { name: name.to_owned(), uses }])
    }

    #[test]
    fn an_arrow_that_points_up_is_found() {
        assert_eq!(check("journal", "admin", true), ["journal -> admin: points up"]);
        assert!(check("admin", "journal", true).is_empty());
    }

    #[test]
    fn an_undeclared_neighbour_is_found() {
        assert_eq!(check("journal", "runtime", true), ["journal -> runtime: not a declared neighbour"]);
        assert!(check("runtime", "journal", true).is_empty());
    }

    #[test]
    fn a_crate_with_a_clock_or_a_socket_is_found_below_the_adapters() {
        for banned in ["tokio", "hyper", "rusqlite", "uuid", "jiff"] {
            assert_eq!(check("engine", banned, false).len(), 1, "{banned}");
            assert_eq!(check("mcp", banned, false).len(), 1, "{banned}");
            assert!(check("runtime", banned, false).is_empty(), "{banned}");
        }
    }

    #[test]
    fn a_crate_in_no_layer_is_found() {
        assert_eq!(check("utils", "serde", false), ["utils: in no layer"]);
    }

    #[test]
    fn test_crates_do_not_ship() {
        assert_eq!(check("runtime", "testkit", true), ["runtime -> testkit: serves tests only"]);
        assert!(check("cofferdam", "testkit", true).is_empty());
    }

    #[test]
    fn a_door_that_holds_an_engine_is_found() {
        assert_eq!(check("ingress-mcp", "engine", true), ["ingress-mcp -> engine: only the runtime holds an engine"]);
    }
}
