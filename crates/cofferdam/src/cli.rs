//! The command line: what can be asked, in which words.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// A reliability gateway for AI agents that call tools over MCP.
#[derive(Debug, Parser)]
#[command(name = "cofferdam", version, after_help = EXITS, max_term_width = 100)]
pub struct Cli {
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
    #[command(flatten)]
    pub logs: Logs,
    #[command(subcommand)]
    pub command: Command,
}

const EXITS: &str = "\
Exit codes:
  0  done
  1  the command could not do its job
  2  the command line is wrong
  3  it looked and found something wrong (check, doctor; a policy with errors),
     a rollback left something standing, or a claim is contradicted (attest)
  4  there is no such run, step or code
  5  neither a gateway nor a journal is there
  6  another process owns the journal
  7  the disk failed under the journal; start again, it recovers from what the disk has";

#[derive(Debug, Args)]
pub struct Logs {
    /// What to log, such as `debug` or `info,upstream=debug`; else RUST_LOG, else `info`
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Logging")]
    pub log: Option<String>,
    /// How to log, on standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, help_heading = "Logging")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a gateway over HTTP; without --config in front of a bundled demo shop
    Up(Up),
    /// Guard one stdio server and be one: put it in front of the command in a client's configuration
    Wrap(Wrap),
    /// Re-enact an incident, without and with the gateway
    Demo(Demo),
    /// Ask upstreams for their tools and write a commented policy
    Init(Init),
    /// Check a policy and show what is effectively enforced, tool by tool
    Check(Check),
    /// List the runs of agents, the latest first
    Runs(Runs),
    /// Show one run or one step with its evidence
    Show(Show),
    /// Record what a person found out about a step
    Resolve(Resolve),
    /// Take the changes of a run back, the latest first; with --plan only show what can be undone now
    Rollback(Rollback),
    /// Hold what an agent says it did or undid against the journal
    Attest(Attest),
    /// Look for what is wrong
    Doctor(Doctor),
    /// Explain a code that an agent was told
    Explain(Explain),
    /// Look after the journal
    Journal(Journal),
}

impl Command {
    /// It runs until it is stopped, so its log is of interest.
    pub const fn is_service(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Wrap(_))
    }

    /// Worker threads of a service; `None` for a command that does one thing.
    pub const fn workers(&self) -> Option<Option<NonZeroUsize>> {
        match self {
            Self::Up(up) => Some(up.workers),
            // One client over one pipe.
            Self::Wrap(wrap) => Some(match wrap.workers {
                None => NonZeroUsize::new(2),
                given => given,
            }),
            Self::Demo(_) => Some(None),
            _ => None,
        }
    }
}

/// Which gateway or journal is meant. Without any: ./cofferdam.yaml if it is there, else ./.cofferdam.
#[derive(Debug, Args)]
pub struct Where {
    /// The policy of the gateway
    #[arg(long, value_name = "FILE", help_heading = "Which gateway")]
    pub config: Option<PathBuf>,
    /// The journal's directory; that of a wrap is in its log
    #[arg(long, value_name = "DIR", help_heading = "Which gateway")]
    pub journal: Option<PathBuf>,
    /// The operator's socket, if it does not lie beside the journal
    #[arg(long, value_name = "FILE", help_heading = "Which gateway", conflicts_with = "admin")]
    pub socket: Option<PathBuf>,
    /// The operator's address; its token comes from COFFERDAM_ADMIN_TOKEN
    #[arg(long, value_name = "HOST:PORT", help_heading = "Which gateway")]
    pub admin: Option<String>,
}

#[derive(Debug, Args)]
pub struct Up {
    /// The policy; without it a bundled demo shop is guarded
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where agents call, instead of what the policy says; beyond loopback it must name principals
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Worker threads; else one for each core
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
    /// The database of the journal went over to a standby that may have missed its last commits, and you know of it
    #[arg(long)]
    pub accept_journal_gap: bool,
}

#[derive(Debug, Args)]
pub struct Wrap {
    /// A policy; without it every tool that its name does not make harmless counts as destructive
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What the policy calls the server; else the entry with this command, the only one, or a name made of the command
    #[arg(long)]
    pub name: Option<String>,
    /// Worker threads; else two
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
    /// The server's command and arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub server: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// What is re-enacted
    #[arg(value_enum)]
    pub incident: crate::demo::Incident,
}

#[derive(Debug, Args)]
pub struct Init {
    /// The policy to write
    #[arg(long, value_name = "FILE", default_value = crate::place::POLICY_FILE)]
    pub out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// An MCP server over HTTP: URL, or NAME=URL
    #[arg(long, value_name = "[NAME=]URL")]
    pub url: Vec<String>,
    /// An MCP server as a command: "npx -y server /data", or NAME="npx …"
    #[arg(long, value_name = "[NAME=]COMMAND")]
    pub command: Vec<String>,
    /// A client's configuration: a file, or claude-desktop, claude-code, cursor, vscode for the usual places
    #[arg(long, value_name = "FILE|CLIENT")]
    pub import: Vec<String>,
    /// Do not start or ask anything; effects stay unclassified
    #[arg(long)]
    pub offline: bool,
    /// One MCP server as a command, in words of its own
    #[arg(last = true, value_name = "COMMAND")]
    pub server: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The policy to check
    #[arg(long, value_name = "FILE", default_value = crate::place::POLICY_FILE)]
    pub config: PathBuf,
    /// Do not start or ask the upstreams: only tools that the policy names are shown
    #[arg(long)]
    pub offline: bool,
}

#[derive(Debug, Args)]
pub struct Runs {
    #[command(flatten)]
    pub place: Where,
    /// How many, at most
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

#[derive(Debug, Args)]
pub struct Show {
    /// The id of a run or a step
    pub id: String,
    /// Show arguments and results as they are; they may hold secrets
    #[arg(long)]
    pub bodies: bool,
    /// How many steps of a run, at most
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("act").required(true)))]
pub struct Resolve {
    /// The id of the step
    pub step: String,
    /// It happened
    #[arg(long, group = "act")]
    pub applied: bool,
    /// It did not happen, and cannot happen any more
    #[arg(long, group = "act")]
    pub absent: bool,
    /// The world shows neither what was intended nor what was there before
    #[arg(long, group = "act")]
    pub diverged: bool,
    /// Whatever became of it: the next equal call may run once more
    #[arg(long, group = "act")]
    pub run_again: bool,
    /// How you know; it goes into the evidence
    #[arg(long)]
    pub why: String,
    /// Who says so; else the name of this user
    #[arg(long)]
    pub who: Option<String>,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, Args)]
pub struct Rollback {
    /// The id of the run
    pub run: String,
    /// Change nothing: show what can be undone now, and what that rests on
    #[arg(long)]
    pub plan: bool,
    /// Return to this change of the run: it stays, with all before it
    #[arg(long, value_name = "STEP")]
    pub to: Option<String>,
    /// Why; it goes into the evidence
    #[arg(long, default_value = "asked for on the command line")]
    pub why: String,
    /// Who asks for it; else the name of this user
    #[arg(long)]
    pub who: Option<String>,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, Args)]
pub struct Attest {
    /// The id of the run
    pub run: String,
    /// JSON: {"claims": [{"claim": "undone", "tool": "shop.create_order"}]}; - is standard input
    #[arg(default_value = "-")]
    pub claims: PathBuf,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Check the whole journal: every event, every stored body
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    pub place: Where,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// A code such as outcome_unknown; without one all codes are listed
    pub code: Option<String>,
}

#[derive(Debug, Args)]
pub struct Journal {
    #[command(subcommand)]
    pub command: JournalCommand,
}

#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Make a consistent copy, also while a gateway works
    Backup {
        /// A file that does not exist yet
        to: PathBuf,
        #[command(flatten)]
        place: Where,
    },
    /// Move the journal of a stopped gateway into the database of a policy; can be interrupted and made again
    Migrate {
        /// The journal's directory, which is left as it is
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// The policy whose `journal.postgres` it goes into
        #[arg(long, value_name = "FILE", default_value = crate::place::POLICY_FILE)]
        config: PathBuf,
    },
}
