//! One connection: served until its client is done, is quiet for too long, or the gateway stops.

use super::config::ServerConfig;
use super::door::Door;
use super::link::{Io, Link};
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often a quiet peer of HTTP/2 is asked whether it is there.
const PING: Duration = Duration::from_secs(20);

/// Headers of a request that hyper allows when it is not told.
const HEADERS_DEFAULT: usize = 100;

/// Where hyper runs the requests of HTTP/2, so that a stop waits for them.
#[derive(Clone)]
pub(super) struct Tasks {
    pub tracker: TaskTracker,
    /// Set when their connections are gone.
    pub kill: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        let kill = self.kill.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                biased;
                _ = task => {}
                () = kill.cancelled() => {}
            }
        });
    }
}

pub(super) type Server = auto::Builder<Tasks>;

pub(super) fn server(config: &ServerConfig, tasks: Tasks) -> Server {
    let mut server = auto::Builder::new(tasks);
    // `serve` watches for quiet connections itself: one timer for each, instead of one for each request.
    server.http1().header_read_timeout(None).max_buf_size(config.head_max);
    // hyper allows as many by itself, and then needs no memory for their places.
    if config.headers_max != HEADERS_DEFAULT {
        server.http1().max_headers(config.headers_max);
    }
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.streams_max)
        .max_header_list_size(u32::try_from(config.head_max).unwrap_or(u32::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    server
}

pub(super) async fn serve(door: Arc<Door>, server: Arc<Server>, stream: TcpStream) {
    let link = Link::new();
    let (stop, quiet) = (door.stop.clone(), door.config.quiet);
    let io = Io::new(stream, Arc::clone(&link), door.config.write_timeout);
    let service = {
        let link = Arc::clone(&link);
        service_fn(move |request| {
            let answer = Arc::clone(&door).answer(Arc::clone(&link), request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let mut connection = pin!(server.serve_connection(io, service));
    let mut look = pin!(sleep_until(Instant::now() + quiet));
    let mut ending = false;
    loop {
        tokio::select! {
            biased;
            served = connection.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(error = %error, "a connection of an agent broke");
                }
                return;
            }
            () = stop.cancelled(), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            () = look.as_mut() => match link.quiet().map(|since| quiet.saturating_sub(since)) {
                // It was told to end and has not: a head that trickles in, or a peer that is gone.
                Some(Duration::ZERO) if ending => return,
                Some(Duration::ZERO) => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                    look.as_mut().reset(Instant::now() + Duration::from_secs(1));
                }
                Some(left) => look.as_mut().reset(Instant::now() + left),
                None => look.as_mut().reset(Instant::now() + quiet),
            },
        }
    }
}
