//! Runs the binary in a directory of its own and holds what it said.

use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// What one command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_str(&self.out)
    }

    /// Everything that somebody could read.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// A working directory, a home and a state directory that belong to one test.
pub struct Desk {
    directory: TempDir,
}

impl Desk {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { directory: tempfile::tempdir()? })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> std::io::Result<()> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)
    }

    pub fn read(&self, name: &str) -> std::io::Result<String> {
        std::fs::read_to_string(self.path(name))
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        command.args(args).current_dir(self.directory.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.directory.path()).env("USER", "ann");
        command
    }

    pub fn run(&self, args: &[&str]) -> std::io::Result<Said> {
        self.run_with(args, &[])
    }

    pub fn run_with(&self, args: &[&str], environment: &[(&str, &str)]) -> std::io::Result<Said> {
        let output = self.command(args).envs(environment.iter().copied()).output()?;
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
