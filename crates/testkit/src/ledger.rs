//! The ground truth: one line per effect, appended and synced before the effect's answer is made.
//!
//! A world is the fold of its ledger, so a server that was killed comes back with exactly what it had done.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// One effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Position, from 1.
    pub n: u64,
    /// Microseconds since 1970.
    pub at: u64,
    pub tool: String,
    pub args: Map<String, Value>,
    /// Of tool and arguments, members sorted: equal calls have equal hashes.
    pub hash: String,
    /// What the caller meant (`intent` in the arguments), where it said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub intent: Option<String>,
    /// The idempotency key that came with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
}

/// Appends to a file, or only to memory.
#[derive(Debug)]
pub struct Ledger {
    file: Option<File>,
    entries: Vec<Entry>,
}

impl Ledger {
    pub const fn in_memory() -> Self {
        Self { file: None, entries: Vec::new() }
    }

    /// Opens or creates the file. A last line without its end was never answered for: it is cut off.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let (entries, whole) = read_lines(BufReader::new(&file))?;
        if file.metadata()?.len() > whole {
            file.set_len(whole)?;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file: Some(file), entries })
    }

    /// Reads a ledger that another process writes.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
        match File::open(path) {
            Ok(file) => read_lines(BufReader::new(file)).map(|(entries, _)| entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn next_number(&self) -> u64 {
        self.entries.len() as u64 + 1
    }

    /// Durable when it returns.
    ///
    /// # Errors
    /// The line could not be written or synced; then the effect must not be answered for.
    pub fn append(&mut self, tool: &str, args: &Map<String, Value>, key: Option<&str>) -> io::Result<u64> {
        let entry = Entry {
            n: self.next_number(),
            at: micros(),
            tool: tool.into(),
            args: args.clone(),
            hash: hash(tool, args),
            intent: args.get("intent").and_then(Value::as_str).map(Into::into),
            key: key.map(Into::into),
        };
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&entry)?;
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_data()?;
        }
        let number = entry.n;
        self.entries.push(entry);
        Ok(number)
    }
}

/// The entries, and the length of the whole lines.
fn read_lines(mut reader: impl BufRead) -> io::Result<(Vec<Entry>, u64)> {
    let (mut entries, mut whole, mut line) = (Vec::new(), 0, Vec::new());
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        if length == 0 || line.last() != Some(&b'\n') {
            return Ok((entries, whole));
        }
        entries.push(serde_json::from_slice(&line)?);
        whole += length as u64;
    }
}

/// FNV-1a over tool and sorted arguments: independent of the gateway's own hashes on purpose.
pub fn hash(tool: &str, args: &Map<String, Value>) -> String {
    let mut text = tool.to_owned();
    sorted(&Value::Object(args.clone()), &mut text);
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

fn sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.keys().collect();
            names.sort_unstable();
            out.push('{');
            for name in names {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                sorted(&members[name], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                sorted(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

pub(crate) fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
