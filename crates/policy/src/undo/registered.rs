//! The stored form of a way back: JSON with a version, read as carefully as anything that is read from a disk.

use super::{UndoKind, UndoPlan};
use crate::defaults;
use crate::expr::{Expr, Purpose};
use crate::rules::{Consistency, ReadPlan, Strength};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde_json::{Value, json};
use vocab::{Bytes, Name, StepId};

const VERSION: u64 = 1;

/// What is stored with an intent about undoing.
#[derive(Debug)]
pub enum Registered {
    /// How the step is taken back.
    Plan(UndoPlan),
    /// The step is itself a compensation: which step it takes back, and the how-manieth try it is, from 0.
    Compensates { step: StepId, number: u32 },
}

impl Registered {
    /// # Errors
    /// It was not written by this program or a compatible one.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let stored: Value = serde_json::from_slice(bytes).map_err(|_| "what is stored about its undoing is no JSON")?;
        if stored["v"].as_u64() != Some(VERSION) {
            return Err(format!(
                "what is stored about its undoing has the form {}, this program reads {VERSION}",
                stored["v"]
            ));
        }
        if let Some(step) = stored["of"].as_str() {
            let step = StepId::parse(step).ok_or("the name of the step that it takes back is damaged")?;
            let number = stored["number"].as_u64().and_then(|number| u32::try_from(number).ok());
            return Ok(Self::Compensates { step, number: number.ok_or("the number of its try is damaged")? });
        }
        plan(&stored, bytes).map(Self::Plan)
    }
}

/// The step that a compensation takes back; `None` for what is no compensation.
pub fn compensates(bytes: &[u8]) -> Option<StepId> {
    let stored: Value = serde_json::from_slice(bytes).ok()?;
    StepId::parse(stored.get("of")?.as_str()?)
}

/// The stored form of a compensation: which step it takes back, in the how-manieth try.
pub fn of(step: StepId, number: u32) -> Bytes {
    let stored = json!({ "v": VERSION, "of": step.to_string(), "number": number });
    stored.to_string().into()
}

/// Writes what a plan says. A plan is read back from this, and from nothing else.
pub(crate) fn write(plan: &UndoPlan) -> Bytes {
    let tool = |(upstream, tool): &(Name, Name)| json!([&**upstream, &**tool]);
    let look = plan.look.as_ref().map(|look| {
        json!({
            "read": [&*look.upstream, &*look.read],
            "args": look.args.source(),
            "expect": look.expect.source(),
            "absent": look.absent.as_ref().map(Expr::source),
        })
    });
    let stored = json!({
        "v": VERSION,
        "kind": plan.kind.as_str(),
        "call": plan.call.as_ref().map(tool),
        "args": plan.args.as_ref().map(Expr::source),
        "only_if": plan.only_if.as_ref().map(Expr::source),
        "note": plan.note,
        "look": look,
        "preimage": plan.needs_preimage,
    });
    stored.to_string().into()
}

fn plan(stored: &Value, bytes: &[u8]) -> Result<UndoPlan, String> {
    let kind = stored["kind"].as_str().and_then(UndoKind::parse).ok_or("the kind of its way back is not known")?;
    let look = &stored["look"];
    let look = if look.is_null() { None } else { Some(Arc::new(read_plan(look)?)) };
    let call = tool(&stored["call"])?;
    if kind.is_call() && call.is_none() {
        return Err("the call that takes it back is not told".to_owned());
    }
    Ok(UndoPlan {
        kind,
        call,
        note: stored["note"].as_str().unwrap_or_default().to_string(),
        args: expr(&stored["args"], Purpose::UndoArgs)?,
        only_if: expr(&stored["only_if"], Purpose::Judge)?,
        look,
        needs_preimage: stored["preimage"].as_bool().unwrap_or(false),
        registered: Bytes::copy_from_slice(bytes),
    })
}

fn read_plan(stored: &Value) -> Result<ReadPlan, String> {
    let (upstream, read) = tool(&stored["read"])?.ok_or("the read before it is taken back is not told")?;
    Ok(ReadPlan {
        upstream,
        read,
        can_probe: false,
        needs_preimage: false,
        strength: Strength::Inferred,
        consistency: Consistency::Strong,
        within: defaults::READBACK_WITHIN,
        args: expr(&stored["args"], Purpose::ReadArgs)?.ok_or("the arguments of its read are not told")?,
        expect: expr(&stored["expect"], Purpose::Judge)?.ok_or("what its read should show is not told")?,
        absent: expr(&stored["absent"], Purpose::Judge)?,
    })
}

fn tool(stored: &Value) -> Result<Option<(Name, Name)>, String> {
    match stored {
        Value::Null => Ok(None),
        Value::Array(parts) => match &parts[..] {
            [Value::String(upstream), Value::String(tool)] => {
                Ok(Some((upstream.as_str().into(), tool.as_str().into())))
            }
            _ => Err("the name of a tool is damaged".to_owned()),
        },
        _ => Err("the name of a tool is damaged".to_owned()),
    }
}

fn expr(stored: &Value, purpose: Purpose) -> Result<Option<Expr>, String> {
    let Some(source) = stored.as_str() else { return Ok(None) };
    let compiled = Expr::compile(source, purpose).map_err(|faults| {
        let faults = faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>();
        format!("a stored expression cannot be read any more: {}", faults.join("; "))
    });
    compiled.map(Some)
}
