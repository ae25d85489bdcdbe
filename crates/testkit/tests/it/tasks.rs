//! The audit of a task: right for a faultless run, and it sees what is one too many or too few.

use super::{REVISION, client, http};
use testkit::client::CallOptions;
use testkit::faults::Plan;
use testkit::worlds::{self, MEASURED, audit, tasks};

#[tokio::test]
async fn a_faultless_run_of_every_world_is_right() {
    for world in MEASURED {
        for seed in 0..8 {
            let task = tasks(world, seed, 20).expect("a task");
            assert_eq!(task.calls, tasks(world, seed, 20).expect("a task").calls, "the same seed, the same task");
            let running = http(world, Plan::default()).await;
            let client = client(&running, REVISION).await;
            for call in &task.calls {
                let answer = client.call(call.tool, call.args.clone(), &CallOptions::default()).await;
                assert!(answer.is_ok_and(|answer| !answer.is_error), "{call:?}");
            }
            let audit = audit(&task, task.calls.len(), &[], &running.world().truth());
            assert_eq!((audit.duplicates, audit.missing, audit.state_right), (0, 0, true), "{world} {seed} {audit:?}");
        }
    }
}

#[tokio::test]
async fn a_call_made_twice_is_a_duplicate_and_one_left_out_is_missing() {
    for world in MEASURED {
        let task = tasks(world, 3, 12).expect("a task");
        let first = task.calls.iter().find(|call| call.is_mutation).expect("a mutation");
        for (times, duplicates, missing) in [(2, 1, 0), (0, 0, 1)] {
            let running = http(world, Plan::default()).await;
            let client = client(&running, REVISION).await;
            for _ in 0..times {
                client.call(first.tool, first.args.clone(), &CallOptions::default()).await.expect("an answer");
            }
            let audit = audit(&task, first.intent + 1, &[], &running.world().truth());
            assert_eq!((audit.duplicates, audit.missing, audit.state_right), (duplicates, missing, false), "{world}");
            let excused = worlds::audit(&task, first.intent + 1, &[first.intent], &running.world().truth());
            assert_eq!(excused.missing, 0);
        }
    }
}
