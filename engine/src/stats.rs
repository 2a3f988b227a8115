//! What a run did, for people and for programs: counters, the loss ledger, one summary line.
//!
//! In: what the session, the input and the live source counted. Out: text and JSON. The keys of the JSON are part of the
//! contract: they are added to, never renamed. Time is told here and nowhere else; alerts know none but the events'.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use kestrel_core::matcher::MatcherOptions;
use kestrel_core::program::ProgramReport;
use serde_json::{Map, Value as Json, json};

use crate::live::Ledger;
use crate::session::{CodeCounters, Reloaded, SessionCounters};
use crate::sinks::SinkReport;

/// What became of everything that a source produced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LossLedger {
    /// Events that the source saw; in a replay, documents.
    pub produced: u64,
    /// Events left out on purpose: no rule wants them.
    pub filtered: u64,
    /// Events lost: there was no room for them, or they could not be read.
    pub dropped: u64,
    /// Events that the source produced and nobody had read when the run ended.
    pub waiting: u64,
    /// Events that the rules were asked about.
    pub matched: u64,
}

impl LossLedger {
    /// The ledger of a replay.
    pub fn of_replay(events: u64, invalid: u64) -> LossLedger {
        LossLedger { produced: events + invalid, dropped: invalid, matched: events, ..LossLedger::default() }
    }

    /// The ledger of a live run. `matched` is what the session counted, not what the source says it gave.
    pub fn of_live(ledger: &Ledger, matched: u64) -> LossLedger {
        let mut sum = LossLedger { matched, dropped: ledger.malformed, ..LossLedger::default() };
        let (mut sent, mut received) = (0u64, ledger.malformed);
        for part in &ledger.kinds {
            sum.produced += part.kernel.produced;
            sum.filtered += part.kernel.ignored + part.kernel.filtered;
            sum.filtered += part.upkeep + part.repeated + part.unchanged + part.allowed;
            sum.dropped += part.kernel.dropped;
            sent += part.kernel.sent;
            received += part.received;
        }
        sum.waiting = sent.saturating_sub(received);
        sum
    }

    /// Whether every event is accounted for.
    pub fn balances(&self) -> bool {
        self.produced == self.filtered + self.dropped + self.waiting + self.matched
    }
}

/// How often the packs of a run were replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadStats {
    /// How often other packs began to run, rollbacks included.
    pub epoch: u64,
    /// How often that failed, so that the old ones went on.
    pub failed: u64,
    /// Why it failed last.
    pub last_error: Option<String>,
    /// What became of state at the last change.
    pub last: Reloaded,
    /// Partial matches let go in all changes together.
    pub partial_matches_dropped: u64,
}

impl ReloadStats {
    /// Other packs run now.
    pub fn switched(&mut self, reloaded: Reloaded) {
        self.epoch += 1;
        self.partial_matches_dropped += reloaded.partial_matches_dropped;
        self.last = reloaded;
    }

    /// What the last change did, for people.
    pub fn text(&self) -> String {
        let Reloaded { unchanged_packs, partial_matches_dropped, .. } = self.last;
        let unchanged = counted(unchanged_packs as u64, "pack");
        let dropped = partial_matches(partial_matches_dropped);
        format!("done, epoch {}, {unchanged} unchanged, {dropped} let go", self.epoch)
    }

    /// For programs.
    pub fn json(&self) -> Json {
        json!({
            "epoch": self.epoch,
            "failed": self.failed,
            "last_error": self.last_error,
            "partial_matches_dropped": self.partial_matches_dropped,
            "last": {
                "unchanged_packs": self.last.unchanged_packs,
                "partial_matches_dropped": self.last.partial_matches_dropped,
                "suppressions_ended": self.last.suppressions_ended,
            },
        })
    }
}

/// Kinds of events that are not produced, and what that means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BypassStats {
    /// Their names.
    pub kinds: Vec<&'static str>,
    /// Rules that cannot match any longer.
    pub blind_rules: u64,
    /// Other rules that see fewer events.
    pub narrowed_rules: u64,
}

impl BypassStats {
    /// For programs.
    pub fn json(&self) -> Json {
        json!({ "kinds": self.kinds, "blind_rules": self.blind_rules, "narrowed_rules": self.narrowed_rules })
    }
}

/// What a run did.
#[derive(Debug, Clone, Default)]
pub struct RunStats {
    /// `replay`, `stdin` or `live`.
    pub source: &'static str,
    /// The runtime's name.
    pub runtime: &'static str,
    /// How many threads did stage one.
    pub threads: usize,
    /// How many packs ran.
    pub packs: usize,
    /// How many rules they have.
    pub rules: usize,
    /// How many more they have that are for other operating systems than `system`.
    pub left_out_rules: usize,
    /// `linux`, `windows`, `macos` or `any`.
    pub system: &'static str,
    /// How many of these are switched off.
    pub disabled_rules: usize,
    /// What the session counted.
    pub session: SessionCounters,
    /// The limits of its state.
    pub limits: MatcherOptions,
    /// Where the packs' machine code came from.
    pub code: CodeCounters,
    /// How often the packs were replaced.
    pub reload: ReloadStats,
    /// What the kernel does for each rule, by its id; empty where it does nothing.
    pub pushdown: BTreeMap<String, Vec<String>>,
    /// Which kinds of events are bypassed.
    pub bypass: BypassStats,
    /// How long it took to read the packs and to have them ready.
    pub loading: Duration,
    /// What became of each hand-written predicate.
    pub programs: Vec<ProgramReport>,
    /// What the runtime said when it failed first.
    pub runtime_error: Option<String>,
    /// What became of the alerts, sink by sink.
    pub sinks: Vec<SinkReport>,
    /// Documents that were no events.
    pub invalid: u64,
    /// Parts of the input that could not be read: torn ends, damaged blocks.
    pub damaged: u64,
    /// Records written to the event log, when there is one.
    pub recorded: Option<u64>,
    /// What became of every event.
    pub ledger: LossLedger,
    /// The same from a live source, kind by kind.
    pub live: Option<Ledger>,
    /// How long the run took.
    pub elapsed: Duration,
}

impl RunStats {
    /// One line about all of it.
    pub fn summary(&self) -> String {
        let session = &self.session;
        let mut line = format!(
            "{}, {} invalid, {}, {} of {}, runtime {}, {:.3} s, {} events/s",
            counted(session.events, "event"),
            self.invalid,
            counted(session.alerts, "alert"),
            counted(self.rules as u64, "rule"),
            counted(self.packs as u64, "pack"),
            self.runtime,
            self.elapsed.as_secs_f64(),
            self.events_per_second(),
        );
        if self.damaged > 0 {
            add(&mut line, format_args!(", {} could not be read", counted(self.damaged, "part")));
        }
        let failures: u64 = self.programs.iter().map(|program| program.failures).sum();
        if failures > 0 {
            add(&mut line, format_args!(", {} of predicates", counted(failures, "failure")));
        }
        let quarantined = self.programs.iter().filter(|program| program.quarantined).count() as u64;
        if quarantined > 0 {
            add(&mut line, format_args!(", {} quarantined", counted(quarantined, "rule")));
        }
        if session.suppression.suppressed > 0 {
            add(&mut line, format_args!(", {} suppressed", session.suppression.suppressed));
        }
        for (name, _, reached) in self.state_limits() {
            if reached > 0 {
                add(&mut line, format_args!(", {name} reached {}", counted(reached, "time")));
            }
        }
        if self.left_out_rules > 0 {
            add(
                &mut line,
                format_args!(", {} left out for other systems", counted(self.left_out_rules as u64, "rule")),
            );
        }
        if self.reload.epoch > 0 {
            add(&mut line, format_args!(", packs replaced {}", counted(self.reload.epoch, "time")));
        }
        if let Some(recorded) = self.recorded {
            add(&mut line, format_args!(", {recorded} recorded"));
        }
        for SinkReport { name, counters, .. } in &self.sinks {
            for (count, what) in [
                (counters.waiting, "wait in the spool for"),
                (counters.refused, "refused by"),
                (counters.lost, "lost to"),
                (counters.truncated, "cut for"),
            ] {
                if count > 0 {
                    add(&mut line, format_args!(", {count} {what} {name}"));
                }
            }
        }
        if self.live.is_some() {
            let ledger = &self.ledger;
            add(
                &mut line,
                format_args!(
                    "; ledger: {} produced = {} filtered + {} dropped + {} matched",
                    ledger.produced, ledger.filtered, ledger.dropped, ledger.matched
                ),
            );
            if ledger.waiting > 0 {
                add(&mut line, format_args!(" + {} not yet read", ledger.waiting));
            }
            if !ledger.balances() {
                line.push_str(" (does not balance)");
            }
        }
        line
    }

    /// The counters for people, a line each.
    pub fn text(&self) -> String {
        let mut text = String::new();
        lines(&mut text, "", &self.json());
        text
    }

    /// The counters for programs.
    pub fn json(&self) -> Json {
        let SessionCounters {
            events,
            alerts,
            suppression,
            reorder,
            disabled_matches,
            matcher,
            sequences,
            live_keys,
            state_bytes,
        } = &self.session;
        let mut stats = json!({
            "source": self.source,
            "runtime": self.runtime,
            "threads": self.threads,
            "packs": self.packs,
            "rules": self.rules,
            "disabled_rules": self.disabled_rules,
            "os": self.system,
            "left_out_rules": self.left_out_rules,
            "events": events,
            "invalid": self.invalid,
            "damaged": self.damaged,
            "alerts": alerts,
            "alerts_written": self.alerts_written(),
            "sinks": self.sinks.iter().map(sink_json).collect::<Vec<Json>>(),
            "suppression": {
                "suppressed": suppression.suppressed,
                "summaries": suppression.summaries,
                "groups": suppression.groups,
                "evicted": suppression.evicted,
            },
            "reorder": {
                "left_early": reorder.left_early,
                "most_waiting": reorder.most_waiting,
            },
            "matches_of_disabled_rules": disabled_matches,
            "load_seconds": self.loading.as_secs_f64(),
            "code": {
                "cached": self.code.cached,
                "compiled": self.code.compiled,
                "refused": self.code.refused,
            },
            "reload": self.reload.json(),
            "bypass": self.bypass.json(),
            "elapsed_seconds": self.elapsed.as_secs_f64(),
            "events_per_second": self.events_per_second(),
            "ledger": {
                "produced": self.ledger.produced,
                "filtered": self.ledger.filtered,
                "dropped": self.ledger.dropped,
                "waiting": self.ledger.waiting,
                "matched": self.ledger.matched,
                "balanced": self.ledger.balances(),
            },
            "matcher": {
                "events": matcher.events,
                "dispatched": matcher.dispatched,
                "candidates": matcher.candidates,
                "hits": matcher.hits,
                "matches": matcher.matches,
                "late": matcher.late,
                "late_beyond_bound": matcher.late_beyond_bound,
                "turned_down": matcher.turned_down,
                "runtime_failures": matcher.runtime_failures,
            },
            "sequences": {
                "started": sequences.started,
                "completed": sequences.completed,
                "overwritten": sequences.overwritten,
                "expired": sequences.expired,
                "ended_by_until": sequences.ended_by_until,
                "discarded_by_missing": sequences.discarded_by_missing,
                "evicted": sequences.evicted,
                "evicted_by_rule_keys": sequences.evicted_by_rule_keys,
                "evicted_by_keys": sequences.evicted_by_keys,
                "evicted_by_bytes": sequences.evicted_by_bytes,
                "dropped_waiting": sequences.dropped_waiting,
                "unused": sequences.unused,
                "keys_cut": sequences.keys_cut,
                "live_keys": live_keys,
                "state_bytes": state_bytes,
            },
        });
        if let Some(stats) = stats.as_object_mut() {
            let limits = self.state_limits().into_iter();
            let limits =
                limits.map(|(name, limit, reached)| (name.to_owned(), json!({"limit": limit, "reached": reached})));
            stats.insert("limits".to_owned(), Json::Object(limits.collect()));
            if let Some(recorded) = self.recorded {
                stats.insert("recorded".to_owned(), recorded.into());
            }
            if !self.programs.is_empty() {
                stats.insert("programs".to_owned(), self.programs.iter().map(program_json).collect());
            }
            if let Some(error) = &self.runtime_error {
                stats.insert("runtime_error".to_owned(), error.as_str().into());
            }
            if !self.pushdown.is_empty() {
                stats.insert("pushdown".to_owned(), json!(self.pushdown));
            }
            if let Some(ledger) = &self.live {
                stats.insert("live".to_owned(), live_json(ledger));
            }
        }
        stats
    }

    /// The limits of state by the names of their settings, and how often something had to go for each. Durations are in
    /// seconds.
    fn state_limits(&self) -> [(&'static str, Option<u64>, u64); 5] {
        let (limits, reached) = (&self.limits, &self.session.sequences);
        let unused = limits.max_unused.and_then(|unused| u64::try_from(unused / 1_000_000_000).ok());
        [
            ("max_keys_per_rule", Some(limits.max_keys_per_rule as u64), reached.evicted_by_rule_keys),
            ("max_keys", Some(limits.max_keys as u64), reached.evicted_by_keys),
            ("max_state_bytes", Some(limits.max_state_bytes as u64), reached.evicted_by_bytes),
            ("max_waiting_per_key", Some(limits.max_waiting_per_key as u64), reached.dropped_waiting),
            ("max_unused", unused, reached.unused),
        ]
    }

    /// Alerts that reached at least one sink: those of the sink that has most.
    fn alerts_written(&self) -> u64 {
        self.sinks.iter().map(|sink| sink.counters.written).max().unwrap_or(0)
    }

    fn events_per_second(&self) -> u64 {
        let seconds = self.elapsed.as_secs_f64();
        // A run too short to be timed has no rate.
        if seconds > 0.0 { (self.session.events as f64 / seconds) as u64 } else { 0 }
    }
}

fn sink_json(SinkReport { name, counters, failure }: &SinkReport) -> Json {
    json!({
        "name": name,
        "written": counters.written,
        "waiting": counters.waiting,
        "refused": counters.refused,
        "lost": counters.lost,
        "truncated": counters.truncated,
        "failure": failure,
    })
}

fn program_json(program: &ProgramReport) -> Json {
    json!({
        "rule": program.rule,
        "program": program.program,
        "calls": program.calls,
        "held": program.held,
        "failures": program.failures,
        "overruns": program.overruns,
        "blocks_requested": program.blocks_requested,
        "log_lines": program.log_lines,
        "quarantined": program.quarantined,
        "first_failure": program.first_failure,
    })
}

fn live_json(ledger: &Ledger) -> Json {
    let mut kinds = Map::new();
    for part in ledger.kinds.iter().filter(|part| !part.is_empty()) {
        let kernel = &part.kernel;
        let json = json!({
            "produced": kernel.produced,
            "ignored": kernel.ignored,
            "filtered": kernel.filtered,
            "dropped": kernel.dropped,
            "sent": kernel.sent,
            "received": part.received,
            "delivered": part.delivered,
            "upkeep": part.upkeep,
            "repeated": part.repeated,
            "unchanged": part.unchanged,
            "allowed": part.allowed,
            "truncated": kernel.truncated,
            "read_failed": kernel.read_failed,
        });
        kinds.insert(part.kind.name().to_owned(), json);
    }
    json!({
        "kinds": kinds,
        "malformed": ledger.malformed,
        "gaps": ledger.gaps,
        "late": ledger.late,
        "latest_nanoseconds": ledger.latest,
        "missed_runs": ledger.missed_runs,
        "clock_steps": ledger.clock_steps,
        "owners_full": ledger.owners_full,
        "owners_unknown": ledger.owners_unknown,
    })
}

/// So many partial matches, in words.
pub fn partial_matches(count: u64) -> String {
    match count {
        1 => "1 partial match".to_owned(),
        _ => format!("{count} partial matches"),
    }
}

/// A number with its noun.
pub fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

fn add(line: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = line.write_fmt(what);
}

fn lines(text: &mut String, prefix: &str, json: &Json) {
    let Some(object) = json.as_object() else { return };
    for (key, value) in object {
        match value {
            Json::Object(_) => lines(text, &format!("{prefix}{key}."), value),
            Json::String(value) => add(text, format_args!("{prefix}{key}: {value}\n")),
            _ => add(text, format_args!("{prefix}{key}: {value}\n")),
        }
    }
}
