//! Where a wrap keeps its journal: under the state directory of its user, in the lowest slot that nobody uses.

use super::start;
use crate::exit::{Exit, Failed};
use journal::Sqlite;
use policy::Policy;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Instances of one wrap at once.
const SLOTS_MAX: usize = 64;

/// A slot and the journal in it.
pub struct Slot {
    pub place: PathBuf,
    pub journal: Arc<Sqlite>,
}

/// Takes the lowest free slot of a wrapped command.
pub async fn take(state: &Path, command: &[String], policy: &Policy) -> Result<Slot, Failed> {
    let wrap = state.join("cofferdam").join("wrap").join(name(command));
    for number in 0..SLOTS_MAX {
        let place = wrap.join(number.to_string());
        match start::journal(&place, policy).await {
            Ok(journal) => return Ok(Slot { place, journal }),
            // Another window has it; its journal is its own.
            Err(failed) if failed.exit == Exit::InUse => {}
            Err(failed) => return Err(failed),
        }
    }
    let why = format!("take a slot in {}: all {SLOTS_MAX} are in use", wrap.display());
    Err(Failed::new(Exit::InUse, why))
}

/// Names a command with its arguments, whatever they hold.
fn name(command: &[String]) -> String {
    let mut hash = blake3::Hasher::new();
    for part in command {
        hash.update(&part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().to_hex().as_str()[..16].to_owned()
}

/// `$XDG_STATE_HOME`, else `~/.local/state`.
pub fn state() -> Result<PathBuf, Failed> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(".local").join("state"));
    let none = || Failed::new(Exit::Failed, "find a place for the journal: neither XDG_STATE_HOME nor HOME is set");
    absolute("XDG_STATE_HOME").or_else(home).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_argument_is_another_wrap() {
        let of = |words: &[&str]| name(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        assert_ne!(of(&["a", "bc"]), of(&["ab", "c"]));
        assert_eq!(of(&["a"]).len(), 16);
    }

    #[tokio::test]
    async fn a_second_instance_takes_the_next_slot_and_the_next_start_the_lowest() -> Result<(), Failed> {
        let state = tempfile::tempdir()?;
        let policy = Policy::default_with(Vec::new());
        let command = ["server".to_owned()];
        let first = take(state.path(), &command, &policy).await?;
        let second = take(state.path(), &command, &policy).await?;
        assert!(first.place.ends_with("0") && second.place.ends_with("1"));
        journal::Journal::close(&*first.journal);
        drop(first);
        let third = take(state.path(), &command, &policy).await?;
        assert!(third.place.ends_with("0"));
        Ok(())
    }
}
