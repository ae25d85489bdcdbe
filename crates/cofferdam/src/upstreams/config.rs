//! An upstream of the policy in the words of the transport. Secrets pass from one secret type into the other.

use policy::{Secret, Transport};
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;
use upstream::{Config, Environment, Implementation, Known, Limits};

/// Nesting of one message of an upstream.
const DEPTH_MAX: usize = 128;

/// What a gateway keeps for its child processes.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Where running children are written down, so that the next start can end those that a crash left behind.
    pub children: Option<PathBuf>,
    /// What children see of our environment.
    pub environment: Environment,
}

pub fn config(upstream: &policy::Upstream, kept: &Kept) -> Arc<Config> {
    let transport = match &upstream.transport {
        Transport::Stdio { command, env, cwd } => upstream::Transport::Stdio {
            command: command.iter().map(|part| SecretString::from(part.expose())).collect(),
            env: secrets(env),
            cwd: cwd.as_ref().map(|cwd| PathBuf::from(cwd.expose())),
            environment: kept.environment,
            children: kept.children.clone(),
        },
        Transport::Http { url, headers } => {
            upstream::Transport::Http { url: SecretString::from(url.expose()), headers: secrets(headers) }
        }
    };
    Arc::new(Config {
        name: Arc::clone(&upstream.name),
        transport,
        revision: upstream.revision.as_deref().and_then(mcp::Revision::parse),
        limits: Limits {
            message_max: usize::try_from(upstream.limits.message_max).unwrap_or(usize::MAX),
            depth_max: DEPTH_MAX,
            calls_max: upstream.limits.calls_max as usize,
            sessions_max: upstream.limits.sessions_max as usize,
        },
        connect_timeout: upstream.connect_timeout,
        gateway: Implementation { name: "cofferdam".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        known: Known::default(),
    })
}

fn secrets(pairs: &[(String, Secret)]) -> Vec<(String, SecretString)> {
    pairs.iter().map(|(name, value)| (name.clone(), SecretString::from(value.expose()))).collect()
}
