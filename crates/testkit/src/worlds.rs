//! Fixture worlds with a ground truth, and tasks as scripted calls whose right end is known.
//!
//! No intent tag stands in the arguments: it would make calls distinct that must not be. A task knows the state that it
//! should end in and how often each call should have had its effect; what the ledger has more of is a duplicate.

mod counters;
mod kill;
mod messages;
mod records;
mod task;

use crate::ledger::Ledger;
use crate::world::{Call, Tool, ToolError, World};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use counters::Counters;
pub use kill::Kill;
pub use messages::Messages;
pub use records::Records;
pub use task::{Audit, Scripted, Task, audit, tasks};

/// A read is stale only for this long after a change: the world is consistent in the end.
pub const STALE_FOR: Duration = Duration::from_millis(500);

/// A world as the fold of its ledger.
pub trait Model: Clone + Default + Send + 'static {
    const NAME: &'static str;

    fn tools() -> Vec<Tool>;

    /// Changes the world. `number` is the position in the ledger, for ids.
    ///
    /// # Errors
    /// Nothing was changed.
    fn apply(&mut self, call: &Call<'_>, number: u64) -> Result<Applied, ToolError>;

    /// # Errors
    /// No such thing.
    fn read(&self, tool: &str, args: &Map<String, Value>) -> Result<Value, ToolError>;

    /// For comparison with what should be.
    fn state(&self) -> Value;
}

pub struct Applied {
    pub result: Value,
    /// An honoured key answers again without a second effect.
    pub is_effect: bool,
}

impl Applied {
    pub const fn effect(result: Value) -> Self {
        Self { result, is_effect: true }
    }
}

/// A model that is served.
pub struct Served<M> {
    inner: Mutex<Inner<M>>,
}

struct Inner<M> {
    now: M,
    before: Option<(M, Instant)>,
    ledger: Ledger,
}

impl<M: Model> Served<M> {
    pub fn in_memory() -> Self {
        Self::over(Ledger::in_memory(), M::default())
    }

    /// # Errors
    /// The ledger cannot be read, or belongs to another world.
    pub fn open(path: &Path) -> io::Result<Self> {
        let ledger = Ledger::open(path)?;
        let mut now = M::default();
        for entry in ledger.entries() {
            let call = Call { tool: &entry.tool, args: &entry.args, key: entry.key.as_deref(), stale: false };
            if now.apply(&call, entry.n).is_err() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the ledger belongs to another world"));
            }
        }
        Ok(Self::over(ledger, now))
    }

    const fn over(ledger: Ledger, now: M) -> Self {
        Self { inner: Mutex::new(Inner { now, before: None, ledger }) }
    }
}

impl<M: Model> World for Served<M> {
    fn name(&self) -> &str {
        M::NAME
    }

    fn tools(&self) -> Vec<Tool> {
        M::tools()
    }

    fn call(&self, call: &Call<'_>) -> Result<Value, ToolError> {
        let tool = M::tools().into_iter().find(|tool| tool.name == call.tool).ok_or(ToolError::Unknown)?;
        kill::pause(call);
        let mut inner = self.inner.lock();
        if !tool.hints.is_mutation() {
            let seen = match &inner.before {
                Some((before, changed)) if call.stale && changed.elapsed() < STALE_FOR => before,
                _ => &inner.now,
            };
            return seen.read(call.tool, call.args);
        }
        let mut next = inner.now.clone();
        let applied = next.apply(call, inner.ledger.next_number())?;
        if applied.is_effect {
            if let Err(error) = inner.ledger.append(call.tool, call.args, call.key) {
                return Err(format!("the ledger cannot be written: {error}").into());
            }
            let before = std::mem::replace(&mut inner.now, next);
            inner.before = Some((before, Instant::now()));
        }
        Ok(applied.result)
    }

    fn truth(&self) -> Value {
        let inner = self.inner.lock();
        json!({ "state": inner.now.state(), "ledger": inner.ledger.entries() })
    }
}

/// The worlds by name, over a ledger file or in memory.
///
/// # Errors
/// No such world, or its ledger cannot be read.
pub fn open(name: &str, ledger: Option<&Path>) -> io::Result<Arc<dyn World>> {
    fn served<M: Model>(ledger: Option<&Path>) -> io::Result<Arc<dyn World>> {
        Ok(Arc::new(match ledger {
            Some(path) => Served::<M>::open(path)?,
            None => Served::<M>::in_memory(),
        }))
    }
    match name {
        Kill::NAME => served::<Kill>(ledger),
        Records::NAME => served::<Records>(ledger),
        Counters::NAME => served::<Counters>(ledger),
        Messages::NAME => served::<Messages>(ledger),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no world {name:?}"))),
    }
}

/// The worlds that effects are measured in.
pub const MEASURED: [&str; 3] = [Records::NAME, Counters::NAME, Messages::NAME];
