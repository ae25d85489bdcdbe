//! Starting a child in its own process group, listening to its stderr, and ending the whole group.

use super::Environment;
use crate::failure::fail;
use rustix::process::{Pid, Signal};
use secrecy::{ExposeSecret, SecretString};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio as Pipe;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use vocab::{Failure, FailureKind, Name};

pub struct Pipes {
    pub stdin: ChildStdin,
    pub stdout: ChildStdout,
    pub stderr: ChildStderr,
}

/// The process group that a child leads.
#[derive(Clone, Debug)]
pub struct Group(Pid);

impl Group {
    pub fn id(&self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Nobody left to signal is what a signal wants.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = rustix::process::kill_process_group(self.0, signal) {
            tracing::trace!(%error, "a process group could not be signalled");
        }
    }

    /// Is anybody left in it?
    pub fn is_alive(&self) -> bool {
        rustix::process::test_kill_process_group(self.0).is_ok()
    }
}

pub fn start(
    command: &[SecretString],
    env: &[(String, SecretString)],
    cwd: Option<&Path>,
    environment: Environment,
) -> Result<(Child, Pipes, Group), Failure> {
    let spawn = |detail: &str| fail(FailureKind::Spawn, detail);
    let (program, arguments) = command.split_first().ok_or_else(|| spawn("there is no command"))?;
    let mut start = Command::new(program.expose_secret());
    start.args(arguments.iter().map(ExposeSecret::expose_secret));
    start.env_clear().envs(environment.inherited());
    start.envs(env.iter().map(|(name, value)| (name, value.expose_secret())));
    start.stdin(Pipe::piped()).stdout(Pipe::piped()).stderr(Pipe::piped());
    start.process_group(0).kill_on_drop(true);
    if let Some(cwd) = cwd {
        start.current_dir(cwd);
    }
    // The command may hold secrets, so it is not repeated.
    let mut child = start.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => spawn("the command cannot be started: no such program on the PATH, or no such folder"),
        kind => spawn(&format!("the command cannot be started: {kind}")),
    })?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).map(Group);
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    match (group, pipes) {
        (Some(group), (Some(stdin), Some(stdout), Some(stderr))) => Ok((child, Pipes { stdin, stdout, stderr }, group)),
        _ => Err(spawn("the command was over at once")),
    }
}

/// Waits for the child to leave, then makes it: SIGTERM, then SIGKILL, to the whole group. Says how the child ended.
pub async fn end(child: &mut Child, group: &Group, grace: Duration) -> String {
    let mut left = tokio::time::timeout(grace, child.wait()).await.ok();
    if left.is_none() {
        group.signal(Signal::TERM);
        left = tokio::time::timeout(grace, child.wait()).await.ok();
    }
    // What the child started belongs to it, also when the child itself left in good order.
    if left.is_none() || group.is_alive() {
        group.signal(Signal::KILL);
    }
    let left = match left {
        Some(left) => left,
        None => child.wait().await,
    };
    left.map_or_else(|error| error.kind().to_string(), |status| status.to_string())
}

/// Longest line of a child's stderr that is logged, and most bytes of it in all: a chatty child fills no disk.
const LINE_MAX: usize = 2 * 1024;
const LOGGED_MAX: usize = 512 * 1024;

/// Reads stderr to its end, so that the child never blocks on it, and logs it without what is secret.
pub async fn log_errors(mut stderr: impl AsyncRead + Unpin, upstream: Name, secrets: Vec<String>) {
    let mut line: Vec<u8> = Vec::new();
    let mut logged = 0_usize;
    let mut chunk = [0_u8; 4096];
    loop {
        let read = match stderr.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        for byte in &chunk[..read] {
            if *byte == b'\n' {
                log_line(&upstream, &line, &secrets, &mut logged);
                line.clear();
            } else if line.len() < LINE_MAX {
                line.push(*byte);
            }
        }
    }
    log_line(&upstream, &line, &secrets, &mut logged);
}

fn log_line(upstream: &str, line: &[u8], secrets: &[String], logged: &mut usize) {
    if line.is_empty() || *logged > LOGGED_MAX {
        return;
    }
    *logged += line.len();
    if *logged > LOGGED_MAX {
        tracing::info!(upstream, "the child wrote so much to stderr that the rest is not logged");
        return;
    }
    tracing::info!(upstream, line = redacted(line, secrets), "stderr of the child");
}

/// Short values are no secrets, and would tear holes into every line.
const SECRET_MIN: usize = 6;

fn redacted(line: &[u8], secrets: &[String]) -> String {
    let mut text: String =
        String::from_utf8_lossy(line).chars().filter(|one| !one.is_control() || *one == '\t').collect();
    for secret in secrets.iter().filter(|secret| secret.len() >= SECRET_MIN) {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), "***");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_says_is_logged_without_secrets_and_escapes() {
        let secrets = vec!["s3cr3t-token".to_owned(), "a".to_owned()];
        assert_eq!(redacted(b"\x1b[31mtoken s3cr3t-token and a\r", &secrets), "[31mtoken *** and a");
    }
}
