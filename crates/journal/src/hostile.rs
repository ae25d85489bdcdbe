//! The readers of stored bytes, for whoever feeds them with damaged ones. None may panic, hang or take more memory than
//! the bytes are long.

use crate::contract::sample::{begin, closed, end, id, intent, read};
use crate::{Error, reads, sqlite};
use vocab::{Epoch, Outcome, RunId};

/// Bytes as they are stored: rows of the log, what is left of a step, packed notes of reads, a mark.
#[must_use]
pub fn stored() -> Vec<Vec<u8>> {
    let mut all = sqlite::hostile::stored(&[begin(intent(1), Epoch(3)), end(1, Epoch(4))]);
    all.push(reads::pack(&[read(1), read(7), read(2)]));
    let status = closed(intent(2).created_at, Outcome::NotExecuted);
    all.push(sqlite::hostile::stone(intent(2), status, Epoch(5)));
    all
}

/// Reads bytes as each of the forms. What a reader takes, it must take again once it is written anew.
///
/// # Errors
/// The bytes of a form that was understood do not survive being written anew.
pub fn read_all(bytes: &[u8]) -> Result<(), Error> {
    sqlite::hostile::read(id(1), bytes)?;
    drop(reads::unpack(bytes, Some(RunId([2; 16]))));
    let Ok(notes) = reads::unpack(bytes, None) else { return Ok(()) };
    match reads::unpack(&reads::pack(&notes), None) {
        Ok(again) if again == notes => Ok(()),
        _ => Err(Error::Read("notes of reads do not survive being packed again".to_owned())),
    }
}
