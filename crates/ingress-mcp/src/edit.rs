//! Changes single members of a message and leaves every other byte as it came.

use crate::message::quoted;
use bytes::Bytes;
use checks::json::{Document, Item, ItemKind};
use std::ops::Range;

/// Changes to one document, applied at once.
#[derive(Debug)]
pub struct Edits<'d> {
    document: &'d Document<'d>,
    cuts: Vec<(Range<usize>, Vec<u8>)>,
    /// Ends of containers that got their first member from us.
    filled: Vec<usize>,
}

impl<'d> Edits<'d> {
    pub const fn of(document: &'d Document<'d>) -> Self {
        Self { document, cuts: Vec::new(), filled: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    pub fn replace(&mut self, item: Item<'_>, json: impl Into<Vec<u8>>) {
        self.cuts.push((item.range(), json.into()));
    }

    /// Sets a member of an object, at its place or as the last one.
    pub fn set(&mut self, object: Item<'_>, name: &str, json: &[u8]) {
        if let Some(member) = object.get(name) {
            self.replace(member, json);
            return;
        }
        let mut text = quoted(name).into_bytes();
        text.push(b':');
        text.extend_from_slice(json);
        let empty = object.members().next().is_none();
        self.append(object, empty, text);
    }

    /// Adds an element at the end of an array.
    pub fn push(&mut self, array: Item<'_>, json: &[u8]) {
        let empty = array.elements().next().is_none();
        self.append(array, empty, json.to_vec());
    }

    /// Takes a member out of an object, with one comma.
    pub fn remove(&mut self, object: Item<'_>, name: &str) {
        let members: Vec<_> = object.members().collect();
        let Some(at) = members.iter().position(|(key, _)| key.is(name)) else { return };
        let bytes = self.document.bytes();
        let end = members[at].1.range().end;
        let range = if at > 0 {
            members[at - 1].1.range().end..end
        } else if let Some((_, next)) = members.get(1) {
            // From behind the brace to the next key: search back from its value over the colon and the key.
            let inside = &bytes[end..next.range().start];
            let comma = inside.iter().position(|byte| *byte == b',').map_or(0, |comma| comma + 1);
            object.range().start + 1..end + comma
        } else {
            object.range().start + 1..object.range().end - 1
        };
        self.cuts.push((range, Vec::new()));
    }

    /// Sets a member of an object that lies under `path`, making the objects on the way.
    pub fn set_under(&mut self, path: &[&str], members: &[(&str, &[u8])]) {
        let mut at = self.document.root();
        for (depth, step) in path.iter().enumerate() {
            match at.get(step) {
                Some(next) if next.kind() == ItemKind::Object => at = next,
                _ => {
                    let mut json = object(members);
                    for missing in path[depth + 1..].iter().rev() {
                        json = object(&[(missing, &json)]);
                    }
                    self.set(at, step, &json);
                    return;
                }
            }
        }
        for (name, json) in members {
            self.set(at, name, json);
        }
    }

    fn append(&mut self, container: Item<'_>, empty: bool, text: Vec<u8>) {
        let end = container.range().end - 1;
        let first = empty && !self.filled.contains(&end);
        self.filled.push(end);
        let text = if first { text } else { [b",", &text[..]].concat() };
        self.cuts.push((end..end, text));
    }

    pub fn apply(mut self) -> Bytes {
        let bytes = self.document.bytes();
        // Stable, so that members added to one object keep the order in which they were set.
        self.cuts.sort_by_key(|(range, _)| range.start);
        let added: usize = self.cuts.iter().map(|(_, text)| text.len()).sum();
        let mut out = Vec::with_capacity(bytes.len() + added);
        let mut at = 0;
        for (range, text) in self.cuts {
            out.extend_from_slice(&bytes[at..range.start.max(at)]);
            out.extend_from_slice(&text);
            at = at.max(range.end);
        }
        out.extend_from_slice(&bytes[at..]);
        Bytes::from(out)
    }
}

fn object(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (index, (name, json)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(quoted(name).as_bytes());
        out.push(b':');
        out.extend_from_slice(json);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::scan;

    fn edit(text: &str, change: impl FnOnce(&mut Edits<'_>, Item<'_>)) -> String {
        let document = scan(text.as_bytes()).expect("JSON");
        let mut edits = Edits::of(&document);
        change(&mut edits, document.root());
        String::from_utf8(edits.apply().to_vec()).expect("UTF-8")
    }

    #[test]
    fn members_are_set_at_their_place_or_at_the_end() {
        assert_eq!(edit(r#"{"a": 1.0 }"#, |e, root| e.set(root, "a", b"2")), r#"{"a": 2 }"#);
        assert_eq!(edit(r#"{"a":1}"#, |e, root| e.set(root, "b", b"2")), r#"{"a":1,"b":2}"#);
        let two = |e: &mut Edits<'_>, root: Item<'_>| {
            e.set(root, "a", b"1");
            e.set(root, "b", b"2");
        };
        assert_eq!(edit("{}", two), r#"{"a":1,"b":2}"#);
    }

    #[test]
    fn objects_on_the_way_are_made() {
        let set = |e: &mut Edits<'_>, _: Item<'_>| e.set_under(&["params", "_meta"], &[("k", b"1"), ("l", b"2")]);
        assert_eq!(edit(r#"{"id":1}"#, set), r#"{"id":1,"params":{"_meta":{"k":1,"l":2}}}"#);
        assert_eq!(edit(r#"{"params":{"x":1}}"#, set), r#"{"params":{"x":1,"_meta":{"k":1,"l":2}}}"#);
        assert_eq!(edit(r#"{"params":{"_meta":{"k":0}}}"#, set), r#"{"params":{"_meta":{"k":1,"l":2}}}"#);
    }

    #[test]
    fn a_member_leaves_with_one_comma() {
        for (text, left) in [
            (r#"{"a":1,"k":2,"b":3}"#, r#"{"a":1,"b":3}"#),
            (r#"{"k":2 , "b":3}"#, r#"{ "b":3}"#),
            (r#"{"a":1, "k":2}"#, r#"{"a":1}"#),
            (r#"{ "k":2 }"#, "{}"),
        ] {
            assert_eq!(edit(text, |e, root| e.remove(root, "k")), left);
        }
    }
}
