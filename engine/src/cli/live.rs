//! A run on this host's own events.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use kestrel_bpf::record::Kind;
use kestrel_engine::live::{Demand, Environment, HostSource, KindSet, LiveOptions, asked_fields};
use kestrel_engine::session::{NamedPack, Session};
use kestrel_engine::stats::{LossLedger, counted};
use kestrel_ir::event::Event;
use kestrel_ir::guards::predicate_kinds;
use kestrel_ir::model::{PredicateId, Rule, RuleKind};
use kestrel_ir::render::event_document;
use kestrel_schema::Schema;
use kestrel_schema::{EventKind, event_kinds};
use serde_json::Value as Json;

use super::Failure;
use super::options::RunOptions;
use super::report::say;
use super::run::{ReadPacks, Run, stopped};

/// The longest wait for events before the loop looks at its other duties.
const GLANCE: Duration = Duration::from_millis(200);
/// The longest time for which events wait to be recorded.
const RECORD_EVERY: Duration = Duration::from_secs(1);
/// The most batches that are read after the end was asked for.
const LAST_BATCHES: usize = 64;

/// Runs until somebody says stop or the time is over.
pub(super) fn run(options: &RunOptions, packs: &ReadPacks, stop: &AtomicBool) -> Result<u8, Failure> {
    let prepared = packs.prepare(options)?;
    let kinds = wanted_kinds(&packs.packs);
    let environment = Environment::wanted_by(packs.packs.iter().map(|pack| pack.pack.ir()));
    let demand = wanted_fields(&packs.packs);
    let live = LiveOptions { kinds, environment, demand, ..options.live.clone() };
    let mut source = HostSource::open(live, &options.sources).map_err(Failure::failed)?;
    let mut session = Session::over_source(&prepared, source.fields()).map_err(Failure::usage)?;
    session.reorder(options.reorder);
    let mut run = Run::new(options, packs, session, "live")?;
    say(&format!(
        "live on this host: {}; {} of {}, runtime {}, alerts to {}",
        kinds_text(kinds, source.name()),
        counted(run.stats.rules as u64, "rule"),
        counted(run.stats.packs as u64, "pack"),
        run.stats.runtime,
        run.target_names(),
    ));
    for (kind, error) in source.unavailable() {
        say(&format!("no {} events on this host: {}", kind.name(), error.with_causes()));
    }
    let idle = idle_rules(&packs.packs);
    if idle > 0 {
        say(&format!(
            "{} of them want events that this version does not collect, and cannot fire",
            counted(idle as u64, "rule")
        ));
    }
    let (schema, table) = (Schema::ecs(), source.fields().clone());
    let take = |run: &mut Run<'_>, event: &Event| {
        if !run.broken() {
            run.record(event, || Json::Object(event_document(event, &table, &schema)).to_string().into_bytes());
            run.with_session(|session, hand_on| session.queue(event, hand_on));
        }
    };
    let began = Instant::now();
    let mut recorded = began;
    let mut status = 0;
    let mut left = options.duration.unwrap_or(Duration::MAX);
    while !stopped(stop) && !run.broken() && !left.is_zero() {
        let polled = source.poll(GLANCE.min(left), &mut |event| take(&mut run, event));
        run.with_session(|session, hand_on| session.flush(hand_on));
        run.flush_alerts();
        if let Some(asked) = run.asked() {
            if let Ok(ledger) = source.ledger() {
                run.stats.ledger = LossLedger::of_live(&ledger, run.session.counters().events);
                run.stats.live = Some(ledger);
            }
            asked.answer(&run);
        }
        if let Err(error) = polled {
            status = Failure::failed(error).tell();
            break;
        }
        if recorded.elapsed() >= RECORD_EVERY {
            run.flush_record();
            recorded = Instant::now();
        }
        if let Some(duration) = options.duration {
            left = duration.saturating_sub(began.elapsed());
        }
    }
    // What is already here is still looked at. Nothing is concluded from the silence that follows: what a rule waits
    // for may come after the run.
    for _ in 0..LAST_BATCHES {
        let polled = source.poll(Duration::ZERO, &mut |event| take(&mut run, event));
        run.with_session(|session, hand_on| session.flush(hand_on));
        if run.broken() || !matches!(polled, Ok(1..)) {
            break;
        }
    }
    run.with_session(|session, hand_on| session.stop_waiting(hand_on));
    let ledger = source.ledger().map_err(Failure::failed)?;
    drop(source);
    run.stats.ledger = LossLedger::of_live(&ledger, run.session.counters().events);
    run.stats.live = Some(ledger);
    Ok(run.finish(false).max(status))
}

/// The kinds of event that some pack wants and some source of this build has.
fn wanted_kinds(packs: &[NamedPack]) -> KindSet {
    let live = KindSet::all();
    let asked = |kind: &Kind| packs.iter().any(|pack| pack.pack.filters().wants(kind.number()));
    let wanted = |kind: &Kind| live.contains(*kind) && asked(kind);
    Kind::ALL.into_iter().filter(wanted).fold(KindSet::NONE, KindSet::with)
}

/// What is to be found out in user space: what some rule asks for, and for evidence the containers, which are remembered.
fn wanted_fields(packs: &[NamedPack]) -> Demand {
    let asked = packs.iter().flat_map(|pack| asked_fields(pack.pack.ir()));
    let shown = packs.iter().flat_map(|pack| &pack.pack.manifest().required_fields).map(String::as_str);
    Demand::of_fields(asked.chain(shown.filter(|field| field.starts_with("container."))))
}

/// How many rules have a term that no kind of live event can match.
fn idle_rules(packs: &[NamedPack]) -> usize {
    let live: Vec<EventKind> = event_kinds().iter().filter(|kind| kind.live).cloned().collect();
    let idle = |NamedPack { pack, .. }: &NamedPack| {
        let kinds = predicate_kinds(pack.ir(), &live);
        let possible = |id: PredicateId| kinds.get(id.index()).is_some_and(|kinds| !kinds.is_empty());
        let fires = |rule: &&Rule| match &rule.kind {
            RuleKind::Event { predicate } => possible(*predicate),
            RuleKind::Sequence(sequence) => sequence.steps.iter().all(|step| step.missing || possible(step.predicate)),
            RuleKind::Sample { terms } => terms.iter().all(|term| possible(term.predicate)),
        };
        pack.ir().rules.iter().filter(|rule| !fires(rule)).count()
    };
    packs.iter().map(idle).sum()
}

fn kinds_text(kinds: KindSet, source: &str) -> String {
    let names: Vec<&str> = Kind::ALL.into_iter().filter(|kind| kinds.contains(*kind)).map(Kind::name).collect();
    match names.as_slice() {
        [] => "no rule wants an event that this source has".to_owned(),
        names => format!("{} events from {source}", names.join(", ")),
    }
}
