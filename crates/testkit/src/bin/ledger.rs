//! A world with a ledger as a process of its own, for tests that kill things.
//!
//! `ledger --stdio | --http 127.0.0.1:0 [--world NAME] [--ledger FILE] [--faults PLAN] [--seed N] [--annotations off]
//! [--schemas off] [--sse on] [--revisions A,B]`. Over HTTP the first line on stdout is the URL.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use testkit::faults::Plan;
use testkit::server::{self, Options, REVISIONS};
use testkit::shop::Shop;
use testkit::world::World;
use testkit::worlds;

struct Args {
    http: Option<SocketAddr>,
    world: String,
    ledger: Option<PathBuf>,
    options: Options,
}

fn read_args() -> Result<Args, Box<dyn Error>> {
    let options = Options { admin: true, ..Options::default() };
    let mut args = Args { http: None, world: "ledger".into(), ledger: None, options };
    let (mut given, mut seed) = (std::env::args().skip(1), None);
    while let Some(name) = given.next() {
        if name == "--stdio" {
            continue;
        }
        let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
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
            _ => return Err(format!("there is no {name}").into()),
        }
    }
    if let Some(seed) = seed {
        args.options.faults.seed = seed;
    }
    Ok(args)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = read_args()?;
    let world: Arc<dyn World> = match (args.world.as_str(), &args.ledger) {
        ("shop", Some(path)) => Arc::new(Shop::open(path)?),
        ("shop", None) => Arc::new(Shop::in_memory()?),
        (name, ledger) => worlds::open(name, ledger.as_deref())?,
    };
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
