//! Process groups of running children, written down so that the start after a crash can end what was left.
//!
//! A file per child, named by its group, says when its leader was started: an id that another process got since is
//! left alone. This needs `/proc`; where there is none, nothing is written and nothing is ended.

use super::process::Group;
use rustix::process::{Pid, Signal};
use std::fs;
use std::path::{Path, PathBuf};

/// Removes its file when the child is gone.
pub struct Record(PathBuf);

impl Drop for Record {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, "the record of a child could not be removed");
        }
    }
}

/// Writes a child down. Failing to is no reason not to run it.
pub fn record(folder: &Path, group: &Group) -> Option<Record> {
    let started = started(group.id())?;
    let path = folder.join(group.id().to_string());
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, format!("{}\n{started}\n", boot()?)));
    match written {
        Ok(()) => Some(Record(path)),
        Err(error) => {
            tracing::warn!(%error, "a child could not be written down: after a crash it would be left running");
            None
        }
    }
}

/// Ends the children that an earlier start of the gateway left behind, and forgets them. For a tool that works in its
/// own process alone this is proof that nothing runs any more. Returns how many groups were ended.
///
/// # Errors
/// The folder cannot be read.
pub fn end_children_of_earlier_starts(folder: &Path) -> std::io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let boot = boot()?;
    let mut ended = 0;
    for entry in entries {
        let path = entry?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.lines().next() == Some(boot.as_str()) && is_ours(id, text.lines().nth(1)) && kill(id) {
            ended += 1;
        }
        fs::remove_file(&path)?;
    }
    Ok(ended)
}

/// The leader is the one that was written down, or has gone and left others in its group.
fn is_ours(id: i32, written: Option<&str>) -> bool {
    started(id).is_none_or(|now| Some(now.as_str()) == written)
}

fn kill(id: i32) -> bool {
    Pid::from_raw(id).is_some_and(|group| rustix::process::kill_process_group(group, Signal::KILL).is_ok())
}

/// When the process was started, in ticks since boot: field 22 of its `stat`. The name before it may hold anything,
/// also spaces and parentheses.
fn started(id: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_ascii_whitespace().nth(19).map(str::to_owned)
}

fn boot() -> std::io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep runs")
    }

    fn id(child: &Child) -> i32 {
        i32::try_from(child.id()).expect("a process id")
    }

    #[test]
    fn a_child_that_was_left_is_ended_and_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = sleeper();
        let boot = boot().expect("a boot id");
        let started = started(id(&child)).expect("it runs");
        let path = folder.path().join(child.id().to_string());
        fs::write(&path, format!("{boot}\n{started}\n")).expect("written");
        assert_eq!(end_children_of_earlier_starts(folder.path()).expect("readable"), 1);
        assert!(!child.wait().expect("it ended").success());
        assert!(!path.exists());
    }

    #[test]
    fn a_process_that_only_has_the_same_id_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = sleeper();
        let boot = boot().expect("a boot id");
        fs::write(folder.path().join(child.id().to_string()), format!("{boot}\n1\n")).expect("written");
        fs::write(folder.path().join("notes.txt"), "not ours").expect("written");
        assert_eq!(end_children_of_earlier_starts(folder.path()).expect("readable"), 0);
        assert_eq!(child.try_wait().expect("asked"), None, "it still runs");
        child.kill().expect("ended by the test");
        child.wait().expect("ended by the test");
        assert_eq!(end_children_of_earlier_starts(&folder.path().join("none")).expect("nothing there"), 0);
    }
}
