//! The readers of this folder, for [`crate::hostile`].

use super::mark::Mark;
use super::piece::{self, Piece};
use crate::Error;
use std::sync::Arc;
use vocab::{Epoch, Lsn, Record, StepId, StepIntent, StepRow, StepStatus};

/// Rows of the log, one for each append.
pub(crate) fn stored(appends: &[Vec<Record>]) -> Vec<Vec<u8>> {
    let row = |records: &Vec<Record>| {
        let mut out = Vec::new();
        piece::begin(&mut out, Epoch(2));
        piece::pack(&mut out, records);
        out
    };
    appends.iter().map(row).chain([Mark::sample().bytes()]).collect()
}

pub(crate) fn stone(intent: StepIntent, status: StepStatus, epoch: Epoch) -> Vec<u8> {
    piece::pack_stone(&StepRow { intent: Arc::new(intent), status, epoch, result: None, expired: true })
}

pub(crate) fn read(step: StepId, bytes: &[u8]) -> Result<(), Error> {
    drop((Mark::parse(bytes), piece::events(step, Lsn(9), bytes)));
    let Ok((writer, pieces)) = piece::unpack(step, bytes) else { return Ok(()) };
    let mut again = Vec::new();
    piece::begin(&mut again, writer);
    let records: Vec<Record> = pieces.into_iter().map(|piece| record(step, piece)).collect();
    piece::pack(&mut again, &records);
    let survives = piece::unpack(step, &again).is_ok_and(|(epoch, pieces)| {
        epoch == writer && pieces.into_iter().map(|piece| record(step, piece)).eq(records)
    });
    if survives { Ok(()) } else { Err(Error::Read("a row of the log does not survive being packed again".to_owned())) }
}

fn record(step: StepId, piece: Piece) -> Record {
    match piece {
        Piece::Insert { intent, status, epoch } => Record::Insert { intent, status, epoch },
        Piece::Update { status, epoch, result } => Record::Update { step, epoch, status, result },
        Piece::Event(event) => Record::Event(event),
    }
}
