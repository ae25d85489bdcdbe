//! HTTP/1.1 as bytes, without a socket: the head of a request, the head of an answer, and how its body is framed.

use super::buffer::Buffer;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use httparse::Status;
use std::io;
use std::mem::MaybeUninit;

/// Most bytes of the head of an answer.
const HEAD_MAX: usize = 256 * 1024;
const HEADERS_MAX: usize = 128;
/// Most bytes of the line before a chunk.
const CHUNK_LINE_MAX: usize = 4 * 1024;
/// Most bytes after the last chunk.
const TRAILER_MAX: usize = 16 * 1024;

/// Why an exchange on a connection did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("use the connection")]
    Io(#[from] io::Error),
    #[error("read the answer: the connection ended before it was complete")]
    Early,
    #[error("read the answer: {0}")]
    NotHttp(&'static str),
    #[error("send the request")]
    Withdrawn(#[from] super::body::Withdrawn),
}

/// The head of a request with a body of this length. Values of headers hold no line breaks by their type.
pub fn request(method: &Method, path: &str, host: &HeaderValue, headers: &HeaderMap, body: Option<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    for part in [method.as_str(), " ", path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let mut line = |name: &HeaderName, value: &[u8]| {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    line(&HOST, host.as_bytes());
    for (name, value) in headers {
        line(name, value.as_bytes());
    }
    if let Some(length) = body {
        line(&CONTENT_LENGTH, length.to_string().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The head of an answer, and how the rest of it comes.
#[derive(Debug)]
pub struct Head {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub framing: Framing,
    /// Another request may follow on the same connection.
    pub keeps: bool,
}

/// How far the bytes were looked at in vain: each is looked at only a few times, however slowly they come.
#[derive(Debug, Default)]
pub struct Looked {
    parsed: usize,
    searched: usize,
}

impl Head {
    /// Takes a head from the buffer; `None` when it is not all there. Interim answers are passed over.
    ///
    /// # Errors
    /// It is no head of an answer that we could have caused.
    pub fn take(buffer: &mut Buffer, looked: &mut Looked) -> Result<Option<Self>, Broken> {
        loop {
            let bytes = buffer.filled();
            if bytes.is_empty() || !looked.is_worth_it(bytes) {
                return Ok(None);
            }
            let Some((length, head)) = Self::parse(bytes)? else {
                if bytes.len() >= HEAD_MAX {
                    return Err(Broken::NotHttp("its head is too large"));
                }
                return Ok(None);
            };
            if length > HEAD_MAX {
                return Err(Broken::NotHttp("its head is too large"));
            }
            buffer.consume(length);
            *looked = Looked::default();
            match head.status {
                StatusCode::SWITCHING_PROTOCOLS => return Err(Broken::NotHttp("it goes over to another protocol")),
                status if status.is_informational() => {}
                _ => return Ok(Some(head)),
            }
        }
    }

    fn parse(bytes: &[u8]) -> Result<Option<(usize, Self)>, Broken> {
        let mut places = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut places);
        let length = match parsed {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Broken::NotHttp("it has too many headers")),
            Err(_) => return Err(Broken::NotHttp("its head cannot be read")),
        };
        let unreadable = || Broken::NotHttp("its head cannot be read");
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(unreadable)?;
        let mut headers = HeaderMap::with_capacity(response.headers.len());
        for header in &*response.headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| unreadable())?;
            headers.append(name, HeaderValue::from_bytes(header.value).map_err(|_| unreadable())?);
        }
        let is_1_1 = response.version == Some(1);
        let framing = Framing::of(status, is_1_1, &headers)?;
        let keeps = framing != Framing::Close && keeps(is_1_1, &headers);
        Ok(Some((length, Self { status, headers, framing, keeps })))
    }
}

impl Looked {
    /// Has the end of a head come since the last time, or so much that nonsense ought to be noticed?
    fn is_worth_it(&mut self, bytes: &[u8]) -> bool {
        let new = &bytes[self.searched.saturating_sub(2).min(bytes.len())..];
        self.searched = bytes.len();
        // A line is empty: that ends a head.
        let ends = |at: usize| new[at] == b'\n' && matches!(new[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]);
        let is_worth_it = bytes.len() >= self.parsed * 2 || bytes.len() >= HEAD_MAX || (0..new.len()).any(ends);
        if is_worth_it {
            self.parsed = bytes.len();
        }
        is_worth_it
    }
}

fn keeps(is_1_1: bool, headers: &HeaderMap) -> bool {
    let says = |wanted: &str| {
        let values = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case(wanted))
    };
    !says("close") && (is_1_1 || says("keep-alive"))
}

/// How the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many more bytes.
    Length(u64),
    Chunked(Chunk),
    /// With the connection.
    Close,
}

/// Where one is between chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    Line,
    Data(u64),
    DataEnd,
    /// After the last chunk, with so many bytes of trailers read.
    Trailer(usize),
}

/// What the buffer holds of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Data(Bytes),
    /// Nothing that is whole.
    Nothing,
    End,
}

impl Framing {
    /// As RFC 9112 section 6.3 has it, for an answer to GET, POST or DELETE.
    fn of(status: StatusCode, is_1_1: bool, headers: &HeaderMap) -> Result<Self, Broken> {
        if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(Self::Length(0));
        }
        if let Some(last) = headers.get_all(TRANSFER_ENCODING).into_iter().next_back() {
            if !is_1_1 {
                return Err(Broken::NotHttp("HTTP/1.0 has no transfer encodings"));
            }
            let last = last.to_str().unwrap_or_default().rsplit(',').next().unwrap_or_default().trim();
            return Ok(if last.eq_ignore_ascii_case("chunked") { Self::Chunked(Chunk::Line) } else { Self::Close });
        }
        let mut length = None;
        for value in headers.get_all(CONTENT_LENGTH) {
            let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let one: Option<u64> = digits.and_then(|digits| digits.parse().ok());
            let one = one.ok_or(Broken::NotHttp("its length is no number"))?;
            if length.is_some_and(|other| other != one) {
                return Err(Broken::NotHttp("it has two lengths"));
            }
            length = Some(one);
        }
        Ok(length.map_or(Self::Close, Self::Length))
    }

    /// Takes the next piece of the body; `over`: nothing more will come.
    ///
    /// # Errors
    /// The chunks cannot be read, or the connection ended too early.
    pub fn take(&mut self, buffer: &mut Buffer, over: bool) -> Result<Taken, Broken> {
        let taken = match self {
            Self::Length(0) => return Ok(Taken::End),
            Self::Length(left) => data(left, buffer),
            Self::Close if over && buffer.is_empty() => return Ok(Taken::End),
            Self::Close => data(&mut { u64::MAX }, buffer),
            Self::Chunked(chunk) => chunk.take(buffer)?,
        };
        if over && taken == Taken::Nothing { Err(Broken::Early) } else { Ok(taken) }
    }
}

/// What is there of the next `left` bytes.
fn data(left: &mut u64, buffer: &mut Buffer) -> Taken {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.filled().len());
    if count == 0 {
        return Taken::Nothing;
    }
    *left -= count as u64;
    Taken::Data(buffer.take(count))
}

impl Chunk {
    fn take(&mut self, buffer: &mut Buffer) -> Result<Taken, Broken> {
        loop {
            match self {
                Self::Line => match httparse::parse_chunk_size(buffer.filled()) {
                    Ok(Status::Complete((length, size))) => {
                        buffer.consume(length);
                        *self = if size == 0 { Self::Trailer(0) } else { Self::Data(size) };
                    }
                    Ok(Status::Partial) if buffer.filled().len() <= CHUNK_LINE_MAX => return Ok(Taken::Nothing),
                    _ => return Err(Broken::NotHttp("a chunk has no length")),
                },
                Self::Data(left) => {
                    let taken = data(left, buffer);
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    return Ok(taken);
                }
                Self::DataEnd => match buffer.filled() {
                    [b'\r', b'\n', ..] => {
                        buffer.consume(2);
                        *self = Self::Line;
                    }
                    [] | [b'\r'] => return Ok(Taken::Nothing),
                    _ => return Err(Broken::NotHttp("a chunk does not end where it should")),
                },
                Self::Trailer(read) => {
                    let Some(end) = buffer.filled().iter().position(|byte| *byte == b'\n') else {
                        let is_long = *read + buffer.filled().len() > TRAILER_MAX;
                        return if is_long { Err(Broken::NotHttp("its end is too long")) } else { Ok(Taken::Nothing) };
                    };
                    let is_last = matches!(&buffer.filled()[..end], [] | [b'\r']);
                    *read += end + 1;
                    buffer.consume(end + 1);
                    if is_last {
                        return Ok(Taken::End);
                    }
                    if *read > TRAILER_MAX {
                        return Err(Broken::NotHttp("its end is too long"));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
