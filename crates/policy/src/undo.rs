//! How a change is taken back: what the policy declares, what is registered with each intent, and what the two say of
//! the facts.
//!
//! What is registered is all that an undo needs, expressions included: a policy that changes afterwards changes nothing
//! about what was promised when the step ran.

mod facts;
mod registered;

pub use facts::Facts;
pub(crate) use registered::write;
pub use registered::{Registered, compensates, of};

use crate::expr::{Expr, Scope};
use crate::rules::ReadPlan;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use serde_json::Value;
use vocab::{Bytes, Name};

/// What kind of way back a change has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoKind {
    /// The upstream's own: trash, snapshot, point in time.
    Native,
    /// The opposite call, with ids from the receipt.
    Inverse,
    /// The pre-image written back.
    Restore,
    /// Of a reservation that is not confirmed.
    Cancel,
    /// A person follows a runbook.
    Manual,
    /// There is none.
    None,
}

impl UndoKind {
    pub const ALL: [Self; 6] = [Self::Native, Self::Inverse, Self::Restore, Self::Cancel, Self::Manual, Self::None];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Inverse => "inverse",
            Self::Restore => "restore",
            Self::Cancel => "cancel",
            Self::Manual => "manual",
            Self::None => "none",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Is it a call that the gateway can make?
    pub const fn is_call(self) -> bool {
        !matches!(self, Self::Manual | Self::None)
    }
}

/// The declared way back of a tool.
#[derive(Debug)]
pub struct UndoPlan {
    pub kind: UndoKind,
    /// Upstream and tool of the compensator; `None` for `manual` and `none`.
    pub call: Option<(Name, Name)>,
    /// The runbook, or the reason why there is no way back.
    pub note: String,
    pub(crate) args: Option<Expr>,
    pub(crate) only_if: Option<Expr>,
    /// How the world is looked at before it is taken back.
    pub(crate) look: Option<Arc<ReadPlan>>,
    /// It writes back what was there before.
    pub(crate) needs_preimage: bool,
    /// As it is stored with each intent.
    pub(crate) registered: Bytes,
}

/// Does what a step wrote still stand, by what the world shows now?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stands {
    Yes,
    /// Somebody else has changed it since.
    No(String),
    /// The read or the expression gave no clear answer.
    Unclear(String),
}

impl UndoPlan {
    /// Its stored form: what goes into the intent.
    pub const fn registered(&self) -> &Bytes {
        &self.registered
    }

    /// Must what was there before be known?
    pub const fn needs_preimage(&self) -> bool {
        self.needs_preimage
    }

    /// How the world is looked at immediately before it is taken back; `None`: it is not.
    pub fn look(&self) -> Option<&Arc<ReadPlan>> {
        self.look.as_ref().filter(|_| self.kind == UndoKind::Restore || self.only_if.is_some())
    }

    pub fn args_source(&self) -> &str {
        self.args.as_ref().map_or("{}", Expr::source)
    }

    pub fn only_if_source(&self) -> Option<&str> {
        self.only_if.as_ref().map(Expr::source)
    }

    /// The arguments of the compensator.
    ///
    /// # Errors
    /// Why they cannot be told, such as a member of the receipt that is not there.
    pub fn args(&self, scope: &Scope<'_>) -> Result<Value, String> {
        let Some(args) = &self.args else { return Ok(Value::Object(serde_json::Map::new())) };
        match args.value(scope)? {
            args @ Value::Object(_) => Ok(args),
            _ => Err("the arguments of the compensation are not an object".to_owned()),
        }
    }

    /// Holds `scope.read`, what the world shows now, against what the step `tool` wrote.
    pub fn stands(&self, scope: &Scope<'_>, tool: (&str, &str)) -> Stands {
        match self.try_stands(scope, tool) {
            Ok(None) => Stands::Yes,
            Ok(Some(why)) => Stands::No(why),
            Err(why) => Stands::Unclear(why),
        }
    }

    fn try_stands(&self, scope: &Scope<'_>, tool: (&str, &str)) -> Result<Option<String>, String> {
        let Some(look) = self.look() else { return Ok(None) };
        let now = scope.read.ok_or("what is there now is not known")?;
        if let Some(only_if) = &self.only_if {
            let says =
                if only_if.holds(scope)? { None } else { Some(format!("`{}` is not true now", only_if.source())) };
            return Ok(says);
        }
        if self.kind != UndoKind::Restore {
            return Ok(None);
        }
        look.refuse_error("read", now)?;
        if !look.expect.holds(scope)? {
            return Ok(Some("the world no longer shows what the step wrote".to_owned()));
        }
        let is_own = self.call.as_ref().is_some_and(|(upstream, name)| (&**upstream, &**name) == tool);
        if is_own { self.written_over(scope, now) } else { Ok(None) }
    }

    /// Where the same tool writes back: every member that it would write must be there as the step left it, be it that
    /// the step wrote it or that it did not touch it.
    fn written_over(&self, scope: &Scope<'_>, now: &Value) -> Result<Option<String>, String> {
        let before = self.args(scope)?;
        let present = self.args(&Scope { pre: Some(now), read: None, ..*scope })?;
        let (Value::Object(before), Value::Object(present)) = (&before, &present) else {
            return Err("the arguments of the compensation are not an object".to_owned());
        };
        let left_as = |name: &str| scope.args.get(name).or_else(|| before.get(name));
        let changed = present.iter().find(|(name, value)| left_as(name) != Some(value));
        Ok(changed.map(|(name, _)| format!("`{name}` is not what the step left there")))
    }
}

#[cfg(test)]
mod tests;
