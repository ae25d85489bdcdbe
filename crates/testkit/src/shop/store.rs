//! The shop's tables. Amounts are stored in cents.

use crate::ledger::micros;
use crate::world::{ToolError, integer, text};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value, json};
use std::path::Path;

type Args = Map<String, Value>;

pub(super) struct Store {
    connection: Connection,
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA busy_timeout = 5000;
    CREATE TABLE IF NOT EXISTS orders(
      id INTEGER PRIMARY KEY, customer TEXT NOT NULL, item TEXT NOT NULL, quantity INTEGER NOT NULL,
      cents INTEGER NOT NULL, status TEXT NOT NULL, created_us INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS refunds(
      id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders(id), cents INTEGER NOT NULL,
      reason TEXT NOT NULL, created_us INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS notes(
      id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders(id), note TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS addresses(
      order_id INTEGER PRIMARY KEY REFERENCES orders(id), address TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS mails(
      id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders(id), text TEXT NOT NULL) STRICT;";

const FIRST_ORDERS: [(&str, &str, i64, i64); 3] =
    [("ana", "desk lamp", 1, 4_900), ("ben", "headphones", 1, 12_000), ("cho", "notebook", 3, 1_500)];

/// Most rows in one answer.
const ROWS_MAX: i64 = 500;
const TEXT_MAX: usize = 2_000;

impl Store {
    pub(super) fn in_memory() -> rusqlite::Result<Self> {
        Self::prepare(Connection::open_in_memory()?)
    }

    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        Self::prepare(Connection::open(path)?)
    }

    fn prepare(connection: Connection) -> rusqlite::Result<Self> {
        connection.execute_batch(SCHEMA)?;
        let orders: i64 = connection.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))?;
        let store = Self { connection };
        if orders == 0 {
            for (customer, item, quantity, cents) in FIRST_ORDERS {
                store.insert_order(customer, item, quantity, cents)?;
            }
        }
        Ok(store)
    }

    fn insert_order(&self, customer: &str, item: &str, quantity: i64, cents: i64) -> rusqlite::Result<i64> {
        self.connection.execute(
            "INSERT INTO orders(customer, item, quantity, cents, status, created_us) VALUES(?, ?, ?, ?, 'open', ?)",
            params![customer, item, quantity, cents, micros() as i64],
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    pub(super) fn list_orders(&mut self, args: &Args) -> Result<Vec<Value>, ToolError> {
        let of = |name: &str| args.get(name).and_then(Value::as_str);
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT o.id, customer, item, quantity, cents, status,
               (SELECT coalesce(sum(cents), 0) FROM refunds WHERE order_id = o.id),
               coalesce((SELECT address FROM addresses WHERE order_id = o.id), 'at the till')
             FROM orders o WHERE (?1 IS NULL OR customer = ?1) AND (?2 IS NULL OR status = ?2) ORDER BY o.id LIMIT ?3",
            )
            .map_err(failed)?;
        let rows = statement.query_map(params![of("customer"), of("status"), ROWS_MAX], order).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    pub(super) fn get_order(&mut self, args: &Args) -> Result<Value, ToolError> {
        let id = integer(args, "order_id")?;
        let found = self
            .connection
            .query_row(
                "SELECT o.id, customer, item, quantity, cents, status,
                   (SELECT coalesce(sum(cents), 0) FROM refunds WHERE order_id = o.id),
                   coalesce((SELECT address FROM addresses WHERE order_id = o.id), 'at the till')
                 FROM orders o WHERE o.id = ?",
                [id],
                order,
            )
            .optional()
            .map_err(failed)?;
        let mut found = found.ok_or_else(|| no_order(id))?;
        let mut statement =
            self.connection.prepare_cached("SELECT note FROM notes WHERE order_id = ? ORDER BY id").map_err(failed)?;
        let notes = statement.query_map([id], |row| row.get::<_, String>(0)).map_err(failed)?;
        found["notes"] = notes.collect::<Result<Vec<_>, _>>().map_err(failed)?.into();
        Ok(found)
    }

    pub(super) fn create_order(&mut self, args: &Args) -> Result<Value, ToolError> {
        let (customer, item) = (short(args, "customer")?, short(args, "item")?);
        let quantity = integer(args, "quantity")?;
        if !(1..=1_000).contains(&quantity) {
            return Err("quantity must be 1 to 1000".into());
        }
        let id = self.insert_order(customer, item, quantity, cents(args)?).map_err(failed)?;
        self.get_order(&of_order(id))
    }

    pub(super) fn issue_refund(&mut self, args: &Args) -> Result<Value, ToolError> {
        let (id, cents) = (integer(args, "order_id")?, cents(args)?);
        let reason = if args.contains_key("reason") { short(args, "reason")? } else { "" };
        let paid: Option<i64> = self
            .connection
            .query_row("SELECT cents FROM orders WHERE id = ?", [id], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        if paid.ok_or_else(|| no_order(id))? < cents {
            return Err("the refund is larger than the order".into());
        }
        self.connection
            .execute(
                "INSERT INTO refunds(order_id, cents, reason, created_us) VALUES(?, ?, ?, ?)",
                params![id, cents, reason, micros() as i64],
            )
            .map_err(failed)?;
        let refund = self.connection.last_insert_rowid();
        Ok(json!({ "refund_id": refund, "order_id": id, "amount": amount(cents), "reason": reason }))
    }

    pub(super) fn list_refunds(&mut self, args: &Args) -> Result<Vec<Value>, ToolError> {
        self.refunds(args.get("order_id").and_then(Value::as_i64)).map_err(failed)
    }

    pub(super) fn refunds(&self, order: Option<i64>) -> rusqlite::Result<Vec<Value>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, order_id, cents, reason FROM refunds WHERE (?1 IS NULL OR order_id = ?1) ORDER BY id LIMIT ?2",
        )?;
        let rows = statement.query_map(params![order, ROWS_MAX], |row| {
            Ok(json!({
                "refund_id": row.get::<_, i64>(0)?, "order_id": row.get::<_, i64>(1)?,
                "amount": amount(row.get(2)?), "reason": row.get::<_, String>(3)?,
            }))
        })?;
        rows.collect()
    }

    pub(super) fn cancel_order(&mut self, args: &Args) -> Result<Value, ToolError> {
        let id = integer(args, "order_id")?;
        let changed =
            self.connection.execute("UPDATE orders SET status = 'cancelled' WHERE id = ?", [id]).map_err(failed)?;
        if changed == 0 { Err(no_order(id)) } else { Ok(json!({ "order_id": id, "status": "cancelled" })) }
    }

    pub(super) fn set_address(&mut self, args: &Args) -> Result<Value, ToolError> {
        let (id, address) = (integer(args, "order_id")?, short(args, "address")?);
        self.get_order(&of_order(id))?;
        self.connection
            .execute("INSERT OR REPLACE INTO addresses(order_id, address) VALUES(?, ?)", params![id, address])
            .map_err(failed)?;
        Ok(json!({ "order_id": id, "address": address }))
    }

    pub(super) fn send_mail(&mut self, args: &Args) -> Result<Value, ToolError> {
        let (id, text) = (integer(args, "order_id")?, short(args, "text")?);
        self.get_order(&of_order(id))?;
        self.connection.execute("INSERT INTO mails(order_id, text) VALUES(?, ?)", params![id, text]).map_err(failed)?;
        Ok(json!({ "order_id": id, "mail_id": self.connection.last_insert_rowid() }))
    }

    pub(super) fn list_mails(&mut self, args: &Args) -> Result<Vec<Value>, ToolError> {
        let order = args.get("order_id").and_then(Value::as_i64);
        self.mails(order).map_err(failed)
    }

    pub(super) fn mails(&self, order: Option<i64>) -> rusqlite::Result<Vec<Value>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, order_id, text FROM mails WHERE (?1 IS NULL OR order_id = ?1) ORDER BY id LIMIT ?2",
        )?;
        let rows = statement.query_map(params![order, ROWS_MAX], |row| {
            Ok(json!({
                "mail_id": row.get::<_, i64>(0)?, "order_id": row.get::<_, i64>(1)?, "text": row.get::<_, String>(2)?,
            }))
        })?;
        rows.collect()
    }

    pub(super) fn add_note(&mut self, args: &Args) -> Result<Value, ToolError> {
        let (id, note) = (integer(args, "order_id")?, short(args, "note")?);
        self.get_order(&of_order(id))?;
        self.connection.execute("INSERT INTO notes(order_id, note) VALUES(?, ?)", params![id, note]).map_err(failed)?;
        Ok(json!({ "order_id": id, "note": note }))
    }
}

fn order(row: &Row<'_>) -> rusqlite::Result<Value> {
    Ok(json!({
        "order_id": row.get::<_, i64>(0)?,
        "customer": row.get::<_, String>(1)?,
        "item": row.get::<_, String>(2)?,
        "quantity": row.get::<_, i64>(3)?,
        "amount": amount(row.get(4)?),
        "refunded": amount(row.get(6)?),
        "status": row.get::<_, String>(5)?,
        "address": row.get::<_, String>(7)?,
    }))
}

fn of_order(id: i64) -> Args {
    Map::from_iter([("order_id".to_owned(), id.into())])
}

fn no_order(id: i64) -> ToolError {
    format!("there is no order {id}").into()
}

fn failed(error: rusqlite::Error) -> ToolError {
    format!("the shop's database failed: {error}").into()
}

fn short<'a>(args: &'a Args, name: &str) -> Result<&'a str, ToolError> {
    match text(args, name)? {
        "" => Err(format!("{name} must not be empty").into()),
        long if long.len() > TEXT_MAX => Err(format!("{name} is too long").into()),
        text => Ok(text),
    }
}

fn cents(args: &Args) -> Result<i64, ToolError> {
    let amount = args.get("amount").and_then(Value::as_f64).ok_or("amount must be a number")?;
    let cents = (amount * 100.0).round();
    if (1.0..=10_000_000.0).contains(&cents) { Ok(cents as i64) } else { Err("amount must be 0.01 to 100000".into()) }
}

/// Whole amounts as integers, as people write them.
fn amount(cents: i64) -> Value {
    if cents % 100 == 0 { (cents / 100).into() } else { (cents as f64 / 100.0).into() }
}
