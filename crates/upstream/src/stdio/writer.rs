//! One task hands lines to the child's stdin, and each line knows how far it got.

use crate::failure::{fail, not_sent};
use bytes::Bytes;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use vocab::{Failure, FailureKind};

/// In the queue: nobody else has seen it.
const QUEUED: u8 = 0;
/// Given up while it was in the queue; it will never be sent.
const WITHDRAWN: u8 = 1;
/// The writer has it; how much of it left is not known yet.
const WRITING: u8 = 2;
/// The pipe broke before its last byte was handed over.
const CUT: u8 = 3;
/// Its last JSON byte is in the pipe.
const WRITTEN: u8 = 4;

/// One message on its way, without its line feed.
pub struct Line {
    bytes: Bytes,
    progress: Arc<Progress>,
}

struct Progress {
    state: AtomicU8,
    changed: Notify,
}

/// Watches a line and withdraws it when it is dropped.
pub struct Guard(Arc<Progress>);

#[derive(Clone)]
pub struct Queue(mpsc::Sender<Line>);

/// A bounded queue of lines; more than `calls_max` requests cannot wait in it.
pub fn queue(calls_max: usize) -> (Queue, mpsc::Receiver<Line>) {
    let (sender, receiver) = mpsc::channel(calls_max.clamp(1, 1024) + 16);
    (Queue(sender), receiver)
}

impl Queue {
    /// # Errors
    /// The child is gone; the line was not sent.
    pub async fn put(&self, line: Line) -> Result<(), Failure> {
        self.0.send(line).await.map_err(|_| fail(FailureKind::Exit, "the child takes nothing any more"))
    }
}

impl Line {
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, progress: Arc::new(Progress { state: AtomicU8::new(QUEUED), changed: Notify::new() }) }
    }

    pub fn guard(&self) -> Guard {
        Guard(self.progress.clone())
    }
}

impl Progress {
    /// The writer takes the line, unless it was withdrawn.
    fn take(&self) -> bool {
        self.state.compare_exchange(QUEUED, WRITING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn finish(&self, state: u8) {
        self.state.store(state, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Where it got to; a line that was still in the queue is withdrawn.
    fn withdraw(&self) -> u8 {
        match self.state.compare_exchange(QUEUED, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => WITHDRAWN,
            Err(state) => state,
        }
    }
}

impl Guard {
    /// The failure as far as the line's own way allows to say more: what never left was not sent.
    pub fn explain(&self, failure: Failure) -> Failure {
        match self.0.withdraw() {
            WITHDRAWN => not_sent("the request was not sent to the child"),
            CUT => fail(FailureKind::Cut, "the child went away before the whole request was written"),
            _ => failure,
        }
    }

    /// Waits until the line has left.
    ///
    /// # Errors
    /// It never did.
    pub async fn written(&self) -> Result<(), Failure> {
        loop {
            let changed = self.0.changed.notified();
            match self.0.state.load(Ordering::Acquire) {
                WRITTEN => return Ok(()),
                CUT => return Err(fail(FailureKind::Cut, "the child went away before the message was written")),
                WITHDRAWN => return Err(not_sent("the message was not sent to the child")),
                _ => changed.await,
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

/// Writes lines until the queue or the pipe ends, or it is told to stop. Stdin closes with its end.
pub async fn run(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Line>, stop: CancellationToken) {
    loop {
        let line = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            line = lines.recv() => line,
        };
        let Some(line) = line else {
            break;
        };
        if !line.progress.take() {
            continue;
        }
        let wrote = tokio::select! {
            wrote = write(&mut stdin, &line) => wrote,
            // A child that reads nothing must not keep us from ending it.
            () = stop.cancelled() => false,
        };
        if !wrote {
            break;
        }
    }
    lines.close();
    while let Ok(line) = lines.try_recv() {
        line.progress.finish(WITHDRAWN);
    }
}

/// Hands one line to the pipe. `false`: the pipe is broken, or the future was dropped on the way.
async fn write(stdin: &mut ChildStdin, line: &Line) -> bool {
    /// Whatever ends the write, the line knows whether its last byte had left.
    struct Outcome<'a> {
        line: &'a Line,
        done: usize,
    }
    impl Drop for Outcome<'_> {
        fn drop(&mut self) {
            // A missing line feed is not enough: readers take the last line at the end of their input.
            let state = if self.done >= self.line.bytes.len() { WRITTEN } else { CUT };
            self.line.progress.finish(state);
        }
    }
    let mut outcome = Outcome { line, done: 0 };
    let total = line.bytes.len() + 1;
    while outcome.done < total {
        let rest = line.bytes.get(outcome.done..).unwrap_or_default();
        let parts = [IoSlice::new(rest), IoSlice::new(b"\n")];
        match stdin.write_vectored(&parts).await {
            Ok(0) | Err(_) => return false,
            Ok(written) => outcome.done += written,
        }
    }
    true
}
