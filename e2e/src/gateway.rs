//! The built binary as a process: started, asked, killed and started again on the same journal.

use crate::binary::binary;
use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// A running `cofferdam up`. Dropped, it is killed and its journal is gone.
pub struct Gateway {
    binary: PathBuf,
    directory: TempDir,
    address: String,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    child: Option<Child>,
    log: Log,
}

/// How a gateway is started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The policy without `listen` and `journal`, which are added where it does not have them.
    pub policy: String,
    pub environment: Vec<(String, String)>,
}

/// How long a start or a drain may take before a test fails.
pub const READY_WAIT: Duration = Duration::from_secs(30);
const EXIT_WAIT: Duration = Duration::from_secs(120);
/// How much of standard error is kept: its end.
const LOG_MAX: usize = 1024 * 1024;
const ASK_EVERY: Duration = Duration::from_millis(10);
/// Ports are taken from below the range that outgoing connections draw from.
const PORTS: std::ops::Range<u16> = 18_000..31_000;

impl Gateway {
    /// Starts the binary with this policy on a free port with an empty journal. `None`: there is no binary, and the
    /// skip was reported.
    ///
    /// # Errors
    /// It does not become ready; the error holds what it wrote.
    pub async fn start(policy: &str) -> Result<Option<Self>> {
        Self::start_with(Setup { policy: policy.into(), environment: Vec::new() }).await
    }

    /// # Errors
    /// As `start`.
    pub async fn start_with(setup: Setup) -> Result<Option<Self>> {
        let Some(binary) = binary()? else { return Ok(None) };
        Self::start_binary(&binary, setup).await.map(Some)
    }

    /// # Errors
    /// As `start`.
    pub async fn start_binary(binary: &Path, setup: Setup) -> Result<Self> {
        let mut gateway = Self::prepare(binary, setup)?;
        gateway.restart().await?;
        Ok(gateway)
    }

    /// Writes the policy and starts nothing.
    ///
    /// # Errors
    /// No directory, or no port.
    pub fn prepare(binary: &Path, setup: Setup) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let gateway = Self {
            binary: binary.to_owned(),
            directory,
            address,
            environment: setup.environment,
            arguments: Vec::new(),
            child: None,
            log: Log::default(),
        };
        gateway.write_policy(&setup.policy)?;
        Ok(gateway)
    }

    /// Replaces the policy; a running gateway reloads it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_policy(&self, policy: &str) -> Result<()> {
        let has = |key: &str| policy.lines().any(|line| line.starts_with(key));
        let mut text = String::new();
        if !has("listen:") {
            text += &format!("listen: {}\n", self.address);
        }
        if !has("journal:") {
            text += &format!("journal: {{ path: {:?} }}\n", self.journal());
        }
        // In one step: a watcher never sees half of it.
        let next = self.directory.path().join("next.yaml");
        std::fs::write(&next, text + policy)?;
        Ok(std::fs::rename(next, self.policy())?)
    }

    /// Starts it again, on the same journal, policy and port; one that still runs is killed.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill().await?;
        self.spawn(&[])?;
        self.wait_ready().await
    }

    /// What its next starts get besides `--config`.
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
    }

    /// Starts it without waiting, with more environment, such as failpoints.
    ///
    /// # Errors
    /// The process does not start.
    pub fn spawn(&mut self, environment: &[(&str, &str)]) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.args(["up", "--config"]).arg(self.policy()).args(&self.arguments).current_dir(self.directory.path());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("start {}", self.binary.display()))?;
        self.log.follow(child.stderr.take().context("there is no pipe for its log")?);
        self.child = Some(child);
        Ok(())
    }

    /// # Errors
    /// It ends instead, or is not ready in time.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                self.log.end().await;
                bail!("start the gateway: it ended with {status}:\n{}", self.log.text());
            }
            if http(&self.address, "GET", "/readyz", "").await.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            if began.elapsed() > READY_WAIT {
                bail!("start the gateway: it is not ready after {READY_WAIT:?}:\n{}", self.log.text());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Waits until it ends by itself (`true`) or is ready.
    ///
    /// # Errors
    /// Neither comes in time.
    pub async fn ended_or_ready(&mut self) -> Result<bool> {
        let began = Instant::now();
        loop {
            if self.exited()?.is_some() {
                return Ok(true);
            }
            if http(&self.address, "GET", "/readyz", "").await.is_ok_and(|(status, _)| status == 200) {
                return Ok(self.exited()?.is_some());
            }
            if began.elapsed() > READY_WAIT {
                bail!("start the gateway: it is not ready after {READY_WAIT:?}:\n{}", self.log.text());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// The process cannot be asked.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?),
            None => bail!("it was not started"),
        }
    }

    /// `kill -9`, if it runs.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// SIGTERM.
    ///
    /// # Errors
    /// It does not run.
    pub fn terminate(&self) -> Result<()> {
        let process = self.process().and_then(|id| Pid::from_raw(id.cast_signed())).context("it does not run")?;
        Ok(kill_process(process, Signal::TERM)?)
    }

    /// Any signal: to stop it, and to let it go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process().and_then(|id| Pid::from_raw(id.cast_signed())).context("it does not run")?;
        Ok(kill_process(process, signal)?)
    }

    /// Waits for the end after `terminate` or a failpoint.
    ///
    /// # Errors
    /// It goes on.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("it does not run")?;
        let ended = tokio::time::timeout(EXIT_WAIT, child.wait()).await;
        let status = ended.with_context(|| format!("the gateway goes on after {EXIT_WAIT:?}"))??;
        self.child = None;
        self.log.end().await;
        Ok(status)
    }

    pub fn process(&self) -> Option<u32> {
        self.child.as_ref()?.id()
    }

    /// `host:port` of the agents' listener.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All upstreams, names prefixed.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// One upstream, names as they are.
    pub fn url_of(&self, upstream: &str) -> String {
        format!("http://{}/mcp/{upstream}", self.address)
    }

    /// The journal's directory.
    pub fn journal(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    pub fn admin_socket(&self) -> PathBuf {
        self.journal().join("admin.sock")
    }

    pub fn policy(&self) -> PathBuf {
        self.directory.path().join("cofferdam.yaml")
    }

    /// A place for ledgers and other files of the test.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it wrote to standard error, over all its starts.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The operator's command line against this gateway: `["runs", "--json"]`.
    ///
    /// # Errors
    /// It does not start.
    pub async fn cli(&self, args: &[&str]) -> Result<std::process::Output> {
        let mut command = Command::new(&self.binary);
        command.args(args).arg("--config").arg(self.policy()).current_dir(self.directory.path());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        Ok(command.stdin(Stdio::null()).kill_on_drop(true).output().await?)
    }
}

/// `cofferdam wrap -- command…`, ready to be started by a client; its state lies under `state`.
///
/// # Errors
/// The binary is required and not there.
pub fn wrap(state: &Path, options: &[&str], server: &[String]) -> Result<Option<Command>> {
    Ok(binary()?.map(|binary| {
        let mut command = Command::new(binary);
        command.arg("wrap").args(options).arg("--").args(server).env("XDG_STATE_HOME", state).kill_on_drop(true);
        command
    }))
}

/// One request over a connection of its own: status and body.
///
/// # Errors
/// No connection, or no answer.
pub async fn http(address: &str, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(READY_WAIT, stream.read_to_end(&mut answer)).await??;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok((status, body.to_owned()))
}

fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = (std::process::id() % u32::from(PORTS.end - PORTS.start)) as u16;
    for _ in PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (spread.wrapping_mul(7).wrapping_add(step)) % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("find a free port: all of {PORTS:?} are taken")
}

/// The end of what a process writes.
#[derive(Default)]
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Log {
    fn follow(&mut self, mut pipe: tokio::process::ChildStderr) {
        let text = Arc::clone(&self.text);
        self.reader = Some(tokio::spawn(async move {
            let mut buffer = vec![0; 8 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
                let mut text = text.lock();
                text.extend_from_slice(&buffer[..length]);
                let excess = text.len().saturating_sub(LOG_MAX);
                text.drain(..excess);
            }
        }));
    }

    /// Waits until all is read that an ended process has written; its children may hold the pipe longer.
    async fn end(&mut self) {
        if let Some(reader) = self.reader.take() {
            tokio::time::timeout(Duration::from_secs(1), reader).await.ok();
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock()).into_owned()
    }
}
