//! What a second replica brings, where each is held to the same share of a core: otherwise two processes on one machine
//! only share what one of them had.

use super::{Bench, database};
use crate::compare::say;
use crate::targets::{self, Target};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const CALLERS: usize = 64;
/// Short, so that a replica that has used its share waits for milliseconds only.
const PERIOD_US: u64 = 10_000;

#[derive(Debug, Serialize, Deserialize)]
pub struct Gain {
    pub share: f64,
    pub one: f64,
    pub two: f64,
}

/// `None`: this machine cannot show it.
pub fn measure(bench: &Bench) -> Result<Option<Gain>> {
    let share = bench.options.share;
    let Some(first) = Group::new("first", share)? else {
        say("SKIPPED: no group of processes can be held to a share of a core here, which needs root and cgroups")?;
        return Ok(None);
    };
    let second = Group::new("second", share)?.context("the first one could be made")?;
    let Some(database) = database::start()? else { return Ok(None) };
    let url = database.url("postgres");
    let (_mock, upstream) = targets::mock()?;
    let held = |name: &str, group: &Group| -> Result<Target> {
        let mut target = bench.gateway(upstream, name, Some(&url))?;
        group.add(target.process().context("it is a process")?.id())?;
        Ok(target)
    };
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.rounds {
        let a = held("a", &first)?;
        one.push(bench.mutate(&a, CALLERS)?.wait()?.per_second);
        let b = held("b", &second)?;
        let loads = [bench.mutate(&a, CALLERS / 2)?, bench.mutate(&b, CALLERS / 2)?];
        let mut sum = 0.0;
        for load in loads {
            sum += load.wait()?.per_second;
        }
        two.push(sum);
    }
    let median = |mut list: Vec<f64>| {
        list.sort_by(f64::total_cmp);
        list.swap_remove(list.len() / 2)
    };
    Ok(Some(Gain { share, one: median(one), two: median(two) }))
}

/// A control group, gone when it is dropped.
struct Group(PathBuf);

impl Group {
    /// `None`: there are no such groups, or none may be made.
    fn new(name: &str, share: f64) -> Result<Option<Self>> {
        let quota = (PERIOD_US as f64 * share) as u64;
        let unique = format!("cofferdam-bench-{}-{name}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let (parent, settings) = if root.join("cpu/cpu.cfs_quota_us").exists() {
            let settings = [("cpu.cfs_period_us", PERIOD_US.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
            (root.join("cpu"), settings.to_vec())
        } else {
            (root.to_owned(), vec![("cpu.max", format!("{quota} {PERIOD_US}"))])
        };
        let group = Self(parent.join(unique));
        if std::fs::create_dir(&group.0).is_err() {
            return Ok(None);
        }
        for (file, value) in settings {
            if std::fs::write(group.0.join(file), value).is_err() {
                return Ok(None);
            }
        }
        Ok(Some(group))
    }

    fn add(&self, process: u32) -> Result<()> {
        std::fs::write(self.0.join("cgroup.procs"), process.to_string()).context("hold a replica to its share")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // One that is not empty yet stays, and holds nobody.
        std::fs::remove_dir(&self.0).ok();
    }
}
