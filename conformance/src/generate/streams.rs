//! Random sequence patterns and streams of events, for the machine against the batch evaluator: a pack of patterns, and
//! streams whose every event says for each pattern which terms it matches.

use kestrel_ir::event::{Event, FieldNumber, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{
    Atom, AtomId, Ir, Key, Node, NodeId, Predicate, PredicateId, Rule, RuleKind, Sequence, Step, StringMatch,
};
use kestrel_schema::FieldType;

use super::Random;
use crate::batch::{Pattern, StreamEvent};

/// A pattern of up to four terms.
pub fn pattern(random: &mut Random) -> Pattern {
    let terms = 1 + random.below(4);
    let mut missing: Vec<bool> = (0..terms).map(|_| random.once_in(3)).collect();
    if missing.iter().all(|&missing| missing) {
        missing[random.below(terms)] = false;
    }
    if terms == 1 {
        missing.push(random.once_in(2));
    }
    let needs_maxspan = missing.iter().any(|&missing| missing);
    let maxspan = (needs_maxspan || random.once_in(2)).then(|| 1 + random.below(12) as i64);
    Pattern { missing, maxspan, until: random.once_in(3) }
}

/// A stream of up to forty events over three keys, with many equal timestamps: what each pattern sees of it.
pub fn stream(random: &mut Random, patterns: &[Pattern]) -> Vec<Vec<StreamEvent>> {
    let mut timestamp = 0;
    let mut seen: Vec<Vec<StreamEvent>> = vec![Vec::new(); patterns.len()];
    for _ in 0..random.below(40) {
        timestamp += [0, 0, 1, 1, 2, 5][random.below(6)];
        let mut keys: Vec<i64> = (0..[0, 1, 1, 1, 1, 2][random.below(6)]).map(|_| random.below(3) as i64).collect();
        keys.dedup();
        for (pattern, seen) in patterns.iter().zip(&mut seen) {
            seen.push(StreamEvent {
                timestamp,
                keys: keys.clone(),
                terms: pattern.missing.iter().map(|_| random.once_in(3)).collect(),
                until: random.once_in(6),
            });
        }
    }
    seen
}

/// Patterns as rules of one pack: a term is a word in the field `tag` and a number in the field `mark`, and each
/// predicate tests one of them in one of the ways there are.
pub struct PatternPack {
    /// The tables: rule number n is pattern number n.
    pub ir: Ir,
    /// The fields of the events.
    pub table: FieldTable,
    tag: FieldNumber,
    mark: FieldNumber,
    key: FieldNumber,
}

/// How many words a pattern has: its terms, and `until`.
const WORDS: usize = 8;

impl PatternPack {
    /// The rules of these patterns.
    pub fn new(random: &mut Random, patterns: &[Pattern]) -> PatternPack {
        let mut ir = Ir::default();
        let tag = ir.layout.intern("tag", FieldType::Keyword);
        let mark = ir.layout.intern("mark", FieldType::Long);
        let key = ir.layout.intern("key", FieldType::Long);
        for (number, pattern) in patterns.iter().enumerate() {
            let mut step = |word: usize, missing: bool| {
                let text = text_of(number, word);
                let strings =
                    |matching, fold, text: String| Atom::Strings { field: tag, matching, fold, strings: vec![text] };
                // Every matcher compiles its regular expressions anew: few, so that streams stay cheap.
                let atom = match random.below(60) {
                    0 => strings(StringMatch::Regex, false, text.replace('.', "\\.")),
                    1..6 => strings(StringMatch::Wildcard, true, text.replace('t', "?")),
                    6..20 => Atom::Integers { field: mark, values: vec![mark_of(number, word)] },
                    20..30 => strings(StringMatch::Exact, true, text),
                    _ => strings(StringMatch::Exact, false, text),
                };
                ir.atoms.push(atom);
                let leaf = NodeId(ir.nodes.len() as u32);
                ir.nodes.push(Node::Atom(AtomId(ir.atoms.len() as u32 - 1)));
                let mut root = leaf;
                if random.once_in(3) {
                    ir.nodes.extend([Node::Not(leaf), Node::Not(NodeId(leaf.0 + 1))]);
                    root = NodeId(leaf.0 + 2);
                }
                ir.predicates.push(Predicate { category: None, root });
                let keys = vec![Key { field: Some(key), optional: false }];
                Step { predicate: PredicateId(ir.predicates.len() as u32 - 1), joined: None, keys, missing }
            };
            let steps = pattern.missing.iter().enumerate().map(|(term, &missing)| step(term, missing)).collect();
            let until = pattern.until.then(|| step(WORDS - 1, false));
            let kind = RuleKind::Sequence(Sequence { steps, maxspan: pattern.maxspan, until });
            ir.rules.push(Rule { id: format!("pattern {number}"), kind, pipes: Vec::new(), program: None });
        }
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&ir.layout, &mut table);
        let [tag, mark, key] = [("tag", FieldType::Keyword), ("mark", FieldType::Long), ("key", FieldType::Long)]
            .map(|(name, field_type)| table.intern(name, field_type));
        PatternPack { ir, table, tag, mark, key }
    }

    /// The events that the patterns see so.
    pub fn events(&self, seen: &[Vec<StreamEvent>]) -> Vec<Event> {
        let length = seen.first().map_or(0, Vec::len);
        let mut events: Vec<Event> = (0..length).map(|_| Event::new()).collect();
        for (pattern, stream) in seen.iter().enumerate() {
            for (number, (source, event)) in stream.iter().zip(&mut events).enumerate() {
                if pattern == 0 {
                    event.timestamp = source.timestamp;
                    event.ordinal = number as u64;
                    source.keys.iter().for_each(|&value| event.push_integer(self.key, value));
                }
                let terms = source.terms.iter().enumerate().filter(|(_, matches)| **matches).map(|(term, _)| term);
                for word in terms.chain(source.until.then_some(WORDS - 1)) {
                    event.push_text(self.tag, &text_of(pattern, word));
                    event.push_integer(self.mark, mark_of(pattern, word));
                }
            }
        }
        events
    }
}

fn text_of(pattern: usize, word: usize) -> String {
    format!("{pattern}.t{word}")
}

fn mark_of(pattern: usize, word: usize) -> i64 {
    (pattern * WORDS + word) as i64
}
