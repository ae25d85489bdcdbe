//! The bundled demo upstream: a small shop whose orders and refunds are really stored, spoken to over real MCP.
//!
//! It has the flaw that makes gateways necessary: a refund that is asked for twice is paid twice.

mod store;

use crate::server::{self, Ended, Options, Running};
use crate::world::{Call, Hints, Tool, ToolError, World, object};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use store::Store;

pub struct Shop {
    store: Mutex<Store>,
}

#[derive(Debug)]
pub struct Error(rusqlite::Error);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "open the shop: {}", self.0)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Shop {
    /// Three orders and no refunds, gone when it is dropped.
    ///
    /// # Errors
    /// SQLite refuses.
    pub fn in_memory() -> Result<Self, Error> {
        Store::in_memory().map(Self::over).map_err(Error)
    }

    /// Opens the file, or begins with three orders.
    ///
    /// # Errors
    /// The file is no shop, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Store::open(path).map(Self::over).map_err(Error)
    }

    const fn over(store: Store) -> Self {
        Self { store: Mutex::new(store) }
    }

    /// The refunds as they are stored, oldest first: `(refund, order, amount)`.
    pub fn refunds(&self) -> Vec<(i64, i64, f64)> {
        let listed = self.store.lock().refunds(None).unwrap_or_default();
        let refund = |refund: &Value| {
            Some((refund["refund_id"].as_i64()?, refund["order_id"].as_i64()?, refund["amount"].as_f64()?))
        };
        listed.iter().filter_map(refund).collect()
    }
}

impl World for Shop {
    fn name(&self) -> &str {
        "shop"
    }

    fn instructions(&self) -> &str {
        "A small demo shop. Look at orders with list_orders and get_order; create_order, issue_refund and cancel_order \
         change them for real."
    }

    fn tools(&self) -> Vec<Tool> {
        let (string, id) = (|| json!({ "type": "string" }), || json!({ "type": "integer" }));
        let amount = || json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 100_000 });
        let status = || json!({ "enum": ["open", "cancelled"] });
        let order = || {
            object(
                &[
                    ("order_id", id()),
                    ("customer", string()),
                    ("item", string()),
                    ("quantity", id()),
                    ("amount", json!({ "type": "number" })),
                    ("refunded", json!({ "type": "number" })),
                    ("status", status()),
                    ("address", string()),
                    ("notes", json!({ "type": "array", "items": string() })),
                ],
                &["order_id", "customer", "item", "quantity", "amount", "refunded", "status", "address"],
            )
        };
        let refund = || {
            object(
                &[
                    ("refund_id", id()),
                    ("order_id", id()),
                    ("amount", json!({ "type": "number" })),
                    ("reason", string()),
                ],
                &["refund_id", "order_id", "amount"],
            )
        };
        let list =
            |name: &str, item: Value| Some(object(&[(name, json!({ "type": "array", "items": item }))], &[name]));
        let tool = |name, description, hints, input, output| Tool { name, description, hints, input, output };
        vec![
            tool(
                "list_orders",
                "Lists orders, all or those of a customer.",
                Hints::Read,
                object(&[("customer", string()), ("status", status())], &[]),
                list("orders", order()),
            ),
            tool(
                "get_order",
                "Reads one order.",
                Hints::Read,
                object(&[("order_id", id())], &["order_id"]),
                Some(order()),
            ),
            tool(
                "create_order",
                "Creates an order.",
                Hints::Write,
                object(
                    &[
                        ("customer", string()),
                        ("item", string()),
                        ("quantity", json!({ "type": "integer", "minimum": 1, "maximum": 1000 })),
                        ("amount", amount()),
                    ],
                    &["customer", "item", "quantity", "amount"],
                ),
                Some(order()),
            ),
            tool(
                "issue_refund",
                "Pays money back for an order. Asked for twice, it is paid twice.",
                Hints::Destructive,
                object(&[("order_id", id()), ("amount", amount()), ("reason", string())], &["order_id", "amount"]),
                Some(refund()),
            ),
            tool(
                "list_refunds",
                "Lists refunds, all or those of an order.",
                Hints::Read,
                object(&[("order_id", id())], &[]),
                list("refunds", refund()),
            ),
            tool(
                "cancel_order",
                "Cancels an order.",
                Hints::Destructive,
                object(&[("order_id", id())], &["order_id"]),
                None,
            ),
            tool(
                "add_note",
                "Adds a note to an order.",
                Hints::Write,
                object(&[("order_id", id()), ("note", string())], &["order_id", "note"]),
                None,
            ),
            tool(
                "set_address",
                "Sets where an order is sent to.",
                Hints::Write,
                object(&[("order_id", id()), ("address", string())], &["order_id", "address"]),
                None,
            ),
            tool(
                "send_mail",
                "Sends an e-mail about an order to its customer.",
                Hints::Write,
                object(&[("order_id", id()), ("text", string())], &["order_id", "text"]),
                None,
            ),
            tool(
                "list_mails",
                "Lists the e-mails that were sent, all or those about an order.",
                Hints::Read,
                object(&[("order_id", id())], &[]),
                list(
                    "mails",
                    object(
                        &[("mail_id", id()), ("order_id", id()), ("text", string())],
                        &["mail_id", "order_id", "text"],
                    ),
                ),
            ),
        ]
    }

    fn call(&self, call: &Call<'_>) -> Result<Value, ToolError> {
        let mut store = self.store.lock();
        match call.tool {
            "list_orders" => store.list_orders(call.args).map(|orders| json!({ "orders": orders })),
            "get_order" => store.get_order(call.args),
            "create_order" => store.create_order(call.args),
            "issue_refund" => store.issue_refund(call.args),
            "list_refunds" => store.list_refunds(call.args).map(|refunds| json!({ "refunds": refunds })),
            "cancel_order" => store.cancel_order(call.args),
            "add_note" => store.add_note(call.args),
            "set_address" => store.set_address(call.args),
            "send_mail" => store.send_mail(call.args),
            "list_mails" => store.list_mails(call.args).map(|mails| json!({ "mails": mails })),
            _ => Err(ToolError::Unknown),
        }
    }

    fn truth(&self) -> Value {
        let mut store = self.store.lock();
        let none = serde_json::Map::new();
        json!({
            "orders": store.list_orders(&none).unwrap_or_default(),
            "refunds": store.refunds(None).unwrap_or_default(),
            "mails": store.mails(None).unwrap_or_default(),
        })
    }
}

/// Serves the shop under `/mcp`.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve_http(address: SocketAddr, shop: Arc<Shop>, options: Options) -> io::Result<Running> {
    server::serve_http(address, shop, options).await
}

/// Serves the shop on stdin and stdout.
///
/// # Errors
/// A pipe cannot be read or written.
pub async fn serve_stdio(shop: Arc<Shop>, options: Options) -> io::Result<Ended> {
    server::serve_stdio(shop, options).await
}
