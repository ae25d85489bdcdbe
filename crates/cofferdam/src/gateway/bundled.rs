//! The bundled demo upstream: a shop whose orders and refunds are really stored, spoken to over real MCP.

use crate::exit::Failed;
use crate::place;
use policy::{Policy, Upstream};
use std::path::Path;
use std::sync::Arc;
use testkit::server::{Options, Running};
use testkit::shop::{self, Shop};

const POLICY: &str = include_str!("bundled.yaml");
const NAME: &str = "shop";

pub struct Bundled {
    pub running: Running,
    pub policy: Policy,
}

/// Serves the shop on a free loopback port; its file lies beside the journal.
pub async fn start(directory: &Path) -> Result<Bundled, Failed> {
    let failed = |error: &dyn std::fmt::Display| Failed::because("start the bundled shop", error);
    let file = directory.join("demo-shop.db");
    let opened = tokio::task::spawn_blocking(move || Shop::open(&file)).await;
    let shop = opened.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    let running = shop::serve_http(([127, 0, 0, 1], 0).into(), Arc::new(shop), Options::default()).await?;
    let upstream = Upstream::http(NAME, running.url.clone());
    let policy = Policy::parse_with(POLICY, "the bundled policy", &place::variable, vec![upstream]);
    Ok(Bundled { running, policy: policy.map_err(|problems| failed(&problems))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_tool_of_the_shop_that_changes_something_has_a_read_back() -> Result<(), Failed> {
        let shop = Shop::in_memory().map_err(|error| Failed::because("open it", error))?;
        let upstream = Upstream::http(NAME, "http://127.0.0.1:1/mcp");
        let policy = Policy::parse_with(POLICY, "the bundled policy", &|_| None, vec![upstream])
            .map_err(|problems| Failed::because("read it", problems.render()))?;
        assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
        for tool in testkit::world::World::tools(&shop) {
            let facts = policy::ToolFacts::from_tool(&tool.listed(true)).unwrap_or_default();
            let rules = policy.rules(NAME, &facts);
            assert_eq!(rules.worst().effect.is_mutation(), tool.hints.is_mutation(), "{}", tool.name);
            assert!(!tool.hints.is_mutation() || rules.worst().probe.is_some(), "{}", tool.name);
        }
        Ok(())
    }
}
