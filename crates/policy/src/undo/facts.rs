//! A way back, held against what the journal has of a step: bytes in, bytes out.

use super::{Stands, UndoPlan};
use crate::expr::{Scope, view};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use serde_json::Value;
use vocab::Bytes;

/// What is stored about a step, byte for byte.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub args: &'a [u8],
    /// The receipt.
    pub result: Option<&'a [u8]>,
    pub preimage: Option<&'a [u8]>,
    /// The key that was sent upstream.
    pub key: Option<&'a str>,
}

/// The same, read.
struct Read {
    args: Value,
    result: Option<Value>,
    pre: Option<Value>,
}

impl Facts<'_> {
    fn read(&self) -> Result<Read, String> {
        let args = serde_json::from_slice(self.args).map_err(|_| "its arguments cannot be read")?;
        Ok(Read { args, result: self.result.and_then(view), pre: self.preimage.and_then(view) })
    }
}

impl UndoPlan {
    /// The arguments of the compensator, as JSON.
    ///
    /// # Errors
    /// Why they cannot be told, such as a member of a receipt that was lost.
    pub fn call_args(&self, facts: &Facts<'_>) -> Result<Bytes, String> {
        let read = facts.read()?;
        if self.needs_preimage() {
            is_image(read.pre.as_ref())?;
        }
        Ok(self.args(&read.scope(facts, None))?.to_string().into())
    }

    /// The arguments of the read before it is taken back, as JSON.
    ///
    /// # Errors
    /// It needs no look, or why they cannot be told.
    pub fn look_args(&self, facts: &Facts<'_>) -> Result<Bytes, String> {
        let look = self.look().ok_or("nothing is looked at beforehand")?;
        let read = facts.read()?;
        Ok(look.args(&read.scope(facts, None))?.to_string().into())
    }

    /// Holds a `tools/call` result, which shows what is there now, against what a call of `tool` wrote.
    pub fn stands_now(&self, facts: &Facts<'_>, shown: &[u8], tool: (&str, &str)) -> Stands {
        let Ok(read) = facts.read() else { return Stands::Unclear("its arguments cannot be read".to_owned()) };
        let Some(now) = view(shown) else { return Stands::Unclear("the read's answer is no result".to_owned()) };
        self.stands(&read.scope(facts, Some(&now)), tool)
    }

    /// Before the call is sent: would what was read suffice to write it back?
    ///
    /// # Errors
    /// What it lacks.
    pub fn is_image(&self, args: &[u8], image: &[u8]) -> Result<(), String> {
        let facts = Facts { args, result: None, preimage: Some(image), key: None };
        let read = facts.read()?;
        is_image(read.pre.as_ref())?;
        // What needs the receipt or the key cannot be tried before there is one.
        let is_tried = self.args.as_ref().is_none_or(|args| !args.mentions_result() && !args.mentions_key());
        if is_tried {
            let told = self.args(&read.scope(&facts, None));
            told.map_err(|why| format!("what was read does not say what to write back: {why}"))?;
        }
        Ok(())
    }
}

fn is_image(pre: Option<&Value>) -> Result<(), String> {
    let pre = pre.ok_or("what was there before is not known")?;
    if pre.get("isError") == Some(&Value::Bool(true)) {
        return Err("the read of what was there before answered with an error".to_owned());
    }
    Ok(())
}

impl Read {
    fn scope<'a>(&'a self, facts: &Facts<'a>, read: Option<&'a Value>) -> Scope<'a> {
        Scope { args: &self.args, result: self.result.as_ref(), pre: self.pre.as_ref(), read, key: facts.key }
    }
}
