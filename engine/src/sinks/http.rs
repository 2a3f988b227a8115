//! Alerts to a server: a spool on the disk, and a thread that empties it.
//!
//! ```text
//! write ─▶ Spool ─▶ delivery (a thread) ─▶ request ─▶ server
//!            ▲             │  delivered, refused: out of the spool
//!            └─────────────┘  no answer, 408, 429, 5xx: again, later
//! ```
//!
//! The spool is the queue, so what is not delivered when the process ends is sent by the next run. A live run never waits
//! for a server: when the spool is full the oldest alerts are given up and counted. A replay, whose events are patient, waits
//! as long as the server makes progress. An alert may be sent twice; its `event.id` says that it is the same one.

mod delivery;
mod request;

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use super::{Existing, HttpForm, HttpOptions, HttpTarget, Sink, SinkCounters, SinkError, Spool, SpoolError};
use request::Client;

/// How many bytes of alerts are gathered before they are written to the spool.
const GATHERED: usize = 64 << 10;

/// What the sink and its thread share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The spool and what becomes of its alerts.
struct State {
    spool: Spool,
    /// Alerts of earlier runs that are still first in the spool.
    earlier: u64,
    written: u64,
    refused: u64,
    /// Grows with everything that leaves the spool.
    progress: u64,
    /// The end of the run: nothing more comes, and after this moment nothing is tried.
    deadline: Option<Instant>,
    /// The thread has ended.
    ended: bool,
    notes: Vec<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked leaves counters that are a little behind, which is no reason to stop telling alerts.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>, longest: Duration) -> MutexGuard<'s, State> {
        self.changed.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Sends alerts to a server.
pub(super) struct HttpSink {
    name: String,
    shared: Arc<Shared>,
    patient: bool,
    finish_wait: Duration,
    finished: bool,
}

impl HttpSink {
    pub(super) fn open(target: &HttpTarget, options: &HttpOptions, existing: Existing) -> Result<HttpSink, SinkError> {
        let name = target.to_string();
        let client = Client::new(target, options).map_err(|cause| SinkError::Open { name: name.clone(), cause })?;
        let folder = options.spool.clone().or_else(usual_folder).ok_or(SpoolError::NoFolder);
        let spool = folder.and_then(|folder| Spool::open(&folder.join(folder_name(target)), options.limits));
        let spool = spool.map_err(|cause| SinkError::Spool { name: name.clone(), cause })?;
        let earlier = spool.waiting();
        let mut notes = Vec::new();
        if earlier > 0 {
            notes.push(format!("{earlier} alerts of an earlier run are sent to {name} first"));
        }
        let state = State { spool, earlier, written: 0, refused: 0, progress: 0, deadline: None, ended: false, notes };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (its, its_name, limits) = (Arc::clone(&shared), name.clone(), options.clone());
        std::thread::Builder::new()
            .name("alert delivery".to_owned())
            .spawn(move || delivery::run(&its, &its_name, &client, &limits))
            .map_err(|cause| SinkError::Open { name: name.clone(), cause })?;
        let patient = existing != Existing::Append;
        Ok(HttpSink { name, shared, patient, finish_wait: options.finish_wait, finished: false })
    }

    /// Writes to the spool what was gathered, and wakes the thread.
    fn hand_over(&self, mut state: MutexGuard<'_, State>) -> Result<(), SinkError> {
        if self.patient {
            state = self.wait_for_room(state);
        }
        let flushed = state.spool.flush();
        if flushed.is_err() {
            state.spool.give_up_pending();
        }
        drop(state);
        self.shared.changed.notify_all();
        flushed.map_err(|cause| SinkError::Write { name: format!("the spool for {}", self.name), cause })
    }

    /// Waits while the spool is full and the server makes progress.
    fn wait_for_room<'s>(&self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let (mut progress, mut since) = (state.progress, Instant::now());
        while !state.spool.has_room() && !state.ended {
            let left = self.finish_wait.saturating_sub(since.elapsed());
            if left.is_zero() {
                break;
            }
            state = self.shared.wait(state, left);
            if state.progress != progress {
                (progress, since) = (state.progress, Instant::now());
            }
        }
        state
    }
}

impl Sink for HttpSink {
    fn write(&mut self, line: &str) -> Result<(), SinkError> {
        let mut state = self.shared.lock();
        state.spool.append(line);
        if state.spool.pending_bytes() < GATHERED { Ok(()) } else { self.hand_over(state) }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.hand_over(self.shared.lock())
    }

    fn finish(&mut self, _complete: bool) -> Result<(), SinkError> {
        self.finished = true;
        let flushed = self.flush();
        let mut state = self.shared.lock();
        let deadline = Instant::now() + self.finish_wait;
        state.deadline = Some(deadline);
        self.shared.changed.notify_all();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.wait(state, left);
        }
        let synced = state.spool.sync();
        let waiting = state.spool.waiting();
        if waiting > 0 {
            let folder = state.spool.folder().display().to_string();
            let note = format!("warning: {waiting} alerts for {} wait in {folder} for the next run", self.name);
            state.notes.push(note);
        }
        drop(state);
        flushed?;
        synced.map_err(|cause| SinkError::Write { name: format!("the spool for {}", self.name), cause })
    }

    fn counters(&self) -> SinkCounters {
        let state = self.shared.lock();
        SinkCounters {
            written: state.written,
            waiting: state.spool.waiting(),
            refused: state.refused,
            lost: state.spool.lost(),
            truncated: 0,
        }
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().notes)
    }
}

impl Drop for HttpSink {
    /// Without an end that waits: the spool keeps what was handed over.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if !self.finished && state.spool.flush().is_err() {
            state.spool.give_up_pending();
        }
        state.deadline = Some(Instant::now());
        drop(state);
        self.shared.changed.notify_all();
    }
}

/// The folder of a target's spool, by its address and index.
fn folder_name(target: &HttpTarget) -> String {
    let form = match &target.form {
        HttpForm::Webhook => "webhook".to_owned(),
        HttpForm::Bulk { index } => format!("bulk {}", index.as_deref().unwrap_or_default()),
    };
    format!("{:016x}", xxh3_64(format!("{form} {}", target.url).as_bytes()))
}

/// Where spools usually are.
fn usual_folder() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        // Root may have another user's environment.
        return Some(PathBuf::from("/var/lib/kestrel/spool"));
    }
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")))?;
    Some(folder.join("kestrel/spool"))
}
