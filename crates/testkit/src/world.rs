//! What a served MCP server does: tools, and calls that read or change a world.

use serde_json::{Map, Value, json};

/// A world with tools. Calls may block (they sync files) and run on a blocking thread.
pub trait World: Send + Sync + 'static {
    fn name(&self) -> &str;

    fn instructions(&self) -> &str {
        ""
    }

    fn tools(&self) -> Vec<Tool>;

    /// Performs a call to its end. `Ok` is the structured result.
    ///
    /// # Errors
    /// The effect did not happen.
    fn call(&self, call: &Call<'_>) -> Result<Value, ToolError>;

    /// The whole state and what led there, for those who check it. Not reachable over MCP.
    fn truth(&self) -> Value;
}

#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub tool: &'a str,
    pub args: &'a Map<String, Value>,
    /// Idempotency key from header, `_meta` or the argument `idempotency_key`.
    pub key: Option<&'a str>,
    /// Answer a read from before the last change, where that is recent.
    pub stale: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolError {
    /// No such tool: a protocol error.
    Unknown,
    /// An `isError` result.
    Failed(String),
}

impl From<&str> for ToolError {
    fn from(text: &str) -> Self {
        Self::Failed(text.into())
    }
}

impl From<String> for ToolError {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

/// MCP's tool annotations, as the four hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hints {
    Read,
    Idempotent,
    Write,
    Destructive,
}

impl Hints {
    pub fn is_mutation(self) -> bool {
        self != Self::Read
    }

    fn annotations(self) -> Value {
        json!({
            "readOnlyHint": self == Self::Read,
            "destructiveHint": self == Self::Destructive,
            "idempotentHint": matches!(self, Self::Read | Self::Idempotent),
            "openWorldHint": false,
        })
    }
}

#[derive(Clone, Debug)]
pub struct Tool {
    pub name: &'static str,
    pub description: &'static str,
    pub hints: Hints,
    pub input: Value,
    /// With an output schema the result carries `structuredContent`, else only text.
    pub output: Option<Value>,
}

impl Tool {
    /// As it stands in `tools/list`.
    pub fn listed(&self, annotations: bool) -> Value {
        let mut listed = json!({
            "name": self.name,
            "description": self.description,
            "inputSchema": self.input,
        });
        if let Some(output) = &self.output {
            listed["outputSchema"] = output.clone();
        }
        if annotations {
            listed["annotations"] = self.hints.annotations();
        }
        listed
    }
}

/// A JSON Schema of an object: `(name, schema)` pairs, the names that are required.
pub fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        properties.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

pub(crate) fn text<'a>(args: &'a Map<String, Value>, name: &str) -> Result<&'a str, ToolError> {
    args.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} must be a string").into())
}

pub(crate) fn integer(args: &Map<String, Value>, name: &str) -> Result<i64, ToolError> {
    args.get(name).and_then(Value::as_i64).ok_or_else(|| format!("{name} must be an integer").into())
}
