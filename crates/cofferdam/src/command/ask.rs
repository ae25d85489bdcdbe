//! Asks upstreams for their tools, all at once.

use crate::upstreams::{Kept, Own, config, facts};
use policy::{ToolFacts, Upstream};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

/// What one upstream said.
pub struct Asked {
    pub upstream: String,
    pub tools: Result<Vec<ToolFacts>, String>,
}

/// In the order of the policy.
pub async fn all(upstreams: &[Upstream]) -> Vec<Asked> {
    let mut asking = JoinSet::new();
    for (at, upstream) in upstreams.iter().enumerate() {
        let upstream = upstream.clone();
        asking.spawn(async move { (at, one(&upstream).await) });
    }
    let mut asked = asking.join_all().await;
    asked.sort_by_key(|(at, _)| *at);
    asked.into_iter().map(|(_, asked)| asked).collect()
}

async fn one(upstream: &Upstream) -> Asked {
    let tasks = TaskTracker::new();
    let own = Own::new(config(upstream, &Kept::default()), tasks.clone(), Arc::new(|| ()));
    let pages = own.tools().await;
    own.close().await;
    drop(own);
    tasks.close();
    tasks.wait().await;
    let tools = pages.map(|pages| facts(&pages)).map_err(|failure| failure.detail);
    Asked { upstream: upstream.name.to_string(), tools }
}
