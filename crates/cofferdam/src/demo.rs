//! Incidents, re-enacted in seconds: the same agent without and with the gateway, and what the world holds afterwards.

mod agent;
mod gateway;
mod report;
mod undo;

use agent::refund;
use anyhow::{Context, Result};
use gateway::Child;
use std::sync::Arc;
use std::time::Instant;
use testkit::server::{Options, Running};
use testkit::shop::{self, Shop};
use testkit::{Fault, faults};

use report::{Report, Side};

/// What can be re-enacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Incident {
    /// A refund is paid, its reply is lost, and the agent asks again.
    LostReply,
    /// A run of five changes is rolled back: what comes back, what cannot, and why.
    Undo,
}

/// What was played.
#[derive(serde::Serialize)]
#[serde(untagged)]
pub enum Played {
    LostReply(Report),
    Undo(Box<undo::Report>),
}

impl Played {
    pub fn render(&self) -> String {
        match self {
            Self::LostReply(report) => report.render(),
            Self::Undo(report) => report.render(),
        }
    }
}

/// Plays an incident, with a shop of its own.
///
/// # Errors
/// A part of the stage does not start.
pub async fn run(incident: Incident) -> Result<Played> {
    match incident {
        Incident::LostReply => lost_reply().await.map(Played::LostReply),
        Incident::Undo => undo::run().await.map(|report| Played::Undo(Box::new(report))),
    }
}

/// Twice: without the gateway and with it.
async fn lost_reply() -> Result<Report> {
    let began = Instant::now();
    let (alone, guarded) = tokio::try_join!(without(), with())?;
    Ok(Report::new(alone, guarded, began.elapsed()))
}

async fn without() -> Result<Side> {
    let stage = Stage::set().await?;
    let lines = refund(&stage.running.url).await?;
    Ok(stage.end("without Cofferdam", lines).await)
}

async fn with() -> Result<Side> {
    let stage = Stage::set().await?;
    let gateway = Child::start(&stage.running.url).await?;
    let lines = refund(&gateway.url()).await?;
    gateway.stop().await?;
    Ok(stage.end("with Cofferdam", lines).await)
}

/// A shop over real MCP that loses its reply to the first refund.
struct Stage {
    shop: Arc<Shop>,
    running: Running,
}

impl Stage {
    async fn set() -> Result<Self> {
        let shop = Arc::new(Shop::in_memory()?);
        let faults =
            faults::Plan { next: vec![(Some(agent::TOOL.into()), Fault::EffectLost)], ..faults::Plan::default() };
        let options = Options { faults, ..Options::default() };
        let running = shop::serve_http(([127, 0, 0, 1], 0).into(), Arc::clone(&shop), options);
        let running = running.await.context("start the shop")?;
        Ok(Self { shop, running })
    }

    async fn end(self, name: &'static str, lines: Vec<report::Line>) -> Side {
        self.running.shutdown().await;
        Side::new(name, lines, &self.shop.refunds())
    }
}
