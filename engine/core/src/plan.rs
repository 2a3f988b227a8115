//! What stage two knows of a pack: for each predicate the terms of sequences and samples that wait for it, and the shape
//! of each rule's state.
//!
//! In: the IR. Out: tables that the router and all shards share. Nothing here changes while events come.

use std::ops::Range;

use kestrel_ir::model::{Ir, Key, NodeId, PredicateId, RuleKind, Sequence, Step};

/// All sequences and samples of a pack.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// In the order of their rules.
    pub(crate) machines: Vec<Machine>,
    /// For each rule the number of its machine.
    pub(crate) machine_of: Vec<Option<u32>>,
    /// For each predicate the terms that it decides.
    pub(crate) uses: Vec<Vec<TermUse>>,
    /// For each predicate the rules of single events.
    pub(crate) event_rules: Vec<Vec<u32>>,
    /// The distinct lists of key fields.
    pub(crate) key_lists: Vec<Vec<Key>>,
}

/// A term that a predicate decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TermUse {
    pub(crate) machine: u32,
    /// The place in the order in which an event's terms are taken: stages from last to first, missing terms, `until`.
    pub(crate) rank: u32,
    pub(crate) role: Role,
    /// The term's list of key fields.
    pub(crate) keys: u32,
}

/// What an event is to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// It fills this stage of a sequence, counted among the terms that must come.
    Stage(u32),
    /// It is the event that must be missing, by its number among the missing terms.
    Missing(u32),
    /// It ends partial matches.
    Until,
    /// It fills this slot of a sample.
    Filter(u32),
}

/// One sequence or sample.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) rule: u32,
    pub(crate) kind: MachineKind,
    /// Terms, missing ones included, `until` not.
    pub(crate) terms: usize,
    /// Places for partial matches of one key: the first words of its state.
    pub(crate) slots: usize,
    /// Words of state of one key: the slots, then two for each missing term.
    pub(crate) width: usize,
}

#[derive(Debug)]
pub(crate) enum MachineKind {
    Sequence(SequencePlan),
    Sample,
}

/// The parts of a sequence that decide.
#[derive(Debug)]
pub(crate) struct SequencePlan {
    /// The numbers of the terms that must come, in order.
    pub(crate) positives: Vec<usize>,
    /// For each stage what the term asks of earlier events.
    pub(crate) joined: Vec<Option<NodeId>>,
    /// For each stage the missing terms right before it, by their number among these.
    pub(crate) between: Vec<Range<usize>>,
    /// The missing terms behind the last stage.
    pub(crate) trailing: Range<usize>,
    pub(crate) maxspan: Option<i64>,
    /// What `until` asks of earlier events.
    pub(crate) until_joined: Option<NodeId>,
}

impl Plan {
    pub(crate) fn new(ir: &Ir) -> Plan {
        let mut plan = Plan {
            machine_of: vec![None; ir.rules.len()],
            uses: vec![Vec::new(); ir.predicates.len()],
            event_rules: vec![Vec::new(); ir.predicates.len()],
            ..Plan::default()
        };
        for (index, rule) in ir.rules.iter().enumerate() {
            let machine = plan.machines.len() as u32;
            let (kind, terms, slots, missing) = match &rule.kind {
                RuleKind::Event { predicate } => {
                    if let Some(rules) = plan.event_rules.get_mut(predicate.index()) {
                        rules.push(index as u32);
                    }
                    continue;
                }
                RuleKind::Sequence(sequence) => {
                    plan.add_sequence(machine, sequence);
                    let plan = SequencePlan::new(sequence);
                    let (stages, terms) = (plan.positives.len(), sequence.steps.len());
                    (MachineKind::Sequence(plan), terms, stages.saturating_sub(1), terms - stages)
                }
                RuleKind::Sample { terms } => {
                    for (number, term) in terms.iter().enumerate() {
                        plan.add(machine, number, Role::Filter(number as u32), term);
                    }
                    (MachineKind::Sample, terms.len(), terms.len(), 0)
                }
            };
            if let Some(place) = plan.machine_of.get_mut(index) {
                *place = Some(machine);
            }
            plan.machines.push(Machine { rule: index as u32, kind, terms, slots, width: slots + 2 * missing });
        }
        plan
    }

    fn add_sequence(&mut self, machine: u32, sequence: &Sequence) {
        let stages = sequence.steps.iter().filter(|step| !step.missing).count();
        let (mut stage, mut missing) = (0, 0);
        for step in &sequence.steps {
            if step.missing {
                self.add(machine, stages + missing, Role::Missing(missing as u32), step);
                missing += 1;
            } else {
                stage += 1;
                self.add(machine, stages - stage, Role::Stage(stage as u32 - 1), step);
            }
        }
        if let Some(until) = &sequence.until {
            self.add(machine, stages + missing, Role::Until, until);
        }
    }

    fn add(&mut self, machine: u32, rank: usize, role: Role, step: &Step) {
        let keys = self.key_lists.iter().position(|list| *list == step.keys).unwrap_or_else(|| {
            self.key_lists.push(step.keys.clone());
            self.key_lists.len() - 1
        });
        if let Some(uses) = self.uses.get_mut(step.predicate.index()) {
            uses.push(TermUse { machine, rank: rank as u32, role, keys: keys as u32 });
        }
    }

    /// The machine of a rule.
    pub(crate) fn machine(&self, rule: usize) -> Option<u32> {
        self.machine_of.get(rule).copied().flatten()
    }

    /// The terms that a predicate decides.
    pub(crate) fn uses(&self, predicate: PredicateId) -> &[TermUse] {
        self.uses.get(predicate.index()).map_or(&[], Vec::as_slice)
    }

    /// The rules of single events that a predicate decides.
    pub(crate) fn event_rules(&self, predicate: PredicateId) -> &[u32] {
        self.event_rules.get(predicate.index()).map_or(&[], Vec::as_slice)
    }
}

impl SequencePlan {
    fn new(sequence: &Sequence) -> SequencePlan {
        let mut plan = SequencePlan {
            positives: Vec::new(),
            joined: Vec::new(),
            between: Vec::new(),
            trailing: 0..0,
            maxspan: sequence.maxspan,
            until_joined: sequence.until.as_ref().and_then(|until| until.joined),
        };
        let (mut from, mut missing) = (0, 0);
        for (term, step) in sequence.steps.iter().enumerate() {
            if step.missing {
                missing += 1;
            } else {
                plan.positives.push(term);
                plan.joined.push(step.joined);
                plan.between.push(std::mem::replace(&mut from, missing)..missing);
            }
        }
        plan.trailing = from..missing;
        plan
    }

    /// Whether `stage` is the last one that must come.
    pub(crate) fn is_last(&self, stage: usize) -> bool {
        stage + 1 == self.positives.len()
    }

    /// The missing terms before the first stage.
    pub(crate) fn leading(&self) -> Range<usize> {
        self.between.first().cloned().unwrap_or(0..0)
    }

    /// The term of a stage.
    pub(crate) fn term(&self, stage: usize) -> usize {
        self.positives.get(stage).copied().unwrap_or(0)
    }
}

impl Machine {
    pub(crate) fn maxspan(&self) -> Option<i64> {
        match &self.kind {
            MachineKind::Sequence(sequence) => sequence.maxspan,
            MachineKind::Sample => None,
        }
    }

    /// How many missing terms there are.
    pub(crate) fn missing(&self) -> usize {
        (self.width - self.slots) / 2
    }

    /// The term whose event a slot's partial match has had last.
    pub(crate) fn term_of_slot(&self, slot: usize) -> usize {
        match &self.kind {
            MachineKind::Sequence(sequence) => sequence.term(slot),
            MachineKind::Sample => slot,
        }
    }

    /// The last term that must come.
    pub(crate) fn last_term(&self) -> usize {
        match &self.kind {
            MachineKind::Sequence(sequence) => sequence.positives.last().copied().unwrap_or(0),
            MachineKind::Sample => self.terms.saturating_sub(1),
        }
    }
}
