//! The thread beside the writer: copies the WAL into the file off the path of commits, and moves the mark.

use super::fault::Verdict;
use super::log::Tip;
use super::mark::Mark;
use super::queue::Shared;
use super::words::Words;
use super::writer::{Copying, checkpoint};
use crate::Error;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Moment};

/// How often it looks for itself.
const LOOK: Duration = Duration::from_secs(1);
/// How far the mark may lag behind: what an older copy must differ by to be recognised by position alone.
const MARK_EVERY: Duration = Duration::from_secs(5);

/// Wakes and stops the keeper.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<Ring>,
    rung: Condvar,
}

#[derive(Default)]
struct Ring {
    rung: bool,
    stop: bool,
}

impl Bell {
    pub(super) fn ring(&self) {
        let mut state = self.state.lock();
        if !state.rung {
            state.rung = true;
            self.rung.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.rung.notify_one();
    }

    fn is_stopped(&self) -> bool {
        self.state.lock().stop
    }

    /// `false`: time to stop.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        if !state.rung && !state.stop {
            self.rung.wait_for(&mut state, LOOK);
        }
        state.rung = false;
        !state.stop
    }
}

pub(super) struct Keeper {
    pub(super) db: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) bell: Arc<Bell>,
    /// The WAL's size, in frames, above which it is copied whatever goes on.
    pub(super) frames_max: u64,
    pub(super) mark: Mark,
    pub(super) mark_path: PathBuf,
    pub(super) words: Arc<Words>,
}

impl Keeper {
    pub(super) fn run(&mut self) {
        // Where the table cannot be read, every look-up reads it and says so.
        drop(self.words.fill(&self.db, || !self.bell.is_stopped()));
        let mut copied = (0, 0);
        let mut seen = copied;
        let mut settled = 0;
        let mut marked_at = Moment::now();
        while self.bell.wait() {
            let now = (self.shared.tip.lock().pos, self.shared.wal_frames.load(Ordering::Relaxed));
            let large = now.1 >= self.frames_max;
            let idle = now == seen;
            seen = now;
            let pending = self.shared.finish_checkpoint.load(Ordering::Relaxed);
            if idle && now.0 != settled {
                // Nothing is under way: readers and the next start have less to read then.
                settled = now.0;
                self.shared.settle.store(true, Ordering::Relaxed);
                self.shared.nudge();
                continue;
            }
            let due = (large || idle) && now != copied && !pending;
            if due {
                match checkpoint(&self.db, Copying::Passive) {
                    Ok(()) => copied = now,
                    Err(error) => {
                        if let Verdict::Fatal(why) = Verdict::of(&error) {
                            // Pages that the file was to have may be gone although the WAL is still whole: stop, so
                            // that the next start copies them again.
                            self.shared.set_health(Some(Error::Poisoned(why)));
                            self.shared.nudge();
                            return;
                        }
                    }
                }
            }
            if large && due {
                self.shared.finish_checkpoint.store(true, Ordering::Relaxed);
                self.shared.nudge();
            }
            if marked_at.elapsed() >= MARK_EVERY {
                let tip = *self.shared.tip.lock();
                self.move_mark(tip);
                marked_at = Moment::now();
            }
        }
    }

    fn move_mark(&mut self, tip: Tip) {
        if tip.pos == self.mark.tip.pos {
            return;
        }
        let next = Mark { tip, ..self.mark };
        // A mark that could not be moved only recognises less; the journal itself reports a full disk.
        if next.write(&self.mark_path).is_ok() {
            self.mark = next;
        }
    }
}
