use super::*;

fn page(tools: &str, cursor: Option<&str>) -> Bytes {
    let cursor = cursor.map_or_else(String::new, |cursor| format!(r#","nextCursor":"{cursor}""#));
    format!(r#"{{"tools":[{tools}]{cursor}}}"#).into()
}

fn names(tools: &Tools) -> Vec<bool> {
    ["a", "b", "c"].iter().map(|name| tools.get("shop", name).is_some()).collect()
}

#[test]
fn pages_add_up_and_a_changed_list_loses_what_its_last_page_did_not_bring_again() {
    let (tools, shop) = (Tools::default(), Name::from("shop"));
    tools.learn(&shop, &page(r#"{"name":"a"},{"name":"b"}"#, Some("2")));
    tools.learn(&shop, &page(r#"{"name":"c"}"#, None));
    assert_eq!(names(&tools), [true, true, true]);
    tools.forget(&shop);
    assert_eq!(names(&tools), [true, true, true], "usable until it is learnt again");
    tools.learn(&shop, &page(r#"{"name":"a"}"#, Some("2")));
    assert_eq!(names(&tools), [true, true, true]);
    tools.learn(&shop, &page(r#"{"name":"c"}"#, None));
    assert_eq!(names(&tools), [true, false, true]);
    assert!(tools.get("other", "a").is_none());
}

#[test]
fn an_unchanged_entry_keeps_what_was_compiled_and_a_changed_one_does_not() {
    let (tools, shop) = (Tools::default(), Name::from("shop"));
    let get = || tools.get("shop", "a").expect("known");
    tools.learn(&shop, &page(r#"{"name":"a","inputSchema":{"type":"object"}}"#, None));
    let first = get();
    assert!(first.input().is_some() && first.output().is_none());
    tools.forget(&shop);
    tools.learn(&shop, &page(r#"{"name":"a","inputSchema":{"type":"object"}}"#, None));
    assert!(Arc::ptr_eq(&first, &get()));
    tools.learn(&shop, &page(r#"{"name":"a","inputSchema":{"type":"object","maxProperties":1}}"#, None));
    assert!(!Arc::ptr_eq(&first, &get()));
}

//= S-26
#[test]
fn a_list_that_is_no_list_and_a_schema_that_is_none_harm_nothing() {
    let (tools, shop) = (Tools::default(), Name::from("shop"));
    tools.learn(&shop, &Bytes::from_static(b"[]"));
    tools.learn(&shop, &page(r#"{"name":"a","inputSchema":{"type":"no such type"},"outputSchema":7}"#, None));
    let tool = tools.get("shop", "a").expect("known");
    assert!(tool.input().is_none() && !tool.is_structured());
    let many: Vec<String> = (0..=TOOLS_MAX).map(|number| format!(r#"{{"name":"t{number}"}}"#)).collect();
    tools.learn(&Name::from("flood"), &page(&many.join(","), None));
    assert!(tools.get("flood", "t9999").is_some() && tools.get("flood", "t10000").is_none());
}
