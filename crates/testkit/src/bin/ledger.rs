//! A world with a ledger as a process of its own, for tests that kill things.

use std::error::Error;
use testkit::process::{Args, run};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run(Args::read(std::env::args().skip(1))?)
}
