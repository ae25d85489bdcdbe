//! Child processes that are pinned to a core, ended with their owner, and asked what they used.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The core of everything that is measured.
pub const MEASURED: usize = 0;
/// The core of the upstream and the load generator.
pub const RIG: usize = 1;

pub struct Process {
    child: Child,
    /// Its process group, for targets with workers.
    group: i32,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// User and system, with all its workers.
    pub cpu: Duration,
    /// Resident, with all its workers.
    pub resident_bytes: u64,
}

impl Process {
    /// Starts `command` on one core, with its output thrown away unless `loud`.
    pub fn start(core: usize, command: &[String], envs: &[(&str, &str)]) -> Result<Self> {
        let mut child = Self::command(core, command, envs);
        child.stdout(Stdio::null());
        Self::spawn(child, command)
    }

    /// As [`Self::start`], and reads its first line.
    pub fn start_and_read(core: usize, command: &[String]) -> Result<(Self, String)> {
        let mut child = Self::command(core, command, &[]);
        child.stdout(Stdio::piped());
        let mut process = Self::spawn(child, command)?;
        let out = process.child.stdout.take().context("its output is piped")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        Ok((process, line.trim().to_owned()))
    }

    fn command(core: usize, command: &[String], envs: &[(&str, &str)]) -> Command {
        use std::os::unix::process::CommandExt;
        let mut child = Command::new("taskset");
        child.args(["-c", &core.to_string()]).args(command).envs(envs.iter().copied());
        child.stdin(Stdio::null()).stderr(Stdio::null()).process_group(0);
        child
    }

    fn spawn(mut child: Command, command: &[String]) -> Result<Self> {
        let child = child.spawn().with_context(|| format!("start {command:?} through taskset (Debian: util-linux)"))?;
        let group = i32::try_from(child.id())?;
        Ok(Self { child, group })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until something listens there.
    pub fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            ensure!(self.child.try_wait()?.is_none(), "the target of {address} ended at start");
            ensure!(Instant::now() < until, "nothing listens on {address}");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    pub fn used(&self) -> Result<Used> {
        let mut used = Used::default();
        for entry in std::fs::read_dir("/proc")? {
            let path = entry?.path();
            // Processes come and go while the list is read.
            let Ok(stat) = std::fs::read_to_string(path.join("stat")) else { continue };
            let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
            let fields: Vec<&str> = fields.split(' ').collect();
            if fields.get(2).and_then(|text| text.parse().ok()) != Some(self.group) {
                continue;
            }
            let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            // Linux counts in hundredths of a second whatever its own tick is.
            used.cpu += Duration::from_millis((ticks(11) + ticks(12)) * 10);
            used.resident_bytes += ticks(21) * 4096;
        }
        Ok(used)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = format!("-{}", self.group);
        for signal in ["-TERM", "-KILL"] {
            Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status().ok();
            let until = Instant::now() + Duration::from_secs(5);
            while Instant::now() < until {
                if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// A port that was free a moment ago.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
