//! Packs and events for tests of stage two: a term is a word in the field `tag`; keys are the numbers in `key` or the texts
//! in `id`.

#![allow(dead_code, reason = "each test uses a part of it")]

use kestrel_core::matcher::{Match, Matcher, MatcherOptions};
use kestrel_core::runtime::Interpreting;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{
    Atom, AtomId, Comparison, Ir, Key, Node, NodeId, Predicate, PredicateId, Rule, RuleKind, Sequence, Step,
    StringMatch, Value, ValueId,
};
use kestrel_schema::FieldType;

/// Numbers from a seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Rules that are added one by one.
pub struct Pack {
    pub ir: Ir,
    pub table: FieldTable,
    tag: FieldId,
    key: FieldId,
    id: FieldId,
}

impl Pack {
    pub fn new() -> Pack {
        let mut ir = Ir::default();
        let tag = ir.layout.intern("tag", FieldType::Keyword);
        let key = ir.layout.intern("key", FieldType::Long);
        let id = ir.layout.intern("id", FieldType::Keyword);
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&ir.layout, &mut table);
        Pack { ir, table, tag, key, id }
    }

    fn node(&mut self, node: Node) -> NodeId {
        self.ir.nodes.push(node);
        NodeId(self.ir.nodes.len() as u32 - 1)
    }

    pub fn predicate(&mut self, word: &str) -> PredicateId {
        let strings = vec![word.to_owned()];
        self.ir.atoms.push(Atom::Strings { field: self.tag, matching: StringMatch::Exact, fold: false, strings });
        let root = self.node(Node::Atom(AtomId(self.ir.atoms.len() as u32 - 1)));
        self.ir.predicates.push(Predicate { category: None, root });
        PredicateId(self.ir.predicates.len() as u32 - 1)
    }

    /// The key fields: `k` is `key`, `i` is `id`, in capitals optional.
    fn keys(&self, fields: &str) -> Vec<Key> {
        let key = |letter: char| {
            let field = if letter.eq_ignore_ascii_case(&'k') { self.key } else { self.id };
            Key { field: Some(field), optional: letter.is_uppercase() }
        };
        fields.chars().map(key).collect()
    }

    /// A term: its word, behind `!` when it must be missing.
    pub fn step(&mut self, word: &str, keys: &str) -> Step {
        let (missing, word) = word.strip_prefix('!').map_or((false, word), |word| (true, word));
        Step { predicate: self.predicate(word), joined: None, keys: self.keys(keys), missing }
    }

    /// A condition that a step's event has the same `id` as that of an earlier step.
    pub fn same_id(&mut self, step: u32) -> NodeId {
        let value = |value: Value, values: &mut Vec<Value>| {
            values.push(value);
            ValueId(values.len() as u32 - 1)
        };
        let left = value(Value::Field(self.id), &mut self.ir.values);
        let right = value(Value::StepField { step, field: self.id }, &mut self.ir.values);
        let value = value(Value::Compare { comparison: Comparison::Equal, left, right }, &mut self.ir.values);
        self.ir.atoms.push(Atom::Compute { value });
        self.node(Node::Atom(AtomId(self.ir.atoms.len() as u32 - 1)))
    }

    pub fn rule(&mut self, kind: RuleKind) -> &mut Pack {
        let id = self.ir.rules.len().to_string();
        self.ir.rules.push(Rule { id, kind, pipes: Vec::new(), program: None });
        self
    }

    /// A sequence: words, key fields, `maxspan`, `until`.
    pub fn sequence(&mut self, words: &str, keys: &str, maxspan: Option<i64>, until: Option<&str>) -> &mut Pack {
        let steps = words.split(' ').map(|word| self.step(word, keys)).collect();
        let until = until.map(|word| self.step(word, keys));
        self.rule(RuleKind::Sequence(Sequence { steps, maxspan, until }))
    }

    pub fn sample(&mut self, words: &str, keys: &str) -> &mut Pack {
        let terms = words.split(' ').map(|word| self.step(word, keys)).collect();
        self.rule(RuleKind::Sample { terms })
    }

    pub fn event_rule(&mut self, word: &str) -> &mut Pack {
        let predicate = self.predicate(word);
        self.rule(RuleKind::Event { predicate })
    }

    pub fn matcher(&self, options: MatcherOptions) -> Matcher {
        let runtime = Interpreting::new(&self.ir).expect("valid tables");
        Matcher::new(&self.ir, &self.table, Box::new(runtime), options).expect("valid tables")
    }

    /// Writes an event with these words and keys.
    pub fn write(
        &self,
        event: &mut Event,
        (timestamp, ordinal): (i64, u64),
        words: &[&str],
        keys: &[i64],
        ids: &[&str],
    ) {
        event.clear();
        (event.timestamp, event.ordinal) = (timestamp, ordinal);
        let field = |name| self.table.lookup(name).expect("a field");
        words.iter().for_each(|word| event.push_text(field("tag"), word));
        keys.iter().for_each(|&key| event.push_integer(field("key"), key));
        ids.iter().for_each(|id| event.push_text(field("id"), id));
    }

    /// An event with these words and this key.
    pub fn event(&self, (timestamp, ordinal): (i64, u64), words: &[&str], key: i64) -> Event {
        let mut event = Event::new();
        self.write(&mut event, (timestamp, ordinal), words, &[key], &[]);
        event
    }

    /// The matches of events given as (time, word, key).
    pub fn matches(&self, options: MatcherOptions, events: &[(i64, &str, i64)]) -> (Vec<String>, Matcher) {
        let mut matcher = self.matcher(options);
        let mut out = Vec::new();
        for (ordinal, &(timestamp, word, key)) in events.iter().enumerate() {
            matcher.process(&self.event((timestamp, ordinal as u64), &[word], key), &mut out);
        }
        (out.iter().map(describe).collect(), matcher)
    }
}

/// A match in a line: rule, numbers of its events, key, at which event it was told.
pub fn describe(found: &Match) -> String {
    let number = |event: &Option<kestrel_core::evidence::Evidence>| match event.as_ref().and_then(|event| event.frame())
    {
        Some(frame) => frame.ordinal().to_string(),
        None => "-".to_owned(),
    };
    let events: Vec<String> = found.events.iter().map(number).collect();
    let key: Vec<String> = found.key.iter().map(|part| part.to_json().to_string()).collect();
    format!("{}: {} by {} at {}", found.rule.0, events.join(" "), key.join(","), found.told)
}
