use crate::{Mutex, in_many_orders};
use shuttle::thread;
use std::sync::Arc;
use vocab::{CallId, State, StepId};
use waiting::Waiting;
use watched::Watched;

#[path = "../../../../journal/src/postgres/watched.rs"]
mod watched;

#[path = "../../../../runtime/src/waiting.rs"]
mod waiting;

const STEP: StepId = StepId([1; 16]);

/// One replica's side, and the row in the database.
#[derive(Default)]
struct Side {
    row: Mutex<Option<State>>,
    watched: Watched,
    waiting: Waiting,
    woken: Mutex<Vec<CallId>>,
}

impl Side {
    /// A call of a step that another replica owns: it read the row, then says that it waits, then asks to be told.
    fn attach(&self, call: u64) {
        let seen = self.row.lock().expect("it was claimed");
        if seen == State::Closed {
            return self.woken.lock().push(CallId(call));
        }
        self.waiting.add(STEP, CallId(call));
        self.watched.watch(STEP, seen);
    }

    fn moved(&self, is: impl Fn(StepId, State) -> bool) {
        for step in self.watched.moved(is) {
            let calls = self.waiting.take(step);
            self.woken.lock().extend(calls);
        }
    }

    /// A notification came.
    fn hear(&self) {
        self.moved(|step, _| step == STEP);
    }

    /// The look at the rows that comes by itself.
    fn look(&self) {
        if self.watched.steps().contains(&STEP) {
            let now = self.row.lock().expect("it was claimed");
            self.moved(|_, seen| seen != now);
        }
    }
}

/// Two calls attach while the owner moves the step on to its end; returns whether the notification alone woke both.
fn attached() -> bool {
    let side = Arc::new(Side::default());
    *side.row.lock() = Some(State::Dispatched);
    let calls: Vec<_> = (0..2)
        .map(|call| {
            let side = Arc::clone(&side);
            thread::spawn(move || side.attach(call))
        })
        .collect();
    let owner = {
        let side = Arc::clone(&side);
        thread::spawn(move || {
            for state in [State::Resolving, State::Closed] {
                *side.row.lock() = Some(state);
                side.hear();
            }
        })
    };
    let looker = {
        let side = Arc::clone(&side);
        thread::spawn(move || side.look())
    };
    for call in calls {
        call.join().expect("no panic");
    }
    owner.join().expect("no panic");
    looker.join().expect("no panic");
    let by_news = side.woken.lock().len() == 2;
    side.look();
    let mut woken = side.woken.lock().clone();
    woken.sort_unstable();
    assert_eq!(woken, [CallId(0), CallId(1)], "each hears of it once, by the next look at the latest");
    by_news
}

#[test]
fn a_call_that_attaches_while_its_step_moves_on_hears_of_it_by_the_next_look() {
    in_many_orders(|| {
        attached();
    });
}

#[test]
fn a_notification_alone_can_be_missed() {
    let found =
        std::panic::catch_unwind(|| shuttle::check_random_with_seed(|| assert!(attached()), crate::SEED, 2_000));
    assert!(found.is_err(), "then nobody would need to look");
}
