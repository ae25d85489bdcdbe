//! Bytes that a connection has read and nobody has taken yet.

use super::connection::Io;
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use tokio::io::AsyncReadExt;

/// Room for one read at first; most answers fit.
const ROOM_MIN: usize = 4 * 1024;
/// Room for one read of a stream that fills it each time.
const ROOM_MAX: usize = 64 * 1024;
/// Larger pieces are handed over with the memory that they were read into.
const COPIED_MAX: usize = 4 * 1024;

pub struct Buffer {
    bytes: Vec<u8>,
    /// What is before it was taken.
    start: usize,
    room: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { bytes: Vec::new(), start: 0, room: ROOM_MIN }
    }
}

impl Buffer {
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub const fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Takes the first `count` bytes away, or all.
    pub fn consume(&mut self, count: usize) {
        self.start = self.bytes.len().min(self.start + count);
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Takes the first `count` bytes, or all. Small pieces are copied, so that they hold no more memory than they need
    /// and the next answer is read into the same place.
    pub fn take(&mut self, count: usize) -> Bytes {
        let end = self.bytes.len().min(self.start + count);
        if end - self.start <= COPIED_MAX || end < self.bytes.len() {
            let taken = Bytes::copy_from_slice(&self.bytes[self.start..end]);
            self.consume(count);
            return taken;
        }
        let whole = Bytes::from(std::mem::take(&mut self.bytes));
        whole.slice(std::mem::take(&mut self.start)..)
    }

    /// Reads once; 0 is the end.
    pub fn poll_fill(&mut self, io: &mut dyn Io, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() - self.bytes.len() < self.room / 2 {
            self.bytes.reserve(self.room);
        }
        let read = std::task::ready!(pin!(io.read_buf(&mut self.bytes)).poll(cx))?;
        if self.bytes.len() == self.bytes.capacity() {
            self.room = (self.room * 2).min(ROOM_MAX);
        }
        Poll::Ready(Ok(read))
    }

    /// Nothing is expected for a while: a large place is not kept for it.
    pub fn rest(&mut self) {
        if self.is_empty() && self.bytes.capacity() > ROOM_MIN {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;

    async fn fill(buffer: &mut Buffer, io: &mut dyn Io) -> usize {
        poll_fn(|cx| buffer.poll_fill(io, cx)).await.expect("a read")
    }

    #[tokio::test]
    async fn what_was_read_is_taken_in_order_however_it_came() {
        let (mut near, mut far) = tokio::io::duplex(1024 * 1024);
        let sent: Vec<u8> = (0_u8..=250).cycle().take(300_000).collect();
        far.write_all(&sent).await.expect("room");
        drop(far);
        let (mut buffer, mut got) = (Buffer::default(), Vec::new());
        for count in (1..).step_by(997) {
            if buffer.is_empty() && fill(&mut buffer, &mut near).await == 0 {
                break;
            }
            got.extend_from_slice(&buffer.take(count));
            buffer.consume(0);
        }
        assert!(got == sent);
    }

    #[tokio::test]
    async fn a_small_piece_leaves_its_place_to_the_next_one_and_a_large_place_is_given_up() {
        let (mut near, mut far) = tokio::io::duplex(1024 * 1024);
        let mut buffer = Buffer::default();
        far.write_all(b"one").await.expect("room");
        fill(&mut buffer, &mut near).await;
        let place = buffer.filled().as_ptr();
        assert_eq!(&*buffer.take(9), b"one");
        far.write_all(b"two").await.expect("room");
        fill(&mut buffer, &mut near).await;
        assert_eq!((buffer.filled(), buffer.filled().as_ptr()), (&b"two"[..], place));
        far.write_all(&vec![b'x'; 200_000]).await.expect("room");
        while buffer.filled().len() < 200_000 {
            fill(&mut buffer, &mut near).await;
        }
        buffer.consume(usize::MAX / 2);
        buffer.rest();
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}
