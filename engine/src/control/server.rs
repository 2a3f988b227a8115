//! The engine's side: a thread that waits for clients, and the run loop's end of the channel.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::protocol::{Request, Response, parse_request};
use super::socket::{SocketError, SocketFile};
use super::{CLIENT_TIME, MAX_REQUEST};
use crate::explain::RuleState;

/// How often the thread looks whether the run has ended.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// The most requests of one client.
const MAX_REQUESTS: usize = 64;

/// What a run tells of itself.
pub trait RunState {
    /// What it did so far, with the keys of `--stats json`.
    fn status(&self) -> serde_json::Value;

    /// How far a rule came.
    ///
    /// # Errors
    /// When there is no such rule or key; the text says so.
    fn explain(&self, request: &super::ExplainRequest) -> Result<RuleState, String>;

    /// Why it does nothing that it is told; a run that does, takes the question itself.
    fn refusal(&self) -> String;
}

/// A control socket that is listened on. It is closed, and its file removed, when this is dropped.
#[derive(Debug)]
pub struct Control {
    questions: Receiver<Question>,
    ended: Arc<AtomicBool>,
    _file: SocketFile,
}

/// A request that waits for the run loop.
#[derive(Debug)]
pub struct Question {
    request: Request,
    answer: SyncSender<Response>,
}

impl Control {
    /// Listens on `path`.
    ///
    /// # Errors
    /// When the path is taken or cannot be used.
    pub fn open(path: &Path) -> Result<Control, SocketError> {
        let (listener, file) = SocketFile::listen(path)?;
        let (sender, questions) = sync_channel(1);
        let ended = Arc::new(AtomicBool::new(false));
        let (path, flag) = (path.to_owned(), Arc::clone(&ended));
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || serve(&listener, &sender, &flag))
            .map_err(|cause| SocketError::Io { path, cause })?;
        Ok(Control { questions, ended, _file: file })
    }

    /// What was asked since this was called last. Costs next to nothing when nothing was.
    pub fn asked(&self) -> Option<Question> {
        self.questions.try_recv().ok()
    }
}

impl Question {
    /// What is asked.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Answers.
    pub fn reply(self, response: Response) {
        // Who asked may have gone.
        let _ = self.answer.try_send(response);
    }

    /// Has `run` answer.
    pub fn answer(self, run: &impl RunState) {
        let response = match &self.request {
            Request::Status {} => Response::of_status(run.status()),
            Request::Explain(request) => match run.explain(request) {
                Ok(state) => Response::of_rule(state),
                Err(error) => Response::failed(error),
            },
            Request::Reload {} | Request::Rollback {} | Request::Bypass { .. } => Response::failed(run.refusal()),
        };
        self.reply(response);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Serves one client after the other until the run ends.
fn serve(listener: &UnixListener, questions: &SyncSender<Question>, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        let ready = rustix::event::poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&GLANCE));
        match ready {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => {
                if let Ok((stream, _)) = listener.accept() {
                    // A client that goes away or takes too long has had its turn.
                    let _ = converse(stream, questions, ended);
                }
            }
            Err(_) => return,
        }
    }
}

/// Answers the requests of one client.
fn converse(stream: UnixStream, questions: &SyncSender<Question>, ended: &AtomicBool) -> io::Result<()> {
    let mut end = Instant::now() + CLIENT_TIME;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(Limited { stream, end });
    for _ in 0..MAX_REQUESTS {
        let mut line = Vec::new();
        let read = reader.by_ref().take(MAX_REQUEST + 1).read_until(b'\n', &mut line)?;
        if read == 0 || ended.load(Ordering::Relaxed) {
            return Ok(());
        }
        let too_long = read as u64 > MAX_REQUEST;
        let response = if too_long {
            Response::failed(format!("a request has at most {MAX_REQUEST} bytes"))
        } else {
            let asked = Instant::now();
            let response = parse_request(&line).map_or_else(Response::failed, |request| forward(request, questions));
            end += asked.elapsed();
            reader.get_mut().end = end;
            response
        };
        let mut bytes = serde_json::to_vec(&response).map_err(io::Error::other)?;
        bytes.push(b'\n');
        write_before(&mut writer, &bytes, end)?;
        if too_long {
            return Ok(());
        }
    }
    Ok(())
}

/// Has the run loop answer.
fn forward(request: Request, questions: &SyncSender<Question>) -> Response {
    let (answer, answers) = sync_channel(1);
    let patience = request.answer_time();
    match questions.try_send(Question { request, answer }) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => return Response::failed("the engine is busy with an earlier request"),
        Err(TrySendError::Disconnected(_)) => return Response::failed("the run has ended"),
    }
    match answers.recv_timeout(patience) {
        Ok(response) => response,
        Err(RecvTimeoutError::Timeout) => {
            let seconds = patience.as_secs();
            Response::failed(format!(
                "the run did not come to answer within {seconds} s: it waits for its input, or is busy"
            ))
        }
        Err(RecvTimeoutError::Disconnected) => Response::failed("the run has ended"),
    }
}

/// A stream that is read until some moment.
struct Limited {
    stream: UnixStream,
    end: Instant,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.end)?))?;
        self.stream.read(buffer)
    }
}

/// Writes everything, unless the time is over before.
fn write_before(stream: &mut UnixStream, mut bytes: &[u8], end: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(end)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The time until `end`, which a timeout may not be without.
fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
