//! Where things lie: the policy, the journal, the operator's socket.

use crate::cli::Where;
use crate::exit::{Exit, Failed};
use policy::{Admin, Database, Policy, Secret};
use std::path::{Path, PathBuf};

pub const POLICY_FILE: &str = "cofferdam.yaml";
pub const JOURNAL_NAME: &str = "journal.db";
pub const SOCKET_NAME: &str = "admin.sock";
const TOKEN_VARIABLE: &str = "COFFERDAM_ADMIN_TOKEN";
/// Bytes of a policy file.
const POLICY_MAX: u64 = 4 * 1024 * 1024;
/// Stands for variables that only the gateway's environment has. It is an address and a name, so that a policy with it
/// is read as one.
const UNSET: &str = "http://unset.invalid/";

/// A gateway's journal, and where its operator's side is served while it runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The directory of this gateway; the journal too, unless that is in a database.
    pub journal: PathBuf,
    pub database: Option<Database>,
    pub admin: AdminAt,
    /// Only a gateway was named, by its socket or address: no journal is meant when it does not answer.
    pub is_gateway_only: bool,
    /// What went wrong on the way here without ending it.
    pub doubt: Option<String>,
}

#[derive(Clone, Debug)]
pub enum AdminAt {
    Socket(PathBuf),
    Address { address: String, token: Secret },
}

impl std::fmt::Display for AdminAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Address { address, .. } => f.write_str(address),
        }
    }
}

impl Place {
    /// As the options say, else as the policy in this directory says, else the default.
    pub fn find(wanted: &Where) -> Result<Self, Failed> {
        let is_gateway_named = wanted.socket.is_some() || wanted.admin.is_some();
        let mut place = match (&wanted.journal, &wanted.config) {
            (Some(journal), _) => Self::beside(journal.clone()),
            (None, Some(config)) => Self::of_policy(config)?,
            (None, None) if is_gateway_named => {
                Self { is_gateway_only: true, ..Self::beside(PathBuf::from(policy::defaults::JOURNAL_PATH)) }
            }
            (None, None) => Self::here(Path::new(POLICY_FILE), Path::new(policy::defaults::JOURNAL_PATH))?,
        };
        if let Some(socket) = &wanted.socket {
            place.admin = AdminAt::Socket(socket.clone());
        } else if let Some(address) = &wanted.admin {
            let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()).ok_or_else(|| {
                Failed::new(Exit::Failed, format!("ask {address}: set {TOKEN_VARIABLE} to the operator's token"))
            })?;
            place.admin = AdminAt::Address { address: address.clone(), token: Secret::of(token) };
        }
        Ok(place)
    }

    /// A policy that somebody is just breaking must not keep the operator from a gateway with the usual journal.
    fn here(file: &Path, journal: &Path) -> Result<Self, Failed> {
        if !file.exists() {
            return Ok(Self::beside(journal.to_owned()));
        }
        match Self::of_policy(file) {
            Err(failed) if journal.exists() => {
                let doubt = format!("{failed}; so the journal in {} is looked at", journal.display());
                Ok(Self { doubt: Some(doubt), ..Self::beside(journal.to_owned()) })
            }
            found => found,
        }
    }

    fn beside(journal: PathBuf) -> Self {
        let admin = AdminAt::Socket(socket_beside(&journal));
        Self { journal, database: None, admin, is_gateway_only: false, doubt: None }
    }

    /// Only where things lie is wanted, and the operator's shell need not have the gateway's secrets.
    fn of_policy(file: &Path) -> Result<Self, Failed> {
        let known = |name: &str| Some(variable(name).unwrap_or_else(|| unset(name)));
        let policy = Policy::parse(&read(file)?, &file.display().to_string(), &known)
            .map_err(|problems| Failed::new(Exit::Wrong, format!("{problems}; --journal needs no policy")))?;
        let place = Self::of(&policy);
        if let AdminAt::Address { token, .. } = &place.admin
            && token.expose().contains(UNSET)
        {
            let why = "ask the gateway: the variable of `admin.token` is not set here; set it as the gateway has it";
            return Err(Failed::new(Exit::Failed, format!("{why} ({})", file.display())));
        }
        Ok(place)
    }

    /// Where a gateway with this policy keeps its things.
    pub fn of(policy: &Policy) -> Self {
        let journal = policy.journal.path.as_ref().map_or(policy::defaults::JOURNAL_PATH, |path| path.expose());
        let mut place = Self::beside(PathBuf::from(journal));
        place.database.clone_from(&policy.journal.postgres);
        match &policy.admin {
            Admin::Socket(None) => {}
            Admin::Socket(Some(socket)) => place.admin = AdminAt::Socket(PathBuf::from(socket.expose())),
            Admin::Listen { address, token } => {
                place.admin = AdminAt::Address { address: address.clone(), token: token.clone() };
            }
        }
        place
    }
}

/// What a journal is called in logs and messages: never with a password.
pub fn shown(place: &Place) -> String {
    match &place.database {
        None => place.journal.display().to_string(),
        Some(database) => journal::postgres::shown(database.url.expose()),
    }
}

/// A journal may be named by its directory or by its file.
pub fn socket_beside(journal: &Path) -> PathBuf {
    let is_file = journal.extension().is_some_and(|extension| extension == "db") && !journal.is_dir();
    let directory = if is_file { journal.parent().unwrap_or(Path::new("")) } else { journal };
    directory.join(SOCKET_NAME)
}

/// A policy as the gateway reads it: every variable must be set.
pub fn policy(file: &Path) -> Result<Result<Policy, policy::Problems>, Failed> {
    if !file.exists() {
        let why = format!("read {}: there is no such file; `cofferdam init` writes a policy", file.display());
        return Err(Failed::new(Exit::Failed, why));
    }
    Ok(Policy::parse(&read(file)?, &file.display().to_string(), &variable))
}

pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What stands for a variable that is not set here.
pub fn unset(name: &str) -> String {
    format!("{UNSET}{name}")
}

pub fn read(file: &Path) -> Result<String, Failed> {
    let failed = |why: &dyn std::fmt::Display| Failed::because(&format!("read {}", file.display()), why);
    let meta = file.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed(&"there is no such file"),
        _ => failed(&error),
    })?;
    if meta.len() > POLICY_MAX {
        return Err(failed(&"it is larger than 4 MiB"));
    }
    std::fs::read_to_string(file).map_err(|error| failed(&error))
}
