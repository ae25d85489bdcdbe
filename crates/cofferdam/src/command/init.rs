//! `cofferdam init`: asks upstreams for their tools and writes a commented policy that `check` accepts.

mod clients;

use crate::cli::Init;
use crate::command::{ask, words};
use crate::exit::{Exit, Failed};
use crate::output::{Out, printable};
use crate::place;
use policy::Policy;
use policy::init::{Found, Reach, Skipped, import, upstream_name, write};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

#[derive(Serialize)]
struct Written {
    file: String,
    upstreams: Vec<Upstream>,
    skipped: Vec<Left>,
    /// What must be set in the gateway's environment.
    variables: Vec<String>,
}

#[derive(Serialize)]
struct Upstream {
    name: String,
    tools: Option<usize>,
    trouble: Option<String>,
}

#[derive(Serialize)]
struct Left {
    name: String,
    why: String,
}

/// What is to be written down, and what was found that is not.
#[derive(Default)]
struct Gathered {
    found: Vec<Found>,
    skipped: Vec<Skipped>,
    variables: Vec<String>,
}

const NOT_ASKED: &str = "nothing was asked (--offline)";

pub async fn run(wanted: Init, out: Out) -> Result<Exit, Failed> {
    if wanted.out.exists() && !wanted.force {
        let why = format!("write {}: it exists; --force replaces it", wanted.out.display());
        return Err(Failed::new(Exit::Failed, why));
    }
    let mut gathered = gather(&wanted)?;
    if !wanted.offline {
        ask_all(&mut gathered.found).await;
    }
    let text = write(&gathered.found);
    accept(&text)?;
    save(&wanted.out, &text, wanted.force)?;
    let written = report(&wanted.out, gathered);
    out.show(&written, || told(&written))?;
    Ok(Exit::Done)
}

fn gather(wanted: &Init) -> Result<Gathered, Failed> {
    let mut gathered = Gathered::default();
    for url in &wanted.url {
        let (name, url) = words::named(url);
        let guess = name.unwrap_or_else(|| words::host(url));
        gathered.add(guess, Reach::Http { url: literal(url), headers: Vec::new() });
    }
    for command in &wanted.command {
        let (name, command) = words::named(command);
        let parts =
            words::split(command).map_err(|why| Failed::because(&format!("read the command {command}"), why))?;
        gathered.add_command(name, parts);
    }
    if !wanted.server.is_empty() {
        gathered.add_command(None, wanted.server.clone());
    }
    for from in &wanted.import {
        let mut files = clients::files(from)?;
        let places = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        files.retain(|file| file.is_file());
        if files.is_empty() {
            let why = format!("import {from}: there is no file at {places}; name the file, or a client (see --help)");
            return Err(Failed::new(Exit::Failed, why));
        }
        for file in files {
            gathered.import(&file)?;
        }
    }
    if gathered.found.is_empty() && gathered.skipped.is_empty() && wanted.import.is_empty() {
        let why = "write a policy: name a server with --url, --command or -- COMMAND, or --import a client's file";
        return Err(Failed::new(Exit::Failed, why));
    }
    Ok(gathered)
}

impl Gathered {
    fn names(&self) -> Vec<String> {
        self.found.iter().map(|found| found.name.clone()).collect()
    }

    fn add(&mut self, wish: &str, reach: Reach) {
        let name = upstream_name(wish, &self.names());
        let tools = Err(NOT_ASKED.to_owned());
        self.found.push(Found { name, reach, tools, trusted: false, local: false, notes: Vec::new() });
    }

    fn add_command(&mut self, name: Option<&str>, parts: Vec<String>) {
        let wish = name.map_or_else(|| words::program(&parts), ToOwned::to_owned);
        let command = parts.iter().map(|part| literal(part)).collect();
        self.add(&wish, Reach::Stdio { command, env: Vec::new(), cwd: None });
    }

    fn import(&mut self, file: &Path) -> Result<(), Failed> {
        let text = place::read(file)?;
        let (imported, skipped) =
            import(&text, &self.names()).map_err(|why| Failed::because(&format!("import {}", file.display()), why))?;
        for one in imported {
            // The same server may stand in several clients' files.
            if self.found.iter().any(|found| found.reach == one.reach) {
                continue;
            }
            let tools = Err(NOT_ASKED.to_owned());
            let (name, reach, notes) = (one.name, one.reach, one.notes);
            self.found.push(Found { name, reach, tools, trusted: false, local: false, notes });
            self.variables.extend(one.variables);
        }
        self.skipped.extend(skipped);
        self.variables.sort();
        self.variables.dedup();
        Ok(())
    }
}

/// What the command line says is meant as it is: no variable is looked for in it.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// Each is asked as the gateway would: through the policy that is about to be written.
async fn ask_all(found: &mut [Found]) {
    let mut ready = Vec::new();
    for one in found.iter_mut() {
        let text = write(std::slice::from_ref(one));
        match Policy::parse(&text, "the new policy", &place::variable) {
            Ok(policy) => ready.extend(policy.upstreams),
            Err(problems) => {
                let why = problems.0.first().map_or_else(String::new, |problem| problem.message.clone());
                one.tools = Err(format!("{why}; set it and run init again"));
            }
        }
    }
    for asked in ask::all(&ready).await {
        if let Some(one) = found.iter_mut().find(|one| one.name == asked.upstream) {
            one.tools = asked.tools;
        }
    }
}

/// A file that `check` refuses is not written.
fn accept(text: &str) -> Result<(), Failed> {
    let set = |name: &str| Some(place::variable(name).unwrap_or_else(|| place::unset(name)));
    match Policy::parse(text, "the new policy", &set) {
        Ok(_) => Ok(()),
        Err(problems) => Err(Failed::because("write a policy that holds", problems)),
    }
}

fn save(to: &Path, text: &str, force: bool) -> Result<(), Failed> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if force {
        options.create(true).truncate(true);
    } else {
        // Between the look and the write somebody may have made it.
        options.create_new(true);
    }
    let written = options.open(to).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failed::because(&format!("write {}", to.display()), error))
}

fn report(file: &Path, gathered: Gathered) -> Written {
    let upstream = |found: Found| Upstream {
        name: found.name,
        tools: found.tools.as_ref().ok().map(Vec::len),
        trouble: found.tools.err(),
    };
    let left = |skipped: Skipped| Left { name: skipped.name, why: skipped.why };
    Written {
        file: file.display().to_string(),
        upstreams: gathered.found.into_iter().map(upstream).collect(),
        skipped: gathered.skipped.into_iter().map(left).collect(),
        variables: gathered.variables,
    }
}

fn told(written: &Written) -> String {
    let mut text = format!("wrote {}\n", written.file);
    for upstream in &written.upstreams {
        match (&upstream.tools, &upstream.trouble) {
            (Some(count), _) => text += &format!("  {}: {count} tools\n", upstream.name),
            (None, why) => {
                let why = why.as_deref().unwrap_or_default();
                text += &format!("  {}: could not be asked: {}\n", upstream.name, printable(why));
            }
        }
    }
    for left in &written.skipped {
        text += &format!("  left out {}: {}\n", printable(&left.name), printable(&left.why));
    }
    if written.upstreams.iter().any(|upstream| upstream.trouble.as_deref().is_some_and(|why| why != NOT_ASKED)) {
        text += "Put that right and run init again with --force (`--log info` shows what a command wrote on its standard \
                 error), or write rules for its tools by hand.\n";
    }
    if !written.variables.is_empty() {
        text += &format!("Set in the gateway's environment: {}.\n", written.variables.join(", "));
    }
    text += &format!("Read it, then `cofferdam check --config {0}` and `cofferdam up --config {0}`.\n", written.file);
    text
}
