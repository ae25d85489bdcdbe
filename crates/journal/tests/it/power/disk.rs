//! A disk that loses power: which files it may hold after the first so many operations of a record.
//!
//! What was synced is there. Of the rest any part may be: a write whole, not at all, or sector by sector; names as they
//! were after any of the changes that were not yet synced with their directory. Writes to one file that overlap keep
//! their order.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was done, in order.
#[derive(Clone, Debug)]
pub enum Op {
    Create { file: usize, name: PathBuf },
    Write { file: usize, at: u64, bytes: Arc<[u8]> },
    Truncate { file: usize, length: u64 },
    Sync { file: usize },
    Rename { file: usize, from: PathBuf, to: PathBuf },
    Unlink { name: PathBuf },
    SyncDirectory,
    Told(u64),
}

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// All of it survives: the end of the process, or a disk that was quick.
    Kept,
    /// None of it.
    Lost,
    /// All but the write at this place among those that were not synced.
    AllBut(usize),
    /// Nothing but it.
    Only(usize),
    /// All, and of the last write the first so many units of this size; the rest of it is not there.
    Head { unit: usize, count: usize },
    /// All, and of the last write everything but the first so many units of this size.
    Tail { unit: usize, count: usize },
    /// Each unit of each write by a coin, and a part of the names' changes.
    Coins { unit: usize, seed: u64 },
}

/// The state of a disk in the course of a record: what is safe, and what is not yet.
#[derive(Clone, Default)]
pub struct Disk {
    safe: HashMap<usize, Vec<u8>>,
    safe_names: BTreeMap<PathBuf, usize>,
    open: Vec<Op>,
    open_names: Vec<Op>,
    /// A disk that lies: it reports a sync and does none.
    pub lies: bool,
}

impl Disk {
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { .. } | Op::Truncate { .. } => self.open.push(op.clone()),
            Op::Create { .. } | Op::Rename { .. } | Op::Unlink { .. } => self.open_names.push(op.clone()),
            Op::Sync { .. } | Op::SyncDirectory if self.lies => {}
            Op::Sync { file } => {
                for open in std::mem::take(&mut self.open) {
                    if open.file() == Some(*file) {
                        change(&mut self.safe, &open);
                    } else {
                        self.open.push(open);
                    }
                }
            }
            Op::SyncDirectory => {
                for open in std::mem::take(&mut self.open_names) {
                    rename(&mut self.safe_names, &open);
                }
            }
            Op::Told(_) => {}
        }
    }

    /// Writes that may still be lost.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Bytes of the last write, if it may still be lost.
    pub fn last_write(&self) -> usize {
        match self.open.last() {
            Some(Op::Write { bytes, .. }) => bytes.len(),
            _ => 0,
        }
    }

    /// What is on the disk when it comes back.
    pub fn image(&self, fate: Fate) -> Image {
        let (mut files, mut names) = (self.safe.clone(), self.safe_names.clone());
        let last = self.open.len().wrapping_sub(1);
        let mut coins = Coins::new(fate);
        for (at, op) in self.open.iter().enumerate() {
            let survives = match fate {
                Fate::Kept | Fate::Coins { .. } => true,
                Fate::Lost => false,
                Fate::AllBut(lost) => at != lost,
                Fate::Only(kept) => at == kept,
                Fate::Head { .. } | Fate::Tail { .. } => at != last,
            };
            match (op, fate) {
                (Op::Write { file, at, bytes }, Fate::Coins { unit, .. }) => {
                    pieces(*at, bytes, unit).filter(|_| coins.heads()).for_each(|(at, piece)| {
                        write(files.entry(*file).or_default(), at, piece);
                    });
                }
                (_, Fate::Coins { .. }) if coins.heads() => change(&mut files, op),
                (_, Fate::Coins { .. }) => {}
                (Op::Write { file, at: from, bytes }, Fate::Head { unit, count }) if at == last => {
                    pieces(*from, bytes, unit).take(count).for_each(|(at, piece)| {
                        write(files.entry(*file).or_default(), at, piece);
                    });
                }
                (Op::Write { file, at: from, bytes }, Fate::Tail { unit, count }) if at == last => {
                    pieces(*from, bytes, unit).skip(count).for_each(|(at, piece)| {
                        write(files.entry(*file).or_default(), at, piece);
                    });
                }
                _ if survives => change(&mut files, op),
                _ => {}
            }
        }
        let names_kept = match fate {
            Fate::Lost | Fate::Only(_) => 0,
            Fate::Coins { .. } => coins.below(self.open_names.len() + 1),
            _ => self.open_names.len(),
        };
        self.open_names[..names_kept].iter().for_each(|op| rename(&mut names, op));
        let files = names.into_iter().map(|(name, file)| (name, files.remove(&file).unwrap_or_default())).collect();
        Image(files)
    }
}

impl Op {
    const fn file(&self) -> Option<usize> {
        match self {
            Self::Write { file, .. } | Self::Truncate { file, .. } => Some(*file),
            _ => None,
        }
    }
}

/// Files by name.
#[derive(Debug, Hash, PartialEq, Eq)]
pub struct Image(BTreeMap<PathBuf, Vec<u8>>);

impl Image {
    pub fn put(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("a directory");
        for (name, bytes) in &self.0 {
            fs::write(directory.join(name), bytes).expect("room");
        }
    }
}

fn change(files: &mut HashMap<usize, Vec<u8>>, op: &Op) {
    match op {
        Op::Write { file, at, bytes } => write(files.entry(*file).or_default(), *at, bytes),
        Op::Truncate { file, length } => files.entry(*file).or_default().resize(index(*length), 0),
        _ => {}
    }
}

/// A gap that was never written reads as zeroes.
fn write(file: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let (from, to) = (index(at), index(at) + bytes.len());
    if file.len() < to {
        file.resize(to, 0);
    }
    file[from..to].copy_from_slice(bytes);
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, op: &Op) {
    match op {
        Op::Create { file, name } => {
            names.insert(name.clone(), *file);
        }
        Op::Rename { file, from, to } => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
        Op::Unlink { name } => {
            names.remove(name);
        }
        _ => {}
    }
}

/// The parts of a write that lie in one unit of the disk each.
fn pieces(at: u64, bytes: &[u8], unit: usize) -> impl Iterator<Item = (u64, &[u8])> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let left = bytes.len() - from;
        let length = left.min(unit - (index(at) + from) % unit);
        let piece = (at + from as u64, &bytes[from..from + length]);
        from += length;
        (length > 0).then_some(piece)
    })
}

fn index(at: u64) -> usize {
    usize::try_from(at).expect("a small file")
}

struct Coins(u64);

impl Coins {
    const fn new(fate: Fate) -> Self {
        match fate {
            Fate::Coins { seed, .. } => Self(seed),
            _ => Self(0),
        }
    }

    /// splitmix64.
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    const fn heads(&mut self) -> bool {
        self.next() & 1 == 1
    }

    const fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[test]
fn what_was_synced_survives_and_the_rest_as_fate_has_it() {
    let write = |at, byte| Op::Write { file: 0, at, bytes: Arc::from(vec![byte; 1024]) };
    let mut disk = Disk::default();
    for op in [Op::Create { file: 0, name: "a".into() }, write(0, b'a'), Op::SyncDirectory, Op::Sync { file: 0 }] {
        disk.apply(&op);
    }
    disk.apply(&write(1024, b'b'));
    disk.apply(&write(512, b'c'));
    let runs = |disk: &Disk, fate| -> String {
        let image = disk.image(fate);
        image.0[Path::new("a")].chunks(512).map(|sector| char::from(sector[0]).to_string().replace('\0', "0")).collect()
    };
    assert_eq!(runs(&disk, Fate::Lost), "aa");
    assert_eq!(runs(&disk, Fate::Kept), "accb");
    assert_eq!(runs(&disk, Fate::AllBut(1)), "aabb");
    assert_eq!(runs(&disk, Fate::Only(1)), "acc");
    assert_eq!(runs(&disk, Fate::Head { unit: 512, count: 1 }), "acbb");
    assert_eq!(runs(&disk, Fate::Tail { unit: 512, count: 1 }), "aacb");
    disk.lies = true;
    disk.apply(&Op::Sync { file: 0 });
    assert_eq!(runs(&disk, Fate::Lost), "aa", "a disk that lies");
}

#[test]
fn a_name_is_safe_once_its_directory_is_synced() {
    let mut disk = Disk::default();
    disk.apply(&Op::Create { file: 0, name: "next".into() });
    disk.apply(&Op::Rename { file: 0, from: "next".into(), to: "mark".into() });
    let names = |disk: &Disk, fate| disk.image(fate).0.into_keys().collect::<Vec<_>>();
    assert!(names(&disk, Fate::Lost).is_empty());
    assert_eq!(names(&disk, Fate::Kept), [PathBuf::from("mark")]);
    disk.apply(&Op::SyncDirectory);
    assert_eq!(names(&disk, Fate::Lost), [PathBuf::from("mark")]);
}
