//! What a child sees of our environment.

use std::ffi::OsString;

/// Which of our own variables a child inherits; what its configuration gives comes on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Environment {
    /// Only what programs need to run at all. Tokens of the gateway stay with the gateway.
    #[default]
    Minimal,
    /// Everything: for a wrapped server, whose client set the variables for it.
    All,
}

/// What the official SDKs pass on, and what tells language, time zone and folders.
const MINIMAL: &[&str] = &[
    "HOME",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "USER",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

impl Environment {
    /// The variables that are passed on. Exported shell functions are not variables to anybody else.
    pub(super) fn inherited(self) -> Vec<(OsString, OsString)> {
        let wanted = |name: &OsString| match self {
            Self::All => true,
            Self::Minimal => name.to_str().is_some_and(|name| MINIMAL.contains(&name)),
        };
        std::env::vars_os()
            .filter(|(name, value)| wanted(name) && !value.as_encoded_bytes().starts_with(b"()"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_inherits_a_path_and_no_cargo_variables() {
        let names =
            |which: Environment| -> Vec<OsString> { which.inherited().into_iter().map(|(name, _)| name).collect() };
        assert!(names(Environment::Minimal).contains(&"PATH".into()));
        assert!(!names(Environment::Minimal).contains(&"CARGO_MANIFEST_DIR".into()));
        assert!(names(Environment::All).contains(&"CARGO_MANIFEST_DIR".into()));
    }
}
