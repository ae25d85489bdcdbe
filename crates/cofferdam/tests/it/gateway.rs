//! A running `cofferdam up`, as a process.

use crate::cli::Desk;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use testkit::Client;
use testkit::client::Identity;

/// For anything that a test waits for.
const WAIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub struct Gateway {
    child: Child,
    pub banner: Value,
}

impl Gateway {
    /// Starts it in the desk's directory on a free port; its log lies in `gateway.log`.
    pub fn start(desk: &Desk, args: &[&str], environment: &[(&str, &str)]) -> Result<Self, Box<dyn Error>> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(desk.path("gateway.log"))?;
        let args = [&["up", "--json", "--listen", "127.0.0.1:0"], args].concat();
        let mut child = desk
            .command(&args)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut out = child.stdout.take().ok_or("no pipe")?;
        let mut text = Vec::new();
        // The banner is one JSON value, and the pipe stays open behind it.
        let banner = loop {
            let mut chunk = [0; 4096];
            let read = out.read(&mut chunk)?;
            if read == 0 {
                let status = child.wait()?;
                let log = desk.read("gateway.log").unwrap_or_default();
                return Err(format!("the gateway ended with {status}: {log}").into());
            }
            text.extend_from_slice(&chunk[..read]);
            if let Ok(banner) = serde_json::from_slice(&text) {
                break banner;
            }
        };
        Ok(Self { child, banner })
    }

    pub fn url(&self) -> &str {
        self.banner["url"].as_str().unwrap_or_default()
    }

    /// `host:port` of the agents' listener.
    pub fn address(&self) -> &str {
        self.url().trim_start_matches("http://").trim_end_matches("/mcp")
    }

    pub async fn agent(&self) -> Result<Client, Box<dyn Error>> {
        Ok(Client::http(self.url(), Identity::speaking("2025-11-25")).await?)
    }

    /// One request on a connection of its own: status and body.
    pub fn http(&self, head: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(WAIT))?;
        write!(stream, "{head} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
    }

    /// SIGTERM, and how it ended.
    pub fn stop(mut self) -> Result<ExitStatus, Box<dyn Error>> {
        let id = Pid::from_raw(self.child.id().cast_signed()).ok_or("no process")?;
        kill_process(id, Signal::TERM)?;
        let mut status = None;
        wait_for("the gateway ends", || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        Ok(status.ok_or("it goes on")?)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Ended already, in a test that went well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Looks until it is so.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<bool, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    while !is_so()? {
        if began.elapsed() > WAIT {
            return Err(format!("waited {WAIT:?} in vain: {what}").into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
