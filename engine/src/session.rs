//! A run of one or more packs over one stream of events: every pack's matcher sees every event, alerts come out in order.
//!
//! In: checked packs, then decoded events, or documents. Out: alerts as lines of JSON, and counters. No files, no clock:
//! live runs, replays, the C library and tests use the same session.
//!
//! ```text
//! documents ─▶ Replay ─▶ Event ─▶ Session ─┬─ pack 1: Matcher ─▶ AlertMaker ─▶ alerts ─▶ sink
//! live source ────────────▶ Event ─▶       └─ pack 2: …
//! ```
//!
//! The order of alerts is that of the events; for one event, that of the packs, then that of the matcher. It does not
//! depend on the runtime, nor on how many threads do the part of the work that knows no order (`parallel`).

use kestrel_core::alert::{AlertMaker, AlertRule};
use kestrel_core::matcher::{Match, Matcher, MatcherCounters, MatcherOptions};
use kestrel_core::program::ProgramReport;
use kestrel_core::sequence::SequenceCounters;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::RuleKind;
use kestrel_ir::pack::Manifest;
use kestrel_schema::{EventFields, Schema};
use serde_json::Value as Json;

use crate::live::Loss;
use crate::program::{PreparedPrograms, ProgramOptions};
use crate::runtime::profile::Profile;
use crate::runtime::{PreparedRuntime, RuntimeKind};

mod error;
mod explain;
mod losses;
mod packs;
pub mod parallel;
mod prepared;
mod reload;
mod reorder;
mod replay;
pub mod suppression;
mod system;
mod trust;

pub use error::SessionError;
use losses::Losses;
pub use packs::{NamedPack, without_copies};
use parallel::{Chunk, ChunkItem};
pub use prepared::{CodeCounters, PreparedPacks};
use reload::Past;
pub use reload::Reloaded;
use reorder::ReorderBuffer;
use suppression::{Ended, SuppressionCounters, SuppressionOptions, Suppressor};

pub use reorder::{ReorderCounters, ReorderOptions};
pub use replay::{Replay, ReplayCounters, TimeFilter, Verdict};
pub use system::System;
pub use trust::{TrustError, TrustedKeys};

/// How a session runs.
#[derive(Debug, Clone, Copy)]
pub struct SessionOptions {
    /// What evaluates predicates.
    pub runtime: RuntimeKind,
    /// How far the packs' code is trusted.
    pub profile: Profile,
    /// After how many failures a hand-written predicate is no longer asked.
    pub max_program_failures: u64,
    /// Limits of state.
    pub matcher: MatcherOptions,
}

impl Default for SessionOptions {
    /// Wasm, the trusted profile, and the matcher's own limits.
    fn default() -> Self {
        let ProgramOptions { profile, max_failures } = ProgramOptions::default();
        SessionOptions {
            runtime: RuntimeKind::Wasm,
            profile,
            max_program_failures: max_failures,
            matcher: MatcherOptions::default(),
        }
    }
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The number of its pack in the order given.
    pub pack: usize,
    /// The number of its rule in the pack.
    pub rule: usize,
    /// The alert as one line of JSON, without its line end.
    pub line: String,
}

/// What a session did, over all packs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Events that every pack's matcher was given.
    pub events: u64,
    /// Alerts told, summaries of suppressed ones included.
    pub alerts: u64,
    /// What became of alerts that are like others.
    pub suppression: SuppressionCounters,
    /// What the reorder buffer did.
    pub reorder: ReorderCounters,
    /// Matches of rules that are switched off, which are no alerts.
    pub disabled_matches: u64,
    /// The matchers' counters, added up. Each matcher counts every event.
    pub matcher: MatcherCounters,
    /// The sequence machines' counters, added up.
    pub sequences: SequenceCounters,
    /// Join keys that have state now.
    pub live_keys: u64,
    /// The bytes that this state takes.
    pub state_bytes: u64,
}

/// Packs that run together.
pub struct Session {
    packs: Vec<RunningPack>,
    table: FieldTable,
    fields: EventFields,
    runtime: RuntimeKind,
    matches: Vec<Match>,
    told: Vec<(usize, Match)>,
    events: u64,
    alerts: u64,
    disabled_matches: u64,
    warnings: Vec<String>,
    code: CodeCounters,
    notes: Vec<String>,
    suppressor: Option<Suppressor>,
    reorder: Option<ReorderBuffer>,
    /// What packs counted that were replaced.
    past: Past,
    /// What the source lost.
    losses: Losses,
}

struct RunningPack {
    /// The pack's content hash: one that has the same is the same.
    identity: [u8; 32],
    matcher: Matcher,
    /// How often the runtimes of other threads did not answer, and what one of them said first.
    failures: (u64, Option<String>),
    maker: AlertMaker,
    enabled: Vec<bool>,
}

impl Session {
    /// A session over documents: its table has the fields that the packs ask for, with the packs' types.
    ///
    /// # Errors
    /// When a pack cannot run, or two cannot run together.
    pub fn over_documents(packs: &[NamedPack], options: SessionOptions) -> Result<Session, SessionError> {
        Session::of_documents(&PreparedPacks::new(packs, options, None)?)
    }

    /// The same over packs whose code is compiled.
    ///
    /// # Errors
    /// As [`Session::over_documents`].
    pub fn of_documents(packs: &PreparedPacks<'_>) -> Result<Session, SessionError> {
        let fields = packs::agreed_event_fields(packs.packs)?;
        packs::check_types_agree(packs.packs)?;
        let mut table = FieldTable::new();
        for pack in packs.packs {
            FrameBuilder::wanted(&pack.pack.ir().layout, &mut table);
        }
        Session::new(packs, table, fields)
    }

    /// A session over the events of a source whose fields follow the built-in schema.
    ///
    /// # Errors
    /// As [`Session::over_documents`], and when a pack's fields mean something else under that schema.
    pub fn over_source(packs: &PreparedPacks<'_>, table: &FieldTable) -> Result<Session, SessionError> {
        let (fields, schema) = (packs::agreed_event_fields(packs.packs)?, Schema::ecs());
        for NamedPack { name, pack } in packs.packs {
            pack.check_schema(&schema).map_err(|cause| SessionError::Pack { name: name.clone(), cause })?;
        }
        Session::new(packs, table.clone(), fields)
    }

    fn new(packs: &PreparedPacks<'_>, table: FieldTable, fields: EventFields) -> Result<Session, SessionError> {
        let runtimes = packs.packs.iter().zip(packs.runtimes.iter().zip(&packs.programs));
        let running: Result<Vec<RunningPack>, SessionError> =
            runtimes.map(|(pack, code)| RunningPack::new(pack, code, &table, packs.options)).collect();
        Ok(Session {
            packs: running?,
            table,
            fields,
            runtime: packs.options.runtime,
            matches: Vec::new(),
            told: Vec::new(),
            events: 0,
            alerts: 0,
            disabled_matches: 0,
            warnings: packs.warnings().chain(packs::rules_in_many(packs.packs)).collect(),
            notes: Vec::new(),
            code: packs.counters(),
            suppressor: Suppressor::new(packs.packs, &SuppressionOptions::default())?,
            reorder: None,
            past: Past::default(),
            losses: Losses::default(),
        })
    }

    /// The source has lost events: alerts whose events are around that say so.
    pub fn note_loss(&mut self, loss: Loss) {
        self.losses.note(loss);
    }

    /// Has events wait for earlier ones. For before the first event.
    pub fn reorder(&mut self, options: ReorderOptions) {
        self.reorder = ReorderBuffer::new(options);
    }

    /// Whether stage one of a pack has to see all events in order, so that no other thread can answer for it.
    fn sees_in_order(&self, pack: usize) -> bool {
        self.reorder.is_some() || self.packs.get(pack).is_none_or(|pack| pack.matcher.needs_order())
    }

    /// Suppresses alerts as the operator asks, instead of as the rules alone do. For before the first event; `packs` are
    /// those of the session.
    ///
    /// # Errors
    /// When alerts are to be suppressed by a field that a pack does not keep.
    pub fn suppress(&mut self, packs: &[NamedPack], options: &SuppressionOptions) -> Result<(), SessionError> {
        self.suppressor = Suppressor::new(packs, options)?;
        let known = |id: &str| packs.iter().any(|pack| pack.pack.ir().rules.iter().any(|rule| rule.id == id));
        let unknown = options.rules.keys().filter(|id| !known(id));
        self.warnings
            .extend(unknown.map(|id| format!("no pack has the rule `{id}`, whose alerts are to be suppressed")));
        Ok(())
    }

    /// What whoever runs these packs should know: rules that are there twice, trouble with the code cache.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where the packs' machine code came from.
    pub fn code(&self) -> CodeCounters {
        self.code
    }

    /// The names and types of the fields that events of this session have.
    pub fn table(&self) -> &FieldTable {
        &self.table
    }

    /// Which fields hold the time and the order of events, as all packs say.
    pub fn event_fields(&self) -> &EventFields {
        &self.fields
    }

    /// What evaluates predicates.
    pub fn runtime(&self) -> RuntimeKind {
        self.runtime
    }

    /// Takes the next event and gives its alerts to `sink`. The event's ordinal must be greater than the last one's.
    pub fn process(&mut self, event: &Event, sink: &mut dyn FnMut(&Alert)) {
        self.queue(event, sink);
        self.flush(sink);
    }

    /// Takes the next event. Its alerts come with a later event's, at the latest with [`Session::flush`]: the same alerts
    /// in the same order as from [`Session::process`], for less work where many events are at hand.
    ///
    /// Where events are reordered, they are numbered anew, as they go on to the rules.
    pub fn queue(&mut self, event: &Event, sink: &mut dyn FnMut(&Alert)) {
        let Some(mut buffer) = self.reorder.take() else { return self.go_on(event, false, sink) };
        if buffer.push(event) {
            while let Some(mut event) = buffer.pop_ready() {
                event.ordinal = self.events;
                self.go_on(&event, false, sink);
            }
        } else {
            let mut late = event.clone();
            late.ordinal = self.events;
            self.go_on(&late, true, sink);
        }
        self.reorder = Some(buffer);
    }

    /// Shows an event to the rules, or only to those of single events.
    fn go_on(&mut self, event: &Event, late: bool, sink: &mut dyn FnMut(&Alert)) {
        self.begin_event(event.ordinal, event.timestamp);
        let mut full = false;
        for pack in &mut self.packs {
            full |= if late { pack.matcher.queue_late(event) } else { pack.matcher.queue(event) };
        }
        if full {
            self.flush(sink);
        }
    }

    fn begin_event(&mut self, ordinal: u64, timestamp: i64) {
        self.events += 1;
        if let Some(suppressor) = &mut self.suppressor {
            suppressor.event(ordinal, timestamp);
        }
    }

    /// Takes a chunk of events, numbered, with what a worker has answered, and gives all their alerts, except those of
    /// events that have to wait for earlier ones.
    fn take_chunk(&mut self, chunk: &mut Chunk, sink: &mut dyn FnMut(&Alert)) {
        for (number, pack) in self.packs.iter_mut().enumerate() {
            let (count, first) = chunk.take_failures(number);
            pack.failures.0 += count;
            pack.failures.1 = pack.failures.1.take().or(first);
        }
        if self.reorder.is_some() {
            return chunk.kept_events().iter().for_each(|event| self.queue(event, sink));
        }
        for item in chunk.items() {
            if let ChunkItem::Event(head, _) = item {
                self.begin_event(head.ordinal, head.timestamp);
            }
        }
        self.give(sink, |number, matcher, matches| {
            if !matcher.needs_order() {
                return chunk.batches(number).iter().for_each(|batch| matcher.take(batch, matches));
            }
            for event in chunk.kept_events() {
                if matcher.queue(event) {
                    matcher.flush(matches);
                }
            }
            matcher.flush(matches);
        });
    }

    /// Gives the alerts of all events that were taken, except those that wait for earlier ones.
    pub fn flush(&mut self, sink: &mut dyn FnMut(&Alert)) {
        self.give(sink, |_, matcher, matches| matcher.flush(matches));
    }

    /// No more events come, for whatever reason: gives the alerts of all that were taken.
    pub fn stop_waiting(&mut self, sink: &mut dyn FnMut(&Alert)) {
        if let Some(mut buffer) = self.reorder.take() {
            while let Some(mut event) = buffer.pop() {
                event.ordinal = self.events;
                self.go_on(&event, false, sink);
            }
            self.reorder = Some(buffer);
        }
        self.flush(sink);
    }

    /// The end of the events: gives the alerts that waited for more time to pass.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&Alert)) {
        self.stop_waiting(sink);
        self.give(sink, |_, matcher, matches| matcher.finish(matches));
        self.end_suppression(sink);
    }

    /// Tells what was suppressed until now and not told yet. A run that ends before its events do calls this, so that
    /// nothing is lost silently; [`Session::finish`] does it as well.
    pub fn end_suppression(&mut self, sink: &mut dyn FnMut(&Alert)) {
        if let Some(suppressor) = &mut self.suppressor {
            suppressor.finish();
            summarise(&self.packs, &self.losses, suppressor, &mut self.alerts, sink);
        }
    }

    /// Has every pack tell its matches and gives their alerts in the order of the events, then of the packs.
    fn give(&mut self, sink: &mut dyn FnMut(&Alert), step: impl Fn(usize, &mut Matcher, &mut Vec<Match>)) {
        for (number, pack) in self.packs.iter_mut().enumerate() {
            step(number, &mut pack.matcher, &mut self.matches);
            if let Some(programs) = pack.matcher.programs() {
                programs.take_notes(&mut self.notes);
            }
            self.told.extend(self.matches.drain(..).map(|found| (number, found)));
        }
        if self.packs.len() > 1 {
            self.told.sort_by_key(|(_, found)| found.told);
        }
        let Session { packs, told, suppressor, alerts, disabled_matches, losses, .. } = self;
        for (number, mut found) in told.drain(..) {
            let Some(pack) = packs.get(number) else { continue };
            if !pack.is_enabled(&found) {
                *disabled_matches += 1;
                continue;
            }
            if let Some(suppressor) = suppressor {
                suppressor.advance(found.told);
                let admitted = suppressor.admit(number, found);
                summarise(packs, losses, suppressor, alerts, sink);
                match admitted {
                    Some(admitted) => found = admitted,
                    None => continue,
                }
            }
            *alerts += 1;
            sink(&pack.alert(number, &found, losses));
        }
        if let Some(suppressor) = suppressor {
            suppressor.advance(u64::MAX);
            summarise(packs, losses, suppressor, alerts, sink);
        }
    }

    /// What came up since this was asked last: failures of hand-written predicates, and the lines that they write.
    pub fn take_notes(&mut self) -> impl Iterator<Item = String> {
        self.notes.drain(..)
    }

    /// What became of each hand-written predicate, in the order of the packs.
    pub fn programs(&self) -> Vec<ProgramReport> {
        self.past.programs(self.packs.iter().flat_map(|pack| pack.matcher.program_reports()))
    }

    /// What the session did so far.
    pub fn counters(&self) -> SessionCounters {
        let mut counters = SessionCounters {
            events: self.events,
            alerts: self.alerts,
            disabled_matches: self.disabled_matches,
            suppression: self.suppressor.as_ref().map(Suppressor::counters).unwrap_or_default(),
            reorder: self.reorder.as_ref().map(ReorderBuffer::counters).unwrap_or_default(),
            ..self.past.counters.clone()
        };
        for pack in &self.packs {
            reload::add_matcher(&mut counters.matcher, pack);
            let (sequences, live_keys) = pack.matcher.sequence_counters();
            counters.sequences += sequences;
            counters.live_keys += live_keys as u64;
            counters.state_bytes += pack.matcher.state().bytes as u64;
        }
        counters
    }

    /// What the runtime said when it failed first, if it did. The interpreter then decided in its place.
    pub fn runtime_error(&self) -> Option<&str> {
        let now = self.packs.iter().find_map(RunningPack::runtime_error);
        self.past.runtime_error.as_deref().or(now)
    }
}

impl RunningPack {
    fn new(
        named: &NamedPack,
        (runtime, programs): (&PreparedRuntime, &PreparedPrograms),
        table: &FieldTable,
        options: SessionOptions,
    ) -> Result<RunningPack, SessionError> {
        let NamedPack { name, pack } = named;
        let runtime = runtime.instantiate().map_err(|cause| SessionError::Runtime { name: name.clone(), cause })?;
        let programs = programs.instantiate().map_err(|cause| SessionError::Program { name: name.clone(), cause })?;
        let matcher = Matcher::with_programs(pack.ir(), table, runtime, programs, options.matcher)
            .map_err(|cause| SessionError::Matcher { name: name.clone(), cause })?;
        let schema = packs::schema_of(pack);
        let rules = alert_rules(pack.manifest(), pack.ir().rules.iter().map(|rule| &rule.kind));
        let maker = AlertMaker::new(&pack.ir().layout, &schema, rules, &named.content_hash());
        let enabled = pack.manifest().rules.iter().map(|rule| rule.enabled).collect();
        Ok(RunningPack { identity: pack.content_hash(), matcher, failures: (0, None), maker, enabled })
    }

    /// What the runtime said when it failed first, if it did.
    fn runtime_error(&self) -> Option<&str> {
        self.matcher.runtime_error().or(self.failures.1.as_deref())
    }

    /// Whether the rule of a match is switched on.
    fn is_enabled(&self, found: &Match) -> bool {
        self.enabled.get(found.rule.index()) != Some(&false)
    }

    fn alert(&self, pack: usize, found: &Match, losses: &Losses) -> Alert {
        Alert { pack, rule: found.rule.index(), line: self.maker.line_with_losses(found, losses.within(found)) }
    }
}

/// Tells the summaries of the groups that ended.
fn summarise(
    packs: &[RunningPack],
    losses: &Losses,
    suppressor: &mut Suppressor,
    alerts: &mut u64,
    sink: &mut dyn FnMut(&Alert),
) {
    for ended in suppressor.take_ended() {
        let Ended { pack: number, last, .. } = &ended;
        let Some(pack) = packs.get(*number) else { continue };
        let mut alert = pack.alert(*number, last, losses);
        alert.line = ended.line(&alert.line);
        *alerts += 1;
        sink(&alert);
    }
}

/// What alerts say of the rules of a pack.
fn alert_rules<'k>(manifest: &Manifest, kinds: impl Iterator<Item = &'k RuleKind>) -> Vec<AlertRule> {
    manifest
        .rules
        .iter()
        .zip(kinds)
        .map(|(rule, kind)| AlertRule {
            id: rule.id.clone(),
            name: rule.name.clone(),
            severity: rule.severity.clone(),
            risk_score: rule.risk_score.map(u64::from),
            threat: rule.threat.iter().map(packs::threat_json).collect::<Vec<Json>>(),
            kind: match kind {
                RuleKind::Event { .. } => "event",
                RuleKind::Sequence(_) => "sequence",
                RuleKind::Sample { .. } => "sample",
            },
        })
        .collect()
}
