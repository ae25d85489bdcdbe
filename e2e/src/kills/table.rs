//! The account as a page.

use super::account::quantile;
use super::records::Settled;
use super::{Account, Belief, Line, Promise};
use std::fmt::Write;
use std::time::Duration;

/// What each tool is to the policy of the campaign.
const TOOLS: [(&str, &str, Way); 5] = [
    ("set", "idempotent, a probe", Way::Probe),
    ("append", "write, a probe", Way::Probe),
    ("pay", "keyed", Way::Key),
    ("send", "write, no probe", Way::Person),
    ("drop", "destructive, no probe", Way::Person),
];

/// What can tell what became of an unknown step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Probe,
    Key,
    Person,
}

const NONE: &str = "–";

/// The part of the page; `command` made it, in `took`.
pub fn render(account: &Account, command: &str, took: Duration) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    write(&mut page, account, command, took).unwrap_or_default();
    page
}

fn write(page: &mut String, account: &Account, command: &str, took: Duration) -> std::fmt::Result {
    let killed = account.killed();
    writeln!(page, "## Killed {} times\n", thousands(killed))?;
    writeln!(
        page,
        "Four agents call one tool after the other through the gateway, which is ended again and again and started again \
         on\nits journal. What they mean carries a tag; a call that broke off is re-issued under a new JSON-RPC id, half \
         of the time\nwith the same tool-call id, half without any. The server, a child process or a process of its own \
         behind HTTP, appends\neach effect to a ledger that it syncs before it answers; a third of its answers come 60 ms \
         after their effect. At the end\nthree records are held against each other, per intent: the ledger, what the \
         agents were told, and the journal.\n"
    )?;
    writeln!(
        page,
        "Made by `{command}` in {} minutes: {} kills in {} rounds with a new journal each, {} intents, {} effects, {} calls \
         re-issued;\nthe server behind HTTP was killed {} times as well. Random kills strike the release binary, named \
         points a build that\ndiffers only by the feature `failpoints`.\n",
        took.as_secs() / 60,
        thousands(killed),
        account.rounds,
        thousands(account.intents()),
        thousands(account.effects),
        thousands(account.reissued),
        account.server_kills,
    )?;
    promises(page, account)?;
    intents(page, account)?;
    unknown(page, account)?;
    waits(page, account)?;
    places(page, account)
}

fn promises(page: &mut String, account: &Account) -> std::fmt::Result {
    writeln!(page, "| must be 0 | |\n|---|---:|")?;
    for (promise, name) in Promise::ALL {
        let count = account.broken.iter().filter(|broken| broken.promise == promise).count();
        writeln!(page, "| {name} | {count} |")?;
    }
    writeln!(page)
}

fn intents(page: &mut String, account: &Account) -> std::fmt::Result {
    writeln!(
        page,
        "| tool | intents | effects: 0 | 1 | 2+ | told yes | told no | told not known | told nothing | \
         in the journal: done | not done | waits for a person | still open | no step |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    )?;
    for (tool, kind, _) in TOOLS {
        let Some(line) = account.tools.get(tool) else { continue };
        let [none, one, more] = line.effects;
        let [done, not, reported, waits, open, missing] = line.ends;
        writeln!(
            page,
            "| `{tool}` ({kind}) | {} | {none} | {one} | {more} | {} | {} | {} | {} | {done} | {} | {waits} | {open} | \
             {missing} |",
            line.intents,
            line.told[Belief::Yes as usize],
            line.told[Belief::No as usize],
            line.told[Belief::Unknown as usize],
            line.told[Belief::Nothing as usize],
            not + reported,
        )?;
    }
    writeln!(
        page,
        "\n`set` writes an absolute value and may be had again; its second effects are no duplicates. What had no effect was \
         told\nas not done, or waits for a person: without a probe or a key nobody else can say that it did not take \
         place. An agent\nthat was told nothing gave up after 12 calls or a minute.\n"
    )
}

fn unknown(page: &mut String, account: &Account) -> std::fmt::Result {
    writeln!(
        page,
        "What was under way when a kill struck: a step whose answer was not yet durable was *unknown* at that moment.\n\n\
         | tool | steps struck | nothing sent yet | answer stored | unknown | of all intents | then known by a probe | \
         by sending again | waits for a person | still open | without a person | time until known: p50 | p99 | longest |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    )?;
    for (tool, kind, _) in TOOLS {
        let Some(line) = account.tools.get(tool) else { continue };
        struck(page, &format!("`{tool}` ({kind})"), line)?;
    }
    let mut probed = Line::default();
    for (tool, _, way) in TOOLS {
        if let (Some(line), Way::Probe) = (account.tools.get(tool), way) {
            probed.add(line.clone());
        }
    }
    struck(page, "all with a probe", &probed)?;
    writeln!(
        page,
        "\nThe time counts from the dispatch before the kill and holds the time in which there was no gateway. A `pay` \
         without\na probe is known when its agent calls again, because then it can be sent again under its key. Nobody \
         plays the person\nhere: what waits for one, waits at the end.\n"
    )
}

fn struck(page: &mut String, name: &str, line: &Line) -> std::fmt::Result {
    let by = |how: Settled| line.struck[how as usize];
    let mut took = line.took.clone();
    let mut at = |share| if took.is_empty() { NONE.into() } else { millis(quantile(&mut took, share)) };
    writeln!(
        page,
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        line.struck.iter().sum::<usize>(),
        by(Settled::Unsent),
        by(Settled::Stored),
        line.unknown(),
        percent(line.unknown(), line.intents),
        by(Settled::Probe),
        by(Settled::Again),
        by(Settled::Waits) + by(Settled::Person),
        by(Settled::Open),
        percent(line.resolved(), line.unknown()),
        at(0.5),
        at(0.99),
        at(1.0),
    )
}

fn waits(page: &mut String, account: &Account) -> std::fmt::Result {
    let (mut waits, mut starts) = (account.waits.clone(), account.starts.clone());
    let mut wait = |share| millis(quantile(&mut waits, share));
    let mut start = |share| millis(quantile(&mut starts, share));
    writeln!(
        page,
        "| | p50 | p99 | longest |\n|---|---:|---:|---:|\n\
         | an agent that was struck, from its first call to its last word | {} | {} | {} |\n\
         | from the start of a process to its readiness, the journal of the round recovered | {} | {} | {} |\n",
        wait(0.5),
        wait(0.99),
        wait(1.0),
        start(0.5),
        start(0.99),
        start(1.0),
    )
}

fn places(page: &mut String, account: &Account) -> std::fmt::Result {
    writeln!(page, "| killed | times |\n|---|---:|")?;
    for (at, count) in &account.kills {
        writeln!(page, "| {} | {} |", at.replace('_', " "), thousands(*count))?;
    }
    Ok(())
}

fn percent(part: usize, of: usize) -> String {
    match of {
        0 => NONE.into(),
        of => format!("{:.1} %", part as f64 * 100.0 / of as f64),
    }
}

fn millis(span: Duration) -> String {
    match span.as_millis() {
        millis if millis < 10_000 => format!("{millis} ms"),
        millis => format!("{} s", millis / 1000),
    }
}

fn thousands(count: usize) -> String {
    match count {
        0..1000 => count.to_string(),
        _ => format!("{},{:03}", thousands(count / 1000), count % 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kills::Broken;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(10_002_003), "10,002,003");
        assert_eq!(percent(0, 0), "–");
        assert_eq!(percent(1, 8), "12.5 %");
        assert_eq!(millis(Duration::from_millis(12_345)), "12 s");
    }

    #[test]
    fn the_page_has_what_was_counted() {
        let mut account = Account { rounds: 1, ..Account::default() };
        account.strike("during_probe", 7);
        let mut line = Line { intents: 20, effects: [1, 19, 0], ..Line::default() };
        line.struck[Settled::Probe as usize] = 4;
        line.struck[Settled::Unsent as usize] = 2;
        line.took = vec![Duration::from_millis(80); 4];
        account.tools.insert("append", line);
        account.broken.push(Broken { promise: Promise::No, case: String::new() });
        let page = render(&account, "kills", Duration::from_secs(120));
        for part in [
            "| told no, but happened | 1 |",
            "| duplicates | 0 |",
            "| `append` (write, a probe) | 20 | 1 | 19 | 0 |",
            "| all with a probe | 6 | 2 | 0 | 4 | 20.0 % | 4 | 0 | 0 | 0 | 100.0 % | 80 ms |",
            "| during probe | 7 |",
        ] {
            assert!(page.contains(part), "{part} is missing:\n{page}");
        }
    }
}
