//! Serves a world over MCP, in every revision, over streamable HTTP and stdio, with faults.

mod http;
mod protocol;
mod stdio;

use crate::faults::{Faults, Plan};
use crate::world::World;
use protocol::Service;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use stdio::Ended;

/// The revision without sessions.
pub const STATELESS: &str = "2026-07-28";
/// Every revision that is spoken, oldest first. 2024-11-05 over stdio only.
pub const REVISIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", STATELESS];
const SETTLE_EVERY: Duration = Duration::from_millis(10);
/// Longest message that is read.
pub const MESSAGE_MAX: usize = 8 * 1024 * 1024;

/// How a world is served.
#[derive(Clone, Debug)]
pub struct Options {
    pub faults: Plan,
    /// List the tools with their annotations.
    pub annotations: bool,
    /// List the tools with their output schemas, and answer with structured content.
    pub output_schemas: bool,
    pub revisions: Vec<&'static str>,
    /// Answer requests over HTTP with an event stream instead of JSON.
    pub event_stream: bool,
    /// Serve `/admin/{fault,truth,struck,busy}` beside MCP. For tests.
    pub admin: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            faults: Plan::default(),
            annotations: true,
            output_schemas: true,
            revisions: REVISIONS.to_vec(),
            event_stream: false,
            admin: false,
        }
    }
}

/// A world that is served over HTTP until it is shut down or dropped.
pub struct Running {
    /// Where MCP is spoken, such as `http://127.0.0.1:4711/mcp`.
    pub url: String,
    pub address: SocketAddr,
    service: Arc<Service>,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Running {
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    pub fn world(&self) -> &Arc<dyn World> {
        &self.service.world
    }

    /// Waits until no call is being worked on.
    pub async fn settle(&self) {
        while !self.service.calls.is_empty() {
            tokio::time::sleep(SETTLE_EVERY).await;
        }
    }

    /// Stops accepting, cuts the connections, and lets effects that have begun come to their end.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.connections.close();
        self.connections.wait().await;
        self.service.calls.close();
        self.service.calls.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves MCP under `/mcp` at the address; port 0 takes a free one.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve_http(address: SocketAddr, world: Arc<dyn World>, options: Options) -> io::Result<Running> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let service = Arc::new(Service::new(world, options));
    let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
    connections.spawn(http::accept(listener, Arc::clone(&service), stop.clone(), connections.clone()));
    Ok(Running { url: format!("http://{address}/mcp"), address, service, stop, connections })
}

/// Serves newline-delimited JSON on this process's stdin and stdout until stdin ends or a fault ends it.
///
/// # Errors
/// A pipe cannot be read or written.
pub async fn serve_stdio(world: Arc<dyn World>, options: Options) -> io::Result<Ended> {
    serve_pipes(world, options, tokio::io::stdin(), tokio::io::stdout()).await
}

/// The same over any two pipes.
///
/// # Errors
/// A pipe cannot be read or written.
pub async fn serve_pipes(
    world: Arc<dyn World>,
    options: Options,
    input: impl tokio::io::AsyncRead + Unpin,
    output: impl tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> io::Result<Ended> {
    stdio::serve(Arc::new(Service::new(world, options)), input, output).await
}
