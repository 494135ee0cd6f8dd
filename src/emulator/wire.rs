//! What goes over a socket besides well-formed answers: bodies that stop, stall or swell, and connections
//! that end in a reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How one connection is to end.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    reset: AtomicBool,
}

/// A TCP stream whose end can be a reset (RST) instead of the usual close (FIN).
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    ending: Arc<Ending>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, ending: Arc<Ending>) -> Self {
        Self { stream, ending }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.ending.reset.load(Ordering::SeqCst) {
            // A linger time of zero makes the close a reset; if it cannot be set, a plain close must do.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How long a cut body waits before the connection ends, so that what was sent has left this process: the
/// transport writes out what it holds as soon as a body has nothing more to give.
const DRAIN: Duration = Duration::from_millis(25);
/// Bytes that a slow body gives at a time.
const SLOW_STEP: usize = 1024;

/// The body of an answer, well-behaved or not.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// All of it at once.
    Whole(Bytes),
    /// The part given, then an error that ends the connection.
    Cut {
        /// What is still sent.
        part: Bytes,
        /// Runs once the part has been taken.
        drain: Option<Pin<Box<Sleep>>>,
        /// Set when the connection is to end in a reset.
        reset: Option<Arc<Ending>>,
    },
    /// Silence after the headers, for ever or until the time is over and the connection ends.
    Silence(Option<Pin<Box<Sleep>>>),
    /// One kilobyte after another.
    Slow {
        /// What is left.
        rest: Bytes,
        /// Time between two steps.
        interval: Duration,
        /// The current wait.
        wait: Pin<Box<Sleep>>,
    },
    /// A head, one segment many times, and a tail.
    Repeated {
        /// Sent first.
        head: Bytes,
        /// Sent `times` times.
        segment: Bytes,
        /// How often it is still to be sent.
        times: u32,
        /// Sent last.
        tail: Bytes,
    },
}

impl AnswerBody {
    /// A body that breaks off after this part.
    pub(crate) fn cut(part: Bytes, reset: Option<Arc<Ending>>) -> Self {
        Self::Cut { part, drain: None, reset }
    }

    /// No body at all although one was announced.
    pub(crate) fn silence(limit: Option<Duration>) -> Self {
        Self::Silence(limit.map(|limit| Box::pin(sleep(limit))))
    }

    /// A body in kilobytes with a pause after each.
    pub(crate) fn slow(rest: Bytes, interval: Duration) -> Self {
        Self::Slow { rest, interval, wait: Box::pin(sleep(Duration::ZERO)) }
    }
}

fn broken() -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
    Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "a fault rule ends this answer"))))
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let give = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match self.get_mut() {
            Self::Whole(body) if body.is_empty() => Poll::Ready(None),
            Self::Whole(body) => give(std::mem::take(body)),
            Self::Cut { part, drain, reset } => {
                if !part.is_empty() {
                    return give(std::mem::take(part));
                }
                let drain = drain.get_or_insert_with(|| Box::pin(sleep(DRAIN)));
                if drain.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if let Some(ending) = reset {
                    ending.reset.store(true, Ordering::SeqCst);
                }
                broken()
            }
            Self::Silence(None) => Poll::Pending,
            Self::Silence(Some(limit)) => match limit.as_mut().poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => broken(),
            },
            Self::Slow { rest, interval, wait } => {
                if rest.is_empty() {
                    return Poll::Ready(None);
                }
                if wait.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                wait.as_mut().reset(Instant::now() + *interval);
                give(rest.split_to(rest.len().min(SLOW_STEP)))
            }
            Self::Repeated { head, segment, times, tail } => {
                if !head.is_empty() {
                    return give(std::mem::take(head));
                }
                if *times > 0 {
                    *times -= 1;
                    return give(segment.clone());
                }
                if tail.is_empty() { Poll::Ready(None) } else { give(std::mem::take(tail)) }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_empty(),
            Self::Slow { rest, .. } => rest.is_empty(),
            Self::Cut { .. } | Self::Silence(_) | Self::Repeated { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Self::Slow { rest, .. } => SizeHint::with_exact(rest.len() as u64),
            Self::Repeated { head, segment, times, tail } => SizeHint::with_exact(
                (head.len() + tail.len()) as u64 + segment.len() as u64 * u64::from(*times),
            ),
            Self::Cut { .. } | Self::Silence(_) => SizeHint::default(),
        }
    }
}
