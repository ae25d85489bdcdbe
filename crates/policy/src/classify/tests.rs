//! Words and verbs of names.

use super::*;

#[test]
fn a_name_is_cut_into_its_words() {
    for (name, expected) in [
        ("create_order", "create order"),
        ("createOrder", "create order"),
        ("create-order", "create order"),
        ("orders.create", "orders create"),
        ("HTTPGetURL", "http get url"),
        ("getHTTPUrl2", "get http url2"),
        ("__x__", "x"),
        ("", ""),
    ] {
        assert_eq!(words(name).join(" "), expected);
    }
}

#[test]
fn the_verb_is_found_wherever_it_stands() {
    let of = |name: &str| verb_and_noun(name).map(|(verb, noun)| (verb, noun.join(" ")));
    assert_eq!(of("slack_post_message"), Some((Verb::Send, "slack message".into())));
    assert_eq!(of("get_order"), Some((Verb::Read, "order".into())));
    assert_eq!(of("issue_refund"), Some((Verb::Send, "refund".into())));
    assert_eq!(of("issue_read"), Some((Verb::Read, "issue".into())));
    assert_eq!(of("frobnicate"), None);
}
