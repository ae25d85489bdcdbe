use crate::api::{Delivery, Link, Phase, Reply};
use crate::report::About;
use crate::tools::Tool;
use crate::{in_many_orders, is_found_to_hang};
use futures_util::future::BoxFuture;
use shuttle::future::block_on;
use shuttle::thread;
use slot::{Item, Slot};
use std::sync::Arc;
use std::task::Poll;
use vocab::{Bytes, CallId, Effect, Failure, Name, StepId, Verification};

#[path = "../../../../runtime/src/slot.rs"]
#[expect(dead_code, reason = "the runtime uses all of it")]
mod slot;

/// Nothing is sent here.
struct Nowhere;

impl Link for Nowhere {
    fn send(&self, _attempt: runtime::Attempt) -> BoxFuture<'static, Result<Bytes, Failure>> {
        unreachable!("nothing is sent")
    }

    fn read(&self, _tool: Name, _args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        unreachable!("nothing is read")
    }

    fn task(&self, _ask: runtime::TaskAsk, _task: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        unreachable!("nothing is asked")
    }

    fn is_closed(&self) -> bool {
        false
    }

    fn cancel(&self) {}
}

fn slot() -> Arc<Slot> {
    let about = About { effect: Effect::Write };
    Slot::new(CallId(1), StepId([1; 16]), Arc::new(Tool), about, Arc::new(Nowhere))
}

fn reply() -> Item {
    let reply = Reply::Result {
        step: StepId([1; 16]),
        result: Bytes::new(),
        verification: Verification::None,
        replayed: false,
        notice: None,
        mutation: true,
    };
    Item::Reply(reply, Delivery::unheeded())
}

/// As a pending call does: it takes until there is nothing, and parks unless something has come.
async fn next(slot: &Slot) -> Item {
    std::future::poll_fn(|context| {
        loop {
            if let Some(item) = slot.take() {
                return Poll::Ready(item);
            }
            if slot.park(context.waker()) {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Those who tell how it goes, and one who ends it: none holds a lock while it wakes.
fn answered(tellers: u32, wakes: bool) {
    let slot = slot();
    let caller = {
        let slot = Arc::clone(&slot);
        thread::spawn(move || {
            block_on(async {
                let mut phases = 0;
                loop {
                    match next(&slot).await {
                        Item::Phase(_) => phases += 1,
                        Item::Reply(..) => return phases,
                        Item::Send(_) | Item::Abandon => unreachable!("it makes no attempt"),
                    }
                }
            })
        })
    };
    let tellers: Vec<_> = (0..tellers)
        .map(|probes| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                slot.push(Item::Phase(Phase::Probing { probes }));
                slot.wake();
            })
        })
        .collect();
    thread::yield_now();
    slot.push(reply());
    if wakes {
        slot.wake();
    }
    tellers.into_iter().for_each(|teller| teller.join().expect("no panic"));
    assert!(caller.join().expect("no panic") <= 2);
}

#[test]
fn a_caller_that_waits_is_woken_by_its_answer() {
    in_many_orders(|| answered(2, true));
}

#[test]
fn a_caller_that_is_not_woken_is_found_asleep() {
    is_found_to_hang(|| answered(0, false));
}
