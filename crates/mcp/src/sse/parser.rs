//! The incremental reader.

use super::Event;
use bytes::{Buf, Bytes, BytesMut};
use std::time::Duration;

/// Longest line and largest data of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub line: usize,
    pub event: usize,
}

impl Limits {
    /// A message of `bytes` fits, whether it comes on one line or on many.
    #[must_use]
    pub const fn for_messages(bytes: usize) -> Self {
        Self { line: bytes.saturating_add(1024), event: bytes }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("read an event stream: a line is longer than {0} bytes")]
    LineTooLong(usize),
    #[error("read an event stream: an event is larger than {0} bytes")]
    EventTooLarge(usize),
}

/// Takes chunks as they come and gives events as they are complete.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    buffer: BytesMut,
    /// How much of `buffer` is known to hold no line break.
    seen: usize,
    /// A line feed that follows belongs to the carriage return that ended the last line.
    after_return: bool,
    started: bool,
    next: Event,
    data: Data,
    touched: bool,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    /// The usual case: one line, kept without a copy.
    One(Bytes),
    Many(BytesMut),
}

impl Parser {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: BytesMut::new(),
            seen: 0,
            after_return: false,
            started: false,
            next: Event::default(),
            data: Data::None,
            touched: false,
        }
    }

    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next complete event; `None` until more is pushed. What is incomplete at the end of the stream is dropped,
    /// as the standard says.
    ///
    /// # Errors
    /// A line or an event exceeds its limit; the stream cannot be read on.
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        while let Some(line) = self.line()? {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.field(line)?;
            }
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<Option<Bytes>, Error> {
        if self.after_return && !self.buffer.is_empty() {
            self.after_return = false;
            if self.buffer[0] == b'\n' {
                self.buffer.advance(1);
            }
        }
        let found = self.buffer[self.seen..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let Some(end) = found.map(|at| self.seen + at) else {
            self.seen = self.buffer.len();
            return if self.seen > self.limits.line { Err(Error::LineTooLong(self.limits.line)) } else { Ok(None) };
        };
        if end > self.limits.line {
            return Err(Error::LineTooLong(self.limits.line));
        }
        self.after_return = self.buffer[end] == b'\r';
        let mut line = self.buffer.split_to(end).freeze();
        self.buffer.advance(1);
        self.seen = 0;
        if !std::mem::replace(&mut self.started, true) && line.starts_with(b"\xef\xbb\xbf") {
            line.advance(3);
        }
        Ok(Some(line))
    }

    fn field(&mut self, line: Bytes) -> Result<(), Error> {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let mut value = line.slice((colon + 1).min(line.len())..);
        if value.first() == Some(&b' ') {
            value.advance(1);
        }
        match &line[..colon] {
            b"data" => self.add(value)?,
            b"event" => self.next.kind = String::from_utf8_lossy(&value).into_owned(),
            b"id" if !value.contains(&0) => {
                self.next.id = Some(String::from_utf8_lossy(&value).into_owned());
                self.touched = true;
            }
            b"retry" => {
                let text =
                    std::str::from_utf8(&value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                if let Some(millis) = text.and_then(|text| text.parse().ok()) {
                    self.next.retry = Some(Duration::from_millis(millis));
                    self.touched = true;
                }
            }
            // Comments have an empty name; other fields mean nothing.
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, value: Bytes) -> Result<(), Error> {
        let held = match &self.data {
            Data::None => 0,
            Data::One(data) => data.len() + 1,
            Data::Many(data) => data.len() + 1,
        };
        if held + value.len() > self.limits.event {
            return Err(Error::EventTooLarge(self.limits.event));
        }
        self.data = match std::mem::take(&mut self.data) {
            Data::None => Data::One(value),
            Data::One(first) => {
                let mut all = BytesMut::with_capacity(first.len() + 1 + value.len());
                all.extend_from_slice(&first);
                all.extend_from_slice(b"\n");
                all.extend_from_slice(&value);
                Data::Many(all)
            }
            Data::Many(mut all) => {
                all.extend_from_slice(b"\n");
                all.extend_from_slice(&value);
                Data::Many(all)
            }
        };
        Ok(())
    }

    fn dispatch(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.next);
        event.data = match std::mem::take(&mut self.data) {
            Data::None => Bytes::new(),
            Data::One(data) => data,
            Data::Many(data) => data.freeze(),
        };
        let worth = std::mem::take(&mut self.touched) || !event.data.is_empty();
        worth.then_some(event)
    }
}
