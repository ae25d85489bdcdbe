//! Existing MCP client configurations: Claude Desktop and Claude Code, Cursor (`mcpServers`), VS Code (`servers`).
//!
//! Secrets found in them become `${VAR}`; their values are neither kept nor shown.

use super::{Reach, upstream_name};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value};

/// One server of a client configuration, as the policy will have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// A name fit for the policy.
    pub name: String,
    pub reach: Reach,
    /// What the person has to know, such as the variables to set.
    pub notes: Vec<String>,
    /// Variables that the policy names and that have to be set.
    pub variables: Vec<String>,
}

/// A server that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub name: String,
    pub why: String,
}

const SERVERS_MAX: usize = 256;
const TEXT_MAX: usize = 8 * 1024 * 1024;

/// Reads a client configuration. `taken` are names of upstreams that exist already.
///
/// # Errors
/// Why it is no such configuration, in words that hold nothing of it.
pub fn import(text: &str, taken: &[String]) -> Result<(Vec<Imported>, Vec<Skipped>), String> {
    if text.len() > TEXT_MAX {
        return Err("the file is larger than 8 MiB".to_string());
    }
    let root = parse(text)?;
    let mut servers = Vec::new();
    collect(&root, &mut servers);
    if let Some(inner) = root.get("mcp") {
        // VS Code settings.json.
        collect(inner, &mut servers);
    }
    for project in root.get("projects").and_then(Value::as_object).into_iter().flat_map(Map::values) {
        // Claude Code keeps servers per project too.
        collect(project, &mut servers);
    }
    if servers.is_empty() && !KEYS.iter().any(|key| root.get(*key).is_some_and(Value::is_object)) {
        return Err("it has neither `mcpServers` nor `servers`".to_string());
    }
    let mut taken = taken.to_vec();
    let (mut imported, mut skipped) = (Vec::new(), Vec::new());
    for (name, server) in servers.into_iter().take(SERVERS_MAX) {
        match one(name, server, &taken) {
            Ok(one) => {
                // Several projects may hold the same server.
                if imported.iter().any(|other: &Imported| other.reach == one.reach) {
                    continue;
                }
                taken.push(one.name.clone());
                imported.push(one);
            }
            Err(why) => skipped.push(Skipped { name: name.to_string(), why }),
        }
    }
    Ok((imported, skipped))
}

const KEYS: [&str; 2] = ["mcpServers", "servers"];

fn collect<'a>(value: &'a Value, servers: &mut Vec<(&'a str, &'a Value)>) {
    for key in KEYS {
        let found = value.get(key).and_then(Value::as_object);
        servers.extend(found.into_iter().flatten().map(|(name, server)| (name.as_str(), server)));
    }
}

/// JSON, or JSON with comments and trailing commas as editors allow.
fn parse(text: &str) -> Result<Value, String> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&plain_json(text))).map_err(|error| {
        // Only the place: the text of the error may show a value.
        format!("it is no JSON (line {}, column {})", error.line(), error.column())
    })
}

fn plain_json(text: &str) -> String {
    let letters = text.chars().collect::<Vec<_>>();
    let mut plain = String::with_capacity(text.len());
    let (mut index, mut in_text) = (0, false);
    while index < letters.len() {
        let (letter, next) = (letters[index], letters.get(index + 1).copied());
        index += 1;
        match (in_text, letter, next) {
            (true, '\\', Some(next)) => {
                plain.extend([letter, next]);
                index += 1;
            }
            (true, '"', _) | (false, '"', _) => {
                in_text = !in_text;
                plain.push(letter);
            }
            (false, '/', Some('/')) => {
                while letters.get(index).is_some_and(|letter| *letter != '\n') {
                    index += 1;
                }
            }
            (false, '/', Some('*')) => {
                let closes = |at: &usize| letters.get(*at) == Some(&'*') && letters.get(*at + 1) == Some(&'/');
                index = (index + 1..letters.len()).find(closes).map_or(letters.len(), |at| at + 2);
            }
            (false, '}' | ']', _) => {
                let kept = plain.trim_end().len();
                if plain[..kept].ends_with(',') {
                    plain.truncate(kept - 1);
                }
                plain.push(letter);
            }
            _ => plain.push(letter),
        }
    }
    plain
}

fn one(wish: &str, server: &Value, taken: &[String]) -> Result<Imported, String> {
    if server.get("disabled").and_then(Value::as_bool) == Some(true) {
        return Err("it is disabled there".to_string());
    }
    let name = upstream_name(wish, taken);
    let mut hidden = Hidden { prefix: variable(&name), variables: BTreeSet::new(), notes: Vec::new() };
    let kind = server.get("type").or_else(|| server.get("transport")).and_then(Value::as_str).unwrap_or_default();
    if kind == "sse" {
        return Err("it speaks HTTP+SSE of 2024-11-05; ask its maker for streamable HTTP".to_string());
    }
    let url = ["url", "serverUrl", "httpUrl"].iter().find_map(|key| server.get(*key)?.as_str());
    let reach = match (server.get("command").and_then(Value::as_str), url) {
        (Some(command), _) => {
            let args = server.get("args").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let mut parts = Vec::from([hidden.reference(command)]);
            hidden.arguments(args, &mut parts);
            if command.contains("cofferdam") {
                return Err("it is behind a Cofferdam already".to_string());
            }
            if server.get("envFile").is_some() {
                hidden.notes.push("It used an `envFile`: set its variables in the gateway's environment.".to_string());
            }
            let cwd = server.get("cwd").and_then(Value::as_str).map(|cwd| hidden.reference(cwd));
            Reach::Stdio { command: parts, env: hidden.entries(server.get("env"), false), cwd }
        }
        (None, Some(url)) => Reach::Http { url: hidden.url(url), headers: hidden.entries(server.get("headers"), true) },
        (None, None) => return Err("it has neither `command` nor `url`".to_string()),
    };
    let variables = hidden.variables.into_iter().collect::<Vec<_>>();
    let mut notes = hidden.notes;
    if !variables.is_empty() {
        notes.insert(
            0,
            format!("Set in the gateway's environment, as it is in the client's file: {}.", variables.join(", ")),
        );
    }
    Ok(Imported { name, reach, notes, variables })
}

/// Takes secrets out of texts.
struct Hidden {
    /// For variables that have no name yet.
    prefix: String,
    variables: BTreeSet<String>,
    notes: Vec<String>,
}

impl Hidden {
    fn entries(&mut self, entries: Option<&Value>, are_headers: bool) -> Vec<(String, String)> {
        let entries = entries.and_then(Value::as_object).into_iter().flatten();
        entries.map(|(key, value)| (key.clone(), self.entry(key, value, are_headers))).collect()
    }

    fn entry(&mut self, key: &str, value: &Value, is_header: bool) -> String {
        let text = match value {
            Value::String(text) => text.as_str(),
            Value::Bool(_) | Value::Number(_) => return value.to_string(),
            _ => "",
        };
        if text.contains("${") || (!is_header && !is_secret_name(key) && is_harmless(text)) {
            return self.reference(text);
        }
        if !is_header {
            return self.hide(variable(key));
        }
        // The scheme is no secret, and the variable holds what a person has: the token.
        let name = format!("{}_{}", self.prefix, variable(key));
        match text
            .split_once(' ')
            .filter(|(scheme, _)| matches!(*scheme, "Bearer" | "Basic" | "Token" | "token" | "bearer"))
        {
            Some((scheme, _)) => format!("{scheme} {}", self.hide(format!("{}_TOKEN", self.prefix))),
            None => self.hide(name),
        }
    }

    fn hide(&mut self, variable: String) -> String {
        let reference = format!("${{{variable}}}");
        self.variables.insert(variable);
        reference
    }

    /// `--api-key x`, `--api-key=x`, `KEY=x`, and anything that looks like a token.
    fn arguments(&mut self, args: &[Value], parts: &mut Vec<String>) {
        let mut after_flag: Option<String> = None;
        for arg in args {
            let text = arg.as_str().map_or_else(|| arg.to_string(), ToString::to_string);
            let flag = after_flag.take();
            if text.contains("${") {
                parts.push(self.reference(&text));
                continue;
            }
            if let Some(flag) = flag.filter(|_| !text.starts_with('-')) {
                let header = text.split_once(':').filter(|_| flag == "HEADER").map(|(name, _)| name.to_string());
                parts.push(match header {
                    Some(name) => {
                        let value = self.hide(format!("{}_{}", self.prefix, variable(&name)));
                        format!("{name}: {value}")
                    }
                    None => self.hide(format!("{}_{flag}", self.prefix)),
                });
                continue;
            }
            match text.split_once('=') {
                Some((name, value)) if !value.is_empty() && is_secret_name(name) => {
                    let value = self.hide(format!("{}_{}", self.prefix, variable(name)));
                    parts.push(format!("{name}={value}"));
                }
                None if text.starts_with('-') && (is_secret_name(&text) || text == "--header" || text == "-H") => {
                    after_flag = Some(if text == "-H" { "HEADER".to_string() } else { variable(&text) });
                    parts.push(text);
                }
                _ if looks_secret(&text) => {
                    let number = parts.len();
                    parts.push(self.hide(format!("{}_ARG_{number}", self.prefix)));
                }
                _ => parts.push(escaped(&text)),
            }
        }
    }

    fn url(&mut self, url: &str) -> String {
        if url.contains("${") {
            return self.reference(url);
        }
        let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
        let path_secret = after_scheme.split(['/', '?', '&', '=']).skip(1).any(looks_secret);
        let query_secret = url.split_once('?').is_some_and(|(_, query)| query.split('&').any(is_secret_name));
        if authority.contains('@') || query_secret || path_secret {
            self.notes.push("Its address holds a secret, so the whole address is a variable.".to_string());
            return self.hide(format!("{}_URL", self.prefix));
        }
        escaped(url)
    }

    /// The clients' own references in our form: `${env:NAME}`, `${input:name}`, `${NAME}`, `${NAME:-default}`.
    fn reference(&mut self, text: &str) -> String {
        let mut written = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            written += &escaped(&rest[..start]);
            let inside = &rest[start + 2..];
            let Some(end) = inside.find('}') else {
                written += "$$";
                rest = &rest[start + 1..];
                continue;
            };
            rest = &inside[end + 1..];
            let name = inside[..end].trim();
            written += &match name.split_once(':') {
                Some(("env" | "input", name)) => self.hide(variable(name)),
                Some((name, default)) if default.starts_with('-') && is_variable(name) => {
                    // A default may be a secret; it stays where it is.
                    self.hide(name.to_string())
                }
                _ if is_variable(name) && !name.starts_with(|c: char| c.is_ascii_lowercase()) => {
                    self.hide(name.to_string())
                }
                _ => {
                    let name = variable(name);
                    self.notes
                        .push(format!("{name} stands for a place that only the client knows, such as its folder."));
                    self.hide(name)
                }
            };
        }
        written + &escaped(rest)
    }
}

/// A dollar that is no reference.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

fn variable(name: &str) -> String {
    let letters = name
        .trim_start_matches('-')
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' });
    let name = letters.take(64).collect::<String>();
    let name = name.trim_matches('_');
    if name.starts_with(|letter: char| letter.is_ascii_alphabetic()) { name.to_string() } else { format!("VAR_{name}") }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn is_secret_name(name: &str) -> bool {
    const WORDS: [&str; 15] = [
        "token",
        "key",
        "secret",
        "password",
        "passwd",
        "pass",
        "auth",
        "credential",
        "cookie",
        "pat",
        "dsn",
        "private",
        "session",
        "connection",
        "signature",
    ];
    let name = name.split('=').next().unwrap_or_default();
    let words = crate::classify::words(name);
    words.iter().any(|word| {
        WORDS.iter().any(|secret| {
            word == secret
                || (secret.len() > 4 && word.contains(secret))
                || word.ends_with("key")
                || word.ends_with("token")
        })
    })
}

/// Long, without spaces or slashes, letters and digits mixed: somebody rolled dice for it.
fn looks_secret(text: &str) -> bool {
    const PREFIXES: [&str; 10] =
        ["sk-", "ghp_", "gho_", "github_pat_", "xoxb-", "xoxp-", "glpat-", "AKIA", "eyJ", "sk_"];
    if PREFIXES.iter().any(|prefix| text.starts_with(prefix)) || text.contains("://") && text.contains('@') {
        return true;
    }
    let plain =
        text.len() >= 24 && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.+=".contains(letter));
    let digits = text.chars().filter(char::is_ascii_digit).count();
    plain && digits >= 4 && text.chars().any(|letter| letter.is_ascii_alphabetic()) && !text.contains("--")
}

/// A value that tells nothing: a switch, a number, a short word, a path.
fn is_harmless(text: &str) -> bool {
    let word = text.len() <= 16 && text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
    let number = text.len() <= 8 && text.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    let path = text.starts_with(['/', '.', '~'])
        && !text.contains('@')
        && text.len() <= 256
        && !text.split('/').any(looks_secret);
    word || number || path || matches!(text, "TRUE" | "FALSE" | "True" | "False")
}
