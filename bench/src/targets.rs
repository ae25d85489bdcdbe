//! What is measured: the upstream itself, nginx as a bare hop, Cofferdam, and the crate `mcp-proxy`.

use crate::process::{MEASURED, Process, RIG, Used, free_address};
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Target {
    pub address: SocketAddr,
    pub path: &'static str,
    pub prefix: &'static str,
    process: Option<Process>,
}

impl Target {
    /// A gateway of ours in front of the fast upstream.
    pub const fn ours(address: SocketAddr, process: Process) -> Self {
        Self { address, path: "/mcp/mock", prefix: "", process: Some(process) }
    }

    pub const fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    pub fn used(&self) -> Result<Used> {
        self.process.as_ref().map_or(Ok(Used::default()), Process::used)
    }
}

/// The fast upstream on the rig's core.
pub fn mock() -> Result<(Process, SocketAddr)> {
    let this = std::env::current_exe()?.display().to_string();
    let (process, line) = Process::start_and_read(RIG, &[this, "mock".into()])?;
    let address = line.parse().context("read the address of the upstream")?;
    Ok((process, address))
}

pub fn direct(upstream: SocketAddr) -> Target {
    Target { address: upstream, path: "/mcp", prefix: "", process: None }
}

/// One worker, kept-alive connections to the upstream, nothing logged. `None`: it is not installed.
pub fn nginx(upstream: SocketAddr, folder: &Path) -> Result<Option<Target>> {
    if Command::new("nginx").arg("-v").output().is_err() {
        return Ok(None);
    }
    let address = free_address()?;
    let folder = folder.join("nginx");
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("nginx.conf");
    std::fs::write(
        &config,
        format!(
            "daemon off; worker_processes 1; pid {0}/pid; error_log /dev/null;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0};\n\
             uwsgi_temp_path {0}; scgi_temp_path {0}; keepalive_requests 100000000; tcp_nodelay on;\n\
             upstream mock {{ server {upstream}; keepalive 512; keepalive_requests 100000000; }}\n\
             server {{ listen {address}; location / {{ proxy_pass http://mock; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_set_header Host $host; }} }} }}\n",
            folder.display()
        ),
    )?;
    let command = ["nginx", "-p", &folder.display().to_string(), "-c", &config.display().to_string()];
    let mut process = Process::start(MEASURED, &command.map(str::to_owned), &[])?;
    process.wait_for(address)?;
    Ok(Some(Target { address, path: "/mcp", prefix: "", process: Some(process) }))
}

/// Cofferdam with every guard on and its journal on the disk of `folder`.
pub fn cofferdam(binary: &Path, upstream: SocketAddr, folder: &Path) -> Result<Target> {
    let address = free_address()?;
    let folder = folder.join("cofferdam");
    std::fs::create_dir_all(&folder)?;
    let policy = folder.join("cofferdam.yaml");
    std::fs::write(&policy, policy_text(upstream, &folder))?;
    let words = [&binary.display().to_string(), "up", "--config", &policy.display().to_string(), "--listen"];
    let mut command: Vec<String> = words.into_iter().map(str::to_owned).collect();
    command.push(address.to_string());
    let mut process = Process::start(MEASURED, &command, &[("RUST_LOG", "warn")])?;
    process.wait_for(address)?;
    Ok(Target { address, path: "/mcp/mock", prefix: "", process: Some(process) })
}

fn policy_text(upstream: SocketAddr, folder: &Path) -> String {
    format!(
        "journal: {{ path: {folder} }}\n\
         limits: {{ sessions_max: 1024 }}\n\
         upstreams:\n  mock:\n    mcp: {{ url: \"http://{upstream}/mcp\" }}\n    limits: {{ calls_max: 1024, sessions_max: 1024 }}\n\
         tools:\n  - {{ match: mock.get, effect: read }}\n  - {{ match: mock.append, effect: write }}\n  \
         - match: mock.put\n    effect: write\n    readback: {{ read: mock.get, args: '{{\"n\": args.n}}', \
         expect: 'read.n == args.n', absent: 'read.n != args.n' }}\n",
        folder = folder.display()
    )
}

/// The peer, its logs off. `None`: it is not installed.
pub fn mcp_proxy(binary: Option<PathBuf>, upstream: SocketAddr, folder: &Path) -> Result<Option<Target>> {
    let binary = binary.unwrap_or_else(|| "mcp-proxy".into());
    if Command::new(&binary).arg("--version").output().is_err() {
        return Ok(None);
    }
    let address = free_address()?;
    let config = folder.join("mcp-proxy.toml");
    std::fs::write(
        &config,
        format!(
            "[proxy]\nname = \"peer\"\nseparator = \"__\"\n[proxy.listen]\nhost = \"127.0.0.1\"\nport = {}\n\
             [[backends]]\nname = \"mock\"\ntransport = \"http\"\nurl = \"http://{upstream}/mcp\"\n\
             [observability]\nlog_level = \"error\"\n",
            address.port()
        ),
    )?;
    let command = [binary.display().to_string(), "--config".into(), config.display().to_string()];
    let mut process = Process::start(MEASURED, &command, &[("RUST_LOG", "off")])?;
    process.wait_for(address)?;
    Ok(Some(Target { address, path: "/", prefix: "mock__", process: Some(process) }))
}

/// The release binary that lies beside this program, unless another is named.
pub fn binary(given: Option<PathBuf>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("cofferdam"),
    };
    anyhow::ensure!(
        path.is_file(),
        "{} is missing: build it first (cargo build --release -p cofferdam)",
        path.display()
    );
    Ok(path)
}
