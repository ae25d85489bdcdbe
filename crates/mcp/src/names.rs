//! Names of tools on the wire: `^[A-Za-z0-9_-]{1,64}$`, prefixed where several upstreams share an endpoint.
//!
//! Some clients drop a whole list for one dot. A name that does not fit is shortened in a way that depends on nothing
//! but the name itself, so that it is the same after each restart.

use std::collections::HashMap;

pub const LENGTH_MAX: usize = 64;
pub const SEPARATOR: &str = "__";
/// Letters of the hash that replace what was cut.
const HASH: usize = 8;

#[must_use]
pub fn is_wire_name(name: &str) -> bool {
    (1..=LENGTH_MAX).contains(&name.len()) && name.bytes().all(is_wire_byte)
}

const fn is_wire_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// `shop` and `get_order` become `shop__get_order`; what does not fit is cut and gets a hash of the whole.
#[must_use]
pub fn prefixed(upstream: &str, tool: &str) -> String {
    let name = format!("{upstream}{SEPARATOR}{tool}");
    if is_wire_name(&name) {
        return name;
    }
    let hash = blake3::hash(name.as_bytes()).to_hex();
    let kept = LENGTH_MAX - HASH - 1;
    let mut wire: String =
        name.chars().map(|one| if one.is_ascii() && is_wire_byte(one as u8) { one } else { '_' }).collect();
    wire.truncate(kept);
    format!("{wire}_{}", &hash[..HASH])
}

/// Where a name of the shared endpoint leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub upstream: String,
    pub tool: String,
}

/// Two tools that would have the same name on the wire. The first one keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    pub wire: String,
    pub kept: Target,
    pub dropped: Target,
}

/// Wire names and what they stand for.
#[derive(Clone, Debug, Default)]
pub struct Names {
    targets: HashMap<String, Target>,
    wires: HashMap<(String, String), String>,
}

impl Names {
    /// Adds a tool and gives its name on the wire. Adding it again gives the same name.
    ///
    /// # Errors
    /// Another tool has that name already.
    pub fn add(&mut self, upstream: &str, tool: &str) -> Result<&str, Collision> {
        let key = (upstream.to_owned(), tool.to_owned());
        let wire = prefixed(upstream, tool);
        let target = Target { upstream: key.0.clone(), tool: key.1.clone() };
        match self.targets.get(&wire) {
            Some(kept) if *kept != target => return Err(Collision { wire, kept: kept.clone(), dropped: target }),
            Some(_) => {}
            None => {
                self.targets.insert(wire.clone(), target);
            }
        }
        Ok(self.wires.entry(key).or_insert(wire))
    }

    /// What a wire name stands for.
    #[must_use]
    pub fn target(&self, wire: &str) -> Option<&Target> {
        self.targets.get(wire)
    }

    #[must_use]
    pub fn wire(&self, upstream: &str, tool: &str) -> Option<&str> {
        self.wires.get(&(upstream.to_owned(), tool.to_owned())).map(String::as_str)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_fits_is_prefixed_and_nothing_else() {
        assert_eq!(prefixed("shop", "get_order"), "shop__get_order");
        assert_eq!(prefixed("a-b", "c_d-E9"), "a-b__c_d-E9");
    }

    #[test]
    fn a_name_that_does_not_fit_is_shortened_stably() {
        for tool in ["files.read", "läuft", "", "with space", &"x".repeat(100), "漢字"] {
            let wire = prefixed("shop", tool);
            assert!(tool.is_empty() || is_wire_name(&wire), "{wire}");
            assert_eq!(wire, prefixed("shop", tool));
        }
        assert_eq!(prefixed("shop", &"x".repeat(100)).len(), LENGTH_MAX);
        assert_ne!(prefixed("shop", "files.read"), prefixed("shop", "files_read"));
        assert_ne!(prefixed("shop", &"x".repeat(100)), prefixed("shop", &"x".repeat(101)));
    }

    #[test]
    fn names_lead_back_to_their_tools() {
        let mut names = Names::default();
        let wire = names.add("shop", "files.read").expect("the first").to_owned();
        assert_eq!(names.add("shop", "files.read").as_deref(), Ok(wire.as_str()));
        assert_eq!(names.target(&wire).map(|target| target.tool.as_str()), Some("files.read"));
        assert_eq!(names.wire("shop", "files.read"), Some(wire.as_str()));
        assert_eq!(names.target("shop__other"), None);
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn a_collision_is_told_and_the_first_one_stays() {
        let mut names = Names::default();
        names.add("a", "b__c").expect("the first");
        let collision = names.add("a__b", "c").expect_err("the same wire name");
        assert_eq!(collision.wire, "a__b__c");
        assert_eq!((collision.kept.upstream.as_str(), collision.dropped.upstream.as_str()), ("a", "a__b"));
        assert_eq!(names.target("a__b__c").map(|target| target.upstream.as_str()), Some("a"));
    }
}
