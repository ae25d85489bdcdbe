//! Pairing on lists of tools as real servers have them.

extern crate std;

use super::*;
use crate::tools::Annotations;
use serde_json::{Value, json};

/// `name(required, optional?, list: [{…}])`
fn tool(signature: &str) -> ToolFacts {
    tool_showing(signature, None)
}

fn tool_showing(signature: &str, output: Option<Value>) -> ToolFacts {
    let (name, arguments) = signature.trim_end_matches(')').split_once('(').unwrap_or((signature, ""));
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    for argument in arguments.split(", ").filter(|argument| !argument.is_empty()) {
        let (argument, kind) = argument.split_once(':').unwrap_or((argument, "string"));
        let optional = argument.ends_with('?');
        let argument = argument.trim_end_matches('?');
        properties.insert(argument.to_string(), json!({ "type": kind }));
        if !optional {
            required.push(argument.to_string());
        }
    }
    ToolFacts {
        input_schema: json!({ "type": "object", "properties": properties, "required": required }),
        output_schema: output,
        ..ToolFacts::named(name)
    }
}

fn told(tools: &[ToolFacts]) -> String {
    let mut text = String::new();
    for proposal in proposals(tools) {
        let effect = proposal.effect.map_or("?", Effect::as_str);
        text += &alloc::format!("{}: {effect}\n", proposal.tool);
        if let Some(readback) = proposal.readback {
            text += &alloc::format!("    {}({})\n", readback.read, readback.args);
            text += &alloc::format!("    + {}\n    - {}\n", readback.expect, readback.absent);
        }
    }
    text
}

#[test]
fn a_shop() {
    let tools = [
        tool("get_order(order_id)"),
        tool("list_orders(customer_id?, limit?:integer)"),
        tool("place_order(customer_id, sku, quantity:integer)"),
        tool("update_order_status(order_id, status)"),
        tool("cancel_order(order_id)"),
        tool("issue_refund(order_id, amount:number)"),
        tool("list_refunds(order_id)"),
        tool("increment_stock(sku, by:integer)"),
        tool("get_stock(sku)"),
        tool("search_products(query)"),
        tool("checkout"),
    ];
    insta::assert_snapshot!(told(&tools), @r#"
        get_order: read
        list_orders: read
        place_order: write
            list_orders({"customer_id": args.customer_id})
            + found(read, args) > found(pre, args)
            - found(read, args) == found(pre, args) && same_count(read, pre)
        update_order_status: write
            get_order({"order_id": args.order_id})
            + !has(read.isError) && found(read, without(args, ["order_id"])) >= 1
            - same(read, pre)
        cancel_order: destructive
            get_order({"order_id": args.order_id})
            + gone(read) || found(read, {"status": "cancelled"}) >= 1 || found(read, {"status": "canceled"}) >= 1
            - same(read, pre)
        issue_refund: destructive
            list_refunds({"order_id": args.order_id})
            + found(read, args) > found(pre, args)
            - found(read, args) == found(pre, args) && same_count(read, pre)
        list_refunds: read
        increment_stock: write
        get_stock: read
        search_products: read
        checkout: write
        "#);
}

#[test]
fn a_verb_that_stands_alone_is_paired_with_what_comes_of_it() {
    let tools = [tool("pay(to, amount:integer, reference?)"), tool("list_payments(to?)"), tool("refund(order_id)")];
    insta::assert_snapshot!(told(&tools), @r"
    pay: destructive
        list_payments({})
        + found(read, args) > found(pre, args)
        - found(read, args) == found(pre, args) && same_count(read, pre)
    list_payments: read
    refund: destructive
    ");
}

#[test]
fn a_crm_in_camel_case() {
    let contact = json!({ "type": "object", "properties": { "id": { "type": "string" }, "email": { "type": "string" }, "stage": { "type": "string" } } });
    let tools = [
        tool_showing("getContact(contactId)", Some(contact.clone())),
        tool_showing(
            "listContacts()",
            Some(json!({ "type": "object", "properties": { "contacts": { "type": "array", "items": contact } } })),
        ),
        tool("createContact(email, stage?)"),
        tool("updateContact(contactId, stage)"),
        tool("deleteContact(contactId)"),
        tool("sendEmail(to, subject, body)"),
        tool("listEmails(to?)"),
        tool("addNote(contactId, text)"),
        tool("getNotes(contactId)"),
        tool("toggleFavorite(contactId)"),
        tool("manageDeal(action, dealId)"),
    ];
    insta::assert_snapshot!(told(&tools), @r#"
        getContact: read
        listContacts: read
        createContact: write
            listContacts({})
            + found(read, args) > found(pre, args)
            - found(read, args) == found(pre, args) && same_count(read, pre)
        updateContact: write
            getContact({"contactId": args.contactId})
            + !has(read.isError) && found(read, without(args, ["contactId"])) >= 1
            - same(read, pre)
        deleteContact: destructive
            getContact({"contactId": args.contactId})
            + gone(read)
            - !gone(read) && same(read, pre)
        sendEmail: write
            listEmails({})
            + found(read, args) > found(pre, args)
            - found(read, args) == found(pre, args) && same_count(read, pre)
        listEmails: read
        addNote: write
            getNotes({"contactId": args.contactId})
            + found(read, args) > found(pre, args)
            - found(read, args) == found(pre, args) && same_count(read, pre)
        getNotes: read
        toggleFavorite: write
        manageDeal: ?
        "#);
}

#[test]
fn a_file_server() {
    let content = Some(json!({ "type": "object", "properties": { "content": { "type": "string" } } }));
    let tools = [
        tool_showing("read_text_file(path, head?:number, tail?:number)", content.clone()),
        tool_showing("read_file(path)", content.clone()),
        tool_showing("write_file(path, content)", content.clone()),
        tool_showing("edit_file(path, edits:array, dryRun?:boolean)", content.clone()),
        tool_showing("create_directory(path)", content.clone()),
        tool_showing("list_directory(path)", content.clone()),
        tool_showing("directory_tree(path)", content.clone()),
        tool_showing("move_file(source, destination)", content.clone()),
        tool_showing("get_file_info(path)", content),
    ];
    insta::assert_snapshot!(told(&tools), @r#"
        read_text_file: read
        read_file: read
        write_file: write
            read_text_file({"path": args.path})
            + !has(read.isError) && found(read, without(args, ["path"])) >= 1
            - same(read, pre)
        edit_file: write
        create_directory: write
        list_directory: read
        directory_tree: read
        move_file: write
        get_file_info: read
        "#);
}

#[test]
fn a_memory_server() {
    let text = || json!({ "type": "string" });
    let entity = json!({ "type": "object", "properties": { "name": text(), "entityType": text(), "observations": { "type": "array", "items": text() } }, "required": ["name"] });
    let relation = json!({ "type": "object", "properties": { "from": text(), "to": text(), "relationType": text() } });
    let observation = json!({ "type": "object", "properties": { "entityName": text(), "contents": { "type": "array", "items": text() } } });
    let graph = Some(json!({ "type": "object", "properties": {
        "entities": { "type": "array", "items": entity }, "relations": { "type": "array", "items": relation } } }));
    let list = |name: &str, member: &str, items: &Value| ToolFacts {
        input_schema: json!({ "type": "object", "properties": { member: { "type": "array", "items": items } }, "required": [member] }),
        ..ToolFacts::named(name)
    };
    let tools = [
        list("create_entities", "entities", &entity),
        list("create_relations", "relations", &relation),
        list("add_observations", "observations", &observation),
        list("delete_entities", "entityNames", &text()),
        tool_showing("read_graph()", graph.clone()),
        tool_showing("search_nodes(query)", graph.clone()),
        tool_showing("open_nodes(names:array)", graph),
    ];
    insta::assert_snapshot!(told(&tools), @r#"
        create_entities: write
            read_graph({})
            + args.entities.all(e, found(read, e) >= 1)
            - same(read, pre)
        create_relations: write
            read_graph({})
            + args.relations.all(e, found(read, e) >= 1)
            - same(read, pre)
        add_observations: write
        delete_entities: destructive
        read_graph: read
        search_nodes: read
        open_nodes: ?
        "#);
}

#[test]
fn annotations_and_names_propose_the_worse_of_the_two() {
    let propose =
        |name: &str, annotations: Annotations| proposed_effect(&ToolFacts { annotations, ..ToolFacts::named(name) }).0;
    let none = Annotations::default();
    let reads = Annotations { read_only: Some(true), ..none };
    let sets = Annotations { destructive: Some(false), idempotent: Some(true), ..none };
    let writes = Annotations { read_only: Some(false), ..none };
    assert_eq!(propose("get_order", none), Some(Effect::Read));
    assert_eq!(propose("get_order", writes), None);
    assert_eq!(propose("directory_tree_of", reads), Some(Effect::Read));
    assert_eq!(propose("delete_order", reads), Some(Effect::Destructive));
    assert_eq!(propose("set_status", sets), Some(Effect::Idempotent));
    assert_eq!(propose("create_order", sets), Some(Effect::Write));
    assert_eq!(propose("frobnicate", none), None);
    assert_eq!(propose("issue_refund", none), Some(Effect::Destructive));
    assert_eq!(propose("send_message", none), Some(Effect::Write));
}

#[test]
fn a_name_with_quotes_stays_inside_its_text() {
    let mut tools = [tool("list_things(a\"]) || true || (x[\")"), tool("create_thing(a\"]) || true || (x[\", b)")];
    tools[0].input_schema["required"] =
        tools[0].input_schema["properties"].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
    for proposal in proposals(&tools) {
        let Some(readback) = proposal.readback else { continue };
        assert!(crate::Expr::compile(&readback.args, crate::Purpose::ReadArgs).is_ok(), "{}", readback.args);
        assert!(crate::Expr::compile(&readback.expect, crate::Purpose::Judge).is_ok(), "{}", readback.expect);
        assert!(readback.args.contains("\\\""), "{}", readback.args);
    }
}

#[test]
fn a_counter_or_switch_that_shows_one_value_is_compared_with_what_it_was() {
    let shows = |members: Value| {
        let required = members.as_object().map(|members| members.keys().cloned().collect::<Vec<_>>());
        Some(json!({ "type": "object", "properties": members, "required": required }))
    };
    let number = || json!({ "type": "integer" });
    let counter = shows(json!({ "name": { "type": "string" }, "value": number() }));
    let switch = shows(json!({ "name": { "type": "string" }, "on": { "type": "boolean" } }));
    let told_of =
        |writer: &str, reader: &str, output: Option<Value>| told(&[tool(writer), tool_showing(reader, output)]);
    let counted = told_of("increment_counter(name, by?:integer)", "get_counter(name)", counter);
    assert!(counted.contains("+ read.value != pre.value\n    - read.value == pre.value"), "{counted}");
    let turned = told_of("toggle_switch(name)", "get_switch(name)", switch);
    assert!(turned.contains("+ read.on != pre.on\n    - read.on == pre.on"), "{turned}");
    // What moves by itself, what shows more than one thing, and what shows nobody knows what, says nothing.
    let moving = shows(json!({ "name": { "type": "string" }, "updated_at": number() }));
    let more = shows(json!({ "name": { "type": "string" }, "value": number(), "reads": number() }));
    for unclear in [moving, more, None] {
        let text = told_of("toggle_switch(name)", "get_switch(name)", unclear);
        assert!(!text.contains("pre"), "{text}");
    }
}

fn shaped(name: &str, input: serde_json::Value, output: Option<serde_json::Value>) -> ToolFacts {
    ToolFacts { input_schema: input, output_schema: output, ..ToolFacts::named(name) }
}

fn object(members: &[&str]) -> serde_json::Value {
    let properties = members.iter().map(|name| ((*name).to_owned(), serde_json::json!({ "type": "string" })));
    let properties: serde_json::Map<_, _> = properties.collect();
    serde_json::json!({ "type": "object", "properties": properties, "required": members })
}

fn ways(tools: &[ToolFacts]) -> Vec<(String, String, String)> {
    let ways = proposals(tools).into_iter().filter_map(|one| Some((one.tool, one.undo?)));
    ways.map(|(tool, way)| (tool, std::format!("{} {}", way.kind, way.call), way.args)).collect()
}

//= S-05
#[test]
fn what_is_created_is_taken_back_by_its_opposite_with_the_id_of_the_receipt() {
    let tools = [
        shaped("create_order", object(&["customer", "item"]), Some(object(&["order_id", "status"]))),
        shaped("cancel_order", object(&["order_id"]), None),
        shaped("delete_customer", object(&["customer_id"]), None),
    ];
    let way =
        ("create_order".to_owned(), "inverse cancel_order".to_owned(), r#"{"order_id": result.order_id}"#.to_owned());
    assert_eq!(ways(&tools), [way]);
    // A receipt that nobody knows names nothing.
    assert_eq!(ways(&[shaped("create_order", object(&["item"]), None), tools[1].clone()]), []);
}

//= S-05
#[test]
fn what_is_set_is_written_back_where_the_reader_shows_all_of_it() {
    let get = |shown: &[&str]| shaped("get_address", object(&["customer_id"]), Some(object(shown)));
    let set = shaped("set_address", object(&["customer_id", "street", "city"]), None);
    let args = r#"{"customer_id": args.customer_id, "street": pre.street, "city": pre.city}"#;
    let way = ("set_address".to_owned(), "restore set_address".to_owned(), args.to_owned());
    assert_eq!(ways(&[get(&["customer_id", "street", "city"]), set.clone()]), [way]);
    assert_eq!(ways(&[get(&["customer_id", "street"]), set]), []);
}
