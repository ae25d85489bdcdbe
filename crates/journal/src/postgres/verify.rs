//! Checks the chains of events, one for each writer, over what retention left of them.
//!
//! The end of each chain is written with every commit, so that a cut tail shows; only somebody who changes both is not
//! seen.

use super::Shared;
use super::connect::{Link, asked};
use super::rows::{self, EVENT};
use crate::chain::{Gap, Tip, Walk};
use crate::{Error, Verified};
use deadpool_postgres::Object;
use vocab::{Hash, Lsn};

/// Events fetched at once.
const PAGE: i64 = 5_000;
/// What a short check looks at: the ends of the latest chains.
const CHAINS: i64 = 16;
const TAIL: i64 = 4_096;
const RESULTS: i64 = 500;

const LAST_LSN: &str = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM event_lsn";

/// The last position that was ever given.
pub(super) async fn last_lsn(link: &Link) -> Result<u64, Error> {
    rows::value::<i64>(&asked(link.client.query_one(LAST_LSN, &[]).await)?, 0).map(i64::cast_unsigned)
}

pub(super) async fn verify(shared: &Shared, full: bool) -> Result<Verified, Error> {
    let link = shared.reader().await?;
    let to: i64 = rows::value(&asked(link.query_one(LAST_LSN, &[]).await)?, 0)?;
    let sql = format!(
        "SELECT epoch, seq, hash FROM chain ORDER BY epoch DESC {}",
        if full { String::new() } else { format!("LIMIT {CHAINS}") }
    );
    let mut verified = Verified { from: Lsn(0), to: Lsn(to.cast_unsigned()), events: 0, findings: Vec::new() };
    for row in asked(link.query(&sql, &[]).await)? {
        let (epoch, seq): (i64, i64) = (rows::value(&row, 0)?, rows::value(&row, 1)?);
        let end = Tip { lsn: Lsn(seq.cast_unsigned()), hash: Hash(rows::array(&row, 2)?) };
        let from = start(shared, &link, epoch, if full { 0 } else { seq - TAIL }).await?;
        let walk = walk(&link, epoch, from, end.lsn).await?;
        verified.events += walk.events;
        let mut found = walk.findings;
        if walk.tip.lsn < end.lsn {
            let (first, last) = (walk.tip.lsn.0 + 1, end.lsn.0);
            found.push(format!("events {first} to {last} are missing at its end"));
        } else if walk.tip != end {
            found.push("its end is not the one that was written".to_owned());
        }
        verified.findings.extend(found.into_iter().map(|what| format!("chain of writer {epoch}: {what}")));
        verified.findings.truncate(crate::chain::FINDINGS_MAX);
    }
    if full {
        check_results(&link, &mut verified.findings).await?;
    }
    Ok(verified)
}

/// Where a walk begins: at the beginning, or at an event that stands for what came before it.
async fn start(shared: &Shared, link: &Object, epoch: i64, after: i64) -> Result<Tip, Error> {
    let genesis = shared.genesis;
    if after <= 0 {
        return Ok(genesis);
    }
    let sql = "SELECT seq, hash FROM event WHERE epoch = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1";
    let row = asked(link.query_opt(sql, &[&epoch, &after]).await)?;
    let Some(row) = row else { return Ok(genesis) };
    Ok(Tip { lsn: Lsn(rows::value::<i64>(&row, 0)?.cast_unsigned()), hash: Hash(rows::array(&row, 1)?) })
}

async fn walk(link: &Object, epoch: i64, from: Tip, to: Lsn) -> Result<Walk, Error> {
    let sql = "SELECT first, last, hash FROM event_gap WHERE epoch = $1 AND last > $2 ORDER BY first";
    let gaps = asked(link.query(sql, &[&epoch, &from.lsn.0.cast_signed()]).await)?;
    let gap = |row: &tokio_postgres::Row| {
        Ok::<_, Error>(Gap {
            first: Lsn(rows::value::<i64>(row, 0)?.cast_unsigned()),
            last: Lsn(rows::value::<i64>(row, 1)?.cast_unsigned()),
            hash: Hash(rows::array(row, 2)?),
        })
    };
    let gaps: Vec<Gap> = gaps.iter().map(gap).collect::<Result<_, _>>()?;
    let mut gaps = gaps.into_iter().peekable();
    let mut walk = Walk::from(from);
    let sql =
        format!("SELECT {EVENT} FROM event WHERE epoch = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT {PAGE}");
    loop {
        let after = walk.tip.lsn;
        let page = asked(link.query(&sql, &[&epoch, &after.0.cast_signed(), &to.0.cast_signed()]).await)?;
        for row in &page {
            let (mut stored, hash, seq) = rows::event(row)?;
            while let Some(gap) = gaps.next_if(|gap| gap.first <= Lsn(walk.tip.lsn.0 + 1)) {
                walk.skip(&gap);
            }
            stored.lsn = seq;
            walk.event(&stored, hash);
        }
        if page.is_empty() {
            break;
        }
    }
    while let Some(gap) = gaps.next_if(|gap| gap.first <= Lsn(walk.tip.lsn.0 + 1)) {
        walk.skip(&gap);
    }
    Ok(walk)
}

/// What a replay would hand out is compared with its hash.
async fn check_results(link: &Object, findings: &mut Vec<String>) -> Result<(), Error> {
    let mut last = i64::MIN;
    let sql = format!(
        "SELECT seq, step_id, result_hash, result FROM step WHERE seq > $1 AND NOT expired AND result_hash IS NOT NULL \
         ORDER BY seq LIMIT {RESULTS}"
    );
    loop {
        let page = asked(link.query(&sql, &[&last]).await)?;
        for row in &page {
            last = rows::value(row, 0)?;
            let result: Option<&[u8]> = rows::value(row, 3)?;
            let hash: [u8; 32] = rows::array(row, 2)?;
            if result.is_none_or(|bytes| *blake3::hash(bytes).as_bytes() != hash)
                && findings.len() < crate::chain::FINDINGS_MAX
            {
                let step = vocab::StepId(rows::array(row, 1)?);
                findings.push(format!("the stored result of step {step} does not match its hash"));
            }
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}
