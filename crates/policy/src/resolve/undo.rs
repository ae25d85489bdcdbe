//! How a tool's calls are taken back: what is declared must be possible.

use super::Resolver;
use super::tools::{lift, split};
use crate::expr::{Expr, Purpose};
use crate::policy::{Site, Upstream};
use crate::problem::Place;
use crate::raw::{self, At, Cel, Compensation, Text};
use crate::rules::ReadPlan;
use crate::undo::{UndoKind, UndoPlan, write};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use vocab::{Bytes, Name};

/// Longest reason or runbook, in characters.
const NOTE_MAX: usize = 500;

/// A way back before the read that it goes by is known.
pub(super) struct Way {
    kind: UndoKind,
    call: Option<(Name, Name)>,
    args: Option<Expr>,
    only_if: Option<Expr>,
    note: String,
    place: Place,
    call_place: Place,
    args_place: Place,
}

impl Way {
    /// It has to know what was there before.
    fn wants_preimage(&self) -> bool {
        let mentions = |expr: &Option<Expr>| expr.as_ref().is_some_and(Expr::mentions_pre);
        self.kind == UndoKind::Restore || mentions(&self.args) || mentions(&self.only_if)
    }

    fn looks(&self) -> bool {
        self.kind == UndoKind::Restore || self.only_if.is_some()
    }
}

impl Resolver<'_> {
    pub(super) fn way(
        &mut self,
        At { value: raw, place }: &At<raw::Compensate>,
        home: Option<&Name>,
        upstreams: &[Upstream],
    ) -> Option<Way> {
        let kind = raw.kind.as_ref().map_or(Compensation::Inverse, |kind| kind.value);
        let kind = UndoKind::from(kind);
        let before = self.problems.len();
        self.members(raw, kind, *place);
        let call = raw.call.as_ref().and_then(|call| self.compensator(call, home, upstreams));
        let args = raw.args.as_ref().map(|args| self.expr(args, Purpose::UndoArgs));
        let only_if = raw.only_if.as_ref().map(|only_if| self.expr(only_if, Purpose::Judge));
        let note = raw.reason.as_ref().or(raw.runbook.as_ref()).map_or_else(String::new, |text| self.note(text));
        let (args, only_if) = (lift(args)?, lift(only_if)?);
        if kind == UndoKind::Restore && args.as_ref().is_some_and(|args| !args.mentions_pre()) {
            let at = raw.args.as_ref().map_or(*place, |args| args.0.place);
            let problem = self.error(at, "`restore` writes back what was there before, and `args` do not use `pre`");
            problem.hint =
                Some("write {\"order_id\": args.order_id, \"address\": pre.address}, or `kind: inverse`".into());
        }
        if self.problems.len() > before {
            return None;
        }
        let at = |cel: &Option<Cel>| cel.as_ref().map_or(*place, |cel| cel.0.place);
        let call_place = raw.call.as_ref().map_or(*place, |call| call.place);
        Some(Way { kind, call, args, only_if, note, place: *place, call_place, args_place: at(&raw.args) })
    }

    /// What each kind needs, and what it has no use for.
    fn members(&mut self, raw: &raw::Compensate, kind: UndoKind, place: Place) {
        if kind.is_call() && raw.call.is_none() {
            let problem = self.error(place, format!("`{}` needs `call`: the tool that takes it back", kind.as_str()));
            problem.hint = Some("call: shop.cancel_order, or `kind: none` with a `reason`".to_owned());
        }
        if kind == UndoKind::Restore && raw.call.is_some() && raw.args.is_none() {
            self.error(place, "`restore` needs `args` that write back what was there before").hint =
                Some("args: '{\"order_id\": args.order_id, \"address\": pre.address}'".to_owned());
        }
        let unused =
            [("call", raw.call.as_ref().map(|text| text.place)), ("args", raw.args.as_ref().map(|cel| cel.0.place))];
        for (name, at) in unused {
            if let Some(at) = at.filter(|_| !kind.is_call()) {
                self.error(at, format!("`{}` makes no call: `{name}` has no meaning here", kind.as_str())).hint =
                    Some("leave `kind` out, if the call is what takes it back".to_owned());
            }
        }
        for (name, owner, text) in
            [("reason", UndoKind::None, &raw.reason), ("runbook", UndoKind::Manual, &raw.runbook)]
        {
            match text {
                None if kind == owner => {
                    let problem = self.error(place, format!("`{}` needs `{name}`", owner.as_str()));
                    problem.hint = Some("a report shows it to whoever asks whether this can be undone".to_owned());
                }
                Some(text) if kind != owner => {
                    let message = format!("`{name}` belongs to `kind: {}`", owner.as_str());
                    self.error(text.place, message);
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, text: &Text) -> String {
        let value = text.value.trim();
        if value.is_empty() || value.chars().count() > NOTE_MAX {
            self.error(text.place, format!("this needs 1 to {NOTE_MAX} characters"));
        }
        value.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
    }

    fn compensator(&mut self, text: &Text, home: Option<&Name>, upstreams: &[Upstream]) -> Option<(Name, Name)> {
        if let Some((_, upstream, tool)) = split(text, home.map(|home| &**home), upstreams) {
            return Some((upstream, tool));
        }
        let value = text.value.trim();
        match value.split_once('.') {
            Some((upstream, _)) => {
                self.known(text, upstream, upstreams);
            }
            None => {
                let problem = self.error(text.place, "the upstream of this tool is not told");
                problem.hint = Some("write upstream.tool".to_owned());
            }
        }
        None
    }

    /// Chooses the read that a way back goes by, and has it asked before the call where that is needed.
    pub(super) fn way_reads(
        &mut self,
        way: &Way,
        probe: Option<&mut ReadPlan>,
        readback: Option<&mut ReadPlan>,
    ) -> Option<Look> {
        let (wants_preimage, looks) = (way.wants_preimage(), way.looks());
        if !wants_preimage && !looks {
            return None;
        }
        let reads = [(Look::Probe, probe), (Look::Readback, readback)].into_iter();
        let mut reads = reads.filter_map(|(which, plan)| Some((which, plan?)));
        let chosen = reads.find(|(_, plan)| !wants_preimage || !plan.args.mentions_result());
        let Some((which, plan)) = chosen else {
            let what = if wants_preimage { "that can be asked before the call" } else { "to look with" };
            let problem = self.error(way.place, format!("it needs a `readback` or `probe` {what}"));
            problem.hint =
                Some("its `args` must use the call's arguments only: {\"order_id\": args.order_id}".to_owned());
            return None;
        };
        plan.needs_preimage |= wants_preimage;
        Some(which)
    }

    /// A compensator that only reads takes nothing back.
    pub(super) fn compensator_writes(&mut self, site: &Site, place: Place, effect: Option<vocab::Effect>) {
        if effect == Some(vocab::Effect::Read) {
            let message = format!("`{}.{}` is declared `read`: it takes nothing back", site.upstream, site.tool);
            self.error(place, message).hint = Some("name the tool that undoes the change".to_owned());
        }
    }
}

/// Which of a tool's reads a way back goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Probe,
    Readback,
}

impl Way {
    /// The plan, and where its parts stand in the file.
    pub(super) fn plan(
        self,
        look: Option<Arc<ReadPlan>>,
        resolver: &Resolver<'_>,
    ) -> (UndoPlan, Option<(Site, Place)>) {
        let needs_preimage = self.wants_preimage();
        let mut plan = UndoPlan {
            kind: self.kind,
            call: self.call,
            note: self.note,
            args: self.args,
            only_if: self.only_if,
            look,
            needs_preimage,
            registered: Bytes::new(),
        };
        plan.registered = write(&plan);
        let site = plan.call.clone().map(|(upstream, tool)| {
            let members = plan.args.as_ref().map_or_else(|| Some(alloc::vec::Vec::new()), Expr::member_names);
            let call = resolver.source.problem(self.call_place, "");
            let args = resolver.source.problem(self.args_place, "");
            (Site { upstream, tool, members, call, args }, self.call_place)
        });
        (plan, site)
    }
}

impl From<Compensation> for UndoKind {
    fn from(raw: Compensation) -> Self {
        match raw {
            Compensation::Native => Self::Native,
            Compensation::Inverse => Self::Inverse,
            Compensation::Restore => Self::Restore,
            Compensation::Cancel => Self::Cancel,
            Compensation::Manual => Self::Manual,
            Compensation::None => Self::None,
        }
    }
}
