//! This same program as a gateway of the demo's own: a child with a policy, a port and a journal that vanish with it.

use crate::place::AdminAt;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{DirBuilder, File};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child as Process, Command};

/// A running gateway in front of one shop.
pub struct Child {
    process: Process,
    address: String,
    directory: Directory,
}

const START_WAIT: Duration = Duration::from_secs(5);
const STOP_WAIT: Duration = Duration::from_secs(3);
const ASK_EVERY: Duration = Duration::from_millis(5);

impl Child {
    /// # Errors
    /// It does not become ready; the error holds what it logged.
    pub async fn start(shop: &str) -> Result<Self> {
        Self::start_with(shop, REFUNDS).await
    }

    /// # Errors
    /// It does not become ready; the error holds what it logged.
    pub async fn start_with(shop: &str, tools: &str) -> Result<Self> {
        let directory = Directory::make().context("make a directory for the gateway")?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let policy = directory.path().join("cofferdam.yaml");
        std::fs::write(&policy, policy_text(&address, &directory.path().join("journal"), shop, tools))?;
        let program = std::env::current_exe().context("find this program")?;
        let process = Command::new(program)
            .args(["up", "--config"])
            .arg(policy)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(directory.log())?)
            .kill_on_drop(true)
            .spawn()
            .context("start the gateway")?;
        let mut child = Self { process, address, directory };
        child.wait_ready().await?;
        Ok(child)
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp/shop", self.address)
    }

    /// Where its operator asks it.
    pub fn operator(&self) -> AdminAt {
        AdminAt::Socket(self.directory.path().join("journal").join("admin.sock"))
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        while !is_ready(&self.address).await {
            let ended = self.process.try_wait()?;
            if ended.is_some() || began.elapsed() > START_WAIT {
                let log = std::fs::read_to_string(self.directory.log()).unwrap_or_default();
                bail!("start the gateway: it did not become ready:\n{log}");
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// Asks it to drain and waits for its end.
    ///
    /// # Errors
    /// It cannot be asked, or has to be killed and cannot be.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(id) = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(id, Signal::TERM).context("stop the gateway")?;
        }
        if tokio::time::timeout(STOP_WAIT, self.process.wait()).await.is_err() {
            self.process.kill().await.context("stop the gateway")?;
        }
        Ok(())
    }
}

fn policy_text(address: &str, journal: &Path, shop: &str, tools: &str) -> String {
    format!(
        "listen: {address}
journal: {{ path: {journal:?} }}
upstreams:
  shop: {{ mcp: {{ url: {shop:?} }} }}
{tools}"
    )
}

/// The read that resolves a lost reply looks at what is stored, so it is believed at once.
const REFUNDS: &str = r#"tools:
  - { match: "shop.get_*", effect: read }
  - { match: "shop.list_*", effect: read }
  - match: shop.issue_refund
    effect: destructive
    target: string(args.order_id)
    readback:
      read: shop.list_refunds
      args: '{"order_id": args.order_id}'
      expect: 'found(read, args) > found(pre, args)'
      absent: 'found(read, args) == found(pre, args) && same_count(read, pre)'
      consistency: strong
"#;

async fn is_ready(address: &str) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        std::io::Result::Ok(status.ends_with(b" 200"))
    };
    tokio::time::timeout(START_WAIT, asked).await.is_ok_and(|ready| ready.unwrap_or(false))
}

/// A directory of this user alone, removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn make() -> std::io::Result<Self> {
        let name = format!("cofferdam-demo-{}-{}", std::process::id(), uuid::Uuid::now_v7().simple());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn log(&self) -> PathBuf {
        self.0.join("gateway.log")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's own directory for such things.
        std::fs::remove_dir_all(&self.0).ok();
    }
}
