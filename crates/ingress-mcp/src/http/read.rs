//! The body of a request: one message, bounded in size and time.

use super::refusal::Refusal;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use std::time::Duration;

/// A message of at most this length is copied out of the connection's buffer: as part of it, it would hold all of the
/// buffer for as long as the call takes, and the connection would need another one.
const COPIED_MAX: usize = 4 * 1024;

/// Reads it whole. A large one that came in one piece is not copied.
pub(super) async fn whole<B>(body: B, max: usize, timeout: Duration) -> Result<Bytes, Refusal>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        return Err(too_large(max));
    }
    tokio::time::timeout(timeout, pieces(body, max)).await.unwrap_or_else(|_| {
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "read the message: its bytes came too slowly"))
    })
}

async fn pieces<B>(mut body: B, max: usize) -> Result<Bytes, Refusal>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Refusal::bad_request("read the message: the connection broke before its end"));
        };
        let Ok(piece) = frame.into_data() else { continue };
        if first.len() + joined.len() + piece.len() > max {
            return Err(too_large(max));
        }
        if joined.is_empty() && first.is_empty() {
            first = piece;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&piece);
        }
    }
    Ok(match joined.is_empty() {
        true if first.len() <= COPIED_MAX => Bytes::copy_from_slice(&first),
        true => first,
        false => joined.freeze(),
    })
}

fn too_large(max: usize) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("read the message: it is larger than {max} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};
    use std::convert::Infallible;

    const FOREVER: Duration = Duration::from_secs(3600);

    fn pieces_of(pieces: &[&'static [u8]]) -> impl HttpBody<Data = Bytes> + Unpin {
        let frames: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece)))).collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn pieces_are_joined_and_a_large_one_is_not_copied() {
        assert_eq!(&*whole(pieces_of(&[b"ab", b"", b"c", b"d"]), 4, FOREVER).await.expect("whole"), b"abcd");
        let sent = Bytes::from(vec![b'a'; COPIED_MAX + 1]);
        let read = whole(Full::new(sent.clone()), COPIED_MAX + 1, FOREVER).await.expect("whole");
        assert_eq!(read.as_ptr(), sent.as_ptr());
        let small = sent.slice(..COPIED_MAX);
        let read = whole(Full::new(small.clone()), COPIED_MAX, FOREVER).await.expect("whole");
        assert!(read == small && read.as_ptr() != small.as_ptr(), "it holds the connection's buffer");
    }

    #[tokio::test]
    async fn too_much_is_refused_whether_it_was_announced_or_not() {
        let announced = whole(Full::new(Bytes::from_static(b"abcde")), 4, FOREVER).await;
        assert_eq!(announced.expect_err("refused").status(), StatusCode::PAYLOAD_TOO_LARGE);
        let creeping = whole(pieces_of(&[b"ab", b"cd", b"e"]), 4, FOREVER).await;
        assert_eq!(creeping.expect_err("refused").status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up() {
        let stalls = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let refused = whole(stalls, 4, Duration::from_secs(5)).await.expect_err("given up");
        assert_eq!(refused.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
