//! The operator's commands on a journal at rest.

use crate::Tested;
use crate::cli::Desk;
use journal::sqlite::Options;
use journal::{Journal, Sqlite};
use std::path::Path;
use std::sync::Arc;
use vocab::{
    Bytes, Effect, EffectSource, Event, EventKind, Hash, Instant, KeySource, Outcome, Record, RunId, State, StepId,
    StepIntent, StepStatus,
};

const RUN: RunId = RunId([9; 16]);
const LOST: StepId = StepId([1; 16]);
const DONE: StepId = StepId([2; 16]);

fn intent(step: StepId) -> Arc<StepIntent> {
    Arc::new(StepIntent {
        step,
        key: Hash([step.0[0]; 32]),
        generation: 0,
        key_source: KeySource::Explicit,
        fingerprint: Hash([2; 32]),
        content: Hash([3; 32]),
        scope: Hash([4; 32]),
        tenant: "default".into(),
        principal: "local".into(),
        run: RUN,
        upstream: "shop".into(),
        tool: "issue_refund".into(),
        effect: Effect::Destructive,
        effect_source: EffectSource::Policy,
        policy: Hash::default(),
        lane: None,
        args: Bytes::from_static(br#"{"order_id":7,"card":"4111-s3cr3t"}"#),
        upstream_key: None,
        preimage: None,
        undo: None,
        created_at: Instant::from_micros(1_800_000_000_000_000),
    })
}

/// Leaves a journal with a step that waits for a person and one that is done.
fn journal(place: &Path) -> Result<(), journal::Error> {
    let journal = Sqlite::open(place, Options::default())?;
    let epoch = journal.start().epoch;
    let mut done = StepStatus::new(State::Closed);
    done.outcome = Some(Outcome::Succeeded);
    for (step, status) in [(LOST, StepStatus::new(State::NeedsHuman)), (DONE, done)] {
        let intent = intent(step);
        let detail = "sent, \u{1b}[31mand no reply".to_owned();
        let event = Event { step, at: intent.created_at, kind: EventKind::Dispatched, attempt: 1, class: None, detail };
        journal.append(vec![Record::Insert { intent, status, epoch }, Record::Event(event)], None)?;
    }
    journal.close();
    Ok(())
}

#[test]
fn runs_and_steps_are_shown_with_their_evidence() -> Tested {
    let desk = Desk::new()?;
    journal(&desk.path(".cofferdam"))?;
    let runs = desk.run(&["runs", "--json"])?.json()?;
    assert_eq!(runs["runs"][0]["run"], RUN.to_string());
    assert_eq!(runs["runs"][0]["mutations"], 2);
    let run = desk.run(&["show", &RUN.to_string()])?;
    assert!(run.out.contains(&LOST.to_string()) && run.out.contains("needs_human"), "{run:?}");
    let step = desk.run(&["show", &LOST.to_string()])?;
    assert!(step.out.contains("executed: unknown") && step.out.contains("dispatched"), "{step:?}");
    assert!(step.out.contains("cofferdam resolve"), "{step:?}");
    assert!(!step.out.contains('\u{1b}'), "a terminal must not obey what the journal holds");
    Ok(())
}

#[test]
fn values_are_struck_out_unless_they_are_asked_for() -> Tested {
    let desk = Desk::new()?;
    journal(&desk.path(".cofferdam"))?;
    let id = LOST.to_string();
    for json in [&["--json"][..], &[]] {
        let args = [&["show", id.as_str()][..], json].concat();
        let said = desk.run(&args)?;
        assert!(!said.all().contains("s3cr3t") && said.out.contains("card"), "{said:?}");
        let said = desk.run(&[&args[..], &["--bodies"]].concat())?;
        assert!(said.out.contains("4111-s3cr3t"), "{said:?}");
    }
    Ok(())
}

//= G6
#[test]
fn a_persons_word_closes_an_unknown_step_with_name_and_reason_and_once() -> Tested {
    let desk = Desk::new()?;
    journal(&desk.path(".cofferdam"))?;
    let said = desk.run(&["resolve", &LOST.to_string(), "--applied", "--why", "the ledger has it", "--json"])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let step = said.json()?;
    assert_eq!((&step["step"]["state"], &step["step"]["outcome"]), (&"closed".into(), &"applied".into()));
    let events = step["events"].as_array().ok_or("no events")?;
    let person = events.iter().find(|event| event["kind"] == "person").ok_or("no event of a person")?;
    assert_eq!(person["class"], "person");
    assert!(person["detail"].as_str().is_some_and(|why| why.contains("ann") && why.contains("the ledger has it")));
    let again = desk.run(&["resolve", &LOST.to_string(), "--absent", "--why", "no"])?;
    assert_eq!(again.code, Some(1), "{again:?}");
    let settled = desk.run(&["resolve", &DONE.to_string(), "--absent", "--why", "no"])?;
    assert_eq!(settled.code, Some(1), "a receipt is not undone by a word: {settled:?}");
    assert_eq!(desk.run(&["doctor", "--full"])?.code, Some(0));
    Ok(())
}

#[test]
fn a_person_may_allow_one_more_execution_of_what_is_done() -> Tested {
    let desk = Desk::new()?;
    journal(&desk.path(".cofferdam"))?;
    let said = desk.run(&["resolve", &DONE.to_string(), "--run-again", "--why", "a second refund is due", "--json"])?;
    let step = said.json()?;
    assert_eq!((&step["step"]["outcome"], &step["step"]["run_again"]), (&"succeeded".into(), &true.into()));
    Ok(())
}

#[test]
fn a_journal_that_is_none_is_found_wrong_and_not_missing() -> Tested {
    let desk = Desk::new()?;
    journal(&desk.path(".cofferdam"))?;
    for rest in ["journal.db-wal", "journal.db-shm"] {
        std::fs::remove_file(desk.path(".cofferdam").join(rest)).ok();
    }
    desk.write(".cofferdam/journal.db", "somebody's notes, longer than a header would be of a database file")?;
    for (args, code) in [(&["doctor"][..], 3), (&["runs"], 3), (&["up", "--listen", "127.0.0.1:0"], 1)] {
        let said = desk.run(args)?;
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.err.contains(".cofferdam") && said.err.contains("backup in its place"), "{said:?}");
    }
    Ok(())
}

#[test]
fn an_act_and_a_reason_are_demanded() -> Tested {
    let desk = Desk::new()?;
    journal(&desk.path(".cofferdam"))?;
    let id = LOST.to_string();
    assert_eq!(desk.run(&["resolve", &id, "--why", "x"])?.code, Some(2));
    assert_eq!(desk.run(&["resolve", &id, "--applied"])?.code, Some(2));
    assert_eq!(desk.run(&["resolve", &id, "--applied", "--absent", "--why", "x"])?.code, Some(2));
    assert_eq!(desk.run(&["resolve", &id, "--applied", "--why", " "])?.code, Some(1));
    Ok(())
}

#[test]
fn a_journal_that_somebody_owns_is_read_and_not_written() -> Tested {
    let desk = Desk::new()?;
    journal(&desk.path(".cofferdam"))?;
    let owner = Sqlite::open(desk.path(".cofferdam"), Options::default())?;
    assert_eq!(desk.run(&["runs"])?.code, Some(0));
    let said = desk.run(&["resolve", &LOST.to_string(), "--applied", "--why", "x"])?;
    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.err.contains(&format!("process {}", std::process::id())), "{said:?}");
    owner.close();
    Ok(())
}

#[test]
fn what_is_not_there_is_told_apart_from_what_is_not_found() -> Tested {
    let desk = Desk::new()?;
    let nothing = desk.run(&["runs"])?;
    assert_eq!(nothing.code, Some(5), "{nothing:?}");
    assert!(!desk.path(".cofferdam").exists(), "looking makes nothing");
    journal(&desk.path("elsewhere"))?;
    assert_eq!(desk.run(&["runs", "--journal", "elsewhere"])?.code, Some(0));
    let unknown = StepId([8; 16]).to_string();
    assert_eq!(desk.run(&["show", &unknown, "--journal", "elsewhere"])?.code, Some(4));
    assert_eq!(desk.run(&["show", "nonsense", "--journal", "elsewhere"])?.code, Some(4));
    Ok(())
}

#[test]
fn a_policy_says_where_the_journal_lies_without_its_secrets() -> Tested {
    let desk = Desk::new()?;
    journal(&desk.path("kept"))?;
    let policy = "journal: { path: kept }\nupstreams:\n  shop: { mcp: { url: \"${SHOP_URL}\" } }\n";
    desk.write("gateway.yaml", policy)?;
    let said = desk.run(&["runs", "--config", "gateway.yaml", "--json"])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    Ok(())
}

#[test]
fn a_backup_is_a_journal_whose_owner_hears_of_the_gap_and_resolve_leaves_it_to_report() -> Tested {
    let desk = Desk::new()?;
    journal(&desk.path(".cofferdam"))?;
    let said = desk.run(&["journal", "backup", "copy.db"])?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(desk.run(&["journal", "backup", "copy.db"])?.code, Some(1), "never over something");
    std::fs::create_dir(desk.path("restored"))?;
    std::fs::rename(desk.path("copy.db"), desk.path("restored/journal.db"))?;
    let resolved = desk.run(&["resolve", &LOST.to_string(), "--absent", "--why", "looked", "--journal", "restored"])?;
    assert_eq!(resolved.code, Some(0), "{resolved:?}");
    let restored = Sqlite::open(desk.path("restored"), Options::default())?;
    assert!(restored.start().gap_since.is_some(), "nobody has acted on it yet");
    restored.close();
    Ok(())
}
