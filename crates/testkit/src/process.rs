//! A world as a process of its own, for tests that kill things and for servers behind pipes.

use crate::faults::Plan;
use crate::server::{self, Options, REVISIONS};
use crate::shop::Shop;
use crate::world::World;
use crate::worlds;
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What the process is told, as `USAGE` has it.
#[derive(Debug)]
pub struct Args {
    http: Option<SocketAddr>,
    world: String,
    ledger: Option<PathBuf>,
    options: Options,
}

pub const USAGE: &str = "--stdio | --http 127.0.0.1:0 [--world NAME] [--ledger FILE] [--faults PLAN] [--seed N] \
                         [--annotations off] [--schemas off] [--sse on] [--revisions A,B]";

type Failed = Box<dyn Error + Send + Sync>;

impl Args {
    /// # Errors
    /// An unknown name, or a value that does not fit it.
    pub fn read(mut given: impl Iterator<Item = String>) -> Result<Self, Failed> {
        let options = Options { admin: true, ..Options::default() };
        let mut args = Self { http: None, world: "ledger".into(), ledger: None, options };
        let mut seed = None;
        while let Some(name) = given.next() {
            if name == "--stdio" {
                continue;
            }
            let value = given.next().ok_or_else(|| format!("{name} needs a value: {USAGE}"))?;
            let is_on = value != "off";
            match name.as_str() {
                "--http" => args.http = Some(value.parse()?),
                "--world" => args.world = value,
                "--ledger" => args.ledger = Some(value.into()),
                "--faults" => args.options.faults = value.parse::<Plan>()?,
                "--seed" => seed = Some(value.parse()?),
                "--annotations" => args.options.annotations = is_on,
                "--schemas" => args.options.output_schemas = is_on,
                "--sse" => args.options.event_stream = is_on,
                "--revisions" => {
                    args.options.revisions = REVISIONS.into_iter().filter(|known| value.contains(known)).collect();
                }
                _ => return Err(format!("there is no {name}: {USAGE}").into()),
            }
        }
        if let Some(seed) = seed {
            args.options.faults.seed = seed;
        }
        Ok(args)
    }

    fn world(&self) -> Result<Arc<dyn World>, Failed> {
        Ok(match (self.world.as_str(), &self.ledger) {
            ("shop", Some(path)) => Arc::new(Shop::open(path)?),
            ("shop", None) => Arc::new(Shop::in_memory()?),
            (name, ledger) => worlds::open(name, ledger.as_deref())?,
        })
    }
}

/// The whole process: serves until stdin ends or a fault ends it, over HTTP until Ctrl-C. Over HTTP the first line on
/// stdout is the URL.
///
/// # Errors
/// The world cannot be opened, the address not be bound, or a pipe breaks.
pub fn run(args: Args) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    let served = runtime.block_on(serve(args));
    // A read of stdin cannot be called back; waiting for it would keep a process alive that should be gone.
    runtime.shutdown_background();
    served
}

async fn serve(args: Args) -> Result<(), Failed> {
    let world = args.world()?;
    let Some(address) = args.http else {
        server::serve_stdio(world, args.options).await?;
        return Ok(());
    };
    let running = server::serve_http(address, world, args.options).await?;
    writeln!(std::io::stdout(), "{}", running.url)?;
    std::io::stdout().flush()?;
    tokio::signal::ctrl_c().await?;
    running.shutdown().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_cannot_be_are_refused() {
        let read = |text: &str| Args::read(text.split_whitespace().map(str::to_owned));
        for text in ["--http", "--http nowhere", "--colour red", "--faults effect_lost=2", "--seed x"] {
            assert!(read(text).is_err(), "{text}");
        }
        let args = read("--http 127.0.0.1:0 --seed 7 --faults effect_lost=0.5 --schemas off --revisions 2025-11-25")
            .expect("arguments that can be");
        assert_eq!((args.options.faults.seed, args.options.output_schemas), (7, false));
        assert_eq!(args.options.revisions, ["2025-11-25"]);
        assert!(read("--world nowhere").expect("arguments").world().is_err());
    }
}
