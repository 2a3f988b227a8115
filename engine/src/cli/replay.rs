//! A run over files or standard input.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use kestrel_engine::input::{Document, Input, InputError, Item};
use kestrel_engine::session::{Alert, Replay, Session, Verdict};
use kestrel_engine::stats::LossLedger;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::Failure;
use super::options::RunOptions;
use super::report::Trouble;
use super::run::{ReadPacks, Run, stopped};

/// How often a wait for standard input looks whether the run is to end.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Runs over files, one after the other, as over one stream.
pub(super) fn run(
    options: &RunOptions,
    packs: &ReadPacks,
    files: &[PathBuf],
    stop: &Arc<AtomicBool>,
) -> Result<u8, Failure> {
    // All are looked at first, so that a misspelt name does not show after an hour.
    for file in files.iter().filter(|file| file.as_os_str() != "-") {
        file.metadata().with_context(|| format!("cannot read {}", file.display())).map_err(Failure::usage)?;
    }
    let mut replaying = Replaying::new(options, packs, "replay")?;
    for file in files {
        let input = if file.as_os_str() == "-" { open_stdin(options, stop) } else { Input::open(file, options.input) };
        if let Err(failure) = replaying.input(input, stop, false) {
            // What was read is still answered.
            let status = failure.tell();
            replaying.finish(stop);
            return Ok(status);
        }
        if replaying.ends(stop) {
            break;
        }
    }
    Ok(replaying.finish(stop))
}

/// Runs over standard input. Alerts are written as they come.
pub(super) fn run_stdin(options: &RunOptions, packs: &ReadPacks, stop: &Arc<AtomicBool>) -> Result<u8, Failure> {
    let mut replaying = Replaying::new(options, packs, "stdin")?;
    replaying.wait(stop).map_err(Failure::failed)?;
    let read = replaying.input(open_stdin(options, stop), stop, true);
    let status = read.err().map_or(0, Failure::tell);
    Ok(replaying.finish(stop).max(status))
}

fn open_stdin(options: &RunOptions, stop: &Arc<AtomicBool>) -> Result<Input, InputError> {
    Input::from_reader("standard input", Interruptible { stop: Arc::clone(stop) }, options.input)
}

struct Replaying<'o> {
    run: Run<'o>,
    replay: Replay,
    trouble: Trouble,
}

impl<'o> Replaying<'o> {
    fn new(options: &'o RunOptions, packs: &'o ReadPacks, source: &'static str) -> Result<Replaying<'o>, Failure> {
        let session = Session::of_documents(&packs.prepare(options)?).map_err(Failure::usage)?;
        let replay = Replay::new(&session);
        Ok(Replaying { run: Run::new(options, packs, session, source)?, replay, trouble: Trouble::default() })
    }

    fn input(&mut self, input: Result<Input, InputError>, stop: &AtomicBool, prompt: bool) -> Result<(), Failure> {
        let range = self.run.options.range;
        let mut input = input.map_err(Failure::usage)?.with_range(range);
        let (name, unit) = (input.name().to_owned(), input.unit());
        let mut times = (!range.is_all()).then(|| Times::new(&self.run.session));
        while !self.ends(stop) {
            if prompt && !input.has_more_at_hand() {
                self.wait(stop).map_err(Failure::failed)?;
            }
            self.answer();
            match input.next_item() {
                Ok(Some(Item::Document(document)))
                    if times
                        .as_mut()
                        .and_then(|times| times.of(&document))
                        .is_some_and(|time| !range.contains(time)) => {}
                Ok(Some(Item::Document(document))) => self.document(&name, unit, &document, prompt),
                Ok(Some(Item::Invalid { line, reason })) => {
                    self.replay.count_invalid();
                    self.trouble.invalid(&name, unit, line, &reason);
                }
                Ok(Some(Item::Damaged { message })) => self.trouble.damaged(&name, &message),
                Ok(None) => break,
                Err(error) => return Err(Failure::usage(error)),
            }
        }
        Ok(())
    }

    fn document(&mut self, name: &str, unit: &str, document: &Document<'_>, prompt: bool) {
        let Replaying { run, replay, trouble } = self;
        let mut alerts = false;
        let verdict = run.with_session(|session, hand_on| {
            let mut hand_on = |alert: &Alert| {
                alerts = true;
                hand_on(alert);
            };
            match prompt {
                true => replay.document(session, document, &mut hand_on),
                false => replay.queue(session, document, &mut hand_on),
            }
        });
        match verdict {
            Verdict::Event(event) => run.record(event, || document.bytes.to_vec()),
            Verdict::Invalid(error) => trouble.invalid(name, unit, document.line, &error.to_string()),
        }
        if alerts && prompt {
            run.flush_alerts();
        }
    }

    /// Answers what somebody asks the run.
    fn answer(&mut self) {
        let Some(asked) = self.run.asked() else { return };
        self.count();
        asked.answer(&self.run);
    }

    /// Waits for standard input, and answers meanwhile.
    fn wait(&mut self, stop: &AtomicBool) -> io::Result<()> {
        while self.run.is_controlled() && !stopped(stop) && !stdin_is_ready()? {
            self.answer();
        }
        Ok(())
    }

    /// The input's part of the statistics.
    fn count(&mut self) {
        let counters = self.replay.counters();
        self.run.stats.invalid = counters.invalid;
        self.run.stats.damaged = self.trouble.damages();
        self.run.stats.ledger = LossLedger::of_replay(counters.events, counters.invalid);
    }

    /// Whether there is no point in going on.
    fn ends(&self, stop: &AtomicBool) -> bool {
        stopped(stop) || self.run.broken()
    }

    fn finish(mut self, stop: &AtomicBool) -> u8 {
        let interrupted = stopped(stop);
        self.run.with_session(|session, hand_on| session.flush(hand_on));
        if !interrupted {
            // Only the end of the events tells that what is still waited for does not come.
            self.run.with_session(|session, hand_on| session.finish(hand_on));
        }
        self.trouble.finish();
        self.count();
        self.run.finish(interrupted)
    }
}

/// Tells the times of documents, for whoever wants only some of them.
struct Times {
    decoder: Decoder,
    event: Event,
}

impl Times {
    fn new(session: &Session) -> Times {
        // No field is wanted but the time.
        Times { decoder: Decoder::new(&FieldTable::new(), session.event_fields()), event: Event::new() }
    }

    /// The document's time; `None` when it is no event.
    fn of(&mut self, document: &Document<'_>) -> Option<i64> {
        match document.record {
            Some(record) => Some(record.timestamp),
            None => self.decoder.decode(document.bytes, &mut self.event).ok().map(|()| self.event.timestamp),
        }
    }
}

/// Standard input that ends when the run is to end.
struct Interruptible {
    stop: Arc<AtomicBool>,
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !stdin_is_ready()? {
            if stopped(&self.stop) {
                return Ok(0);
            }
        }
        // Not through `io::stdin()`: its buffer would hide from poll what is already there.
        Ok(rustix::io::read(io::stdin().as_fd(), buffer)?)
    }
}

/// Waits for a glance and tells whether there is something to read, or the end.
fn stdin_is_ready() -> io::Result<bool> {
    match rustix::event::poll(&mut [PollFd::new(&io::stdin(), PollFlags::IN)], Some(&GLANCE)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
