use journal::contract::{CASES, Subject};
use journal::crash::Tail;
use journal::sqlite::{Durability, Options};
use journal::{Crash, Journal, Memory, Sqlite};
use std::sync::Arc;
use tempfile::TempDir;

fn run<S: Subject>(fresh: impl Fn() -> S) {
    for (name, case) in CASES {
        eprintln!("{name}");
        case(&mut fresh());
    }
}

struct InFile(TempDir, Options);

impl Subject for InFile {
    fn open(&mut self) -> Arc<dyn Journal> {
        Sqlite::open(self.0.path(), self.1.clone()).expect("a fresh directory")
    }
}

fn in_file(options: Options) -> InFile {
    InFile(tempfile::tempdir().expect("a temporary directory"), options)
}

struct InMemory(Option<Arc<Memory>>, fn() -> Arc<Memory>);

impl Subject for InMemory {
    fn open(&mut self) -> Arc<dyn Journal> {
        let next = self.0.as_ref().map_or_else(self.1, |last| last.reopen());
        self.0 = Some(Arc::clone(&next));
        next
    }

    fn pump(&self) {
        if let Some(memory) = &self.0 {
            memory.pump();
        }
    }
}

struct Crashing(Option<Arc<Crash>>);

impl Subject for Crashing {
    fn open(&mut self) -> Arc<dyn Journal> {
        let next = self.0.as_ref().map_or_else(Crash::new, |last| last.crash(Tail::Lost));
        self.0 = Some(Arc::clone(&next));
        next
    }

    fn pump(&self) {
        if let Some(crash) = &self.0 {
            crash.pump();
        }
    }
}

#[test]
fn the_file_journal_keeps_the_contract() {
    run(|| in_file(Options::default()));
}

#[test]
fn the_file_journal_without_syncs_keeps_the_contract() {
    run(|| in_file(Options { durability: Durability::ProcessCrashOnly, ..Options::default() }));
}

#[test]
fn the_file_journal_keeps_the_contract_whenever_its_tables_follow() {
    for settle_after in [1, 2, 5] {
        run(|| in_file(Options { settle_after, ..Options::default() }));
    }
}

#[test]
fn the_memory_journal_keeps_the_contract() {
    run(|| InMemory(None, Memory::new));
}

#[test]
fn the_pumped_memory_journal_keeps_the_contract() {
    run(|| InMemory(None, Memory::manual));
}

#[test]
fn the_crashing_journal_keeps_the_contract() {
    run(|| Crashing(None));
}
