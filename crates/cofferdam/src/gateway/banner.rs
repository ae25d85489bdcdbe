//! What `up` prints once agents can call: the address, and what to try.

use crate::exit::Failed;
use crate::output::Out;
use serde::Serialize;

/// Where everything is, for programs that start a gateway.
#[derive(Serialize)]
pub struct Banner {
    /// All upstreams under one address.
    pub url: String,
    /// One upstream each, names as they are.
    pub upstreams: Vec<String>,
    pub journal: String,
    /// Socket or address of the operator's side.
    pub admin: String,
    /// The bundled shop stands behind it.
    pub demo: bool,
}

pub fn print(banner: &Banner, out: Out) -> Result<(), Failed> {
    out.show(banner, || text(banner))
}

fn text(banner: &Banner) -> String {
    let mut text = format!("Cofferdam guards {}\n", banner.url);
    for url in &banner.upstreams {
        text += &format!("  one upstream alone: {url}\n");
    }
    text += &format!("  journal: {}   operator: {}\n\n", banner.journal, banner.admin);
    if banner.demo {
        text +=
            "No --config was given, so a small demo shop stands behind it; what agents do there is really stored.\n\n";
        text += "Try:\n";
        text += &format!("  claude mcp add --transport http shop {}    # or any other MCP client\n", banner.url);
        text += "  ask the agent: \"Refund order 1, 5 dollars.\" Then ask for the same again.\n";
        text += "  cofferdam runs                  # what agents did; `cofferdam show <run>` has each step\n";
        text += "  cofferdam demo lost-reply       # a lost reply, without and with the gateway\n";
        text += "  cofferdam init --help           # a policy for servers of your own\n";
    } else {
        text += &format!("  claude mcp add --transport http cofferdam {}    # or any other MCP client\n", banner.url);
        text += "  cofferdam runs, show, doctor, resolve ask this gateway; `cofferdam check` shows what is enforced\n";
    }
    text
}
