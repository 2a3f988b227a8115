//! Pipes behind a query: over all matches of a file at once, or one match at a time for a rule.
//!
//! In: matches in result order. Out: those that the pipes let through, cut, sorted or counted. A pipe's condition and
//! values are those of a match's first event; of a field with many values the first counts.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use kestrel_ir::frame::Frame;
use kestrel_ir::interp::{Context, Interpreter};
use kestrel_ir::model::{Pipe, ValueId};
use kestrel_ir::value::{Scalar, compare_integer_float};

use crate::evidence::Evidence;
use crate::key::{JoinKey, KeyPart};
use crate::matcher::Match;

/// The most values that a streaming `unique` remembers for one rule; when there are more it forgets all and starts anew.
pub const MAX_UNIQUE: usize = 65_536;

/// What comes out of the pipes of a query over a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Piped {
    /// Matches; with how many each stands for, behind `unique_count`.
    Matches(Vec<(Match, Option<u64>)>),
    /// Behind `count`: combinations of values and how many matches have them, ascending by that.
    Counts(Vec<(JoinKey, u64)>),
}

/// Applies pipes to all matches of a query. Behind `count` only `head` and `tail` apply.
pub fn apply(interpreter: &Interpreter, matches: Vec<Match>, pipes: &[Pipe]) -> Piped {
    let mut piped = Piped::Matches(matches.into_iter().map(|found| (found, None)).collect());
    for pipe in pipes {
        piped = match (piped, pipe) {
            (Piped::Matches(mut matches), Pipe::Head(count)) => {
                matches.truncate(size(*count));
                Piped::Matches(matches)
            }
            (Piped::Matches(mut matches), Pipe::Tail(count)) => {
                matches.drain(..matches.len().saturating_sub(size(*count)));
                Piped::Matches(matches)
            }
            (Piped::Matches(mut matches), Pipe::Filter(node)) => {
                matches.retain(|(found, _)| first_frame(found).is_some_and(|frame| interpreter.node(*node, frame)));
                Piped::Matches(matches)
            }
            (Piped::Matches(matches), Pipe::Unique(values)) => {
                let mut seen = HashSet::new();
                let is_new = |found: &Match| seen.insert(values_of(interpreter, found, values));
                Piped::Matches(retain(matches, is_new))
            }
            (Piped::Matches(matches), Pipe::UniqueCount(values)) => unique_count(interpreter, matches, values),
            (Piped::Matches(mut matches), Pipe::Sort(values)) => {
                matches.sort_by_cached_key(|(found, _)| Sortable(values_of(interpreter, found, values)));
                Piped::Matches(matches)
            }
            (Piped::Matches(matches), Pipe::Count(values)) => count(interpreter, &matches, values),
            (Piped::Counts(mut counts), Pipe::Head(count)) => {
                counts.truncate(size(*count));
                Piped::Counts(counts)
            }
            (Piped::Counts(mut counts), Pipe::Tail(count)) => {
                counts.drain(..counts.len().saturating_sub(size(*count)));
                Piped::Counts(counts)
            }
            (counts @ Piped::Counts(_), _) => counts,
        };
    }
    piped
}

fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn retain(matches: Vec<(Match, Option<u64>)>, mut keep: impl FnMut(&Match) -> bool) -> Vec<(Match, Option<u64>)> {
    matches.into_iter().filter(|(found, _)| keep(found)).collect()
}

fn unique_count(interpreter: &Interpreter, matches: Vec<(Match, Option<u64>)>, values: &[ValueId]) -> Piped {
    let mut places: BTreeMap<JoinKey, usize> = BTreeMap::new();
    let mut kept: Vec<(Match, Option<u64>)> = Vec::new();
    for (found, stands_for) in matches {
        let more = stands_for.unwrap_or(1);
        match places.entry(values_of(interpreter, &found, values)) {
            std::collections::btree_map::Entry::Occupied(place) => {
                let count = &mut kept[*place.get()].1;
                *count = Some(count.unwrap_or(0) + more);
            }
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push((found, Some(more)));
            }
        }
    }
    Piped::Matches(kept)
}

fn count(interpreter: &Interpreter, matches: &[(Match, Option<u64>)], values: &[ValueId]) -> Piped {
    let mut counts: BTreeMap<JoinKey, u64> = BTreeMap::new();
    if values.is_empty() {
        counts.insert(Box::new([]), matches.len() as u64);
    } else {
        for (found, _) in matches {
            *counts.entry(values_of(interpreter, found, values)).or_insert(0) += 1;
        }
    }
    let mut counts: Vec<(JoinKey, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| *count);
    Piped::Counts(counts)
}

fn first_frame(found: &Match) -> Option<Frame<'_>> {
    found.events.iter().flatten().next().and_then(Evidence::frame)
}

fn values_of(interpreter: &Interpreter, found: &Match, values: &[ValueId]) -> JoinKey {
    let frame = first_frame(found);
    let part_of = |value, frame| interpreter.value(value, frame, Context::default(), part);
    values.iter().map(|&value| frame.map_or(KeyPart::Null, |frame| part_of(value, frame))).collect()
}

fn part(scalar: &Scalar<'_>) -> KeyPart {
    match *scalar {
        Scalar::Null => KeyPart::Null,
        Scalar::Boolean(value) => KeyPart::Boolean(value),
        Scalar::Integer(value) => KeyPart::Integer(value),
        Scalar::Float(value) => KeyPart::from_float(value),
        Scalar::Text(text) | Scalar::Version(text) => KeyPart::Text(text.into()),
        Scalar::Ip(octets) => KeyPart::Ip(octets),
    }
}

/// Values in the order of `sort`: null first, numbers by value.
#[derive(Debug, PartialEq, Eq)]
struct Sortable(JoinKey);

impl PartialOrd for Sortable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sortable {
    fn cmp(&self, other: &Self) -> Ordering {
        let parts = self.0.iter().zip(&other.0);
        parts.map(|(left, right)| compare(left, right)).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    }
}

fn compare(left: &KeyPart, right: &KeyPart) -> Ordering {
    match (left, right) {
        (KeyPart::Integer(left), KeyPart::Float(right)) => {
            compare_integer_float(*left, f64::from_bits(*right)).unwrap_or(Ordering::Equal)
        }
        (KeyPart::Float(left), KeyPart::Integer(right)) => {
            compare_integer_float(*right, f64::from_bits(*left)).map_or(Ordering::Equal, Ordering::reverse)
        }
        (KeyPart::Float(left), KeyPart::Float(right)) => f64::from_bits(*left).total_cmp(&f64::from_bits(*right)),
        _ => left.cmp(right),
    }
}

/// The pipes of a live rule: each lets a match through or not, without knowing those to come.
#[derive(Debug, Default)]
pub struct Stream {
    stages: Vec<Stage>,
}

#[derive(Debug)]
enum Stage {
    Head(u64),
    Filter(kestrel_ir::model::NodeId),
    Unique(Vec<ValueId>, HashSet<JoinKey>),
}

impl Stream {
    /// The pipes that stream; the compiler refuses a live rule with others.
    pub fn new(pipes: &[Pipe]) -> Stream {
        let stages = pipes
            .iter()
            .filter_map(|pipe| match pipe {
                Pipe::Head(count) => Some(Stage::Head(*count)),
                Pipe::Filter(node) => Some(Stage::Filter(*node)),
                Pipe::Unique(values) => Some(Stage::Unique(values.clone(), HashSet::new())),
                _ => None,
            })
            .collect();
        Stream { stages }
    }

    /// Whether the next match comes through.
    pub fn passes(&mut self, interpreter: &Interpreter, found: &Match) -> bool {
        self.stages.iter_mut().all(|stage| match stage {
            Stage::Head(left) => {
                let passes = *left > 0;
                *left = left.saturating_sub(1);
                passes
            }
            Stage::Filter(node) => first_frame(found).is_some_and(|frame| interpreter.node(*node, frame)),
            Stage::Unique(values, seen) => {
                if seen.len() >= MAX_UNIQUE {
                    seen.clear();
                }
                seen.insert(values_of(interpreter, found, values))
            }
        })
    }
}
