//! Small views over parts of messages: every member optional, nothing written back.
//!
//! A view holds slices of the bytes it was read from. A member that appears twice where a view looks is an error.

use crate::json::{self, Error};
use crate::meta;
use bytes::Bytes;
use std::ops::Range;

/// `params` of a `tools/call`.
#[derive(Clone, Debug, Default)]
pub struct ToolCall {
    pub name: Option<String>,
    pub arguments: Option<Bytes>,
    pub meta: Option<Bytes>,
    /// 2025-11-25: asks for a task.
    pub task: Option<Bytes>,
    /// 2026-07-28: the answers to `inputRequests`.
    pub input_responses: Option<Bytes>,
    /// 2026-07-28: opaque, a quoted string.
    pub request_state: Option<Bytes>,
    /// One of the spellings in use of an idempotency key.
    pub idempotency_key: Option<Bytes>,
}

impl ToolCall {
    /// # Errors
    /// The params are no object, or one of the members appears twice.
    pub fn read(params: &Bytes) -> Result<Self, Error> {
        let names = ["name", "arguments", "_meta", "task", "inputResponses", "requestState", "idempotencyKey"];
        let [name, arguments, meta, task, input_responses, request_state, idempotency_key] =
            json::pick(params, json::root(params).start, names)?;
        Ok(Self {
            name: text(params, name),
            arguments: part(params, arguments),
            meta: part(params, meta),
            task: part(params, task),
            input_responses: part(params, input_responses),
            request_state: part(params, request_state),
            idempotency_key: part(params, idempotency_key),
        })
    }
}

/// One entry of a `tools/list` result.
#[derive(Clone, Debug)]
pub struct Tool {
    pub name: String,
    /// The entry as it came.
    pub entry: Bytes,
    pub description: Option<String>,
    pub input_schema: Option<Bytes>,
    pub output_schema: Option<Bytes>,
    pub annotations: Option<Bytes>,
    /// 2025-11-25: whether it may or must run as a task.
    pub execution: Option<Bytes>,
    /// Where the entry lies in the result.
    pub range: Range<usize>,
    /// Where the quoted name lies in the result.
    pub name_range: Range<usize>,
}

/// A `tools/list` result.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    pub tools: Vec<Tool>,
    pub next_cursor: Option<String>,
}

impl Tools {
    /// Entries without a name are left out: nobody can call them.
    ///
    /// # Errors
    /// The result is no object with a list of tools, or a member appears twice.
    pub fn read(result: &Bytes) -> Result<Self, Error> {
        let [tools, cursor] = json::pick(result, json::root(result).start, ["tools", "nextCursor"])?;
        let mut list = Vec::new();
        for range in json::elements(result, tools.ok_or(Error::NotAnArray)?.start)? {
            list.extend(Tool::read(result, range)?);
        }
        Ok(Self { tools: list, next_cursor: text(result, cursor) })
    }
}

impl Tool {
    fn read(result: &Bytes, range: Range<usize>) -> Result<Option<Self>, Error> {
        let names = ["name", "description", "inputSchema", "outputSchema", "annotations", "execution"];
        let [name, description, input, output, annotations, execution] = json::pick(result, range.start, names)?;
        let Some((name_range, name)) = name.and_then(|at| Some((at.clone(), text(result, Some(at))?))) else {
            return Ok(None);
        };
        Ok(Some(Self {
            name,
            entry: result.slice(range.clone()),
            description: text(result, description),
            input_schema: part(result, input),
            output_schema: part(result, output),
            annotations: part(result, annotations),
            execution: part(result, execution),
            range,
            name_range,
        }))
    }
}

/// `params` of an `initialize`.
#[derive(Clone, Debug, Default)]
pub struct Initialize {
    pub protocol_version: Option<String>,
    pub capabilities: Option<Bytes>,
    pub client_info: Option<Bytes>,
}

impl Initialize {
    /// # Errors
    /// The params are no object, or one of the members appears twice.
    pub fn read(params: &Bytes) -> Result<Self, Error> {
        let names = ["protocolVersion", "capabilities", "clientInfo"];
        let [version, capabilities, info] = json::pick(params, json::root(params).start, names)?;
        Ok(Self {
            protocol_version: text(params, version),
            capabilities: part(params, capabilities),
            client_info: part(params, info),
        })
    }
}

/// The result of an `initialize` or of a `server/discover`: what a server says of itself.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Of an `initialize` result.
    pub protocol_version: Option<String>,
    /// Of a `server/discover` result.
    pub supported_versions: Vec<String>,
    pub capabilities: Option<Bytes>,
    /// `serverInfo`, or what stands for it in `_meta`.
    pub info: Option<Bytes>,
    /// A quoted string.
    pub instructions: Option<Bytes>,
    pub meta: Option<Bytes>,
}

impl Server {
    /// # Errors
    /// The result is no object, or one of the members appears twice.
    pub fn read(result: &Bytes) -> Result<Self, Error> {
        let names = ["protocolVersion", "supportedVersions", "capabilities", "serverInfo", "instructions", "_meta"];
        let [version, versions, capabilities, info, instructions, meta] =
            json::pick(result, json::root(result).start, names)?;
        let meta = part(result, meta);
        let info = match (part(result, info), &meta) {
            (None, Some(meta)) if json::is_object(meta) => {
                let [info] = json::pick(meta, 0, [meta::SERVER_INFO])?;
                part(meta, info)
            }
            (info, _) => info,
        };
        let mut supported_versions = Vec::new();
        if let Some(versions) = versions {
            for one in json::elements(result, versions.start)? {
                supported_versions.extend(text(result, Some(one)));
            }
        }
        Ok(Self {
            protocol_version: text(result, version),
            supported_versions,
            capabilities: part(result, capabilities),
            info,
            instructions: part(result, instructions),
            meta,
        })
    }

    /// Does it declare this capability? `["tools", "listChanged"]` is true unless it says false.
    #[must_use]
    pub fn has(&self, path: &[&str]) -> bool {
        let value = self.capabilities.as_ref().and_then(|all| json::get(all, path).ok().flatten());
        value.is_some_and(|value| !matches!(value, b"false" | b"null"))
    }
}

/// What a request of 2026-07-28 says about its caller in `_meta`.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    pub protocol_version: Option<String>,
    pub client_info: Option<Bytes>,
    pub capabilities: Option<Bytes>,
    /// A quoted level.
    pub log_level: Option<Bytes>,
}

impl Caller {
    /// `None` when the params claim no version, as all earlier revisions do.
    ///
    /// # Errors
    /// One of the members appears twice.
    pub fn read(params: &Bytes) -> Result<Option<Self>, Error> {
        let Some(at) = json::find(params, &["_meta"])?.filter(|at| json::is_object(&params[at.clone()])) else {
            return Ok(None);
        };
        let names = [meta::PROTOCOL_VERSION, meta::CLIENT_INFO, meta::CLIENT_CAPABILITIES, meta::LOG_LEVEL];
        let [version, info, capabilities, level] = json::pick(params, at.start, names)?;
        if version.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            protocol_version: text(params, version),
            client_info: part(params, info),
            capabilities: part(params, capabilities),
            log_level: part(params, level),
        }))
    }

    /// Does the caller declare this capability?
    #[must_use]
    pub fn has(&self, path: &[&str]) -> bool {
        let value = self.capabilities.as_ref().and_then(|all| json::get(all, path).ok().flatten());
        value.is_some_and(|value| !matches!(value, b"false" | b"null"))
    }
}

/// The token of a request that asked for progress, as JSON.
///
/// # Errors
/// A member on the way appears twice.
pub fn progress_token(params: &[u8]) -> Result<Option<&[u8]>, Error> {
    // Most requests have none, and then their text does not have its name; a name could hide behind escapes.
    let may_be = memchr::memmem::find(params, meta::PROGRESS_TOKEN.as_bytes()).is_some();
    if !may_be && memchr::memchr(b'\\', params).is_none() {
        return Ok(None);
    }
    json::get(params, &["_meta", meta::PROGRESS_TOKEN])
}

/// The task that a message or result of 2025-11-25 belongs to: its id.
///
/// # Errors
/// A member on the way appears twice.
pub fn related_task(body: &[u8]) -> Result<Option<String>, Error> {
    Ok(json::text(body, &["_meta", meta::RELATED_TASK, "taskId"])?.map(Into::into))
}

/// `resultType`; a result of an earlier revision is `complete`.
///
/// # Errors
/// The member appears twice.
pub fn result_type(result: &[u8]) -> Result<String, Error> {
    Ok(json::text(result, &["resultType"])?.map_or_else(|| "complete".to_owned(), Into::into))
}

fn part(bytes: &Bytes, range: Option<Range<usize>>) -> Option<Bytes> {
    range.map(|range| bytes.slice(range))
}

fn text(bytes: &Bytes, range: Option<Range<usize>>) -> Option<String> {
    json::decode(&bytes[range?]).map(Into::into)
}

#[cfg(test)]
mod tests;
