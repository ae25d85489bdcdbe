//! What a path means.

/// Longest name of a run in the query.
const RUN_MAX: usize = 255;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// The MCP endpoint of all upstreams, or of one.
    Mcp {
        upstream: Option<&'a str>,
    },
    Live,
    Ready,
    /// Where servers of 2024-11-05 have their HTTP+SSE transport.
    OldTransport,
    Unknown,
}

impl<'a> Place<'a> {
    pub fn of(path: &'a str) -> Self {
        match path {
            "/mcp" | "/mcp/" => Self::Mcp { upstream: None },
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            "/sse" | "/sse/" | "/message" | "/messages" | "/messages/" => Self::OldTransport,
            _ => match path.strip_prefix("/mcp/") {
                Some(name) => {
                    let name = name.strip_suffix('/').unwrap_or(name);
                    if name.contains('/') { Self::Unknown } else { Self::Mcp { upstream: Some(name) } }
                }
                None => Self::Unknown,
            },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read `run` of the query: it has to be 1 to {RUN_MAX} bytes of text without control characters")]
pub(super) struct BadRun;

/// `run` of the query: what the client is at, for clients that can set an address but no header.
pub(super) fn run(query: Option<&str>) -> Result<Option<String>, BadRun> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("run="));
    let Some(written) = pairs.next() else { return Ok(None) };
    let name = decode(written).ok_or(BadRun)?;
    let fits = !name.is_empty() && name.len() <= RUN_MAX && !name.contains(char::is_control);
    if fits && pairs.next().is_none() { Ok(Some(name)) } else { Err(BadRun) }
}

fn decode(written: &str) -> Option<String> {
    let mut bytes = written.bytes();
    let mut out = Vec::with_capacity(written.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_all_upstreams_to_one_to_health_or_nowhere() {
        assert_eq!(Place::of("/mcp"), Place::Mcp { upstream: None });
        assert_eq!(Place::of("/mcp/"), Place::Mcp { upstream: None });
        assert_eq!(Place::of("/mcp/shop"), Place::Mcp { upstream: Some("shop") });
        assert_eq!(Place::of("/mcp/shop/"), Place::Mcp { upstream: Some("shop") });
        assert_eq!(Place::of("/livez"), Place::Live);
        assert_eq!(Place::of("/readyz"), Place::Ready);
        assert_eq!(Place::of("/sse"), Place::OldTransport);
        for nowhere in ["/", "", "/mcpx", "/mcp/a/b", "/MCP", "/livez/"] {
            assert_eq!(Place::of(nowhere), Place::Unknown, "{nowhere}");
        }
    }

    #[test]
    fn the_query_names_a_run_once_in_readable_text_or_is_refused() {
        assert_eq!(run(None), Ok(None));
        assert_eq!(run(Some("x=1&runs=2")), Ok(None));
        assert_eq!(run(Some("x=1&run=nightly%20job+7")), Ok(Some("nightly job 7".into())));
        for bad in ["run=", "run=a&run=b", "run=%", "run=%zz", "run=%ff", "run=%00"] {
            assert_eq!(run(Some(bad)), Err(BadRun), "{bad}");
        }
        assert_eq!(run(Some(&format!("run={}", "a".repeat(256)))), Err(BadRun));
    }
}
