//! How the program ends: its exit codes, and errors that know theirs.

use std::fmt;
use std::process::ExitCode;

/// Documented in `docs/operating.md` and at the end of `--help`. 2 is clap's, for a wrong command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// The command could not do its job.
    Failed = 1,
    /// It looked, and found something wrong: a policy with errors, a journal that does not hold.
    Wrong = 3,
    /// No such run, step or code.
    NotFound = 4,
    /// Neither a gateway nor a journal is there.
    NothingThere = 5,
    /// Another process owns the journal.
    InUse = 6,
    /// The disk failed under the journal: start again, and it recovers from what the disk has.
    Poisoned = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do its job. The text is a fragment that reads after "failed to".
#[derive(Debug)]
pub struct Failed {
    pub exit: Exit,
    why: anyhow::Error,
}

impl Failed {
    pub fn new(exit: Exit, why: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { exit, why: anyhow::Error::msg(why) }
    }

    pub fn because(what: &str, why: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, why: anyhow::anyhow!("{what}: {why}") }
    }
}

impl From<anyhow::Error> for Failed {
    fn from(why: anyhow::Error) -> Self {
        Self { exit: Exit::Failed, why }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self { exit: Exit::Failed, why: error.into() }
    }
}

impl From<journal::Error> for Failed {
    fn from(error: journal::Error) -> Self {
        let exit = match error {
            journal::Error::Locked(_) => Exit::InUse,
            journal::Error::Poisoned(_) => Exit::Poisoned,
            _ => Exit::Failed,
        };
        if exit == Exit::InUse {
            return Self {
                exit,
                why: anyhow::anyhow!("{error}; end it first, or name another journal (journal.path)"),
            };
        }
        Self { exit, why: error.into() }
    }
}

impl Failed {
    /// Nobody reads any more, as behind `| head`: no failure of ours.
    pub fn is_broken_pipe(&self) -> bool {
        let io = self.why.downcast_ref::<std::io::Error>();
        io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.why)
    }
}
