//! Some of a pack's rules: the same pack without the others, as if it had been built without them.
//!
//! In: a pack, and which rules are wanted. Out: the pack with these alone in its manifest and its IR, and with filter maps and
//! keys that let through what they can want and no more. Code and tables keep their numbers, because the pack's module was
//! compiled for them: what no rule reaches any longer is replaced by what is never true and asks for no field. The
//! content hash stays that of the file.

use std::collections::BTreeSet;

use crate::guards;
use crate::model::{Atom, AtomId, Constant, Ir, Node, NodeId, Pipe, Predicate, PredicateId, Rule, Value, ValueId};
use kestrel_schema::{EventKind, event_kinds};

use super::Pack;
use super::manifest::{FilterKey, FilterMaps, KindKeys, KindReason, RuleInfo, state_budget};

impl Pack {
    /// The pack with the rules that `keeps` says yes to.
    pub fn with_rules(mut self, keeps: impl Fn(&Ir, &Rule, &RuleInfo) -> bool) -> Pack {
        let rules = self.ir.rules.iter().zip(&self.manifest.rules);
        let kept: Vec<bool> = rules.map(|(rule, info)| keeps(&self.ir, rule, info)).collect();
        if kept.iter().all(|kept| *kept) {
            return self;
        }
        let left_out = self.ir.rules.iter().zip(&kept).filter(|(_, kept)| !**kept);
        self.left_out.extend(left_out.map(|(rule, _)| rule.id.clone()));
        let mut of_ir = kept.iter();
        self.ir.rules.retain(|_| of_ir.next() == Some(&true));
        let mut of_manifest = kept.iter();
        self.manifest.rules.retain(|_| of_manifest.next() == Some(&true));
        let reached = Reached::by_rules(&self.ir);
        reached.forget_the_rest(&mut self.ir);
        self.manifest.state_budget = state_budget(&self.ir);
        self.choose_filters(&reached);
        self
    }

    /// The ids of rules that were left out.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Filter maps and keys for the rules that are left.
    fn choose_filters(&mut self, reached: &Reached) {
        let kinds = guards::required_kinds(&self.ir, event_kinds());
        let reasons = kinds.iter().map(|&kind| KindReason { kind, ..KindReason::default() }).collect();
        let mut known: Vec<u16> = event_kinds().iter().map(|kind| kind.id).collect();
        known.sort_unstable();
        let mut sorted = kinds.clone();
        sorted.sort_unstable();
        self.filters = FilterMaps { kinds: sorted, known, reasons };
        self.manifest.required_kinds = self.filters.kinds.clone();
        if !self.predicate_keys.uses.is_empty() {
            let by_predicate = guards::predicate_kinds(&self.ir, event_kinds());
            let of = |kind: &EventKind| self.keys_of(kind.id, &by_predicate, reached);
            self.filter_keys = event_kinds().iter().filter_map(of).collect();
            self.filter_keys.sort_by_key(|keys| keys.kind);
        }
    }

    /// What the kernel may ask of the events of a kind; `None` when some predicate wants all of them, or none wants any.
    fn keys_of(&self, kind: u16, by_predicate: &[Vec<u16>], reached: &Reached) -> Option<KindKeys> {
        let mut keys: BTreeSet<&FilterKey> = BTreeSet::new();
        let mut wanted = false;
        let uses = &self.predicate_keys;
        for (number, kinds) in by_predicate.iter().enumerate() {
            if !reached.predicates.contains(&PredicateId(number as u32)) || !kinds.contains(&kind) {
                continue;
            }
            wanted = true;
            let first = uses.uses.partition_point(|used| (used.predicate as usize) < number);
            let from = uses.uses.iter().skip(first).take_while(|used| used.predicate as usize == number);
            let used = from.into_iter().find(|used| used.kinds.contains(&kind))?;
            keys.extend(used.keys.iter().filter_map(|&key| uses.keys.get(key as usize)));
        }
        wanted.then(|| KindKeys { kind, keys: keys.into_iter().cloned().collect() })
    }
}

/// What rules lead to.
#[derive(Debug, Default)]
struct Reached {
    atoms: BTreeSet<AtomId>,
    nodes: BTreeSet<NodeId>,
    values: BTreeSet<ValueId>,
    predicates: BTreeSet<PredicateId>,
}

/// Something that leads to more.
enum Entry {
    Atom(AtomId),
    Node(NodeId),
    Value(ValueId),
    Predicate(PredicateId),
}

impl Reached {
    fn by_rules(ir: &Ir) -> Reached {
        let mut open: Vec<Entry> = Vec::new();
        for rule in &ir.rules {
            open.extend(rule.predicates().into_iter().map(Entry::Predicate));
            open.extend(rule.steps().filter_map(|step| step.joined).map(Entry::Node));
            for pipe in &rule.pipes {
                open.extend(pipe.values().iter().copied().map(Entry::Value));
                if let Pipe::Filter(node) = pipe {
                    open.push(Entry::Node(*node));
                }
            }
        }
        let mut reached = Reached::default();
        while let Some(entry) = open.pop() {
            reached.go_on(ir, &entry, &mut open);
        }
        reached
    }

    /// Notes an entry, and what it leads to when it is new.
    fn go_on(&mut self, ir: &Ir, entry: &Entry, open: &mut Vec<Entry>) {
        match *entry {
            Entry::Predicate(id) if self.predicates.insert(id) => {
                if let Some(predicate) = ir.predicate(id) {
                    open.push(Entry::Node(predicate.root));
                    open.extend(predicate.category.map(Entry::Atom));
                }
            }
            Entry::Node(id) if self.nodes.insert(id) => match ir.node(id) {
                Some(Node::Atom(atom)) => open.push(Entry::Atom(*atom)),
                Some(Node::Not(node)) => open.push(Entry::Node(*node)),
                Some(Node::And(nodes) | Node::Or(nodes)) => open.extend(nodes.iter().copied().map(Entry::Node)),
                Some(Node::Constant(_)) | None => {}
            },
            Entry::Atom(id) if self.atoms.insert(id) => match ir.atom(id) {
                Some(Atom::Compute { value }) => open.push(Entry::Value(*value)),
                Some(Atom::AnyObject { condition, .. }) => open.push(Entry::Node(*condition)),
                Some(Atom::Lineage { predicate, .. }) => open.push(Entry::Predicate(*predicate)),
                _ => {}
            },
            Entry::Value(id) if self.values.insert(id) => match ir.value(id) {
                Some(
                    Value::Negate(value)
                    | Value::IsNull(value)
                    | Value::NotNull(value)
                    | Value::Matches { input: value, .. },
                ) => open.push(Entry::Value(*value)),
                Some(Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. }) => {
                    open.extend([*left, *right].map(Entry::Value));
                }
                Some(Value::Condition(node)) => open.push(Entry::Node(*node)),
                Some(Value::Call { arguments, .. }) => open.extend(arguments.iter().copied().map(Entry::Value)),
                Some(Value::Constant(_) | Value::Field(_) | Value::StepField { .. }) | None => {}
            },
            _ => {}
        }
    }

    /// Replaces all that is not reached. Two entries are added, to which the others lead.
    fn forget_the_rest(&self, ir: &mut Ir) {
        let never = NodeId(ir.nodes.len() as u32);
        let nothing = ValueId(ir.values.len() as u32);
        for (number, value) in ir.values.iter_mut().enumerate() {
            if !self.values.contains(&ValueId(number as u32)) {
                *value = Value::Constant(Constant::Boolean(false));
            }
        }
        for (number, atom) in ir.atoms.iter_mut().enumerate() {
            if !self.atoms.contains(&AtomId(number as u32)) {
                *atom = Atom::Compute { value: nothing };
            }
        }
        for (number, node) in ir.nodes.iter_mut().enumerate() {
            if !self.nodes.contains(&NodeId(number as u32)) {
                *node = Node::Constant(false);
            }
        }
        for (number, predicate) in ir.predicates.iter_mut().enumerate() {
            if !self.predicates.contains(&PredicateId(number as u32)) {
                *predicate = Predicate { category: None, root: never };
            }
        }
        ir.nodes.push(Node::Constant(false));
        ir.values.push(Value::Constant(Constant::Boolean(false)));
        if !ir.atoms.iter().any(|atom| matches!(atom, Atom::Lineage { .. })) {
            ir.lineage = None;
        }
    }
}
