//! A run over files or standard input.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use kestrel_engine::input::{Document, Input, InputError, Item};
use kestrel_engine::session::parallel::{
    Chunk, ChunkItem, ChunkLimits, Feed, Worker, feed_failure, feed_input, pipeline,
};
use kestrel_engine::session::{Alert, Replay, Session, TimeFilter, Verdict};
use kestrel_engine::stats::LossLedger;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::Failure;
use super::options::RunOptions;
use super::report::{Trouble, say};
use super::run::{ReadPacks, Run, stopped};

/// How often a wait for standard input looks whether the run is to end.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// The most threads of a run that is not told how many.
const USUAL_THREADS: usize = 8;
/// Files with fewer bytes are done before more threads are ready.
const WORTH_THREADS: u64 = 1 << 20;

/// Runs over files, one after the other, as over one stream.
pub(super) fn run(
    options: &RunOptions,
    packs: &ReadPacks,
    files: &[PathBuf],
    stop: &Arc<AtomicBool>,
) -> Result<u8, Failure> {
    // All are looked at first, so that a misspelt name does not show after an hour.
    let about = |file: &PathBuf| {
        file.metadata().with_context(|| format!("cannot read {}", file.display())).map_err(Failure::usage)
    };
    let is_stdin = |file: &&PathBuf| file.as_path() == Path::new("-");
    let metadata = files.iter().filter(|file| !is_stdin(file)).map(about).collect::<Result<Vec<_>, _>>()?;
    let streams = files.iter().any(|file| is_stdin(&file)) || !metadata.iter().all(Metadata::is_file);
    let bytes = metadata.iter().map(Metadata::len).sum();
    let threads = threads(options.threads, streams, bytes);
    let mut replaying = Replaying::new(options, packs, "replay", threads)?;
    if threads > 1 {
        let status = replaying.in_threads(files, stop);
        let ended = replaying.finish(stop);
        return Ok(if status > 0 { status } else { ended });
    }
    for file in files {
        let input = if is_stdin(&file) { open_stdin(options, stop) } else { Input::open(file, options.input) };
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

/// How many threads a replay has. What comes through a pipe is answered as it comes, by one.
fn threads(asked: Option<usize>, streams: bool, bytes: u64) -> usize {
    match asked {
        Some(asked) if streams && asked > 1 => {
            say("warning: what is no file is replayed by one thread");
            1
        }
        Some(asked) => asked,
        None if streams || bytes < WORTH_THREADS => 1,
        None => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(USUAL_THREADS)),
    }
}

/// Runs over standard input. Alerts are written as they come.
pub(super) fn run_stdin(options: &RunOptions, packs: &ReadPacks, stop: &Arc<AtomicBool>) -> Result<u8, Failure> {
    let mut replaying = Replaying::new(options, packs, "stdin", 1)?;
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
    workers: Vec<Worker>,
    /// Whether a thread failed, so that the events have no end but a gap.
    torn: bool,
}

impl<'o> Replaying<'o> {
    fn new(
        options: &'o RunOptions,
        packs: &'o ReadPacks,
        source: &'static str,
        threads: usize,
    ) -> Result<Replaying<'o>, Failure> {
        let prepared = packs.prepare(options)?;
        let mut session = Session::of_documents(&prepared).map_err(Failure::usage)?;
        session.reorder(options.reorder);
        let workers = if threads > 1 { threads } else { 0 };
        let workers = Worker::many(workers, &session, &prepared, options.range).map_err(Failure::usage)?;
        let replay = Replay::new(&session);
        let mut run = Run::new(options, packs, session, source)?;
        run.stats.threads = threads;
        Ok(Replaying { run, replay, trouble: Trouble::default(), workers, torn: false })
    }

    /// Replays files with the workers; the status so far.
    fn in_threads(&mut self, files: &[PathBuf], stop: &AtomicBool) -> u8 {
        let mut status = 0;
        let (options, range) = (self.run.options.input, self.run.options.range);
        let feed = |feed: &mut Feed<Chunk>| {
            for file in files {
                let mut input = match Input::open(file, options) {
                    Ok(input) => input.with_range(range),
                    Err(error) => return feed_failure(feed, error),
                };
                if !feed_input(feed, &mut input, ChunkLimits::default(), &|| stopped(stop)) {
                    return;
                }
            }
        };
        let workers: Vec<_> = std::mem::take(&mut self.workers)
            .into_iter()
            .map(|mut worker| move |chunk: &mut Chunk| worker.work(chunk))
            .collect();
        let ran = pipeline::run(feed, workers, |chunk| {
            self.chunk(chunk);
            self.answer();
            if let Some(error) = chunk.take_failure() {
                status = Failure::usage(error).tell();
                return false;
            }
            !self.ends(stop)
        });
        match ran {
            Ok(()) => status,
            Err(error) => {
                self.torn = true;
                Failure::failed(error).tell()
            }
        }
    }

    fn chunk(&mut self, chunk: &mut Chunk) {
        let Replaying { run, replay, trouble, .. } = self;
        run.with_session(|session, hand_on| replay.take_chunk(session, chunk, hand_on));
        for item in chunk.items() {
            match item {
                ChunkItem::Event(head, document) => run.record_document(&head, document),
                ChunkItem::Invalid { line, reason } => trouble.invalid(chunk.name(), chunk.unit(), line, reason),
                ChunkItem::Damaged { message } => trouble.damaged(chunk.name(), message),
            }
        }
    }

    fn input(&mut self, input: Result<Input, InputError>, stop: &AtomicBool, prompt: bool) -> Result<(), Failure> {
        let range = self.run.options.range;
        let mut input = input.map_err(Failure::usage)?.with_range(range);
        let (name, unit) = (input.name().to_owned(), input.unit());
        let mut times = TimeFilter::new(self.run.session.event_fields(), range);
        while !self.ends(stop) {
            if prompt && !input.has_more_at_hand() {
                self.wait(stop).map_err(Failure::failed)?;
            }
            self.answer();
            match input.next_item() {
                Ok(Some(Item::Document(document))) if !times.passes(&document) => {}
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
        let Replaying { run, replay, trouble, .. } = self;
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
        self.run.with_session(|session, hand_on| session.stop_waiting(hand_on));
        if !interrupted && !self.torn {
            // Only the end of the events tells that what is still waited for does not come.
            self.run.with_session(|session, hand_on| session.finish(hand_on));
        }
        self.trouble.finish();
        self.count();
        self.run.finish(interrupted)
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
