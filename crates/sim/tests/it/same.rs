//! One seed is one world.

use sim::{Plan, Stage};

#[test]
fn the_same_seed_gives_the_same_trace() {
    let stage = Stage::new().expect("the policy is right");
    for seed in 0..12 {
        let plan = Plan::of(seed);
        let (one, other) = (stage.run(&plan, false), stage.run(&plan, true));
        assert_eq!((one.hash, one.steps), (other.hash, other.steps), "seed {seed}; telling it changes nothing either");
        assert!(one.steps > 0);
    }
}

#[test]
fn seeds_are_different_worlds() {
    let stage = Stage::new().expect("the policy is right");
    assert_ne!(stage.run(&Plan::of(1), false).hash, stage.run(&Plan::of(3), false).hash);
}
