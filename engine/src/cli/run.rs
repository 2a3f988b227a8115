//! A run from its options to its exit status: packs, session, alerts, event log, then the source, then the summary.
//!
//! The parts that a live run and a replay share are in [`Run`]: the session, where its alerts go, where its events are
//! recorded. A sink that fails is told, and when none is left the run ends; a failure of the recording is told and ends
//! only the recording, because detection is worth more than its log; the exit status tells either.

mod control;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use kestrel_engine::control::Control;
use kestrel_engine::klog::{LogHeader, LogWriter, RecordHead};
use kestrel_engine::session::{Alert, NamedPack, PreparedPacks, Session, System, TrustedKeys, without_copies};
use kestrel_engine::sinks::{AlertSinks, Existing, SinkError};
use kestrel_engine::stats::{RunStats, counted};
use kestrel_ir::event::Event;
use kestrel_schema::Schema;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::options::{EventSource, RunOptions, StatsFormat};
use super::report::{say, say_raw};
use super::{Failure, live, replay};

/// The status of a replay that was interrupted, as shells have it: 128 and SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs what the options say.
pub(super) fn run(options: &RunOptions) -> Result<u8, Failure> {
    let began = Instant::now();
    let trusted = TrustedKeys::open(&options.required_signatures).map_err(Failure::usage)?;
    let (packs, copies) = read_packs(&options.packs, &trusted, options.system).map_err(Failure::usage)?;
    copies.iter().for_each(|copy| say(&format!("warning: {copy}")));
    let packs = ReadPacks { packs: packs.into(), began };
    let stop = stop_flag().map_err(Failure::failed)?;
    match &options.source {
        EventSource::Live => live::run(options, &packs, trusted, &stop),
        EventSource::Files(files) => replay::run(options, &packs, files, &stop),
        EventSource::Stdin => replay::run_stdin(options, &packs, &stop),
    }
}

/// Reads and checks packs; those that are to run with their rules for a system, and a sentence for each that is left out as a
/// copy.
pub(super) fn read_packs(
    paths: &[PathBuf],
    trusted: &TrustedKeys,
    system: System,
) -> anyhow::Result<(Vec<NamedPack>, Vec<String>)> {
    let packs = paths.iter().map(|path| NamedPack::open(path)).collect::<Result<Vec<_>, _>>()?;
    packs.iter().try_for_each(|pack| trusted.check(pack))?;
    let (packs, copies) = without_copies(packs);
    let chosen = packs.into_iter().map(|pack| system.choose(pack).for_matching()).collect();
    Ok((chosen, copies))
}

/// Packs that were read, and when that began.
pub(super) struct ReadPacks {
    pub(super) packs: Arc<[NamedPack]>,
    began: Instant,
}

impl ReadPacks {
    /// Compiles the packs' code, or takes it from the cache.
    pub(super) fn prepare(&self, options: &RunOptions) -> Result<PreparedPacks<'_>, Failure> {
        let (cache, warning) = options.code_cache.open_for(options.session.runtime);
        if let Some(warning) = warning {
            say(&format!("warning: {warning}"));
        }
        PreparedPacks::new(&self.packs, options.session, cache.as_ref()).map_err(Failure::usage)
    }
}

/// A flag that the first SIGINT or SIGTERM sets. The second one ends the process at once.
fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("cannot handle signals")?;
    }
    Ok(stop)
}

/// A run under way.
pub(super) struct Run<'o> {
    pub(super) options: &'o RunOptions,
    pub(super) session: Session,
    pub(super) stats: RunStats,
    pub(super) packs: Arc<[NamedPack]>,
    control: Option<Control>,
    sinks: AlertSinks,
    sink_error: Option<SinkError>,
    recorder: Option<LogWriter<File>>,
    recording_failed: bool,
    began: Instant,
}

impl<'o> Run<'o> {
    /// Opens the outputs and says what the session warns of.
    pub(super) fn new(
        options: &'o RunOptions,
        ReadPacks { packs, began }: &'o ReadPacks,
        mut session: Session,
        source: &'static str,
    ) -> Result<Run<'o>, Failure> {
        let loading = began.elapsed();
        session.suppress(packs, &options.suppression).map_err(Failure::usage)?;
        for warning in session.warnings() {
            say(&format!("warning: {warning}"));
        }
        let existing = match options.source {
            EventSource::Live => Existing::Append,
            _ if options.resume => Existing::Resume,
            _ => Existing::Replace,
        };
        let control = options.control.as_deref().map(Control::open).transpose().map_err(Failure::usage)?;
        let sinks = AlertSinks::open(&options.alerts, existing).map_err(Failure::usage)?;
        let recorder = options.record.as_ref().map(|path| {
            LogWriter::append_to(path, &log_header(packs))
                .map(|writer| writer.with_sync(options.record_sync))
                .with_context(|| format!("cannot record to {}", path.display()))
        });
        let stats = RunStats {
            source,
            system: options.system.name(),
            runtime: session.runtime().name(),
            threads: 1,
            limits: options.session.matcher,
            loading,
            ..RunStats::default()
        };
        let mut run = Run {
            options,
            session,
            stats,
            packs: Arc::clone(packs),
            control,
            sinks,
            sink_error: None,
            recorder: recorder.transpose().map_err(Failure::usage)?,
            recording_failed: false,
            began: Instant::now(),
        };
        run.count_packs();
        Ok(run)
    }

    /// Other packs run from now on; those that ran.
    pub(super) fn replace_packs(&mut self, packs: Arc<[NamedPack]>) -> Arc<[NamedPack]> {
        let old = std::mem::replace(&mut self.packs, packs);
        self.count_packs();
        old
    }

    /// What the statistics say of the packs.
    fn count_packs(&mut self) {
        let Run { stats, packs, session, .. } = self;
        let rules = || packs.iter().flat_map(|pack| &pack.pack.manifest().rules);
        stats.packs = packs.len();
        stats.rules = rules().count();
        stats.left_out_rules = packs.iter().map(|pack| pack.pack.left_out().len()).sum();
        stats.disabled_rules = rules().filter(|rule| !rule.enabled).count();
        stats.code = session.code();
    }

    /// Has `act` drive the session and hands its alerts on.
    pub(super) fn with_session<T>(&mut self, act: impl FnOnce(&mut Session, &mut dyn FnMut(&Alert)) -> T) -> T {
        let Run { session, sinks, sink_error, .. } = self;
        let done = act(session, &mut |alert| hand_on(sinks, sink_error, alert));
        session.take_notes().for_each(|note| say(&note));
        done
    }

    /// Writes an event to the event log, if there is one. `document` is asked for only then.
    pub(super) fn record(&mut self, event: &Event, document: impl FnOnce() -> Vec<u8>) {
        if self.recorder.is_none() {
            return;
        }
        let Event { timestamp, tiebreaker, ordinal, flags, .. } = *event;
        self.record_document(&RecordHead { timestamp, tiebreaker, ordinal, flags }, &document());
    }

    /// Writes an event whose document is at hand to the event log, if there is one.
    pub(super) fn record_document(&mut self, head: &RecordHead, document: &[u8]) {
        let Some(recorder) = &mut self.recorder else { return };
        let written = recorder.append(head, document);
        self.recorded(written);
    }

    /// Writes out the alerts so far; `false` when that failed and the run must end.
    pub(super) fn flush_alerts(&mut self) -> bool {
        if self.sink_error.is_none() {
            self.sink_error = self.sinks.flush().err();
        }
        self.sinks.take_notes().iter().for_each(|note| say(note));
        self.sink_error.is_none()
    }

    /// Writes out the records so far.
    pub(super) fn flush_record(&mut self) {
        let flushed = self.recorder.as_mut().map(LogWriter::flush);
        self.recorded(flushed.unwrap_or(Ok(())));
    }

    fn recorded(&mut self, written: Result<(), kestrel_engine::klog::LogError>) {
        if let Err(error) = written
            && let Some(recorder) = self.recorder.take()
        {
            say(&format!("error: recording ends, the run goes on: {error}"));
            self.recording_failed = true;
            self.stats.recorded = Some(recorder.written());
        }
    }

    /// Where alerts go, for people.
    pub(super) fn target_names(&self) -> String {
        self.sinks.names()
    }

    /// Whether all alert sinks failed, so that going on makes no sense.
    pub(super) fn broken(&self) -> bool {
        self.sink_error.is_some()
    }

    /// Ends the run: writes what waits, says the summary, gives the exit status.
    pub(super) fn finish(mut self, interrupted: bool) -> u8 {
        if !interrupted {
            self.with_session(|session, hand_on| session.end_suppression(hand_on));
        }
        if self.sink_error.is_none() {
            self.sink_error = self.sinks.finish(!interrupted).err();
        }
        self.sinks.take_notes().iter().for_each(|note| say(note));
        if let Some(recorder) = self.recorder.take() {
            let written = recorder.written();
            match recorder.finish() {
                Ok(records) => self.stats.recorded = Some(records),
                Err(error) => {
                    say(&format!("error: the end of the recording is lost: {error}"));
                    self.recording_failed = true;
                    self.stats.recorded = Some(written);
                }
            }
        }
        self.stats.elapsed = self.began.elapsed();
        self.stats.session = self.session.counters();
        self.stats.sinks = self.sinks.reports();
        let short = self.stats.sinks.iter().filter(|sink| sink.is_short()).count();
        self.stats.programs = self.session.programs();
        self.stats.runtime_error = self.session.runtime_error().map(str::to_owned);
        if let Some(error) = &self.stats.runtime_error {
            let failures = counted(self.stats.session.matcher.runtime_failures, "event");
            say(&format!("warning: the interpreter decided {failures} instead of the runtime: {error}"));
        }
        let status = match self.sink_error {
            Some(SinkError::ReaderGone) => 0,
            Some(error) => Failure::failed(error).tell(),
            None if self.recording_failed || short > 0 => 1,
            None if interrupted => INTERRUPTED,
            None => 0,
        };
        say(&self.stats.summary());
        // Last, so that programs find it.
        match self.options.stats {
            Some(StatsFormat::Json) => say_raw(&format!("{}\n", self.stats.json())),
            Some(StatsFormat::Text) => say_raw(&self.stats.text()),
            None => {}
        }
        status
    }
}

/// Gives an alert to the sinks, unless all failed before.
fn hand_on(sinks: &mut AlertSinks, sink_error: &mut Option<SinkError>, alert: &Alert) {
    if sink_error.is_none() {
        *sink_error = sinks.write(&alert.line).err();
    }
}

/// Whether somebody asked the run to end.
pub(super) fn stopped(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}

/// The header of a log that this run writes.
fn log_header(packs: &[NamedPack]) -> LogHeader {
    LogHeader {
        schema_hash: Schema::ecs().hash().iter().map(|byte| format!("{byte:02x}")).collect(),
        engine: concat!("kestrel-engine ", env!("CARGO_PKG_VERSION")).to_owned(),
        packs: packs.iter().map(NamedPack::content_hash).collect(),
        host_name: first_line("/proc/sys/kernel/hostname"),
        host_id: first_line("/etc/machine-id"),
    }
}

fn first_line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
