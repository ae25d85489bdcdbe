//! `cofferdam doctor`: what is wrong with a gateway, or with a journal at rest.

use crate::cli::Doctor;
use crate::desk::Desk;
use crate::exit::{Exit, Failed};
use crate::output::{Out, Table};
use crate::place::Place;
use admin::wire::{Check, Level};

pub async fn run(wanted: Doctor, out: Out) -> Result<Exit, Failed> {
    let place = Place::find(&wanted.place)?;
    let desk = Desk::open(&place).await?;
    let mut doctor = desk.doctor(wanted.full).await?;
    let (level, detail) = match &desk {
        Desk::Running(_) => (Level::Ok, "it answers".to_owned()),
        Desk::AtRest(_) => (Level::Look, format!("none runs; looked at {} at rest", crate::place::shown(&place))),
    };
    doctor.checks.insert(0, Check { name: "gateway".to_owned(), level, detail });
    out.show(&doctor, || {
        let mut table = Table::plain(3);
        for check in &doctor.checks {
            let level = match check.level {
                Level::Ok => "ok",
                Level::Look => "look",
                Level::Bad => "BAD",
            };
            table.row([level, &check.name, &check.detail]);
        }
        table.render(0)
    })?;
    Ok(if doctor.is_well() { Exit::Done } else { Exit::Wrong })
}
