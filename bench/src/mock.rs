//! The upstream of every measurement: an MCP server that answers as fast as one thread can, and remembers nothing.
//!
//! Each answer carries the number of its request, so that the load generator can tell whose answer it got.

use crate::http::{self, Connection};
use anyhow::Result;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::Write;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: &'a str,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(rename = "protocolVersion")]
    revision: Option<&'a str>,
    arguments: Option<Arguments>,
}

#[derive(Deserialize)]
struct Arguments {
    #[serde(default)]
    n: u64,
}

const TOOLS: &str = r#"{"tools":[
{"name":"get","description":"Reads a number.","inputSchema":{"type":"object","properties":{"n":{"type":"integer"},"pad":{"type":"string"}},"required":["n"]},"annotations":{"readOnlyHint":true}},
{"name":"append","description":"Appends a number.","inputSchema":{"type":"object","properties":{"n":{"type":"integer"},"pad":{"type":"string"}},"required":["n"]}},
{"name":"put","description":"Puts a number.","inputSchema":{"type":"object","properties":{"n":{"type":"integer"},"pad":{"type":"string"}},"required":["n"]}}]}"#;

pub fn run(listen: SocketAddr) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        std::io::stdout().flush()?;
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            tasks.spawn(serve(stream));
            while tasks.try_join_next().is_some() {}
        }
    })
}

/// A connection ends with its peer; what went wrong is the peer's to notice.
async fn serve(stream: TcpStream) -> Option<()> {
    let mut connection = Connection::new(stream).ok()?;
    let mut out = Vec::new();
    loop {
        let request = connection.read().await.ok()??;
        out.clear();
        answer(&request, &mut out).ok()?;
        connection.write(&out).await.ok()?;
    }
}

fn answer(message: &http::Message, out: &mut Vec<u8>) -> Result<()> {
    if !message.head.starts_with("POST") {
        let status = if message.head.starts_with("DELETE") { "200 OK" } else { "405 Method Not Allowed" };
        write!(out, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")?;
        return Ok(());
    }
    let request: Request<'_> = serde_json::from_slice(&message.body)?;
    let Some(id) = request.id else {
        out.extend_from_slice(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        return Ok(());
    };
    let id = id.get();
    let params = request.params;
    let body = match request.method {
        "tools/call" => {
            let n = params.and_then(|params| params.arguments).map_or(0, |arguments| arguments.n);
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"number {n}"}}],"structuredContent":{{"n":{n}}}}}}}"#
            )
        }
        "initialize" => {
            let revision = params.and_then(|params| params.revision).unwrap_or("2025-11-25");
            let revision = if revision == "2026-07-28" { "2025-11-25" } else { revision };
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{revision}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"mock","version":"1"}}}}}}"#
            )
        }
        "tools/list" => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{TOOLS}}}"#).replace('\n', ""),
        "ping" => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#),
        _ => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"no such method"}}}}"#),
    };
    let session = if request.method == "initialize" { "mcp-session-id: mock\r\n" } else { "" };
    write!(
        out,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{session}content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}
