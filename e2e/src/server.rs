//! A world with a ledger as a process of its own, that a test can kill and look into.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use testkit::ledger::{Entry, Ledger};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Over HTTP, started by us. Over stdio the gateway starts it: see `command`.
pub struct Server {
    child: Child,
    pub url: String,
    args: Vec<String>,
    program: PathBuf,
}

/// How long a server may take to say where it is.
const START_WAIT: Duration = Duration::from_secs(20);

impl Server {
    /// `program` is a binary with the subcommand `ledger`; `args` as in `testkit::process::USAGE`, without `--http`.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(program: &Path, args: &[&str]) -> Result<Self> {
        let args = args.iter().map(ToString::to_string).collect();
        Self::start_at("127.0.0.1:0", program, args).await
    }

    async fn start_at(address: &str, program: &Path, args: Vec<String>) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["ledger", "--http", address]).args(&args);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let output = child.stdout.take().context("there is no pipe from the server")?;
        let first = tokio::time::timeout(START_WAIT, BufReader::new(output).lines().next_line()).await;
        let Ok(Ok(Some(url))) = first else { bail!("start the server: it did not say where it is") };
        Ok(Self { child, url, args, program: program.to_owned() })
    }

    /// Kills it and starts it again on the same ledger and address.
    ///
    /// # Errors
    /// It does not start again.
    pub async fn restart(&mut self) -> Result<()> {
        self.child.kill().await?;
        let address = self.address().to_owned();
        *self = Self::start_at(&address, &self.program.clone(), std::mem::take(&mut self.args)).await?;
        Ok(())
    }

    /// # Errors
    /// It has ended already.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    fn address(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches("/mcp")
    }

    /// Scripts a fault for the next call of a tool, or of any.
    ///
    /// # Errors
    /// It cannot be reached, or knows no such fault.
    pub async fn fault(&self, tool: Option<&str>, fault: testkit::Fault) -> Result<()> {
        self.fault_named(tool, fault.as_str()).await
    }

    /// The same by the name that plans use.
    ///
    /// # Errors
    /// As `fault`.
    pub async fn fault_named(&self, tool: Option<&str>, fault: &str) -> Result<()> {
        let wish = json!({ "tool": tool, "fault": fault });
        self.admin("POST", "fault", &wish.to_string()).await.map(drop)
    }

    /// The state and the ledger.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn truth(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.admin("GET", "truth", "").await?)?)
    }

    /// Waits until it works on nothing any more.
    ///
    /// # Errors
    /// It cannot be reached, or does not come to rest.
    pub async fn quiet(&self) -> Result<()> {
        let began = std::time::Instant::now();
        while self.admin("GET", "busy", "").await? != "0" {
            if began.elapsed() > START_WAIT {
                bail!("wait for the server: it still works after {START_WAIT:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn admin(&self, method: &str, what: &str, body: &str) -> Result<String> {
        let (status, answer) = crate::gateway::http(self.address(), method, &format!("/admin/{what}"), body).await?;
        if status >= 400 {
            bail!("ask the server for {what}: HTTP {status}");
        }
        Ok(answer)
    }
}

/// The command line of a server on pipes, for a policy or a wrap.
pub fn command(program: &Path, args: &[&str]) -> Vec<String> {
    let mut command = vec![program.display().to_string(), "ledger".into(), "--stdio".into()];
    command.extend(args.iter().map(ToString::to_string));
    command
}

/// What a ledger file holds.
///
/// # Errors
/// It cannot be read.
pub fn entries(ledger: &Path) -> Result<Vec<Entry>> {
    Ok(Ledger::read(ledger)?)
}
