//! Where two documents differ: for the refusal that a key was used before with other arguments.

use super::write::sorted_members;
use crate::finding::shorten;
use crate::json::{self, Document, Error, Limits, NodeKind};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Most paths that are told.
pub const PATHS_MAX: usize = 16;

/// JSON pointers to what differs, at most `PATHS_MAX` of them; an empty pointer is the whole value. Names only: the
/// values may belong to an earlier caller.
///
/// # Errors
/// One of them is not strict JSON within the default limits.
pub fn differing_paths(left: &[u8], right: &[u8]) -> Result<Vec<String>, Error> {
    let limits = Limits::default();
    let (left, right) = (json::scan(left, &limits)?, json::scan(right, &limits)?);
    let mut walk = Walk { left: &left, right: &right, path: String::new(), found: Vec::new() };
    walk.values(0, 0);
    Ok(walk.found)
}

struct Walk<'d> {
    left: &'d Document<'d>,
    right: &'d Document<'d>,
    path: String,
    found: Vec<String>,
}

impl Walk<'_> {
    fn values(&mut self, left: usize, right: usize) {
        if self.found.len() >= PATHS_MAX {
            return;
        }
        match (self.left.node(left).kind, self.right.node(right).kind) {
            (NodeKind::Object, NodeKind::Object) => self.objects(left, right),
            (NodeKind::Array, NodeKind::Array) => self.arrays(left, right),
            (one, other) if one == other => {
                if text(self.left, left) != text(self.right, right) {
                    self.report();
                }
            }
            _ => self.report(),
        }
    }

    fn objects(&mut self, left: usize, right: usize) {
        let (left_document, right_document) = (self.left, self.right);
        let mut lefts = sorted_members(left_document, left).into_iter().peekable();
        let mut rights = sorted_members(right_document, right).into_iter().peekable();
        loop {
            let order = match (lefts.peek(), rights.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.0.cmp(&other.0),
            };
            let one = if order.is_le() { lefts.next() } else { None };
            let other = if order.is_ge() { rights.next() } else { None };
            let Some((name, ..)) = one.as_ref().or(other.as_ref()) else { return };
            let length = self.enter(name);
            match (&one, &other) {
                (Some(one), Some(other)) => self.values(one.2, other.2),
                _ => self.report(),
            }
            self.path.truncate(length);
        }
    }

    fn arrays(&mut self, left: usize, right: usize) {
        let (left_document, right_document) = (self.left, self.right);
        let mut lefts = left_document.children(left);
        let mut rights = right_document.children(right);
        for index in 0_usize.. {
            let pair = (lefts.next(), rights.next());
            if pair == (None, None) || self.found.len() >= PATHS_MAX {
                return;
            }
            let length = self.enter(&alloc::format!("{index}"));
            match pair {
                (Some(one), Some(other)) => self.values(one, other),
                _ => self.report(),
            }
            self.path.truncate(length);
        }
    }

    /// Returns the length to go back to.
    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        length
    }

    fn report(&mut self) {
        if self.found.len() < PATHS_MAX {
            self.found.push(shorten(&self.path));
        }
    }
}

fn text(document: &Document<'_>, node: usize) -> Vec<u8> {
    let mut out = Vec::new();
    super::write(document, node, &[], &mut out);
    out
}
