//! Text that may come from the environment, and secrets that never show.

use alloc::string::{String, ToString};
use core::fmt;

/// A secret: its `Debug` says where it comes from, never what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    value: String,
    /// The variables in it, such as `SHOP_TOKEN`; empty for one written into the file.
    variables: String,
}

impl Secret {
    pub(crate) const fn new(value: String, variables: String) -> Self {
        Self { value, variables }
    }

    /// A secret that was made here, such as a token of this start.
    pub const fn of(value: String) -> Self {
        Self { value, variables: String::new() }
    }

    /// The secret itself, for the wire.
    pub fn expose(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.variables.is_empty() { f.write_str("***") } else { write!(f, "***({})", self.variables) }
    }
}

/// Text in which `${VAR}` was replaced: shows itself as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Expanded {
    value: String,
    written: Option<String>,
}

impl Expanded {
    pub(crate) fn new(value: String, written: &str) -> Self {
        let written = (value != written).then(|| written.to_string());
        Self { value, written }
    }

    pub const fn literal(value: String) -> Self {
        Self { value, written: None }
    }

    /// The text with its variables replaced. It may hold secrets: never print it, print the `Display` form.
    pub fn expose(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.written.as_deref().unwrap_or(&self.value))
    }
}

impl fmt::Debug for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.written.as_deref().unwrap_or(&self.value), f)
    }
}
