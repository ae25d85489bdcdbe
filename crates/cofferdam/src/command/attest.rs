//! `cofferdam attest`: what an agent says it did or undid, held against the journal.

use crate::cli::Attest;
use crate::desk::Desk;
use crate::exit::{Exit, Failed};
use crate::output::{Out, printable};
use crate::place::Place;
use admin::wire;
use std::io::Read;
use vocab::RunId;

/// Bytes of a file of claims.
const CLAIMS_MAX: u64 = 64 * 1024;

pub async fn run(wanted: Attest, out: Out) -> Result<Exit, Failed> {
    let Some(run) = RunId::parse(&wanted.run) else {
        return Err(Failed::new(Exit::NotFound, format!("find {}: this is no id of a run", wanted.run)));
    };
    let said = claims(&wanted)?;
    let desk = Desk::open(&Place::find(&wanted.place)?).await?;
    let judged = desk.attest(run, &said).await?;
    out.show(&judged, || text(&judged))?;
    Ok(if judged.contradicted == 0 { Exit::Done } else { Exit::Wrong })
}

fn claims(wanted: &Attest) -> Result<wire::Attest, Failed> {
    let name = wanted.claims.display().to_string();
    let mut text = String::new();
    let read = if name == "-" {
        std::io::stdin().lock().take(CLAIMS_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(&wanted.claims).and_then(|file| file.take(CLAIMS_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| Failed::because(&format!("read the claims in {name}"), error))?;
    if text.len() as u64 > CLAIMS_MAX {
        return Err(Failed::because(&format!("read the claims in {name}"), "they are larger than 64 KiB"));
    }
    let form = r#"write {"claims": [{"claim": "done", "tool": "shop.create_order"}]}"#;
    serde_json::from_str(&text)
        .map_err(|error| Failed::because(&format!("read the claims in {name}"), format!("{error}; {form}")))
}

fn text(judged: &wire::Attested) -> String {
    let mut text = format!(
        "run {}: {} confirmed, {} contradicted, {} unresolved, {} without a record\n\n",
        judged.run, judged.confirmed, judged.contradicted, judged.unresolved, judged.no_record
    );
    for one in &judged.claims {
        let about = match (&one.claim.tool, &one.claim.step) {
            (Some(tool), _) => tool.clone(),
            (None, Some(step)) => format!("step {step}"),
            (None, None) => "the run".to_owned(),
        };
        let args = one.claim.args.as_ref().map_or_else(String::new, |args| format!(" {args}"));
        text += &format!("{:13} \"{}\" of {}{}\n", one.verdict, one.claim.claim, printable(&about), printable(&args));
        let step = one.step.as_ref().map_or_else(String::new, |step| format!(" (step {step})"));
        text += &format!("{:13} {}{step}\n", "", printable(&one.why));
    }
    text
}
