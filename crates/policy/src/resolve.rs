//! From what was written to what it means; collects everything that is wrong on the way.

mod form;
mod scalars;
mod sections;
mod tools;
mod undo;
mod upstreams;

pub(crate) use sections::is_loopback;
pub(crate) use upstreams::bad_name;

use crate::policy::{Policy, Upstream};
use crate::problem::{Place, Problem, Problems, Source};
use crate::raw;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Answers for `${VAR}`.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Largest policy file, in bytes.
const TEXT_MAX: usize = 4 * 1024 * 1024;

pub(crate) fn policy(text: &str, file: &str, env: Env<'_>, given: Vec<Upstream>) -> Result<Policy, Problems> {
    let cel = Arc::new(cel::Env::stdlib());
    let mut resolver =
        Resolver { source: Source::new(text, file), env, cel, problems: Vec::new(), warnings: Vec::new() };
    if text.len() > TEXT_MAX {
        let problem = resolver.source.problem(Place::default(), "the file is larger than 4 MiB");
        return Err(Problems(Vec::from([problem])));
    }
    let raw = form::read(text, &resolver.source).map_err(|problem| Problems(Vec::from([problem])))?;
    let policy = resolver.policy(raw, given);
    let mut problems = resolver.problems;
    if problems.is_empty() {
        return Ok(policy);
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(Problems(problems))
}

struct Resolver<'a> {
    source: Source<'a>,
    env: Env<'a>,
    /// One for all expressions of the file.
    cel: Arc<cel::Env>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Resolver<'_> {
    fn policy(&mut self, raw: raw::File, given: Vec<Upstream>) -> Policy {
        let mut policy = Policy::default_with(Vec::new());
        policy.upstreams = self.upstreams(raw.upstreams, given);
        self.auth(&mut policy, raw.auth);
        self.listen(&mut policy, raw.listen);
        self.admin(&mut policy, raw.admin);
        policy.spans = raw.defaults.map_or_else(Default::default, |defaults| self.defaults(&defaults));
        policy.limits = self.limits(raw.limits);
        policy.entries = self.tools(raw.tools.unwrap_or_default(), &policy.upstreams);
        self.journal(&mut policy, raw.journal);
        policy.warnings = core::mem::take(&mut self.warnings);
        policy.warnings.sort_by_key(|warning| (warning.line, warning.column));
        policy.hash = policy.hashed();
        policy
    }

    fn error(&mut self, place: Place, message: impl AsRef<str>) -> &mut Problem {
        let problem = self.source.problem(place, message);
        self.problems.push(problem);
        // Just pushed.
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    fn warn(&mut self, place: Place, message: impl AsRef<str>) -> &mut Problem {
        let problem = self.source.problem(place, message);
        self.warnings.push(problem);
        let last = self.warnings.len() - 1;
        &mut self.warnings[last]
    }
}

#[cfg(test)]
mod tests;
