//! The engine's side: a thread that waits for clients, one that waits for other packs, and the run loop's end of the channel.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
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
/// The most questions that wait for the run loop: a change of packs and another.
const WAITING: usize = 2;

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
        let (sender, questions) = sync_channel(WAITING);
        let ended = Arc::new(AtomicBool::new(false));
        let desk = Desk { questions: sender, ended: Arc::clone(&ended), changing: Arc::default() };
        let path = path.to_owned();
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || serve(&listener, &desk))
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

/// What the threads that serve clients share.
#[derive(Debug, Clone)]
struct Desk {
    questions: SyncSender<Question>,
    ended: Arc<AtomicBool>,
    /// Whether somebody waits for other packs.
    changing: Arc<AtomicBool>,
}

/// Serves one client after the other until the run ends. Who waits for other packs is served aside.
fn serve(listener: &UnixListener, desk: &Desk) {
    let mut aside: Option<JoinHandle<()>> = None;
    while !desk.ended.load(Ordering::Relaxed) {
        let ready = rustix::event::poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&GLANCE));
        match ready {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => {
                if let Ok((stream, _)) = listener.accept() {
                    aside = aside.filter(|thread| !thread.is_finished());
                    // A client that goes away or takes too long has had its turn.
                    let started = serve_one(stream, desk, aside.is_none());
                    aside = aside.or(started.ok().flatten());
                }
            }
            Err(_) => return,
        }
    }
}

/// Serves a client; from a change of packs on in a thread of its own, if one may be started.
fn serve_one(stream: UnixStream, desk: &Desk, may_start: bool) -> io::Result<Option<JoinHandle<()>>> {
    let mut client = Client::new(stream)?;
    let Some(request) = client.converse(desk, may_start)? else { return Ok(None) };
    let desk = desk.clone();
    let thread = thread::Builder::new().name("control-reload".to_owned()).spawn(move || {
        // As above.
        let _ = client.answer(|| desk.forward(request)).and_then(|()| client.converse(&desk, false));
    })?;
    Ok(Some(thread))
}

/// A client and what is left of its time.
struct Client {
    reader: BufReader<Limited>,
    writer: UnixStream,
    end: Instant,
    requests: usize,
}

impl Client {
    fn new(stream: UnixStream) -> io::Result<Client> {
        let end = Instant::now() + CLIENT_TIME;
        let writer = stream.try_clone()?;
        Ok(Client { reader: BufReader::new(Limited { stream, end }), writer, end, requests: 0 })
    }

    /// Answers the client's requests. Stops at a change of packs, which it gives, if that is to be answered `aside`.
    fn converse(&mut self, desk: &Desk, aside: bool) -> io::Result<Option<Request>> {
        while self.requests < MAX_REQUESTS {
            self.requests += 1;
            let mut line = Vec::new();
            let read = self.reader.by_ref().take(MAX_REQUEST + 1).read_until(b'\n', &mut line)?;
            if read == 0 || desk.ended.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if read as u64 > MAX_REQUEST {
                self.answer(|| Response::failed(format!("a request has at most {MAX_REQUEST} bytes")))?;
                return Ok(None);
            }
            match parse_request(&line) {
                Ok(request) if aside && request.changes_packs() => return Ok(Some(request)),
                Ok(request) => self.answer(|| desk.forward(request))?,
                Err(error) => self.answer(|| Response::failed(error))?,
            }
        }
        Ok(None)
    }

    /// Writes an answer; the time that it takes to have it is not the client's.
    fn answer(&mut self, response: impl FnOnce() -> Response) -> io::Result<()> {
        let asked = Instant::now();
        let response = response();
        self.end += asked.elapsed();
        self.reader.get_mut().end = self.end;
        let mut bytes = serde_json::to_vec(&response).map_err(io::Error::other)?;
        bytes.push(b'\n');
        write_before(&mut self.writer, &bytes, self.end)
    }
}

impl Desk {
    /// Has the run loop answer. One change of packs at a time: others are refused meanwhile.
    fn forward(&self, request: Request) -> Response {
        if !request.changes_packs() {
            return self.ask(request);
        }
        if self.changing.swap(true, Ordering::AcqRel) {
            return Response::failed("another reload or rollback is under way");
        }
        let response = self.ask(request);
        self.changing.store(false, Ordering::Release);
        response
    }

    fn ask(&self, request: Request) -> Response {
        let (answer, answers) = sync_channel(1);
        let (patience, changes_packs) = (request.answer_time(), request.changes_packs());
        match self.questions.try_send(Question { request, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Response::failed("the engine is busy with an earlier request"),
            Err(TrySendError::Disconnected(_)) => return Response::failed("the run has ended"),
        }
        match answers.recv_timeout(patience) {
            Ok(response) => response,
            Err(RecvTimeoutError::Timeout) => Response::failed(late(changes_packs, patience)),
            Err(RecvTimeoutError::Disconnected) => Response::failed("the run has ended"),
        }
    }
}

/// What is said when an answer takes too long. Nothing is called off by that.
fn late(changes_packs: bool, patience: Duration) -> String {
    let seconds = patience.as_secs();
    if changes_packs {
        return format!("the change of packs is still under way after {seconds} s; `status` tells when it is done");
    }
    format!("the run did not come to answer within {seconds} s: it waits for its input, or is busy")
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

#[cfg(test)]
mod tests {
    use super::super::ask;
    use super::*;

    /// A socket of our own, with what listens on it.
    fn listening(name: &str) -> (std::path::PathBuf, Control) {
        let path = std::env::temp_dir().join(format!("kestrel-{name}-{}.sock", std::process::id()));
        let control = Control::open(&path).expect("it listens");
        (path, control)
    }

    /// The next question, as a run loop finds it.
    fn next(control: &Control) -> Question {
        control.questions.recv_timeout(Duration::from_secs(10)).expect("a question")
    }

    #[test]
    fn who_waits_for_a_reload_holds_nobody_up_and_a_second_one_is_refused() {
        let (path, control) = listening("reload");
        let asks = |request: Request| {
            let path = path.clone();
            thread::spawn(move || ask(&path, &request))
        };
        let reload = asks(Request::Reload {});
        let pending = next(&control);
        assert_eq!(pending.request(), &Request::Reload {});
        for _ in 0..2 {
            let status = asks(Request::Status {});
            next(&control).reply(Response::of_status(1.into()));
            assert_eq!(status.join().expect("no panic").expect("an answer").status, Some(1.into()));
            for change in [Request::Reload {}, Request::Rollback {}] {
                let error = asks(change).join().expect("no panic").expect_err("a second change").to_string();
                assert_eq!(error, "another reload or rollback is under way");
            }
        }
        pending.reply(Response::of_reload(2.into()));
        assert_eq!(reload.join().expect("no panic").expect("an answer").reload, Some(2.into()));
        // The next one is served again, whether the thread of the first has ended or not.
        let rollback = asks(Request::Rollback {});
        next(&control).reply(Response::of_reload(3.into()));
        assert_eq!(rollback.join().expect("no panic").expect("an answer").reload, Some(3.into()));
    }

    #[test]
    fn a_client_that_reloads_may_ask_on() {
        let (path, control) = listening("ask-on");
        let mut stream = UnixStream::connect(&path).expect("it listens");
        let lines = "{\"command\":\"status\"}\n{\"command\":\"reload\"}\n{\"command\":\"status\"}\n";
        stream.write_all(lines.as_bytes()).expect("it reads");
        for _ in 0..3 {
            next(&control).reply(Response::of_status(1.into()));
        }
        stream.shutdown(std::net::Shutdown::Write).expect("it is open");
        assert_eq!(BufReader::new(stream).lines().map_while(Result::ok).count(), 3);
    }

    #[test]
    fn what_takes_too_long_is_told_as_what_it_is() {
        let patience = Duration::from_secs(7);
        assert!(late(true, patience).contains("is still under way after 7 s; `status`"));
        assert!(late(false, patience).contains("did not come to answer within 7 s"));
    }
}
