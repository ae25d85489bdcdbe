//! MCP over streamable HTTP, for agents: every revision that has it, on HTTP/1.1 and HTTP/2.
//!
//! The transport's rules live here and nowhere else: status codes, headers, who may call, sessions and their streams.
//! What a message means is the conversation's.

mod auth;
mod body;
mod config;
mod connection;
mod door;
mod events;
mod get;
mod link;
mod names;
mod place;
mod post;
mod read;
mod refusal;
mod replay;
mod session;
mod sessions;

use crate::Hub;
use door::Door;
use names::Names;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use auth::Auth;
pub use config::ServerConfig;
pub use replay::Kept;

/// How often ended sessions and left streams are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// The operating system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
    Content-Length: 0\r\n\r\n";

/// Serves agents until `shutdown`; then accepts nothing more, and lets requests under way finish for a while.
///
/// # Errors
/// The listener is broken, or it is beyond loopback and nobody needs a token.
///
/// # Cancel safety
/// Dropping it stops listening and closes all connections.
pub async fn serve(
    listener: TcpListener,
    hub: Arc<Hub>,
    auth: Arc<Auth>,
    config: ServerConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let loopback = listener.local_addr()?.ip().is_loopback();
    if !loopback && auth.is_open() {
        let text = "listen beyond loopback: this demands a principal with a token";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let drain = config.drain;
    let tasks = connection::Tasks { tracker: TaskTracker::new(), kill: CancellationToken::new() };
    let mut connections = JoinSet::new();
    let server = Arc::new(connection::server(&config, tasks.clone()));
    let names = Names { loopback, hosts: config.hosts.clone(), origins: config.origins.clone() };
    let sessions = sessions::Sessions::new(config.kept);
    let door = Arc::new(Door { hub, auth, config, names, sessions, stop: shutdown.clone() });
    accept(&listener, &door, &server, &mut connections, &shutdown).await;
    drop(listener);
    if timeout(drain, async { while connections.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!(connections = connections.len(), "agents still wait: their connections are closed");
        connections.shutdown().await;
    }
    tasks.kill.cancel();
    tasks.tracker.close();
    tasks.tracker.wait().await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    door: &Arc<Door>,
    server: &Arc<connection::Server>,
    connections: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let places = Arc::new(Semaphore::new(door.config.connections_max));
    let mut sweep = interval(SWEEP.min(door.config.resume).max(Duration::from_millis(10)));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
            _ = sweep.tick() => {
                door.sessions.sweep(door.config.resume);
                continue;
            }
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(error = %error, "serving a connection failed");
                }
                continue;
            }
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(error = %error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            turn_away(stream);
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "a connection broke at once");
            continue;
        }
        let served = connection::serve(Arc::clone(door), Arc::clone(server), stream);
        connections.spawn(async move {
            served.await;
            drop(place);
        });
    }
}

/// Says why, if the socket takes it at once.
fn turn_away(stream: TcpStream) {
    let said = stream.into_std().and_then(|mut stream| stream.write(FULL));
    if let Err(error) = said {
        tracing::debug!(error = %error, "a connection beyond the limit left at once");
    }
}
