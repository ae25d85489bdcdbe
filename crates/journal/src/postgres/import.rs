//! Steps of another journal, brought into this one with their evidence; each once, however often it is tried.

use super::connect::{Link, Target, asked, refuse_loss};
use super::driver::Driver;
use super::rows::{self, Values};
use super::writer::Events;
use super::{Loss, lease, schema};
use crate::chain::Tip;
use crate::{Error, StoredEvent};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_postgres::types::ToSql;
use vocab::{Epoch, GuardRow, Hash, StepRow};

/// Nobody: whoever runs takes over what is open.
const NOBODY: i64 = 0;

/// A database that another journal is moved into.
pub struct Import {
    driver: Driver,
    state: Arc<Mutex<State>>,
}

struct State {
    link: Link,
    epoch: Epoch,
    tip: Tip,
    commits: i64,
}

/// A step as the other journal has it: a tombstone comes as a row that is `expired`.
pub type Whole = (StepRow, Vec<StoredEvent>);

impl Import {
    /// Makes the database a journal if need be. Gateways may use it meanwhile.
    ///
    /// # Errors
    /// As [`Postgres::open`](super::Postgres::open).
    pub fn open(url: &str, accept: Vec<Loss>) -> Result<Self, Error> {
        let driver = Driver::start()?;
        let target = Target::parse(url)?.for_writing("cofferdam migrate");
        let opening = async move {
            let link = target.connect(|_| ()).await?;
            refuse_loss(&link, &accept).await?;
            let meta = schema::migrate(&link).await?;
            lease::refuse_gap(&link).await?;
            let epoch = lease::next_epoch(&link).await?;
            let tip = Tip::genesis(&meta.database);
            let sql = "INSERT INTO chain(epoch, commits, seq, hash) VALUES ($1, 0, 0, $2)";
            asked(link.client.execute(sql, &[&epoch, &tip.hash.0.to_vec()]).await)?;
            Ok(State { link, epoch: Epoch(epoch.cast_unsigned()), tip, commits: 0 })
        };
        let state = Arc::new(Mutex::new(driver.ask(opening)?));
        Ok(Self { driver, state })
    }

    /// Brings steps and what guards remember, in one commit; says how many steps were not there yet.
    ///
    /// # Errors
    /// `Conflict` when another step has the key of one of them: the database is not that journal's. `Write` when the
    /// database refuses; nothing was brought then.
    pub fn put(&self, steps: Vec<Whole>, guards: Vec<GuardRow>) -> Result<usize, Error> {
        let state = Arc::clone(&self.state);
        self.driver.ask(async move { state.lock().await.put(&steps, &guards).await })
    }

    /// How many steps the database has.
    ///
    /// # Errors
    /// `Write` when it cannot be asked.
    pub fn steps(&self) -> Result<u64, Error> {
        let state = Arc::clone(&self.state);
        self.driver.ask(async move {
            let state = state.lock().await;
            let row = asked(state.link.client.query_one("SELECT count(*) FROM step", &[]).await)?;
            rows::value::<i64>(&row, 0).map(i64::cast_unsigned)
        })
    }
}

impl State {
    async fn put(&mut self, steps: &[Whole], guards: &[GuardRow]) -> Result<usize, Error> {
        self.link.run("BEGIN").await?;
        match self.write(steps, guards).await {
            Ok((count, tip)) => {
                self.link.run("COMMIT").await?;
                (self.tip, self.commits) = (tip, self.commits + 1);
                Ok(count)
            }
            Err(error) => {
                drop(self.link.run("ROLLBACK").await);
                Err(error)
            }
        }
    }

    //= G1
    async fn write(&self, steps: &[Whole], guards: &[GuardRow]) -> Result<(usize, Tip), Error> {
        let mut events = Events::new(self.epoch, self.tip);
        let mut count = 0;
        for (row, evidence) in steps {
            let values = rows::insert(&row.intent, &row.status, self.epoch, NOBODY);
            let id = row.intent.step.0.to_vec();
            if self.execute(rows::INSERT, &values).await? == 0 {
                let there = self.link.client.query_opt("SELECT 1 FROM step WHERE step_id = $1", &[&id]).await;
                if asked(there)?.is_none() {
                    return Err(Error::Conflict);
                }
                continue;
            }
            count += 1;
            let hash = row.result.as_ref().map(|bytes| blake3::hash(bytes).as_bytes().to_vec());
            let result = row.result.as_ref().map(|bytes| bytes.to_vec());
            let values: Values = vec![Box::new(id), Box::new(result), Box::new(hash), Box::new(row.expired)];
            let sql = "UPDATE step SET result = $2, result_hash = $3, expired = $4, \
                       twin = CASE WHEN $4 THEN NULL ELSE twin END WHERE step_id = $1";
            self.execute(sql, &values).await?;
            evidence.iter().for_each(|stored| events.add(&stored.event));
        }
        for row in guards {
            let sql = "INSERT INTO guard(kind, key, body, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
            self.execute(sql, &super::writer::guard_values(row)).await?;
        }
        let tip = events.tip;
        if let Some(values) = events.values() {
            self.execute(super::writer::EVENTS, &values).await?;
        }
        let Hash(hash) = tip.hash;
        let place: Values = vec![
            Box::new(self.epoch.0.cast_signed()),
            Box::new(self.commits + 1),
            Box::new(tip.lsn.0.cast_signed()),
            Box::new(hash.to_vec()),
        ];
        self.execute(super::writer::CHAIN, &place).await?;
        Ok((count, tip))
    }

    async fn execute(&self, sql: &str, values: &Values) -> Result<u64, Error> {
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        asked(self.link.client.execute(sql, &values).await)
    }
}
