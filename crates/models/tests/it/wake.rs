//! Who waits for an answer is woken: a caller at its own gateway, and a call whose step another replica owns.

mod callers;
mod elsewhere;

/// What the waiting callers of the runtime are made of besides.
pub mod api {
    pub use runtime::{Delivery, Link, Phase, Reply};
}

pub mod attempt {
    pub struct Send {
        pub intent: Named,
        pub number: u32,
    }

    pub struct Named {
        pub step: vocab::StepId,
    }
}

pub mod report {
    pub struct About {
        pub effect: vocab::Effect,
    }
}

pub mod tools {
    pub struct Tool;
}
