//! What an error of the HTTP stack says about the request.

use super::wire::Broken;
use crate::failure::fail;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use std::error::Error;
use std::io;
use std::time::Duration;
use vocab::{Failure, FailureKind};

/// An error before the head of the answer. The connection's part only: see `Progress::explain` for the body's.
pub fn head(error: &(dyn Error + 'static)) -> Failure {
    let is_refused = causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(|h2| {
        // A stream ends with a GOAWAY of the other side only if the last stream id in it is below its own.
        h2.is_remote() && (h2.is_go_away() || (h2.is_reset() && h2.reason() == Some(h2::Reason::REFUSED_STREAM)))
    });
    if is_refused {
        return fail(FailureKind::StreamRefused, "the upstream refused the stream");
    }
    stream(error)
}

/// An error in the middle of an answer: whatever it says, the request was there.
pub fn stream(error: &(dyn Error + 'static)) -> Failure {
    let mut found = fail(FailureKind::Reset, "the connection to the upstream broke");
    for cause in causes(error) {
        match cause.downcast_ref::<Broken>() {
            Some(Broken::Early) => {
                found = fail(FailureKind::Eof, "the upstream closed the connection before its answer was complete");
            }
            Some(Broken::NotHttp(_)) => found = fail(FailureKind::Unparsable, "the upstream's answer is not HTTP"),
            Some(Broken::Io(_) | Broken::Withdrawn(_)) | None => {}
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            if hyper.is_incomplete_message() {
                found = fail(FailureKind::Eof, "the upstream closed the connection before its answer was complete");
            } else if hyper.is_parse() {
                found = fail(FailureKind::Unparsable, "the upstream's answer is not HTTP");
            }
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            match io.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                    found = fail(FailureKind::Reset, "the upstream reset the connection");
                }
                io::ErrorKind::UnexpectedEof => {
                    found = fail(FailureKind::Eof, "the upstream closed the connection before its answer was complete");
                }
                _ => {}
            }
        }
    }
    found
}

/// `Retry-After` in seconds, bounded by a day. Dates are not read: they need a clock that both sides agree on.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(24 * 60 * 60)))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn retry_after_is_read_in_seconds_and_bounded() {
        let check = |text: &'static str, expected: Option<u64>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{text}");
        };
        check("7", Some(7));
        check(" 7 ", Some(7));
        check("999999999999", Some(86_400));
        check("-1", None);
        check("Wed, 21 Oct 2026 07:28:00 GMT", None);
    }

    #[test]
    fn an_end_that_comes_early_and_nonsense_are_told_apart_from_a_reset() {
        assert_eq!(stream(&Broken::Early).kind, FailureKind::Eof);
        assert_eq!(stream(&Broken::NotHttp("no")).kind, FailureKind::Unparsable);
        let reset = Broken::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(stream(&reset).kind, FailureKind::Reset);
    }

    #[test]
    fn io_errors_tell_a_reset_from_an_end() {
        let kind = |kind: io::ErrorKind| stream(&io::Error::from(kind)).kind;
        assert_eq!(kind(io::ErrorKind::ConnectionReset), FailureKind::Reset);
        assert_eq!(kind(io::ErrorKind::BrokenPipe), FailureKind::Reset);
        assert_eq!(kind(io::ErrorKind::UnexpectedEof), FailureKind::Eof);
    }
}
