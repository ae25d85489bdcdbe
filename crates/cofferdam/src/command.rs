//! The commands, one module each.

mod ask;
mod attest;
mod check;
mod doctor;
mod explain;
mod init;
mod journal;
mod resolve;
pub mod rollback;
mod runs;
mod show;
pub mod words;

use crate::cli::{Command, JournalCommand};
use crate::exit::{Exit, Failed};
use crate::output::Out;
use crate::{demo, gateway};

pub async fn run(command: Command, out: Out) -> Result<Exit, Failed> {
    match command {
        Command::Up(wanted) => gateway::up(wanted, out).await,
        Command::Wrap(wanted) => gateway::wrap(wanted, out).await,
        Command::Demo(wanted) => {
            let report = demo::run(wanted.incident).await?;
            out.show(&report, || report.render())?;
            Ok(Exit::Done)
        }
        Command::Resolve(wanted) => resolve::run(wanted, out).await,
        Command::Rollback(wanted) => rollback::run(wanted, out).await,
        Command::Attest(wanted) => attest::run(wanted, out).await,
        Command::Init(wanted) => init::run(wanted, out).await,
        Command::Check(wanted) => check::run(wanted, out).await,
        Command::Runs(wanted) => runs::run(wanted, out).await,
        Command::Show(wanted) => show::run(wanted, out).await,
        Command::Doctor(wanted) => doctor::run(wanted, out).await,
        Command::Explain(wanted) => explain::run(&wanted, out),
        Command::Journal(wanted) => match wanted.command {
            JournalCommand::Backup { to, place } => journal::backup(&to, &place, out).await,
            JournalCommand::Migrate { from, config } => journal::migrate(&from, &config, out).await,
        },
    }
}
