//! A TCP proxy that can be cut: what is under way breaks, and nothing new gets through until it is mended.

use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A way to a port of this machine.
pub struct Cut {
    port: u16,
    whole: watch::Sender<bool>,
    target: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Cut {
    /// It leads nowhere until `lead`.
    ///
    /// # Errors
    /// There is no port.
    pub async fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (whole, watched) = watch::channel(true);
        let target = Arc::new(AtomicU64::new(0));
        let to = Arc::clone(&target);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (watched, port) = (watched.clone(), to.load(Ordering::SeqCst) as u16);
                drop(tokio::spawn(through(stream, port, watched)));
            }
        });
        Ok(Self { port, whole, target, accepting })
    }

    pub fn lead(&self, port: u16) {
        self.target.store(u64::from(port), Ordering::SeqCst);
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn through(mut stream: TcpStream, port: u16, mut whole: watch::Receiver<bool>) {
    if !*whole.borrow_and_update() {
        return;
    }
    let Ok(mut other) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut stream, &mut other) => {}
        _ = whole.wait_for(|whole| !whole) => {}
    }
}
