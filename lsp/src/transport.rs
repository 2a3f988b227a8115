//! The end of a session: what the protocol asks of a server's process and the library leaves open.
//!
//! In: the stream of the editor's bytes, and the service. Out: the same, watched: after `exit` the stream is at its end,
//! so that the session closes in order even when the editor keeps the stream open, and the exit status is known.
//!
//! ```text
//! editor ─ bytes ─ WatchedInput ─ messages ─ WatchedService ─ server
//!                       └────────── Session ──────────┘
//! ```

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};
use tower_lsp::jsonrpc::{Request, Response};
use tower_service::Service;

/// How far the session is.
#[derive(Debug, Default)]
pub(crate) struct Session {
    shutdown: AtomicBool,
    exit: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl Session {
    /// The exit status that the protocol asks for: 0 if the editor asked for the end before it left.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.shutdown.load(Ordering::Acquire) { 0 } else { 1 }
    }

    fn exited(&self) -> bool {
        self.exit.load(Ordering::Acquire)
    }

    fn see(&self, method: &str) {
        match method {
            "shutdown" => self.shutdown.store(true, Ordering::Release),
            "exit" => {
                self.exit.store(true, Ordering::Release);
                let waiting = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(reader) = waiting {
                    reader.wake();
                }
            }
            _ => {}
        }
    }
}

/// The editor's bytes.
pub(crate) struct WatchedInput<R> {
    pub(crate) inner: R,
    pub(crate) session: Arc<Session>,
}

impl<R: AsyncRead + Unpin> AsyncRead for WatchedInput<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        *self.session.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        if self.session.exited() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

/// The service of the messages.
pub(crate) struct WatchedService<S> {
    pub(crate) inner: S,
    pub(crate) session: Arc<Session>,
}

impl<S> Service<Request> for WatchedService<S>
where
    S: Service<Request, Response = Option<Response>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Option<Response>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Option<Response>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A message behind `exit` must not be an error: the library would not finish what it has begun.
        if self.session.exited() { Poll::Ready(Ok(())) } else { self.inner.poll_ready(context) }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if self.session.exited() {
            return Box::pin(std::future::ready(Ok(None)));
        }
        self.session.see(request.method());
        Box::pin(self.inner.call(request))
    }
}
