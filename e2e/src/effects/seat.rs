//! Where one agent sits: a world of its own, the way to it, and the truth about it.

use super::case::{Case, Route, Transport};
use super::policies;
use crate::gateway::{Gateway, Setup};
use crate::server;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::client::Identity;
use testkit::ledger::{Entry, Ledger};
use testkit::server::{Options, Running, serve_http};
use testkit::{Client, World, worlds};
use tokio::process::Command;

/// The programs that take part.
#[derive(Clone, Debug)]
pub struct Programs {
    /// One with the subcommand `ledger`.
    pub server: PathBuf,
    pub gateway: Option<PathBuf>,
}

pub struct Seat {
    case: Case,
    programs: Programs,
    directory: TempDir,
    world: Arc<dyn World>,
    /// Over HTTP the world is served by this process.
    running: Option<Running>,
    gateway: Option<Gateway>,
}

/// The upstream's name in every policy.
pub const UPSTREAM: &str = "world";
const CONNECT_WAIT: Duration = Duration::from_secs(30);
const CONNECT_EVERY: Duration = Duration::from_millis(20);

impl Seat {
    pub async fn take(case: Case, programs: &Programs) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let ledger = directory.path().join("ledger");
        let is_stdio = case.transport == Transport::Stdio;
        let world = worlds::open(case.world, Some(&ledger))?;
        let options = Options { faults: case.plan(), annotations: case.annotations(), ..Options::default() };
        let running = match is_stdio {
            true => None,
            false => Some(serve_http(([127, 0, 0, 1], 0).into(), Arc::clone(&world), options).await?),
        };
        let mut seat = Self { case, programs: programs.clone(), directory, world, running, gateway: None };
        seat.set_gateway().await?;
        Ok(seat)
    }

    async fn set_gateway(&mut self) -> Result<()> {
        if self.case.route == Route::Direct {
            return Ok(());
        }
        let binary = self.programs.gateway.clone().context("there is no gateway")?;
        let policy = policies::text(&self.case, &self.reach(), &binary, self.directory.path()).await?;
        if self.case.transport == Transport::Stdio {
            std::fs::write(self.directory.path().join("wrap.yaml"), policy)?;
        } else {
            self.gateway = Some(Gateway::start_binary(&binary, Setup { policy, ..Setup::default() }).await?);
        }
        Ok(())
    }

    /// The `mcp` member of the upstream.
    fn reach(&self) -> policies::Reach {
        match &self.running {
            Some(running) => policies::Reach::Url(running.url.clone()),
            None => policies::Reach::Command(self.server_command()),
        }
    }

    fn server_command(&self) -> Vec<String> {
        let (ledger, plan) = (self.ledger().display().to_string(), self.case.plan().to_text());
        let annotations = if self.case.annotations() { "on" } else { "off" };
        let args = ["--world", self.case.world, "--ledger", &ledger, "--faults", &plan, "--annotations", annotations];
        server::command(&self.programs.server, &args)
    }

    fn ledger(&self) -> PathBuf {
        self.directory.path().join("ledger")
    }

    /// A connected client; tries again while the gateway is being started again.
    pub async fn connect(&mut self) -> Result<Client> {
        let began = Instant::now();
        loop {
            match self.try_connect().await {
                Ok(client) => return Ok(client),
                Err(error) if began.elapsed() > CONNECT_WAIT => {
                    let log = self.gateway.as_ref().map(Gateway::log).unwrap_or_default();
                    bail!("connect the agent: {error}\n{log}");
                }
                Err(_) => tokio::time::sleep(CONNECT_EVERY).await,
            }
        }
    }

    async fn try_connect(&mut self) -> Result<Client, testkit::client::Error> {
        let identity = Identity::speaking(self.case.transport.revision());
        if let Some(gateway) = &self.gateway {
            return Client::http(&gateway.url_of(UPSTREAM), identity).await;
        }
        if let Some(running) = &self.running {
            return Client::http(&running.url, identity).await;
        }
        let server = self.server_command();
        let mut command = Command::new(&server[0]);
        if let (Route::Readback | Route::Init | Route::Bare, Some(binary)) = (self.case.route, &self.programs.gateway) {
            command = Command::new(binary);
            let policy = self.directory.path().join("wrap.yaml");
            command.args(["wrap", "--name", UPSTREAM, "--config"]).arg(policy).arg("--").arg(&server[0]);
            command.env("XDG_STATE_HOME", self.directory.path().join("state"));
        }
        command.args(&server[1..]).stderr(log(self.directory.path()));
        Client::stdio(command, identity).await
    }

    /// `kill -9` of whatever stands between agent and server, and its new start.
    pub async fn kill_gateway(&mut self) -> Result<()> {
        match &mut self.gateway {
            Some(gateway) => gateway.restart().await,
            // Over pipes the agent's own client starts it again.
            None => Ok(()),
        }
    }

    /// The process that a kill hits.
    pub fn victim(&self, client: &Client) -> Option<u32> {
        self.gateway.as_ref().and_then(Gateway::process).or_else(|| client.process())
    }

    /// Effects so far.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        Ok(Ledger::read(&self.ledger())?)
    }

    /// The state in the end: as the world has it, or read back from the ledger that a process wrote.
    pub fn truth(&self) -> Result<Value> {
        match &self.running {
            Some(_) => Ok(self.world.truth()),
            None => Ok(worlds::open(self.case.world, Some(&self.ledger()))?.truth()),
        }
    }

    pub fn log(&self) -> String {
        let wrapped = std::fs::read_to_string(self.directory.path().join("wrap.log")).unwrap_or_default();
        self.gateway.as_ref().map(Gateway::log).unwrap_or_default() + &wrapped
    }

    /// Lets effects that have begun come to their end.
    pub async fn settle(&mut self) {
        if let Some(running) = self.running.as_ref() {
            running.settle().await;
        } else {
            tokio::time::sleep(self.case.settles_after()).await;
        }
    }
}

fn log(directory: &Path) -> std::process::Stdio {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(directory.join("wrap.log"));
    file.map_or_else(|_| std::process::Stdio::null(), Into::into)
}
