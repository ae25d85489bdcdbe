//! Bad files and what is said about them.

extern crate std;

use crate::{Policy, Problems};
use alloc::string::{String, ToString};

const UPSTREAMS: &str = "upstreams:
  shop:
    mcp: { url: \"http://127.0.0.1:9000/mcp\" }
  files:
    mcp: { command: [npx, -y, server-filesystem, /data] }
";

fn env(name: &str) -> Option<String> {
    match name {
        "SHOP_TOKEN" => Some("s3cret-shop-token-0123456789".to_string()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Policy, Problems> {
    Policy::parse(text, "cofferdam.yaml", &env)
}

/// The problems of a text that stands behind two upstreams.
fn bad(tools: &str) -> String {
    bad_file(&alloc::format!("{UPSTREAMS}{tools}"))
}

fn bad_file(text: &str) -> String {
    match parse(text) {
        Ok(policy) => alloc::format!("accepted, with {} warnings", policy.warnings().len()),
        Err(problems) => problems.render(),
    }
}
#[test]
fn probe() {
    for text in [
        "tools:\n  - match: shop.place_order\n    readbak: { read: shop.get_order, expect: 'read.x == 1' }\n",
        "tools:\n  - match: shop.place_order\n    effect: wrte\n",
        "tools:\n  - match: shop.place_order\n    probe_wait: 10\n    reissue_window: 5min\n    readback: { read: shp.get_order, expect: 'read.items == arg.items &&' }\n",
        "tools:\n  - match: shop.place_order\n    readback: { read: shop.get_order, expect: 'read.items == arg.items' }\n",
        "tools:\n  - match: shop.place_order\n    readback:\n      read: shop.get_order\n      expect: |\n        read.items == args.items\n          && reed.x == 1\n",
        "tools:\n  - match: shop.place_order\n    readback:\n      read: shop.get_order\n      expect: >-\n        read.items == args.items\n        && reed.x == 1\n",
        "tools:\n  - match: shop.place_order\n    readback:\n      read: shop.get_order\n      expect: found(read, args)\n",
        "tools:\n  - match: shop.place_order\n    readback:\n      read: shop.get_order\n      expect: \"true\"\n",
        "tools:\n  - effect: read\n",
        "tools:\n  match: read\n",
        "tools: [1]\n",
        "tools:\n  - match: [a]\n",
        "tools:\n  - match: shop.x\n    effect: read\n    effect: write\n",
        "tools:\n  - match: shop.x\n   effect: read\n",
        "tools:\n\t- match: shop.x\n",
        "listen: 0.0.0.0:7070\n",
        "limits: {depth_max: x}\n",
        "limits: {depth_max: -1, message_max: 4MB}\n",
        "tools:\n  - match: shop.x\n    redispatch_on_absent: yes\n",
        "auth: {principals: [{name: a, token: \"${NOPE}\"}, {name: b, token: short}]}\n",
        "tools:\n  - match: shop.x\n    effect: keyed\n",
        "listen: \"x\n",
        "admin: {listen: \"127.0.0.1:7071\"}\n",
        "runs: {}\n",
    ] {
        std::eprintln!("{}", bad(text));
    }
}
