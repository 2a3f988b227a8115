//! Why a rule did or did not match, as data and as text: how far each key of a sequence or sample came, what ended it, what
//! it still waits for.
//!
//! In: a rule of a verified IR, and what its matcher remembers. Out: [`RuleState`], which travels as JSON from a running
//! engine to `kestrel-engine ctl`, and which `eqlc explain --events` prints as well. Conditions in one line are made by
//! [`condition`].

pub mod condition;
mod key;
mod text;

use std::collections::BTreeMap;

use kestrel_core::key::JoinKey;
use kestrel_core::progress::{EndReason, Ending, KeyProgress, PartialProgress};
use kestrel_core::sequence::SequenceCounters;
use kestrel_ir::model::{Ir, Rule, RuleIndex, RuleKind};
use kestrel_ir::text::span_text;
use kestrel_ir::time::format_rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use key::{KeyError, key_of};
use text::cut;

/// The longest text of a key that is told, in characters.
const MAX_KEY_TEXT: usize = 256;

/// What is remembered of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleState {
    /// The rule's id.
    pub rule: String,
    /// `event`, `sequence` or `sample`.
    pub kind: String,
    /// The `maxspan` of a sequence, as it is written: `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maxspan: Option<String>,
    /// The terms, in order; `until` is not among them.
    pub steps: Vec<StepState>,
    /// In a live run, what the kernel does for the rule, kinds of events together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pushdown: Vec<String>,
    /// What became of partial matches, by reason; those that are not 0.
    pub counters: BTreeMap<String, u64>,
    /// How many endings of partial matches each part of the state keeps; 0 when nobody asked for them.
    pub traced_endings: usize,
    /// The keys, those that came furthest first.
    pub keys: Vec<KeyState>,
    /// Whether there are more keys than these.
    pub more_keys: bool,
}

/// A term of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// Its condition, on one line.
    pub condition: String,
    /// Whether such an event must be missing.
    pub missing: bool,
    /// The fields of its join key.
    pub by: Vec<String>,
}

/// How far one key came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyState {
    /// Its values.
    pub key: Vec<Json>,
    /// How many matches it had; not known where nobody counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<u64>,
    /// Its partial matches.
    pub open: Vec<OpenMatch>,
    /// Candidates that wait for the time of a missing event to pass.
    pub waiting: usize,
    /// When the next of them, or of the partial matches, is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// Its partial matches that ended without a match, the last ones, by time.
    pub ended: Vec<EndedMatch>,
}

/// A partial match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenMatch {
    /// The term that it matched last.
    pub step: usize,
    /// The time of its first event.
    pub first: String,
    /// The time of its last event.
    pub last: String,
    /// The term that it waits for; none for a sample, whose terms come in any order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<usize>,
    /// Whether an event came that must be missing, so that it will not match however it goes on.
    pub broken: bool,
}

/// A partial match that ended without a match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EndedMatch {
    /// The term that it had matched last.
    pub step: usize,
    /// The time of its first event.
    pub first: String,
    /// The event time at which it ended.
    pub time: String,
    /// The reason for programs: `expired`, `came_too_late`, …
    pub reason: String,
    /// The reason for people.
    pub why: String,
}

/// What a matcher remembers of one rule.
#[derive(Debug, Default)]
pub struct Remembered {
    /// How far its keys came, one more than are to be told if there are so many.
    pub keys: Vec<KeyProgress>,
    /// Its endings, by time.
    pub endings: Vec<Ending>,
    /// How many endings each part of the state keeps.
    pub traced_endings: usize,
    /// What became of its partial matches.
    pub counters: SequenceCounters,
    /// Matches by key, where somebody counted them.
    pub matches: Option<BTreeMap<JoinKey, u64>>,
}

impl RuleState {
    /// The state of a rule: of at most `limit` keys, with at most `limit` endings each.
    pub fn new(ir: &Ir, rule: RuleIndex, remembered: &Remembered, limit: usize) -> RuleState {
        let Some(about) = ir.rules.get(rule.index()) else { return RuleState::default() };
        let terms = Terms::of(about);
        let mut keys: BTreeMap<&JoinKey, KeyState> = BTreeMap::new();
        for progress in &remembered.keys {
            let state = keys.entry(&progress.key).or_default();
            state.open = progress.partials.iter().map(|partial| terms.open(partial)).collect();
            state.waiting = progress.waiting;
            state.deadline = progress.deadline.map(format_rfc3339);
        }
        for ending in &remembered.endings {
            keys.entry(&ending.key).or_default().ended.push(terms.ended(ending));
        }
        for (key, &count) in remembered.matches.iter().flatten() {
            keys.entry(key).or_default().matches = Some(count);
        }
        let mut keys: Vec<KeyState> = keys
            .into_iter()
            .map(|(key, mut state)| {
                state.key = key.iter().map(|part| short(part.to_json())).collect();
                if remembered.matches.is_some() {
                    state.matches.get_or_insert(0);
                }
                let old = state.ended.len().saturating_sub(limit);
                state.ended.drain(..old);
                state
            })
            .collect();
        // Stable: keys that came equally far stay in the order of their values.
        keys.sort_by_key(|state| std::cmp::Reverse(state.rank()));
        let more_keys = keys.len() > limit;
        keys.truncate(limit);
        RuleState {
            rule: about.id.clone(),
            kind: terms.kind.to_owned(),
            maxspan: terms.maxspan.map(span_text),
            steps: condition::steps(ir, about),
            pushdown: Vec::new(),
            counters: counters(&remembered.counters),
            traced_endings: remembered.traced_endings,
            keys,
            more_keys,
        }
    }
}

impl KeyState {
    /// How far the key came: matches first, then what waits, then the furthest term.
    fn rank(&self) -> (u64, usize, usize) {
        let terms = self.open.iter().map(|open| open.step + 1).chain(self.ended.iter().map(|ended| ended.step + 1));
        (self.matches.unwrap_or(0), self.waiting, terms.max().unwrap_or(0))
    }
}

/// What the terms of a rule mean for its partial matches.
struct Terms {
    kind: &'static str,
    maxspan: Option<i64>,
    missing: Vec<bool>,
}

impl Terms {
    fn of(rule: &Rule) -> Terms {
        match &rule.kind {
            RuleKind::Event { .. } => Terms { kind: "event", maxspan: None, missing: Vec::new() },
            RuleKind::Sequence(sequence) => Terms {
                kind: "sequence",
                maxspan: sequence.maxspan,
                missing: sequence.steps.iter().map(|step| step.missing).collect(),
            },
            RuleKind::Sample { .. } => Terms { kind: "sample", maxspan: None, missing: Vec::new() },
        }
    }

    /// The next term behind `term` whose event has to come.
    fn next(&self, term: usize) -> Option<usize> {
        (term + 1..self.missing.len()).find(|&next| self.missing.get(next) == Some(&false))
    }

    fn open(&self, partial: &PartialProgress) -> OpenMatch {
        OpenMatch {
            step: partial.term,
            first: format_rfc3339(partial.first),
            last: format_rfc3339(partial.last),
            waits_for: self.next(partial.term),
            broken: partial.broken,
        }
    }

    fn ended(&self, ending: &Ending) -> EndedMatch {
        EndedMatch {
            step: ending.term,
            first: format_rfc3339(ending.first),
            time: format_rfc3339(ending.time),
            reason: ending.reason.text().replace(' ', "_"),
            why: self.why(ending),
        }
    }

    fn why(&self, ending: &Ending) -> String {
        let next = self.next(ending.term).map_or_else(|| "the next event".to_owned(), |next| format!("step {next}"));
        let span =
            self.maxspan.map_or_else(|| "`maxspan`".to_owned(), |span| format!("`maxspan` of {}", span_text(span)));
        match ending.reason {
            EndReason::MaxSpan => format!("{next} came, but later than the {span} allows"),
            EndReason::Expired => format!("the {span} passed and {next} did not come"),
            EndReason::Overwritten => format!("a newer event of step {} took its place", ending.term),
            EndReason::Until => "`until` came".to_owned(),
            EndReason::MissingCame => "an event came that must be missing".to_owned(),
            EndReason::Evicted => "it had to make room: a limit of state was reached".to_owned(),
            EndReason::Unused => "no event concerned its key for as long as `max_unused` says".to_owned(),
        }
    }
}

/// The counters that are not 0, by name.
fn counters(counters: &SequenceCounters) -> BTreeMap<String, u64> {
    let named = [
        ("started", counters.started),
        ("completed", counters.completed),
        ("overwritten", counters.overwritten),
        ("expired", counters.expired),
        ("ended_by_until", counters.ended_by_until),
        ("discarded_by_missing", counters.discarded_by_missing),
        ("evicted_by_rule_keys", counters.evicted_by_rule_keys),
        ("evicted_by_keys", counters.evicted_by_keys),
        ("evicted_by_bytes", counters.evicted_by_bytes),
        ("dropped_waiting", counters.dropped_waiting),
        ("unused", counters.unused),
        ("keys_cut", counters.keys_cut),
    ];
    named.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
}

/// A value of a key that is no longer than what is told of it.
fn short(value: Json) -> Json {
    match value {
        Json::String(text) if text.len() > MAX_KEY_TEXT => Json::String(cut(&text, MAX_KEY_TEXT)),
        other => other,
    }
}
