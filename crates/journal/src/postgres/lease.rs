//! The lease of this replica, and what it does with those of others: one row each, by the database's clock.
//!
//! The holder counts its own time from before it asked for the lease, and stops sending a third of a lease before the
//! end of it. Who takes over gets the right to find out, never the right to send.

use super::connect::{Link, asked};
use super::{Shared, rows, schema};
use crate::{Change, Error, Order, Replicas};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use vocab::{Instant as Moment, State, StepId, StepRow};

/// Between two looks at what others did, where nobody said that they did anything.
pub(super) const POLL: Duration = Duration::from_millis(250);
// A person's word is found by the owner's look, and what the owner recorded by the looks of those who wait: within a
// second, whether or not a notification comes.
const _: () = assert!(POLL.as_millis() * 2 < 1_000);
/// Steps taken over in one statement.
const TAKEN_MAX: i64 = 64;
/// A person's order that no owner took up for this long is forgotten; whoever gave it was told so.
const ORDERS_KEPT_SECONDS: f64 = 60.0;

/// This replica's row, and until when it may send.
#[derive(Default)]
pub(super) struct Lease {
    pub(super) owner: AtomicI64,
    /// By the clock of [`boottime`], in microseconds.
    pub(super) until: AtomicU64,
    /// Other replicas whose lease runs.
    pub(super) peers: AtomicU64,
}

/// Microseconds since the machine was started, its sleep included.
pub(super) fn boottime() -> u64 {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let now = Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

impl Lease {
    //= G1
    pub(super) fn may_send(&self, term: i64) -> bool {
        // In this order: `register` stores the new name first, so that a new date is never met with the old name.
        let runs = boottime() < self.until.load(Ordering::Acquire);
        runs && self.owner.load(Ordering::Acquire) == term
    }

    /// `asked_at`: before the database was asked.
    fn renewed(&self, asked_at: u64, lease: Duration) {
        let safe = crate::sends_for(lease);
        let until = asked_at.saturating_add(u64::try_from(safe.as_micros()).unwrap_or(u64::MAX));
        self.until.store(until, Ordering::Release);
    }
}

/// The row of a replica that begins.
pub(super) async fn register(shared: &Shared, link: &Link, id: i64) -> Result<(), Error> {
    let before = boottime();
    let sql = "INSERT INTO replica(id, name, version, lease_until) \
               VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))";
    let lease = shared.options.lease.as_secs_f64();
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&id, &shared.options.name, &env!("CARGO_PKG_VERSION"), &lease];
    asked(link.client.execute(sql, &values).await)?;
    shared.lease.owner.store(id, Ordering::Release);
    shared.lease.renewed(before, shared.options.lease);
    shared.options.note_owner(id)
}

pub(super) async fn next_epoch(link: &Link) -> Result<i64, Error> {
    rows::value(&asked(link.client.query_one("SELECT nextval('epoch_seq')", &[]).await)?, 0)
}

/// After a failover to a standby that need not have had everything, nothing may be sent on the strength of what it says.
//= G1
pub(super) async fn refuse_gap(link: &Link) -> Result<(), Error> {
    let (meta, timeline) = (schema::meta(link).await?, schema::timeline(link).await?);
    if meta.timeline == timeline {
        return Ok(());
    }
    if meta.synchronous {
        let sql = "UPDATE meta SET timeline = $1 WHERE timeline = $2";
        return asked(link.client.execute(sql, &[&timeline, &meta.timeline]).await).map(drop);
    }
    Err(Error::Open(format!(
        "the database went over to another server (timeline {} to {timeline}) that need not have had the last commits: \
         look into what was lost, then start once with --accept-journal-gap",
        meta.timeline
    )))
}

/// The operator knows of the gap: what older steps say of not having run proves nothing about the time after it.
pub(super) async fn accept_gap(link: &Link, epoch: i64) -> Result<(), Error> {
    let timeline = schema::timeline(link).await?;
    let sql = "UPDATE meta SET timeline = $1, gap_since = least(beat_at, gap_since), gap_epoch = $2 WHERE timeline <> $1 \
               AND NOT synchronous";
    asked(link.client.execute(sql, &[&timeline, &epoch]).await).map(drop)
}

/// Renews the lease, takes over, and hears of others, until the journal is closed.
pub(super) async fn run(shared: Arc<Shared>, mut heard: tokio::sync::mpsc::Receiver<String>) {
    let mut link: Option<Link> = None;
    let mut beaten_at: Option<Instant> = None;
    let mut steady = Steady::default();
    let beat = shared.options.lease / 3;
    while !shared.queue.is_closing() {
        if link.is_none() {
            link = connect(&shared).await;
        }
        if let Some(open) = &link
            && beaten_at.is_none_or(|at| at.elapsed() >= beat)
        {
            let began = Instant::now();
            let may_take = steady.may_take(shared.options.lease);
            match timeout(beat * 2, shared.beat(open, may_take)).await {
                Ok(Ok(())) => {
                    steady.beaten();
                    beaten_at = Some(began);
                }
                failed => {
                    tracing::debug!(?failed, "the lease was not renewed");
                    link = None;
                }
            }
        }
        if link.is_some() && shared.tell.get().is_some() && timeout(beat * 2, shared.look_around()).await.is_err() {
            link = None;
        }
        if link.is_none() {
            steady.lost = true;
        }
        tokio::select! {
            () = sleep(POLL.min(beat)) => {}
            () = shared.poke.notified() => beaten_at = None,
            told = heard.recv() => {
                if let Some(told) = told {
                    shared.hear(&told);
                }
            }
        }
    }
}

/// After it was cut off itself, a replica waits for a whole lease before it takes over what others seem to have left:
/// they may have been cut off as well.
#[derive(Default)]
struct Steady {
    lost: bool,
    back: Option<Instant>,
}

impl Steady {
    fn beaten(&mut self) {
        if std::mem::take(&mut self.lost) {
            self.back = Some(Instant::now());
        }
    }

    fn may_take(&self, lease: Duration) -> bool {
        !self.lost && self.back.is_none_or(|back| back.elapsed() >= lease)
    }
}

async fn connect(shared: &Arc<Shared>) -> Option<Link> {
    let to = Arc::clone(shared);
    let heard = move |told: String| {
        // What does not fit is found by the next look.
        to.heard.try_send(told).ok();
    };
    let connecting = async {
        let link = shared.connect(heard).await?;
        link.run("LISTEN cofferdam_steps; LISTEN cofferdam_orders; SET synchronous_commit = on").await?;
        Ok::<_, Error>(link)
    };
    connecting.await.ok()
}

impl Shared {
    pub(super) fn owner(&self) -> i64 {
        self.lease.owner.load(Ordering::Acquire)
    }

    /// One heartbeat: the lease, the state of the database, and what others left.
    async fn beat(&self, link: &Link, may_take: bool) -> Result<(), Error> {
        refuse_gap(link).await?;
        let before = boottime();
        let lease = self.options.lease.as_secs_f64();
        let sql = "UPDATE replica SET lease_until = clock_timestamp() + make_interval(secs => $2) \
                   WHERE id = $1 AND NOT fenced";
        if asked(link.client.execute(sql, &[&self.owner(), &lease]).await)? == 1 {
            self.lease.renewed(before, self.options.lease);
        } else {
            // Others have taken over what was ours; what is begun from now on is ours again.
            let id = next_epoch(link).await?;
            tracing::warn!(
                replica = id,
                "this replica was silent for longer than its lease: it was fenced, and begins anew"
            );
            let earlier = self.owner();
            register(self, link, id).await?;
            let mut kept = Vec::new();
            loop {
                let taken = self.take(link, &format!("owner = {earlier}")).await?;
                let full = taken.len() as i64 == TAKEN_MAX;
                kept.extend(taken);
                if !full {
                    break;
                }
            }
            self.tell(Change::Rejoined { kept, since: super::wall_clock() });
        }
        let now = rows::micros(super::wall_clock());
        let synchronous = super::connect::is_synchronous(link).await?;
        let sql = "UPDATE meta SET beat_at = greatest(beat_at, $1), synchronous = $2";
        asked(link.client.execute(sql, &[&now, &synchronous]).await)?;
        let sql = "SELECT count(*) FROM replica WHERE NOT fenced AND lease_until > clock_timestamp() AND id <> $1";
        let peers: i64 = rows::value(&asked(link.client.query_one(sql, &[&self.owner()]).await)?, 0)?;
        self.lease.peers.store(peers.cast_unsigned(), Ordering::Relaxed);
        if may_take && self.tell.get().is_some() {
            self.take_over(link).await?;
        }
        Ok(())
    }

    /// Fences those whose lease is over, and takes the steps of all who are fenced or gone.
    async fn take_over(&self, link: &Link) -> Result<(), Error> {
        // A server that was away for longer than a lease has let every lease run out: its replicas come back first.
        let sql = "UPDATE replica SET fenced = true WHERE NOT fenced AND id <> $1 AND lease_until < clock_timestamp() \
                   AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => $2) RETURNING id, name";
        let lease = self.options.lease.as_secs_f64();
        for row in asked(link.client.query(sql, &[&self.owner(), &lease]).await)? {
            let (id, name): (i64, &str) = (rows::value(&row, 0)?, rows::value(&row, 1)?);
            tracing::warn!(
                replica = id,
                name,
                "a replica was silent for longer than its lease: its steps are taken over"
            );
        }
        loop {
            let taken =
                self.take(link, "NOT EXISTS (SELECT 1 FROM replica WHERE id = step.owner AND NOT fenced)").await?;
            let full = taken.len() as i64 == TAKEN_MAX;
            if !taken.is_empty() {
                tracing::info!(steps = taken.len(), "took over steps of a replica that is gone");
                self.tell(Change::Taken(taken));
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// A new epoch on each: whatever its old owner still writes is fenced.
    //= G1
    async fn take(&self, link: &Link, of: &str) -> Result<Vec<StepRow>, Error> {
        let sql = format!(
            "UPDATE step SET owner = $1, epoch = nextval('epoch_seq') WHERE step_id = ANY(ARRAY(SELECT step_id FROM step \
             WHERE state < 100 AND owner <> $1 AND {of} ORDER BY created_at LIMIT {TAKEN_MAX} FOR UPDATE SKIP LOCKED)) \
             AND EXISTS (SELECT 1 FROM replica WHERE id = $1 AND NOT fenced) RETURNING {}",
            rows::columns()
        );
        let found = asked(link.client.query(&sql, &[&self.owner()]).await)?;
        let doubted = |row| rows::step(row).map(|row| super::query::doubt(self, row));
        let mut taken: Vec<StepRow> = found.iter().map(doubted).collect::<Result<_, _>>()?;
        taken.sort_by_key(|row| row.intent.created_at);
        Ok(taken)
    }

    /// What an earlier process in the same directory left: the lock on the directory proves that it has ended.
    pub(super) async fn take_from_predecessor(&self, link: &Link) -> Result<Vec<StepRow>, Error> {
        let earlier = self.options.earlier_owners();
        asked(link.client.execute("UPDATE replica SET fenced = true WHERE id = ANY($1)", &[&earlier]).await)?;
        let ids: Vec<String> = earlier.iter().map(i64::to_string).collect();
        let of = format!("owner = ANY('{{{}}}'::bigint[])", ids.join(","));
        let mut all = Vec::new();
        loop {
            let taken = self.take(link, &of).await?;
            let full = taken.len() as i64 == TAKEN_MAX;
            all.extend(taken);
            if !full {
                return Ok(all);
            }
        }
    }

    pub(super) async fn take_one(&self, step: StepId) -> Result<bool, Error> {
        let link = self.reader().await?;
        let (id, owner) = (step.0.to_vec(), self.owner());
        let fence = "UPDATE replica SET fenced = true FROM step WHERE step.step_id = $1 AND replica.id = step.owner \
                     AND NOT fenced AND lease_until < clock_timestamp() AND replica.id <> $2";
        asked(link.execute(fence, &[&id, &owner]).await)?;
        let take = "UPDATE step SET owner = $2, epoch = nextval('epoch_seq') WHERE step_id = $1 AND (state = 100 OR NOT \
                    EXISTS (SELECT 1 FROM replica WHERE id = step.owner AND NOT fenced))";
        Ok(asked(link.execute(take, &[&id, &owner]).await)? == 1)
    }

    /// Steps that somebody here waits for, and orders for steps of ours.
    async fn look_around(&self) {
        let looked = async {
            let link = self.reader().await?;
            let orders = "DELETE FROM person_order USING step WHERE step.step_id = person_order.step_id AND step.owner = $1 \
                          RETURNING step.step_id, act, who, why";
            let orders = asked(link.query(orders, &[&self.owner()]).await)?;
            for row in &orders {
                let (act, who, why) = (rows::value(row, 1)?, rows::value(row, 2)?, rows::value(row, 3)?);
                self.tell(Change::Ordered(Order { step: StepId(rows::array(row, 0)?), act, who, why }));
            }
            let watched: Vec<Vec<u8>> = self.watched.steps().iter().map(|step| step.0.to_vec()).collect();
            if watched.is_empty() {
                return Ok(());
            }
            let sql = "SELECT step_id, state, owner FROM step WHERE step_id = ANY($1)";
            let mut found = HashMap::new();
            for row in asked(link.query(sql, &[&watched]).await)? {
                let state: i16 = rows::value(&row, 1)?;
                found.insert(StepId(rows::array(&row, 0)?), (state, rows::value::<i64>(&row, 2)?));
            }
            self.moved(|step, state| {
                found.get(&step).is_none_or(|(now, owner)| *now != i16::from(state.number()) || *owner == self.owner())
            });
            Ok::<_, Error>(())
        };
        if let Err(error) = looked.await {
            tracing::debug!(%error, "could not look at what other replicas did");
        }
    }

    fn moved(&self, is: impl Fn(StepId, State) -> bool) {
        let moved = self.watched.moved(is);
        if !moved.is_empty() {
            self.tell(Change::Moved(moved));
        }
    }

    /// A notification: names of steps, or nothing for an order, which the next look finds.
    fn hear(&self, told: &str) {
        let named: Vec<StepId> = told.split(',').filter_map(StepId::parse).collect();
        self.moved(|step, _| named.contains(&step));
    }

    fn tell(&self, change: Change) {
        if let Some(tell) = self.tell.get() {
            tell(change);
        }
    }

    /// Lets other replicas know, soon, that these steps moved on.
    pub(super) fn herald(&self, steps: impl Iterator<Item = StepId>) {
        if self.lease.peers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut news = self.news.lock();
        let room = NEWS_MAX.saturating_sub(news.len());
        news.extend(steps.take(room));
        if !news.is_empty() {
            self.herald.notify_one();
        }
    }
}

/// Steps that wait to be told of; what does not fit is found by the next look.
const NEWS_MAX: usize = 4_096;
/// News of this long go out together.
const GATHER: Duration = Duration::from_millis(5);
/// Names in one notification, which may have 8,000 bytes.
const NAMES: usize = 200;

/// Sends news off the path of commits: a notification inside of a transaction would make writers wait for each other.
pub(super) async fn herald(shared: Arc<Shared>) {
    loop {
        shared.herald.notified().await;
        sleep(GATHER).await;
        let news = std::mem::take(&mut *shared.news.lock());
        let Ok(link) = shared.reader().await else { continue };
        for steps in news.chunks(NAMES) {
            let names: Vec<String> = steps.iter().map(StepId::to_string).collect();
            let sql = "SELECT pg_notify('cofferdam_steps', $1)";
            drop(timeout(POLL, link.query(sql, &[&names.join(",")])).await);
        }
    }
}

pub(super) async fn order(shared: &Shared, order: &Order) -> Result<(), Error> {
    let link = shared.reader().await?;
    let sql = format!(
        "WITH old AS (DELETE FROM person_order WHERE at < clock_timestamp() - make_interval(secs => {ORDERS_KEPT_SECONDS})) \
         INSERT INTO person_order(step_id, act, who, why) VALUES ($1, $2, $3, $4)"
    );
    let step = order.step.0.to_vec();
    asked(link.execute(&sql, &[&step, &order.act, &order.who, &order.why]).await)?;
    asked(link.batch_execute("NOTIFY cofferdam_orders").await)
}

impl Replicas for super::Postgres {
    fn term(&self) -> i64 {
        self.shared.owner()
    }

    fn may_send(&self, term: i64) -> bool {
        self.shared.lease.may_send(term)
    }

    fn watch(&self, step: StepId, state: State) {
        self.shared.watched.watch(step, state);
    }

    fn begin(&self, tell: crate::Tell) -> Result<Vec<StepRow>, Error> {
        let shared = Arc::clone(&self.shared);
        drop(self.shared.tell.set(tell));
        let left = self.driver.ask(async move {
            let link = shared.connect(|_| ()).await?;
            shared.take_from_predecessor(&link).await
        })?;
        self.shared.poke.notify_one();
        Ok(left)
    }

    fn recall(&self, query: &crate::Recall) -> Result<crate::SeenBoth, Error> {
        let (shared, query) = (Arc::clone(&self.shared), query.clone());
        self.driver.ask(async move { super::query::recall_seen(&shared, &query).await })
    }

    fn look(&self, step: StepId) -> Result<Option<crate::Seen>, Error> {
        let shared = Arc::clone(&self.shared);
        self.driver.ask(async move { super::query::look(&shared, step).await })
    }

    fn order(&self, wanted: &Order) -> Result<(), Error> {
        let (shared, wanted) = (Arc::clone(&self.shared), wanted.clone());
        self.driver.ask(async move { order(&shared, &wanted).await })
    }
}

/// The moment since which the journal proves nothing, and the epoch from which on it does again.
pub(super) fn gap(meta: &schema::Meta) -> Option<Moment> {
    meta.gap_since.map(|micros| Moment::from_micros(micros.max(0).cast_unsigned()))
}
