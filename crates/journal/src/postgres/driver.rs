//! The thread on which everything that talks to the database runs, for callers of any kind.

use crate::Error;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Runs until it is dropped.
pub(super) struct Driver {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub(super) fn start() -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Open(format!("start a thread: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("journal-postgres".to_owned()).spawn(move || {
            // Whether it was told to stop or the journal is gone is the same.
            drop(runtime.block_on(stopped));
        });
        Ok(Self { handle, stop: Some(stop), thread: Some(thread.map_err(failed)?) })
    }

    /// Runs it on the thread and waits. The thread itself must not ask.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, answer) = sync_channel(1);
        let task = self.handle.spawn(async move {
            // Whoever asked may have gone.
            sender.send(work.await).ok();
        });
        let answer = answer.recv().unwrap_or(Err(Error::Closed));
        drop(task);
        answer
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(work));
    }

    pub(super) fn is_here(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.thread().id() == std::thread::current().id())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            drop(thread.join());
        }
    }
}
