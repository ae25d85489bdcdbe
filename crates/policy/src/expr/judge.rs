//! What a read of the world says about an intent: three-valued, and in doubt nothing.

use super::{Expr, Scope};
use crate::{Judgement, ReadPlan, Strength};
use alloc::borrow::ToOwned;
use alloc::string::String;
use serde_json::Value;

impl ReadPlan {
    /// The arguments of the read, as JSON.
    ///
    /// # Errors
    /// Why they cannot be told, such as a member of `result` that is not there.
    pub fn args(&self, scope: &Scope<'_>) -> Result<Value, String> {
        match self.args.value(scope)? {
            args @ Value::Object(_) => Ok(args),
            _ => Err("the arguments of the read are not an object".to_owned()),
        }
    }

    /// Compares what the read shows with the intent.
    ///
    /// With `result` the call has its receipt and this is a read-back: what does not show the intent is `Different`.
    /// Without it this is a probe, and then an intent that was already in the pre-image proves nothing unless the read
    /// is exact, nor does a read that shows something else prove anything where nothing is known of before.
    //= S-25
    pub fn judge(&self, scope: &Scope<'_>) -> Judgement {
        match self.try_judge(scope) {
            Ok(judgement) => judgement,
            Err(reason) => Judgement::Inconclusive(reason),
        }
    }

    fn try_judge(&self, scope: &Scope<'_>) -> Result<Judgement, String> {
        let read = scope.read.ok_or("there is no read")?;
        self.refuse_error("read", read)?;
        if let Some(pre) = scope.pre.filter(|_| self.expect.mentions_pre()) {
            self.refuse_error("read before the call", pre)?;
        }
        if self.expect.holds(scope)? {
            return self.applied(scope);
        }
        let absent = match (&self.absent, scope.pre) {
            (Some(absent), _) => absent.holds(scope)?,
            (None, Some(pre)) => read == pre,
            (None, None) if scope.result.is_none() => {
                return Err("the intent is not there, and nothing is known of what was there before".to_owned());
            }
            (None, None) => false,
        };
        if !absent {
            return Ok(Judgement::Different);
        }
        if is_cut_off(read) {
            return Err("the read shows only a part".to_owned());
        }
        Ok(Judgement::Absent)
    }

    /// The read shows the intent: is it of this call's making?
    fn applied(&self, scope: &Scope<'_>) -> Result<Judgement, String> {
        let is_probe = scope.result.is_none();
        if is_probe && self.strength == Strength::Inferred && !self.expect.mentions_pre() {
            let pre = scope.pre.ok_or("what was there before is not known")?;
            self.refuse_error("read before the call", pre)?;
            let before = Scope { read: Some(pre), ..*scope };
            if self.expect.holds(&before)? {
                return Err("the world showed the same before the call".to_owned());
            }
        }
        Ok(Judgement::Applied)
    }

    /// An error of the read is no view of the world, unless the expressions say what it means.
    pub(crate) fn refuse_error(&self, which: &str, value: &Value) -> Result<(), String> {
        let is_error = value.get("isError") == Some(&Value::Bool(true));
        let understood = self.expect.mentions_errors() || self.absent.as_ref().is_some_and(Expr::mentions_errors);
        if is_error && !understood {
            return Err(alloc::format!("the {which} answered with an error"));
        }
        Ok(())
    }
}

/// Does the answer say itself that there is more? Then what it does not show may still be there.
fn is_cut_off(read: &Value) -> bool {
    const CURSORS: [&str; 7] =
        ["nextCursor", "next_cursor", "nextPageToken", "next_page_token", "next_page", "nextPage", "next"];
    const FLAGS: [&str; 5] = ["has_more", "hasMore", "truncated", "is_truncated", "incomplete_results"];
    let Value::Object(members) = read else { return false };
    let cursor = |name: &str| match members.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    };
    CURSORS.iter().any(|name| cursor(name)) || FLAGS.iter().any(|name| members.get(*name) == Some(&Value::Bool(true)))
}
