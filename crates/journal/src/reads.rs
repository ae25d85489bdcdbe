//! Notes of reads, packed: one compact blob holds thousands, because a row per read would cost more than the read.
//!
//! Form 1: the byte 1; the dictionary of names and of runs; then the notes, with numbers as LEB128 and times as the
//! distance from the note before. A newer form gets another first byte.

use crate::Error;
use crate::packed::{Reader, number, unzigzag, zigzag};
use std::collections::HashMap;
use std::sync::Arc;
use vocab::{
    Bytes, Cause, Effect, EffectSource, Epoch, Hash, Instant, KeySource, Name, Outcome, ReadNote, RunId, State, StepId,
    StepIntent, StepRow, StepStatus,
};

const FORM: u8 = 1;

/// The notes of one flush.
pub(crate) fn pack(notes: &[ReadNote]) -> Vec<u8> {
    let mut names: Vec<&Name> = Vec::new();
    let mut name_at: HashMap<&str, u64> = HashMap::new();
    let mut runs: Vec<RunId> = Vec::new();
    let mut run_at: HashMap<RunId, u64> = HashMap::new();
    for note in notes {
        for name in [&note.principal, &note.upstream, &note.tool] {
            name_at.entry(name).or_insert_with(|| {
                names.push(name);
                names.len() as u64 - 1
            });
        }
        run_at.entry(note.run).or_insert_with(|| {
            runs.push(note.run);
            runs.len() as u64 - 1
        });
    }
    let mut out = Vec::with_capacity(64 + notes.len() * 32);
    out.push(FORM);
    number(&mut out, names.len() as u64);
    for name in names {
        number(&mut out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
    }
    number(&mut out, runs.len() as u64);
    for run in &runs {
        out.extend_from_slice(&run.0);
    }
    number(&mut out, notes.len() as u64);
    let mut last = 0;
    for note in notes {
        out.extend_from_slice(&note.step.0);
        number(&mut out, run_at[&note.run]);
        for name in [&note.principal, &note.upstream, &note.tool] {
            number(&mut out, name_at[&**name]);
        }
        let at = note.at.as_micros();
        number(&mut out, zigzag(at.wrapping_sub(last).cast_signed()));
        last = at;
        number(&mut out, u64::from(note.took_micros));
        number(&mut out, u64::from(note.attempts));
        out.push(note.outcome.number());
        out.push(note.cause.number());
    }
    out
}

/// The notes of one blob; only those of `run` when one is given, found by the dictionary alone where it has none.
pub(crate) fn unpack(bytes: &[u8], run: Option<RunId>) -> Result<Vec<ReadNote>, Error> {
    let mut from = Reader(bytes);
    parse(&mut from, run).ok_or_else(|| Error::Read("a packed batch of reads is damaged".to_owned()))
}

fn parse(from: &mut Reader<'_>, wanted: Option<RunId>) -> Option<Vec<ReadNote>> {
    if from.byte()? != FORM {
        return None;
    }
    let names: Vec<Name> = (0..from.count()?).map(|_| from.text()).collect::<Option<_>>()?;
    let runs: Vec<RunId> = (0..from.count()?).map(|_| from.array().map(RunId)).collect::<Option<_>>()?;
    if wanted.is_some_and(|run| !runs.contains(&run)) {
        return Some(Vec::new());
    }
    let mut notes = Vec::new();
    let mut last = 0_u64;
    for _ in 0..from.count()? {
        let step = StepId(from.array()?);
        let run = *runs.get(from.index()?)?;
        let mut name = || names.get(from.index()?).cloned();
        let (principal, upstream, tool) = (name()?, name()?, name()?);
        last = last.wrapping_add(unzigzag(from.number()?).cast_unsigned());
        let note = ReadNote {
            step,
            run,
            principal,
            upstream,
            tool,
            at: Instant::from_micros(last),
            took_micros: u32::try_from(from.number()?).ok()?,
            attempts: u16::try_from(from.number()?).ok()?,
            outcome: Outcome::from_number(from.byte()?)?,
            cause: Cause::from_number(from.byte()?)?,
        };
        if wanted.is_none_or(|run| run == note.run) {
            notes.push(note);
        }
    }
    Some(notes)
}

/// A read as a row: what is not known of it is empty.
pub(crate) fn row(note: &ReadNote) -> StepRow {
    let intent = StepIntent {
        step: note.step,
        key: Hash::default(),
        generation: 0,
        key_source: KeySource::Fresh,
        fingerprint: Hash::default(),
        content: Hash::default(),
        scope: Hash::default(),
        tenant: Name::from(""),
        principal: note.principal.clone(),
        run: note.run,
        upstream: note.upstream.clone(),
        tool: note.tool.clone(),
        effect: Effect::Read,
        effect_source: EffectSource::Guessed,
        policy: Hash::default(),
        lane: None,
        args: Bytes::new(),
        upstream_key: None,
        preimage: None,
        undo: None,
        created_at: note.at,
    };
    let closed_at = note.at + std::time::Duration::from_micros(u64::from(note.took_micros));
    let status = StepStatus {
        attempt: u32::from(note.attempts),
        outcome: Some(note.outcome),
        cause: Some(note.cause),
        closed_at: Some(closed_at),
        ..StepStatus::new(State::Closed)
    };
    StepRow { intent: Arc::new(intent), status, epoch: Epoch(0), result: None, expired: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn note() -> impl Strategy<Value = ReadNote> {
        let names = || prop_oneof!["[a-z]{1,8}", Just("ü§".to_owned())].prop_map(Name::from);
        let whole = (any::<[u8; 16]>(), any::<[u8; 1]>(), names(), names(), names());
        (whole, any::<u64>(), any::<u32>(), any::<u16>(), 0..Outcome::ALL.len(), 0..Cause::ALL.len()).prop_map(
            |((step, run, principal, upstream, tool), at, took_micros, attempts, outcome, cause)| ReadNote {
                step: StepId(step),
                run: RunId([run[0] % 3; 16]),
                principal,
                upstream,
                tool,
                at: Instant::from_micros(at),
                took_micros,
                attempts,
                outcome: Outcome::ALL[outcome],
                cause: Cause::ALL[cause],
            },
        )
    }

    proptest! {
        #[test]
        fn packed_reads_come_back_as_they_were(notes in prop::collection::vec(note(), 0..40)) {
            prop_assert_eq!(&unpack(&pack(&notes), None), &Ok(notes.clone()));
            let run = RunId([1; 16]);
            let of_run: Vec<_> = notes.iter().filter(|note| note.run == run).cloned().collect();
            prop_assert_eq!(unpack(&pack(&notes), Some(run)), Ok(of_run));
        }

        #[test]
        fn damaged_reads_are_refused_and_never_panic(mut notes in prop::collection::vec(note(), 1..4), at: usize, bit in 0_u32..8) {
            notes.truncate(3);
            let mut bytes = pack(&notes);
            let at = at % bytes.len();
            bytes[at] ^= 1_u8 << bit;
            // Whatever comes back, it came back.
            drop(unpack(&bytes, None));
            prop_assert!(unpack(&bytes[..at], None).is_err());
        }
    }

    #[test]
    fn a_read_takes_tens_of_bytes() {
        let one = |at: u64| ReadNote {
            step: StepId([7; 16]),
            run: RunId([1; 16]),
            principal: "agent".into(),
            upstream: "shop".into(),
            tool: "get_order".into(),
            at: Instant::from_micros(1_700_000_000_000_000 + at * 900),
            took_micros: 800,
            attempts: 1,
            outcome: Outcome::Succeeded,
            cause: Cause::Ok,
        };
        let notes: Vec<_> = (0..1000).map(one).collect();
        assert!(pack(&notes).len() < 30 * notes.len());
    }
}
