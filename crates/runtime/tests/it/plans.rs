//! Plans drawn from a seed: faults, leaving callers and crashes, held against what the upstream really did.

use crate::bench::{Bench, answer};
use crate::upstream::{Fault, Upstream};
use journal::crash::Tail;
use journal::{Crash, Journal};
use runtime::{Arrival, Reply, Request};
use std::sync::Arc;
use std::time::Duration;
use vocab::Executed;

const SEEDS: u64 = 20;
const INTENTS: u64 = 12;
/// How often an agent asks for the same thing under the same key.
const ASKS_MAX: usize = 4;

/// splitmix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn fault(&mut self) -> Option<Fault> {
        Some(match self.below(12) {
            0 | 1 => Fault::Lost,
            2 => Fault::Late,
            3 => Fault::Vanishes,
            4 => Fault::Refused,
            5 => Fault::Answers(r#"{"content":"garbled"}"#),
            6 => Fault::Answers(r#"{"content":[],"structuredContent":{}}"#),
            _ => return None,
        })
    }

    fn tail(&mut self) -> Tail {
        match self.below(3) {
            0 => Tail::Lost,
            1 => Tail::Kept,
            _ => Tail::Torn(self.below(1 << 20)),
        }
    }
}

/// Commits every twenty milliseconds, as a disk would.
fn pumping(journal: &Arc<Crash>) -> tokio::task::JoinHandle<()> {
    let journal = Arc::clone(journal);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            journal.pump();
        }
    })
}

struct Plan {
    draw: Draw,
    upstream: Arc<Upstream>,
    journal: Arc<Crash>,
    bench: Bench,
    pump: tokio::task::JoinHandle<()>,
}

impl Plan {
    fn new(seed: u64) -> Self {
        let (upstream, journal) = (Arc::<Upstream>::default(), Crash::new());
        let bench = Bench::on(Arc::clone(&journal) as Arc<dyn Journal>, Arc::clone(&upstream));
        let pump = pumping(&journal);
        Self { draw: Draw(seed), upstream, journal, bench, pump }
    }

    fn crash(&mut self) {
        self.pump.abort();
        self.journal = self.journal.crash(self.draw.tail());
        self.bench = Bench::on(Arc::clone(&self.journal) as Arc<dyn Journal>, Arc::clone(&self.upstream));
        self.pump = pumping(&self.journal);
    }

    /// One intent, asked for until something definite is told. What was told about its effect.
    async fn intent(&mut self, tool: &str, number: u64) -> Vec<Executed> {
        let mut told = Vec::new();
        for _ in 0..ASKS_MAX {
            if let Some(fault) = self.draw.fault() {
                self.upstream.fault(fault);
            }
            let args = format!(r#"{{"account":"{tool}{number}"}}"#);
            let keys = vec![format!("{tool}{number}")];
            let mut pending = self.bench.start(Request { explicit_keys: keys, ..self.bench.request(tool, &args) });
            // Some leave, and some live to see the gateway die under them.
            let patience = Duration::from_millis(match self.draw.below(4) {
                0 => self.draw.below(40),
                _ => 3_600_000,
            });
            let answered = tokio::time::timeout(patience, answer(&mut pending)).await;
            drop(pending);
            if self.draw.below(6) == 0 {
                self.crash();
            }
            let Ok((reply, delivery)) = answered else { continue };
            let executed = match &reply {
                Reply::Result { .. } => Executed::Yes,
                Reply::Error { .. } => Executed::Unknown,
                Reply::Stop(stop) => stop.executed,
            };
            delivery.report(if self.draw.below(2) == 0 { Arrival::Seen } else { Arrival::Lost });
            told.push(executed);
            if executed != Executed::Unknown {
                break;
            }
        }
        told
    }
}

//= S-09
//= S-23
//= G1
//= G2
//= G3
#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_nothing_is_done_twice_and_nothing_untrue_is_told() {
    let (mut done, mut not_done) = (0, 0);
    for seed in 0..SEEDS {
        let mut plan = Plan::new(seed);
        for number in 0..INTENTS {
            let tool = ["pay", "pay_keyed", "pay_counted"][usize::try_from(plan.draw.below(3)).expect("small")];
            let told = plan.intent(tool, number).await;
            // Whatever may still arrive has arrived.
            tokio::time::sleep(Duration::from_secs(2)).await;
            let paid = plan.upstream.paid(&format!("{tool}{number}"));
            assert!(paid <= 1, "seed {seed}: {tool}{number} was paid {paid} times");
            match told.last() {
                Some(Executed::Yes) => {
                    assert_eq!(paid, 1, "seed {seed}: {tool}{number} was told as done: {told:?}");
                    done += 1;
                }
                Some(Executed::No) => {
                    assert_eq!(paid, 0, "seed {seed}: {tool}{number} was told as not done: {told:?}");
                    not_done += 1;
                }
                Some(Executed::Unknown) | None => {}
            }
        }
        plan.pump.abort();
    }
    // "Unknown" to everything would be true, and of no use.
    assert!(done > SEEDS * INTENTS / 2 && not_done > 0, "{done} told as done, {not_done} as not done");
    assert!((done + not_done) * 100 >= SEEDS * INTENTS * 97, "{done} told as done, {not_done} as not done");
}
