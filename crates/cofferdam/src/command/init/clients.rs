//! Where MCP clients keep their configurations.

use crate::exit::{Exit, Failed};
use std::path::PathBuf;

/// The files that a client may have; anything else is a file itself.
pub fn files(client: &str) -> Result<Vec<PathBuf>, Failed> {
    let (in_home, here): (&[&str], &[&str]) = match client {
        "claude-desktop" => (
            &[
                "Library/Application Support/Claude/claude_desktop_config.json",
                ".config/Claude/claude_desktop_config.json",
            ],
            &[],
        ),
        "claude-code" => (&[".claude.json"], &[".mcp.json"]),
        "cursor" => (&[".cursor/mcp.json"], &[".cursor/mcp.json"]),
        "vscode" => {
            (&["Library/Application Support/Code/User/mcp.json", ".config/Code/User/mcp.json"], &[".vscode/mcp.json"])
        }
        file => return Ok(vec![PathBuf::from(file)]),
    };
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.ok_or_else(|| Failed::new(Exit::Failed, format!("import {client}: HOME is not set")))?;
    let in_home = in_home.iter().map(|path| home.join(path));
    Ok(here.iter().map(PathBuf::from).chain(in_home).collect())
}
