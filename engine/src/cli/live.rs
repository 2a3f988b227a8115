//! A run on this host's own events.

mod bypass;
mod pushdown;
mod reload;
mod wanted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use kestrel_bpf::record::Kind;
use kestrel_engine::control::{Question, Request, Response};
use kestrel_engine::live::{HostSource, KernelFilter, KindSet, LiveError, LiveOptions, LossNews, Wanted};
use kestrel_engine::session::{Session, TrustedKeys};
use kestrel_engine::stats::{LossLedger, counted};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::render::event_document;
use kestrel_schema::Schema;
use serde_json::Value as Json;
use signal_hook::consts::SIGHUP;

use super::Failure;
use super::options::RunOptions;
use super::report::say;
use super::run::{ReadPacks, Run, stopped};
pub(super) use bypass::kind_named;
use reload::{Built, Change, Ready, Reloader};

/// The longest wait for events before the loop looks at its other duties.
const GLANCE: Duration = Duration::from_millis(200);
/// The same while packs are being built.
const SHORT_GLANCE: Duration = Duration::from_millis(10);
/// The longest time for which events wait to be recorded.
const RECORD_EVERY: Duration = Duration::from_secs(1);
/// The most batches that are read after the end was asked for.
const LAST_BATCHES: usize = 64;

/// Runs until somebody says stop or the time is over.
pub(super) fn run(
    options: &RunOptions,
    packs: &ReadPacks,
    trusted: TrustedKeys,
    stop: &AtomicBool,
) -> Result<u8, Failure> {
    // Before the source is opened: whoever sees that the engine runs may tell it to reload.
    let reload = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGHUP, Arc::clone(&reload))
        .context("cannot handle signals")
        .map_err(Failure::failed)?;
    let mut live = Live::open(options, packs, trusted)?;
    let began = Instant::now();
    let mut recorded = began;
    let mut status = 0;
    let mut left = options.duration.unwrap_or(Duration::MAX);
    while !stopped(stop) && !live.run.broken() && !left.is_zero() {
        let glance = if live.reloader.is_busy() { SHORT_GLANCE } else { GLANCE };
        let polled = live.poll(glance.min(left));
        live.run.flush_alerts();
        live.answer();
        if reload.swap(false, Ordering::Relaxed) {
            live.reloader.begin(Change::Reload, None);
        }
        live.reload_if_ready();
        if let Err(error) = polled {
            status = Failure::failed(error).tell();
            break;
        }
        if recorded.elapsed() >= RECORD_EVERY {
            live.run.flush_record();
            recorded = Instant::now();
        }
        if let Some(duration) = options.duration {
            left = duration.saturating_sub(began.elapsed());
        }
    }
    live.finish(status)
}

/// A live run under way.
struct Live<'o> {
    run: Run<'o>,
    source: HostSource,
    /// What the packs want.
    wanted: Wanted,
    /// What the source is not to give all the same, as far as rules can do without it.
    bypassed: KindSet,
    /// How many entries the allow-lists have.
    allowed: usize,
    reloader: Reloader,
    losses: LossNews,
    table: FieldTable,
    schema: Schema,
}

impl<'o> Live<'o> {
    /// Opens the source for what the packs want, and says what runs.
    fn open(options: &'o RunOptions, packs: &'o ReadPacks, trusted: TrustedKeys) -> Result<Live<'o>, Failure> {
        let prepared = packs.prepare(options)?;
        let wanted = wanted::wanted(&packs.packs, wanted::compares_keys(options));
        let bypassed = options.bypassed;
        let Wanted { kinds, environment, demand, filter, lineage } = wanted.without(bypassed);
        let live = LiveOptions { kinds, environment, demand, filter, lineage, ..options.live.clone() };
        let source = HostSource::open(live, &options.sources).map_err(Failure::failed)?;
        let mut session = Session::over_source(&prepared, source.fields()).map_err(Failure::usage)?;
        session.reorder(options.reorder);
        let run = Run::new(options, packs, session, "live")?;
        let reloader = Reloader::new(options, trusted, source.fields());
        let (table, losses) = (source.fields().clone(), source.losses());
        let allowed = options.live.allow.len();
        let schema = Schema::ecs();
        let mut live = Live { run, source, wanted, bypassed, allowed, reloader, losses, table, schema };
        live.count_bypassed();
        say(&format!("live on this host: {}, alerts to {}", live.what_runs(), live.run.target_names()));
        live.tell_limits();
        Ok(live)
    }

    /// Kinds, rules, packs and the runtime, for people.
    fn what_runs(&self) -> String {
        format!(
            "{}; {} of {}, runtime {}",
            kinds_text(self.wanted.without(self.bypassed).kinds, self.source.name()),
            counted(self.run.stats.rules as u64, "rule"),
            counted(self.run.stats.packs as u64, "pack"),
            self.run.stats.runtime,
        )
    }

    /// What the kernel drops, what the host does not give, and which rules that leaves without events.
    fn tell_limits(&self) {
        let bypassed = self.bypassed_now();
        if self.bypassed != bypassed {
            say("warning: exit events are not bypassed: a pack asks about lineage, which forgets processes by them");
        }
        if !bypassed.is_empty() {
            let names: Vec<&str> = bypassed.iter().map(Kind::name).collect();
            say(&format!("warning: {} events are bypassed; {}", names.join(", "), self.bypass_text()));
        }
        let filtered: Vec<&str> = filtered_kinds(&self.wanted.filter, self.wanted.kinds.minus(bypassed));
        if !filtered.is_empty() {
            say(&format!("of {} events the kernel drops those that no rule can want", filtered.join(", ")));
        }
        if self.allowed > 0 {
            let entries = if self.allowed == 1 { "entry" } else { "entries" };
            say(&format!("events on allow-lists are not given to rules: {} {entries}", self.allowed));
        }
        for (kind, error) in self.source.unavailable() {
            say(&format!("no {} events on this host: {}", kind.name(), error.with_causes()));
        }
        let others = self.run.stats.left_out_rules;
        if others > 0 {
            let count = counted(others as u64, "rule");
            say(&format!("{count} for other operating systems left out (`--os any` runs them too)"));
        }
        let idle = wanted::idle_rules(&self.run.packs);
        if idle > 0 {
            say(&format!(
                "{} of them want events that this version does not collect, and cannot fire",
                counted(idle as u64, "rule")
            ));
        }
    }

    /// Waits for events and gives them to the rules; how many.
    fn poll(&mut self, timeout: Duration) -> Result<usize, LiveError> {
        let Live { run, source, losses, table, schema, .. } = self;
        let polled = source.poll(timeout, &mut |event| {
            losses.take(|loss| run.session.note_loss(loss));
            take(run, table, schema, event);
        });
        losses.take(|loss| run.session.note_loss(loss));
        run.with_session(|session, hand_on| session.flush(hand_on));
        polled
    }

    /// Answers what somebody asks the run.
    fn answer(&mut self) {
        let Some(asked) = self.run.asked() else { return };
        match asked.request() {
            Request::Reload {} => self.reloader.begin(Change::Reload, Some(asked)),
            Request::Rollback {} => self.reloader.begin(Change::Rollback, Some(asked)),
            Request::Bypass { kind, on } => {
                let done = self.bypass(&kind.clone(), *on);
                asked.reply(match done {
                    Ok(()) => Response::of_bypass(self.run.stats.bypass.json()),
                    Err(error) => Response::failed(error),
                });
            }
            _ => {
                if let Ok(ledger) = self.source.ledger() {
                    self.run.stats.ledger = LossLedger::of_live(&ledger, self.run.session.counters().events);
                    self.run.stats.live = Some(ledger);
                }
                asked.answer(&self.run);
            }
        }
    }

    /// Has other packs run if some have become ready.
    fn reload_if_ready(&mut self) {
        let Some(Ready { change, asked, built }) = self.reloader.ready() else { return };
        let switched = built.and_then(|built| self.switch(change, built));
        match switched {
            Ok(answer) => reply(asked, Response::of_reload(answer)),
            Err(error) => {
                let text = format!("the {} failed, and the packs that ran go on: {error:#}", change.name());
                say(&format!("error: {text}"));
                self.run.stats.reload.failed += 1;
                self.run.stats.reload.last_error = Some(format!("{error:#}"));
                reply(asked, Response::failed(text));
            }
        }
    }

    /// Puts other packs in the place of those that run, between two events; what to answer.
    fn switch(&mut self, change: Change, built: Built) -> anyhow::Result<Json> {
        let Built { packs, session, wanted, warnings } = built;
        let (before, after) = (self.wanted.without(self.bypassed), wanted.without(self.bypassed));
        if let Err(error) = self.source.widen(&before, &after) {
            // What the old packs ask for was there before, and is asked for again.
            self.source.narrow(&after, &before)?;
            return Err(anyhow::anyhow!("the source refuses: {}", error.with_causes()));
        }
        let reloaded = self.run.with_session(|old, hand_on| old.replace(session, hand_on));
        let old = self.run.replace_packs(Arc::clone(&packs));
        self.reloader.done(change, old, &packs);
        self.wanted = wanted;
        if let Err(error) = self.source.narrow(&before, &after) {
            say(&format!("warning: more events come than the rules want: {}", error.with_causes()));
        }
        self.count_bypassed();
        self.run.flush_alerts();
        self.run.stats.reload.switched(reloaded);
        let summary = format!("{} {}: {}", change.name(), self.run.stats.reload.text(), self.what_runs());
        say(&summary);
        warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
        self.tell_limits();
        let mut answer = self.run.stats.reload.json();
        answer["summary"] = summary.into();
        answer["warnings"] = warnings.into();
        Ok(answer)
    }

    /// The end: what is already here is still looked at. Nothing is concluded from the silence that follows: what a rule
    /// waits for may come after the run.
    fn finish(mut self, status: u8) -> Result<u8, Failure> {
        for _ in 0..LAST_BATCHES {
            let polled = self.poll(Duration::ZERO);
            if self.run.broken() || !matches!(polled, Ok(1..)) {
                break;
            }
        }
        let Live { mut run, source, .. } = self;
        run.with_session(|session, hand_on| session.stop_waiting(hand_on));
        let ledger = source.ledger().map_err(Failure::failed)?;
        drop(source);
        run.stats.ledger = LossLedger::of_live(&ledger, run.session.counters().events);
        run.stats.live = Some(ledger);
        Ok(run.finish(false).max(status))
    }
}

fn take(run: &mut Run<'_>, table: &FieldTable, schema: &Schema, event: &Event) {
    if !run.broken() {
        run.record(event, || Json::Object(event_document(event, table, schema)).to_string().into_bytes());
        run.with_session(|session, hand_on| session.queue(event, hand_on));
    }
}

/// Answers whoever asked, if it was not a signal.
fn reply(asked: Option<Question>, response: Response) {
    if let Some(asked) = asked {
        asked.reply(response);
    }
}

fn filtered_kinds(filter: &KernelFilter, kinds: KindSet) -> Vec<&'static str> {
    filter.kinds().filter(|&kind| kinds.contains(kind)).map(Kind::name).collect()
}

fn kinds_text(kinds: KindSet, source: &str) -> String {
    let names: Vec<&str> = kinds.iter().map(Kind::name).collect();
    match names.as_slice() {
        [] => "no rule wants an event that this source has".to_owned(),
        names => format!("{} events from {source}", names.join(", ")),
    }
}
