//! The thread that empties a spool: oldest first, in batches, again and again until the server takes them.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use serde_json::json;

use super::request::{Answer, Client};
use super::{Shared, State};
use crate::sinks::HttpOptions;
use crate::sinks::spool::Spooled;

/// The first wait after an attempt that failed; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The most bytes of alerts of a request, roughly.
const MAX_BODY: usize = 4 << 20;
/// How long the thread sleeps when nothing is to be done; it is woken when there is.
const IDLE: Duration = Duration::from_secs(60);
/// The most notes that nobody has asked for yet.
const MAX_NOTES: usize = 100;

/// Empties the spool until the run ends.
pub(super) fn run(shared: &Shared, name: &str, client: &Client, options: &HttpOptions) {
    let mut delivery = Delivery { shared, name, client, options, failures: 0 };
    while let Some(batch) = delivery.next_batch() {
        if !delivery.deliver(batch) {
            break;
        }
    }
    shared.lock().ended = true;
    shared.changed.notify_all();
}

struct Delivery<'d> {
    shared: &'d Shared,
    name: &'d str,
    client: &'d Client,
    options: &'d HttpOptions,
    /// How many attempts failed since the last that did not.
    failures: u32,
}

impl Delivery<'_> {
    /// Waits for alerts; `None` when the run ends and none is left.
    fn next_batch(&self) -> Option<Vec<Spooled>> {
        let mut state = self.shared.lock();
        loop {
            if is_over(&state) {
                return None;
            }
            match state.spool.oldest(self.options.batch, MAX_BODY) {
                Ok(batch) if !batch.is_empty() => return Some(batch),
                Ok(_) if state.deadline.is_some() => return None,
                Ok(_) => {}
                Err(error) => {
                    self.note(&mut state, format!("warning: the spool for {} cannot be read: {error}", self.name));
                    if state.deadline.is_some() {
                        return None;
                    }
                }
            }
            state = self.shared.wait(state, IDLE);
        }
    }

    /// Sends a batch until nothing of it is left; `false` when the run ends before that.
    fn deliver(&mut self, batch: Vec<Spooled>) -> bool {
        let mut left: Vec<usize> = (0..batch.len()).collect();
        let mut size = left.len();
        while !left.is_empty() {
            if is_over(&self.shared.lock()) {
                return false;
            }
            size = size.clamp(1, left.len());
            let chunk: Vec<usize> = left.drain(..size).collect();
            let lines: Vec<&str> =
                chunk.iter().filter_map(|number| batch.get(*number)).map(|alert| alert.line.as_str()).collect();
            let (again, later) = match self.client.send(&lines) {
                Answer::Taken { refused, again, reason } => {
                    let taken = lines.len() - refused.len() - again.len();
                    self.taken(taken, refused.iter().filter_map(|(n, why)| Some((*lines.get(*n)?, why.as_str()))));
                    let again: Vec<usize> = again.iter().filter_map(|number| chunk.get(*number).copied()).collect();
                    let later = (!again.is_empty()).then_some((reason, None));
                    (again, later)
                }
                Answer::Refused { divisible: true, .. } if chunk.len() > 1 => {
                    // One alert that it does not like is no reason to lose the others.
                    size = chunk.len() / 2;
                    left.splice(0..0, chunk);
                    continue;
                }
                Answer::Refused { reason, .. } => {
                    self.taken(0, lines.iter().map(|line| (*line, reason.as_str())));
                    (Vec::new(), None)
                }
                Answer::Later { reason, after } => (chunk, Some((reason, after))),
            };
            left.splice(0..0, again);
            self.delivered(&batch, left.first().copied().unwrap_or(batch.len()));
            match later {
                None => {
                    self.failures = 0;
                    size *= 2;
                }
                Some((reason, after)) => {
                    if !self.wait(&reason, after) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Counts what the server took and what it refused, and keeps the latter.
    fn taken<'a>(&self, taken: usize, refused: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut state = self.shared.lock();
        let earlier = state.earlier.min(taken as u64);
        state.earlier -= earlier;
        state.written += taken as u64 - earlier;
        if taken > 0 && self.failures > 0 {
            self.note(&mut state, format!("{} takes alerts again", self.name));
        }
        let (mut count, mut why) = (0_u64, "");
        for (line, reason) in refused {
            (count, why) = (count + 1, reason);
            let most = self.options.limits.max_bytes;
            if let Err(error) = keep_refused(state.spool.folder(), line, reason, most) {
                self.note(&mut state, format!("warning: a refused alert is not kept: {error}"));
            }
        }
        if count > 0 {
            state.refused += count;
            let file = state.spool.folder().join("refused.ndjson");
            let note = format!("error: {} refuses {count} alerts, kept in {}: {why}", self.name, file.display());
            self.note(&mut state, note);
        }
    }

    /// Takes the first alerts of a batch out of the spool.
    fn delivered(&self, batch: &[Spooled], count: usize) {
        let mut state = self.shared.lock();
        if let Err(error) = state.spool.delivered(batch, count) {
            self.note(&mut state, format!("warning: alerts may be sent to {} again: {error}", self.name));
        }
        state.progress += 1;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Waits until it is time for the next attempt; `false` when the run ends before that.
    fn wait(&mut self, reason: &str, after: Option<Duration>) -> bool {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.min(16));
        let time = after.unwrap_or_else(|| doubled.min(self.options.max_wait));
        self.failures += 1;
        let until = Instant::now() + time;
        let mut state = self.shared.lock();
        if self.failures == 1 {
            let note = format!("warning: {} does not take alerts now, they wait in the spool: {reason}", self.name);
            self.note(&mut state, note);
        }
        let ending = state.deadline.is_some();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match state.deadline {
                // The run ends before the next attempt is due.
                Some(deadline) if deadline < until && (ending || after.is_some()) => return false,
                // It began to end while this waited: the one attempt that is not put off.
                Some(_) if !ending && after.is_none() => return !is_over(&state),
                _ if left.is_zero() => return !is_over(&state),
                _ => state = self.shared.wait(state, left),
            }
        }
    }

    fn note(&self, state: &mut MutexGuard<'_, State>, note: String) {
        if state.notes.len() < MAX_NOTES {
            state.notes.push(note);
        }
    }
}

/// Whether the end of the run does not wait any longer.
fn is_over(state: &State) -> bool {
    state.deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Adds an alert to the file of refused ones, while that has at most so many bytes.
fn keep_refused(folder: &Path, line: &str, reason: &str, most: u64) -> io::Result<()> {
    let path = folder.join("refused.ndjson");
    let mut file = File::options().append(true).create(true).mode(0o600).open(path)?;
    let kept = format!("{{\"reason\":{},\"alert\":{line}}}\n", json!(reason));
    if file.metadata()?.len() + kept.len() as u64 > most {
        return Err(io::Error::other("the file of refused alerts is full"));
    }
    file.write_all(kept.as_bytes())
}
