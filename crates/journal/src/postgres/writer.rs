//! The one task that writes: drains the queue into one transaction, waits for its commit, tells all waiters at once.
//!
//! The statements of a batch are sent without waiting for each other's answers: a commit costs two round trips,
//! however many appends share it.

use super::Shared;
use super::connect::{Link, is_broken, is_passing};
use super::queue::{Append, Batch};
use super::rows::{self, Values};
use crate::chain::Tip;
use crate::{Durable, Error};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use vocab::{Epoch, GuardRow, Lsn, ReadNote, Record, State, StepId};

/// Between two tries to reach the database.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// Batches that met another writer are tried again.
const PASSING_MAX: u32 = 8;

const LIVE: &str = "SELECT 1 FROM replica WHERE id = $1 AND NOT fenced AND lease_until > clock_timestamp()";
pub(super) const EVENTS: &str = "INSERT INTO event(lsn, step_id, at, epoch, seq, kind, attempt, class, detail, hash) \
    SELECT nextval('event_lsn'), s, a, $1, n, k, t, c, d, h FROM (SELECT * FROM unnest($2::bytea[], $3::bigint[], \
    $4::bigint[], $5::smallint[], $6::bigint[], $7::smallint[], $8::bytea[], $9::bytea[]) \
    WITH ORDINALITY AS u(s, a, n, k, t, c, d, h, o) ORDER BY o) q RETURNING lsn";
const NOTES: &str = "INSERT INTO read_batch(min_at, max_at, count, notes) VALUES ($1, $2, $3, $4)";
const GUARD: &str = "INSERT INTO guard(kind, key, body, at) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body, at = excluded.at";
const FORGET: &str = "DELETE FROM guard WHERE kind = $1 AND key = $2";
pub(super) const CHAIN: &str = "UPDATE chain SET commits = $2, seq = $3, hash = $4 WHERE epoch = $1";

pub(super) struct Writer {
    shared: Arc<Shared>,
    link: Option<Ready>,
    epoch: Epoch,
    tip: Tip,
    /// Commits of this process; what a commit that broke off is looked up by.
    commits: i64,
    /// Connections that were lost.
    losses: u64,
}

/// A connection with its statements.
pub(super) struct Ready {
    link: Link,
    insert: Statement,
    update: Statement,
    live: Statement,
    events: Statement,
    notes: Statement,
    guard: Statement,
    forget: Statement,
    chain: Statement,
}

/// What became of one try to commit.
enum Tried {
    Committed,
    /// Some appends are decided; the others once more.
    Again,
    /// The database took nothing of it.
    Refused(Error, Kind),
    /// The connection broke before the commit was asked for.
    Lost(Error),
    /// The connection broke while the commit was under way.
    Unknown(Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Two writers met.
    Passing,
    /// One of several appends may be at fault.
    Other,
}

/// What each append of a batch was told to come to, by its place.
type Results = Vec<Option<Result<Lsn, Error>>>;

impl Ready {
    pub(super) async fn prepare(link: Link) -> Result<Self, Error> {
        let statement = async |sql: &str| super::connect::asked(link.client.prepare(sql).await);
        Ok(Self {
            insert: statement(rows::INSERT).await?,
            update: statement(rows::UPDATE).await?,
            live: statement(LIVE).await?,
            events: statement(EVENTS).await?,
            notes: statement(NOTES).await?,
            guard: statement(GUARD).await?,
            forget: statement(FORGET).await?,
            chain: statement(CHAIN).await?,
            link,
        })
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, link: Ready, epoch: Epoch, tip: Tip) -> Self {
        Self { shared, link: Some(link), epoch, tip, commits: 0, losses: 0 }
    }

    /// Runs until the journal is closed.
    pub(super) async fn run(mut self) {
        loop {
            if self.link.is_none() && !self.reconnect().await {
                break;
            }
            let ended = self.link.as_ref().map(|ready| Arc::clone(&ready.link.ended));
            let batch = tokio::select! {
                biased;
                batch = self.shared.queue.next() => batch,
                () = gone(ended) => {
                    self.lost(&Error::Write("the connection to the database ended".to_owned()));
                    continue;
                }
            };
            let Some(batch) = batch else { break };
            self.commit(batch).await;
        }
        if let Some(ready) = &self.link {
            // What it leaves open may be taken over at once.
            let owner = self.shared.owner();
            let values: [&(dyn ToSql + Sync); 1] = [&owner];
            let gone = ready.link.client.execute("DELETE FROM replica WHERE id = $1", &values);
            drop(timeout(self.shared.options.write_max, gone).await);
        }
        self.shared.queue.end();
    }

    async fn commit(&mut self, batch: Batch) {
        let Batch { appends, mut notes } = batch;
        let mut results: Results = appends.iter().map(|_| None).collect();
        let all: Vec<usize> = (0..appends.len()).collect();
        let losses = self.losses;
        let failed = self.group(&appends, &all, &mut notes, &mut results).await.err();
        if let Some(error) = &failed {
            fill(&mut results, error);
        }
        // A connection that was lost tells of itself for as long as it is lost.
        self.shared.queue.set_failed(failed.filter(|_| self.losses == losses));
        self.tell(&appends, results);
    }

    fn tell(&self, appends: &[Append], results: Results) {
        let moved = appends.iter().zip(&results).filter(|(_, result)| matches!(result, Some(Ok(_))));
        self.shared.herald(moved.flat_map(|(append, _)| append.records.iter()).filter_map(moved_on));
        let told = appends.iter().zip(results).filter_map(|(append, result)| {
            let result = result.unwrap_or_else(|| Err(Error::Write("it was not written".to_owned())));
            Some(Durable { ticket: append.ticket?, result })
        });
        self.shared.queue.tell(told.collect());
    }

    /// Commits these appends, or finds out which of them cannot be. `Err`: none of those that have no result yet.
    async fn group(
        &mut self,
        appends: &[Append],
        of: &[usize],
        notes: &mut Vec<ReadNote>,
        results: &mut Results,
    ) -> Result<(), Error> {
        let mut passing = 0;
        loop {
            let left: Vec<usize> = of.iter().copied().filter(|at| results[*at].is_none()).collect();
            if left.is_empty() && notes.is_empty() {
                return Ok(());
            }
            match self.attempt(appends, &left, notes, results).await {
                Tried::Committed => {
                    notes.clear();
                    return Ok(());
                }
                Tried::Again => {}
                Tried::Refused(_, Kind::Passing) if passing < PASSING_MAX => passing += 1,
                Tried::Refused(error, _) if left.len() == 1 || matches!(error, Error::DiskFull) => return Err(error),
                Tried::Refused(error, _) if left.is_empty() => {
                    tracing::warn!(%error, "notes of reads could not be written");
                    notes.clear();
                }
                // One of them is at fault, and the others are not to suffer for it.
                Tried::Refused(..) => {
                    for at in left {
                        if let Err(error) = Box::pin(self.group(appends, &[at], &mut Vec::new(), results)).await {
                            results[at].get_or_insert(Err(error));
                        }
                    }
                }
                Tried::Lost(error) => {
                    self.lost(&error);
                    return Err(error);
                }
                Tried::Unknown(error) => {
                    self.lost(&error);
                    return self.look_up(&left, results, error).await;
                }
            }
        }
    }

    /// The link is gone: mutations fail closed from now on.
    fn lost(&mut self, error: &Error) {
        tracing::warn!(%error, "lost the database: mutations are refused until it is back");
        self.link = None;
        self.losses += 1;
        let waiting = self.shared.queue.down(error);
        let none = waiting.appends.iter().map(|_| Some(Err(error.clone()))).collect();
        self.tell(&waiting.appends, none);
    }

    //= G4
    async fn attempt(
        &mut self,
        appends: &[Append],
        left: &[usize],
        notes: &[ReadNote],
        results: &mut Results,
    ) -> Tried {
        let Some(ready) = &self.link else { return Tried::Lost(Error::Write("the database is away".to_owned())) };
        let bound = self.shared.options.write_max;
        for at in left.iter().filter(|at| self.is_foreign(&appends[**at].records)) {
            results[*at] = Some(Err(Error::Fenced));
        }
        let own = left.iter().filter(|at| results[**at].is_none());
        let work: Vec<(usize, Vec<Part>)> = own.map(|at| (*at, self.parts(&appends[*at].records))).collect();
        let claims = work.iter().flat_map(|(_, parts)| parts).any(|part| part.claims);
        let first = async {
            let begin: BoxFuture<'_, _> = ready.link.client.batch_execute("BEGIN").map(|done| done.map(|()| 1)).boxed();
            let owner = self.shared.owner();
            let live = async move { Ok(ready.link.client.query(&ready.live, &[&owner]).await?.len() as u64) };
            let mut asked = vec![begin];
            if claims {
                asked.push(live.boxed());
            }
            for part in work.iter().flat_map(|(_, parts)| parts) {
                let statement = if part.inserts { &ready.insert } else { &ready.update };
                asked.push(run(ready, statement, &part.values).boxed());
            }
            pipelined(asked).await
        };
        let counts = match timeout(bound, first).await {
            Err(_) => return Tried::Lost(late()),
            Ok(Err(error)) => return self.refused(&error, false).await,
            Ok(Ok(counts)) => counts,
        };
        let mut counts = counts.into_iter().skip(1);
        let is_live = !claims || counts.next() == Some(1);
        let mut good = Vec::new();
        let mut half = None;
        for (at, parts) in &work {
            let done: Vec<u64> = parts.iter().map(|_| counts.next().unwrap_or(0)).collect();
            let over = !is_live && parts.iter().any(|part| part.claims);
            let stop = if over { Some(0) } else { done.iter().position(|count| *count == 0) };
            match stop {
                None => good.push(*at),
                Some(place) => {
                    let why = match (over, parts[place].inserts) {
                        (true, _) => Error::Write("the lease of this replica is over".to_owned()),
                        (false, true) => Error::Conflict,
                        (false, false) => Error::Fenced,
                    };
                    // What a refusal of the first record leaves behind is nothing.
                    if done.iter().any(|count| *count > 0) {
                        half.get_or_insert((*at, why));
                    } else if half.is_none() {
                        results[*at] = Some(Err(why));
                    }
                }
            }
        }
        if let Some((at, why)) = half {
            // All or nothing: once more without it. What came after it may have been refused because of it.
            results[at] = Some(Err(why));
            for later in left.iter().filter(|later| **later > at) {
                results[*later] = None;
            }
            return match timeout(bound, ready.link.run("ROLLBACK")).await {
                Ok(Ok(())) => Tried::Again,
                Ok(Err(error)) => Tried::Lost(error),
                Err(_) => Tried::Lost(late()),
            };
        }
        self.finish(appends, &good, notes, results).await
    }

    /// Events, notes, the place in the chain, and the commit: one round trip.
    async fn finish(&mut self, appends: &[Append], good: &[usize], notes: &[ReadNote], results: &mut Results) -> Tried {
        let Some(ready) = &self.link else { return Tried::Lost(Error::Write("the database is away".to_owned())) };
        let mut events = Events::new(self.epoch, self.tip);
        let mut packed = notes.to_vec();
        let mut guards = Vec::new();
        let mut counts = Vec::with_capacity(good.len());
        for at in good {
            for record in &appends[*at].records {
                match record {
                    Record::Event(event) => events.add(event),
                    Record::Read(note) => packed.push(note.clone()),
                    Record::Guard(row) => guards.push((row.body.is_empty(), guard_values(row))),
                    Record::Insert { .. } | Record::Update { .. } => {}
                }
            }
            counts.push(events.len());
        }
        let tip = events.tip;
        let number = self.commits + 1;
        let (event_values, note_values) = (events.values(), note_values(&packed));
        let chain: Values = vec![
            Box::new(self.epoch.0.cast_signed()),
            Box::new(number),
            Box::new(tip.lsn.0.cast_signed()),
            Box::new(tip.hash.0.to_vec()),
        ];
        let last = async {
            let mut asked: Vec<BoxFuture<'_, Result<Vec<Row>, tokio_postgres::Error>>> = Vec::new();
            if let Some(values) = &event_values {
                asked.push(fetch(ready, &ready.events, values).boxed());
            }
            if let Some(values) = &note_values {
                asked.push(fetch(ready, &ready.notes, values).boxed());
            }
            for (gone, values) in &guards {
                let statement = if *gone { &ready.forget } else { &ready.guard };
                asked.push(fetch(ready, statement, values).boxed());
            }
            asked.push(fetch(ready, &ready.chain, &chain).boxed());
            asked.push(ready.link.client.batch_execute("COMMIT").map(|done| done.map(|()| Vec::new())).boxed());
            pipelined(asked).await
        };
        let answers = match timeout(self.shared.options.write_max, last).await {
            Err(_) => return Tried::Unknown(late()),
            Ok(Err(error)) => return self.refused(&error, true).await,
            Ok(Ok(answers)) => answers,
        };
        (self.tip, self.commits) = (tip, number);
        let lsns: Vec<u64> = match (&event_values, answers.first()) {
            (Some(_), Some(rows)) => {
                rows.iter().filter_map(|row| row.try_get::<_, i64>(0).ok()).map(i64::cast_unsigned).collect()
            }
            _ => Vec::new(),
        };
        for (at, count) in good.iter().zip(counts) {
            let lsn = count.checked_sub(1).and_then(|last| lsns.get(last)).copied();
            let lsn = lsn.unwrap_or_else(|| self.shared.last_lsn.load(Ordering::Relaxed));
            results[*at] = Some(Ok(Lsn(lsn)));
        }
        if let Some(last) = lsns.last() {
            self.shared.last_lsn.fetch_max(*last, Ordering::Relaxed);
        }
        Tried::Committed
    }

    /// The database refused a statement, or the connection broke.
    async fn refused(&self, error: &tokio_postgres::Error, committing: bool) -> Tried {
        let why = super::connect::error_of(error);
        if is_broken(error) {
            return if committing { Tried::Unknown(why) } else { Tried::Lost(why) };
        }
        let kind = if is_passing(error) { Kind::Passing } else { Kind::Other };
        let Some(ready) = &self.link else { return Tried::Lost(why) };
        // A commit of what had failed has rolled back; then there is nothing left to roll back, which is only a warning.
        match timeout(self.shared.options.write_max, ready.link.run("ROLLBACK")).await {
            Ok(Ok(())) => Tried::Refused(why, kind),
            _ => Tried::Lost(why),
        }
    }

    /// A commit broke off: whether it was made is asked, never guessed.
    //= G3
    //= G4
    async fn look_up(&mut self, left: &[usize], results: &mut Results, error: Error) -> Result<(), Error> {
        let before = self.commits;
        if !self.reconnect().await || self.commits == before {
            // It was not made; or the journal is closing, and what is told as not written is then neither sent nor
            // released.
            return Err(error);
        }
        let lsn = Lsn(self.shared.last_lsn.load(Ordering::Relaxed));
        for at in left {
            results[*at].get_or_insert(Ok(lsn));
        }
        Ok(())
    }

    /// Comes back with a connection, or with `false` when the journal is closing.
    async fn reconnect(&mut self) -> bool {
        let mut pause = RECONNECT.0;
        loop {
            if self.shared.queue.is_closing() {
                return false;
            }
            match self.resume().await {
                Ok(()) => {
                    tracing::info!("the database is back: mutations are taken again");
                    self.shared.queue.up();
                    self.shared.poke.notify_one();
                    return true;
                }
                Err(error) => {
                    tracing::debug!(%error, "the database is still away");
                    drop(self.shared.queue.down(&error));
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(RECONNECT.1);
        }
    }

    /// A new connection, once it is certain how the last commit of the old one ended: every commit writes this
    /// process's row of `chain`, which stays locked for as long as one is under way.
    async fn resume(&mut self) -> Result<(), Error> {
        let link = self.shared.connect(|_| ()).await?;
        super::connect::refuse_loss(&link, &self.shared.options.accept).await?;
        super::lease::refuse_gap(&link).await?;
        name(&link, self.epoch).await?;
        // One that never heard of the end of its client would hold the lock until it did.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 \
                   AND pid <> pg_backend_pid()";
        drop(link.client.execute(end, &[&called(self.epoch)]).await);
        // A commit of its own: once it has returned, a synchronous standby has what came before it, too.
        let sql = "UPDATE chain SET commits = commits WHERE epoch = $1 RETURNING commits, seq, hash";
        let epoch = self.epoch.0.cast_signed();
        let values: [&(dyn ToSql + Sync); 1] = [&epoch];
        let asked = link.client.query_opt(sql, &values);
        let row = timeout(self.shared.options.write_max, asked).await.map_err(|_| late())?;
        let row = super::connect::asked(row)?;
        let row = row.ok_or_else(|| Error::Write("the database forgot this writer: restart it".to_owned()))?;
        let commits: i64 = rows::value(&row, 0)?;
        if commits < self.commits {
            let why = "the database lost commits that it had acknowledged: restart with --accept-journal-gap";
            return Err(Error::Write(why.to_owned()));
        }
        self.commits = commits;
        self.tip =
            Tip { lsn: Lsn(rows::value::<i64>(&row, 1)?.cast_unsigned()), hash: vocab::Hash(rows::array(&row, 2)?) };
        let ready = Ready::prepare(link).await?;
        self.shared.last_lsn.fetch_max(super::verify::last_lsn(&ready.link).await?, Ordering::Relaxed);
        self.link = Some(ready);
        Ok(())
    }

    /// The rows that an append touches, in its order.
    fn parts(&self, records: &[Record]) -> Vec<Part> {
        let owner = self.shared.owner();
        let part = |record: &Record| match record {
            //= G1
            Record::Insert { intent, status, epoch } => {
                Some(Part { inserts: true, claims: true, values: rows::insert(intent, status, *epoch, owner) })
            }
            Record::Update { step, epoch, status, result } => Some(Part {
                inserts: false,
                claims: status.state == State::Dispatched,
                values: rows::update(*step, status, *epoch, result.as_ref()),
            }),
            Record::Event(_) | Record::Read(_) | Record::Guard(_) => None,
        };
        records.iter().filter_map(part).collect()
    }

    fn is_foreign(&self, records: &[Record]) -> bool {
        records.iter().any(|record| matches!(record, Record::Insert { epoch, .. } if *epoch != self.epoch))
    }
}

/// What the connection of a writer is called in the database: no other one is called so.
fn called(epoch: Epoch) -> String {
    format!("cofferdam writer {}", epoch.0)
}

pub(super) async fn name(link: &Link, epoch: Epoch) -> Result<(), Error> {
    link.run(&format!("SET application_name = '{}'", called(epoch))).await
}

/// One row to be written.
struct Part {
    inserts: bool,
    /// It is the right to send: only a replica whose lease runs may take it.
    claims: bool,
    values: Values,
}

/// Columns of the events of one commit.
pub(super) struct Events {
    pub(super) tip: Tip,
    epoch: Epoch,
    steps: Vec<Vec<u8>>,
    at: Vec<i64>,
    seqs: Vec<i64>,
    kinds: Vec<i16>,
    attempts: Vec<i64>,
    classes: Vec<Option<i16>>,
    details: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
}

impl Events {
    pub(super) fn new(epoch: Epoch, tip: Tip) -> Self {
        Self {
            tip,
            epoch,
            steps: Vec::new(),
            at: Vec::new(),
            seqs: Vec::new(),
            kinds: Vec::new(),
            attempts: Vec::new(),
            classes: Vec::new(),
            details: Vec::new(),
            hashes: Vec::new(),
        }
    }

    fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn add(&mut self, event: &vocab::Event) {
        self.tip = self.tip.after(self.epoch, event);
        self.steps.push(event.step.0.to_vec());
        self.at.push(rows::micros(event.at));
        self.seqs.push(self.tip.lsn.0.cast_signed());
        self.kinds.push(i16::from(event.kind.number()));
        self.attempts.push(i64::from(event.attempt));
        self.classes.push(event.class.map(|class| i16::from(class.number())));
        self.details.push(event.detail.as_bytes().to_vec());
        self.hashes.push(self.tip.hash.0.to_vec());
    }

    pub(super) fn values(self) -> Option<Values> {
        if self.steps.is_empty() {
            return None;
        }
        Some(vec![
            Box::new(self.epoch.0.cast_signed()),
            Box::new(self.steps),
            Box::new(self.at),
            Box::new(self.seqs),
            Box::new(self.kinds),
            Box::new(self.attempts),
            Box::new(self.classes),
            Box::new(self.details),
            Box::new(self.hashes),
        ])
    }
}

pub(super) fn guard_values(row: &GuardRow) -> Values {
    let mut values: Values = vec![Box::new(i16::from(row.kind.number())), Box::new(row.key.to_vec())];
    if !row.body.is_empty() {
        values.push(Box::new(row.body.to_vec()));
        values.push(Box::new(rows::micros(row.at)));
    }
    values
}

fn note_values(notes: &[ReadNote]) -> Option<Values> {
    let times = || notes.iter().map(|note| rows::micros(note.at));
    let (min, max) = (times().min()?, times().max()?);
    let count = i64::try_from(notes.len()).unwrap_or(i64::MAX);
    Some(vec![Box::new(min), Box::new(max), Box::new(count), Box::new(crate::reads::pack(notes))])
}

async fn run(ready: &Ready, statement: &Statement, values: &Values) -> Result<u64, tokio_postgres::Error> {
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
    ready.link.client.execute(statement, &values).await
}

async fn fetch(ready: &Ready, statement: &Statement, values: &Values) -> Result<Vec<Row>, tokio_postgres::Error> {
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
    ready.link.client.query(statement, &values).await
}

/// Sends everything, in order, before it waits for the first answer.
async fn pipelined<T>(
    asked: Vec<BoxFuture<'_, Result<T, tokio_postgres::Error>>>,
) -> Result<Vec<T>, tokio_postgres::Error> {
    let mut answers: Vec<Option<Result<T, tokio_postgres::Error>>> = Vec::with_capacity(asked.len());
    let mut waiting = Vec::with_capacity(asked.len());
    for mut one in asked {
        // A request is sent when its future is first polled.
        match std::future::poll_fn(|context| Poll::Ready(one.as_mut().poll(context))).await {
            Poll::Ready(answer) => answers.push(Some(answer)),
            Poll::Pending => answers.push(None),
        }
        waiting.push(one);
    }
    let mut first = None;
    let mut found = Vec::with_capacity(answers.len());
    for (answer, one) in answers.into_iter().zip(waiting) {
        let answer = match answer {
            Some(answer) => answer,
            None => one.await,
        };
        match answer {
            Ok(answer) => found.push(answer),
            // What follows only says that the transaction has failed.
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    first.map_or(Ok(found), Err)
}

/// The step that somebody at another replica may wait for.
fn moved_on(record: &Record) -> Option<StepId> {
    match record {
        Record::Update { step, status, .. } if status.state != State::Dispatched => Some(*step),
        _ => None,
    }
}

async fn gone(ended: Option<Arc<tokio::sync::Notify>>) {
    match ended {
        Some(ended) => ended.notified().await,
        None => std::future::pending().await,
    }
}

fn fill(results: &mut Results, error: &Error) {
    for result in results {
        result.get_or_insert(Err(error.clone()));
    }
}

fn late() -> Error {
    Error::Write("the database did not answer in time".to_owned())
}
