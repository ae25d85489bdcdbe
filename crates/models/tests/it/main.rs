//! What is checked over all, or over very many, orders of events.
//!
//! Some files of other crates are compiled once more here, as they are: what they call `parking_lot` is [`locks`], and
//! what they take from their own crate is named below.

extern crate self as parking_lot;

mod group_commit;
mod lease;
mod locks;
mod wake;

pub use locks::{Condvar, Mutex, MutexGuard};

use journal::{Durable, Error, Maintained, Notify, Retention, Ticket};
use wake::{api, attempt, report, tools};

/// The same orders in each run: a failure is there again, and no run of CI is luckier than another one.
const SEED: u64 = 0x636f_6666;

/// Runs one test under both schedulers: orders at random, and orders with few and badly placed preemptions.
fn in_many_orders(test: impl Fn() + Send + Sync + Clone + 'static) {
    const TIMES: usize = 2_000;
    shuttle::check_random_with_seed(test.clone(), SEED, TIMES);
    let few = shuttle::scheduler::PctScheduler::new_from_seed(SEED, 3, TIMES);
    shuttle::Runner::new(few, shuttle::Config::default()).run(test);
}

/// That a mistake is found: the scheduler reports that everybody waits.
fn is_found_to_hang(test: impl Fn() + Send + Sync + std::panic::UnwindSafe + 'static) {
    let searching = || shuttle::check_random_with_seed(test, SEED, 2_000);
    let found = std::panic::catch_unwind(searching).expect_err("it never hangs");
    let why = found.downcast_ref::<String>().map_or_else(String::new, Clone::clone);
    assert!(why.contains("deadlock"), "{why}");
}
