//! An IR that counts: for each part of a rule's conditions a rule of its own, for each prefix of a sequence another.
//!
//! In: the IR, and documents. Out: how many events fulfil each part, how far sequences came, and the events that came
//! nearest to a step. Every answer is the matcher's.

use std::collections::HashSet;

use kestrel_core::dispatch::Dispatch;
use kestrel_core::key::JoinKey;
use kestrel_core::matcher::{Matcher, MatcherOptions};
use kestrel_engine::explain::condition;
use kestrel_engine::runtime::{RuntimeKind, RuntimeParts, create};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{AtomId, Ir, Node, NodeId, Predicate, PredicateId, Rule, RuleKind, Sequence};
use kestrel_schema::Schema;

use super::nearest::{Nearest, Search, Tree, TreeKind};
use super::{Place, steps};

/// The most parts of one condition that are looked at apart.
const MAX_TESTS: usize = 512;

/// A line of the report over events.
pub(super) enum Line {
    Heading(String),
    Asked(PredicateId),
    Count { indent: usize, label: String, rule: usize, keys: bool },
}

/// What was counted.
pub(super) struct Counts {
    /// The events whose parts were false, those that came nearest first, by step.
    pub(super) nearest: Vec<Nearest>,
    /// For each rule of the probe its matches.
    pub(super) matches: Vec<usize>,
    /// For each rule of the probe the distinct keys of its matches.
    pub(super) keys: Vec<usize>,
    /// For each predicate, for how many events dispatch asked it.
    pub(super) asked: Vec<usize>,
}

/// An IR whose rules count.
pub(super) struct Probe {
    pub(super) ir: Ir,
    pub(super) lines: Vec<Line>,
    pub(super) joined: bool,
    searches: Vec<Search>,
}

impl Probe {
    pub(super) fn new(ir: &Ir, rule: &Rule) -> Probe {
        let mut probe = Probe {
            ir: Ir { rules: Vec::new(), ..ir.clone() },
            lines: Vec::new(),
            joined: false,
            searches: Vec::new(),
        };
        let always = probe.node(Node::Constant(true));
        for step in steps(rule) {
            probe.joined |= step.term.is_some_and(|term| term.joined.is_some());
            probe.lines.push(Line::Heading(step.name.clone()));
            let Some(Predicate { category, root }) = ir.predicate(step.predicate).cloned() else { continue };
            probe.lines.push(Line::Asked(step.predicate));
            let all = if category.is_some() { "events of the category" } else { "events" };
            probe.event(Predicate { category, root: always }, 0, all.to_owned());
            probe.search(&step, category, root);
            if let Some(Node::And(parts)) = ir.node(root) {
                for &part in parts {
                    let label = condition::node(ir, part);
                    probe.event(Predicate { category, root: part }, 2, label);
                }
                probe.event(Predicate { category, root }, 0, "all of it".to_owned());
            } else {
                let label = condition::node(ir, root);
                probe.event(Predicate { category, root }, 0, label);
            }
        }
        if let RuleKind::Sequence(sequence) = &rule.kind {
            probe.lines.push(Line::Heading("how far sequences came".to_owned()));
            let last = sequence.steps.iter().rposition(|step| !step.missing).unwrap_or(0);
            for (index, step) in sequence.steps.iter().enumerate().take(last) {
                if !step.missing {
                    let steps = sequence.steps.iter().take(index + 1).cloned().collect();
                    let kind = RuleKind::Sequence(Sequence { steps, ..sequence.clone() });
                    probe.rule(
                        kind,
                        0,
                        format!("{} step {index}", if index == 0 { "began with" } else { "reached" }),
                        !step.keys.is_empty(),
                    );
                }
            }
            if last + 1 < sequence.steps.len() {
                let steps = sequence.steps.iter().take(last + 1).cloned().collect();
                let kind = RuleKind::Sequence(Sequence { steps, ..sequence.clone() });
                probe.rule(kind, 0, format!("reached step {last}, before the missing event behind it"), true);
            }
        }
        probe
    }

    fn node(&mut self, node: Node) -> NodeId {
        self.ir.nodes.push(node);
        NodeId(self.ir.nodes.len() as u32 - 1)
    }

    fn predicate(&mut self, predicate: Predicate) -> PredicateId {
        self.ir.predicates.push(predicate);
        PredicateId(self.ir.predicates.len() as u32 - 1)
    }

    fn event(&mut self, predicate: Predicate, indent: usize, label: String) {
        let predicate = self.predicate(predicate);
        self.rule(RuleKind::Event { predicate }, indent, label, false);
    }

    fn rule(&mut self, kind: RuleKind, indent: usize, label: String, keys: bool) {
        let rule = self.ir.rules.len();
        self.ir.rules.push(Rule { id: rule.to_string(), kind, pipes: Vec::new(), program: None });
        self.lines.push(Line::Count { indent, label, rule, keys });
    }

    /// An event rule for counting what is shown elsewhere.
    fn unseen(&mut self, node: NodeId) -> usize {
        let predicate = self.predicate(Predicate { category: None, root: node });
        let number = self.ir.rules.len();
        let kind = RuleKind::Event { predicate };
        self.ir.rules.push(Rule { id: number.to_string(), kind, pipes: Vec::new(), program: None });
        number
    }

    /// Has the events looked for that come nearest to a step.
    fn search(&mut self, step: &Place<'_>, category: Option<AtomId>, root: NodeId) {
        if step.name == "until" || step.term.is_some_and(|term| term.missing) {
            return;
        }
        let mut parts: Vec<NodeId> = category.map(|atom| self.node(Node::Atom(atom))).into_iter().collect();
        parts.push(root);
        let all = self.node(Node::And(parts));
        let tree = self.tree(all, &mut 0);
        let always = step.term.is_none();
        self.searches.push(Search::new(&step.name, tree, category.is_some(), always));
    }

    fn tree(&mut self, node: NodeId, tests: &mut usize) -> Tree {
        let kind = match self.ir.node(node).cloned() {
            Some(Node::Not(operand)) => TreeKind::Not(Box::new(self.tree(operand, tests))),
            Some(Node::And(operands)) if *tests < MAX_TESTS => {
                TreeKind::And(operands.into_iter().map(|operand| self.tree(operand, tests)).collect())
            }
            Some(Node::Or(operands)) if *tests < MAX_TESTS => {
                TreeKind::Or(operands.into_iter().map(|operand| self.tree(operand, tests)).collect())
            }
            _ => {
                *tests += 1;
                TreeKind::Test(self.unseen(node))
            }
        };
        Tree { node, kind }
    }

    pub(super) fn count(&self, schema: &Schema, documents: &[Vec<u8>]) -> anyhow::Result<Counts> {
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&self.ir.layout, &mut table);
        let decoder = Decoder::new(&table, schema.event());
        let mut event = Event::new();
        let mut order: Vec<_> = Vec::with_capacity(documents.len());
        for (number, document) in documents.iter().enumerate() {
            if decoder.decode(document, &mut event).is_ok() {
                order.push((event.timestamp, event.tiebreaker, number));
            }
        }
        order.sort_unstable();
        let runtime = create(RuntimeKind::Interp, &RuntimeParts { ir: &self.ir, wasm: None, lua: None })?;
        let options = MatcherOptions::of_query();
        let mut matcher = Matcher::new(&self.ir, &table, runtime, options)?;
        let mut counts = vec![0; self.ir.rules.len()];
        let mut keys: Vec<HashSet<JoinKey>> = vec![HashSet::new(); self.ir.rules.len()];
        let mut dispatch = Dispatch::new(&self.ir, &table);
        let (mut asked, mut candidates) = (vec![0; self.ir.predicates.len()], Vec::new());
        let mut found = Vec::new();
        let mut searches = self.searches.clone();
        let mut held: HashSet<usize> = HashSet::new();
        let mut take = |found: &mut Vec<kestrel_core::matcher::Match>| {
            for one in found.drain(..) {
                counts[one.rule.index()] += 1;
                keys[one.rule.index()].insert(one.key);
            }
        };
        for (_, _, number) in order {
            if let Some(document) = documents.get(number)
                && decoder.decode(document, &mut event).is_ok()
            {
                event.ordinal = number as u64;
                candidates.clear();
                dispatch.candidates(&event, &mut candidates);
                candidates.iter().for_each(|predicate| asked[predicate.index()] += 1);
                matcher.process(&event, &mut found);
                held.clear();
                held.extend(found.iter().map(|one| one.rule.index()));
                searches.iter_mut().for_each(|search| search.look(number, &held));
                take(&mut found);
            }
        }
        matcher.finish(&mut found);
        take(&mut found);
        let nearest = searches.iter().filter_map(Search::nearest).collect();
        Ok(Counts { nearest, matches: counts, keys: keys.iter().map(HashSet::len).collect(), asked })
    }
}
