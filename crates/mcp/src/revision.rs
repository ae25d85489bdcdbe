//! The revisions of MCP, what each has, and how two sides settle on one.

use std::fmt;

/// Oldest first: later revisions compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// stdio only: its HTTP+SSE transport is not spoken here.
    V2024_11_05,
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
    /// Stateless.
    V2026_07_28,
}

impl Revision {
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];
    /// What is offered in an `initialize`.
    pub const LATEST_LEGACY: Self = Self::V2025_11_25;
    pub const LATEST: Self = Self::V2026_07_28;
    /// What a request over HTTP without a version header speaks.
    pub const WITHOUT_HEADER: Self = Self::V2025_03_26;

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// No handshake, no sessions, no requests from the server; each request says who asks.
    #[must_use]
    pub const fn is_stateless(self) -> bool {
        matches!(self, Self::V2026_07_28)
    }

    #[must_use]
    pub const fn has_batches(self) -> bool {
        matches!(self, Self::V2025_03_26)
    }

    /// Streamable HTTP in any of its shapes.
    #[must_use]
    pub fn has_streamable_http(self) -> bool {
        self >= Self::V2025_03_26
    }

    /// `Mcp-Session-Id`, the GET stream and DELETE.
    #[must_use]
    pub fn has_http_sessions(self) -> bool {
        self.has_streamable_http() && !self.is_stateless()
    }

    /// Streams can be taken up again with `Last-Event-ID`.
    #[must_use]
    pub fn has_resumption(self) -> bool {
        self.has_http_sessions()
    }

    /// `MCP-Protocol-Version` is required after the handshake.
    #[must_use]
    pub fn has_version_header(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// `Mcp-Method` and `Mcp-Name` mirror the body.
    #[must_use]
    pub const fn has_mirrored_headers(self) -> bool {
        self.is_stateless()
    }

    #[must_use]
    pub fn has_structured_content(self) -> bool {
        self >= Self::V2025_06_18
    }

    #[must_use]
    pub fn has_elicitation(self) -> bool {
        self >= Self::V2025_06_18
    }

    #[must_use]
    pub fn has_url_elicitation(self) -> bool {
        self >= Self::V2025_11_25
    }

    /// Tasks in the core protocol; 2026-07-28 has them as an extension of another shape.
    #[must_use]
    pub const fn has_core_tasks(self) -> bool {
        matches!(self, Self::V2025_11_25)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a server answers to an `initialize`: the version asked for if it is one of the session era, else the latest
/// of them.
#[must_use]
pub fn negotiate(asked: &str) -> Revision {
    Revision::parse(asked).filter(|one| !one.is_stateless()).unwrap_or(Revision::LATEST_LEGACY)
}

/// The best revision that a peer lists and we speak.
#[must_use]
pub fn best<'a>(listed: impl IntoIterator<Item = &'a str>) -> Option<Revision> {
    listed.into_iter().filter_map(Revision::parse).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_read_back_and_are_in_order() {
        for one in Revision::ALL {
            assert_eq!(Revision::parse(one.as_str()), Some(one));
        }
        assert!(Revision::ALL.is_sorted());
        assert_eq!(Revision::parse("2026-01-01"), None);
    }

    #[test]
    fn a_client_gets_its_own_version_or_the_latest_with_a_handshake() {
        assert_eq!(negotiate("2025-06-18"), Revision::V2025_06_18);
        assert_eq!(negotiate("2026-07-28"), Revision::V2025_11_25);
        assert_eq!(negotiate("1999-01-01"), Revision::V2025_11_25);
    }

    #[test]
    fn the_best_common_version_is_taken() {
        assert_eq!(best(["2025-11-25", "2026-07-28", "2027-01-01"]), Some(Revision::V2026_07_28));
        assert_eq!(best(["2027-01-01"]), None);
    }

    #[test]
    fn each_revision_has_what_it_has() {
        let has = |what: fn(Revision) -> bool| Revision::ALL.map(what);
        assert_eq!(has(Revision::is_stateless), [false, false, false, false, true]);
        assert_eq!(has(Revision::has_batches), [false, true, false, false, false]);
        assert_eq!(has(Revision::has_http_sessions), [false, true, true, true, false]);
        assert_eq!(has(Revision::has_version_header), [false, false, true, true, true]);
        assert_eq!(has(Revision::has_elicitation), [false, false, true, true, true]);
        assert_eq!(has(Revision::has_core_tasks), [false, false, false, true, false]);
    }
}
