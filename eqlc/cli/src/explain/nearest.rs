//! The events that came nearest to a condition, and which of its tests were false.
//!
//! In: for each event the tests that held. Out: the events with the fewest false parts, alike ones together. Of what `and`
//! joins each false part is told; of what `or` joins the whole, because any of it would do.

use std::collections::{BTreeMap, HashSet};

use kestrel_ir::model::NodeId;

/// How many kinds of near events are told.
const TOLD: usize = 3;
/// How many are remembered while events are looked at.
const MAX_GROUPS: usize = 4_096;

/// A condition whose tests are rules of the probe.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) node: NodeId,
    pub(super) kind: TreeKind,
}

#[derive(Debug, Clone)]
pub(super) enum TreeKind {
    Test(usize),
    Not(Box<Tree>),
    And(Vec<Tree>),
    Or(Vec<Tree>),
}

/// A part of a condition, and whether it should have been true.
pub(super) type Failure = (NodeId, bool);

/// Events that failed alike.
#[derive(Debug, Clone)]
pub(super) struct Near {
    pub(super) failures: Vec<Failure>,
    /// The first of them, by its number in the input.
    pub(super) first: usize,
    pub(super) count: usize,
    score: f64,
}

/// The nearest events of one step.
#[derive(Debug, Clone)]
pub(super) struct Nearest {
    pub(super) step: String,
    pub(super) near: Vec<Near>,
}

/// Looks for the nearest events of one step.
#[derive(Debug, Clone)]
pub(super) struct Search {
    step: String,
    tree: Tree,
    /// Whether the first part is the category.
    category: bool,
    /// Whether near events are told although some event fulfils the step.
    always: bool,
    fulfilled: bool,
    groups: BTreeMap<Vec<Failure>, Near>,
}

impl Search {
    pub(super) fn new(step: &str, tree: Tree, category: bool, always: bool) -> Search {
        Search { step: step.to_owned(), tree, category, always, fulfilled: false, groups: BTreeMap::new() }
    }

    /// Looks at an event for which the tests in `held` held.
    pub(super) fn look(&mut self, number: usize, held: &HashSet<usize>) {
        let mut failures = Vec::new();
        self.tree.failures(held, true, &mut failures);
        if failures.is_empty() {
            self.fulfilled = true;
            return;
        }
        let of_category = match (&self.tree.kind, self.category) {
            (TreeKind::And(parts), true) => parts.first().is_none_or(|part| part.score(held, true) > 0.5),
            _ => true,
        };
        // An event of another category is near only when there is nothing else.
        let score = self.tree.score(held, true) * if of_category { 1.0 } else { 0.5 };
        if let Some(near) = self.groups.get_mut(&failures) {
            near.count += 1;
        } else if self.groups.len() < MAX_GROUPS {
            self.groups.insert(failures.clone(), Near { failures, first: number, count: 1, score });
        }
    }

    /// What was found, if it is worth telling.
    pub(super) fn nearest(&self) -> Option<Nearest> {
        if (self.fulfilled && !self.always) || self.groups.is_empty() {
            return None;
        }
        let mut near: Vec<Near> = self.groups.values().cloned().collect();
        near.sort_by(|left, right| right.score.total_cmp(&left.score).then(left.first.cmp(&right.first)));
        near.truncate(TOLD);
        Some(Nearest { step: self.step.clone(), near })
    }
}

impl Tree {
    /// How much of the condition is as `want` has it, from 0 to 1.
    fn score(&self, held: &HashSet<usize>, want: bool) -> f64 {
        let scores = |parts: &[Tree]| parts.iter().map(|part| part.score(held, want)).collect::<Vec<f64>>();
        let (parts, all) = match &self.kind {
            TreeKind::Test(rule) => return f64::from(u8::from(held.contains(rule) == want)),
            TreeKind::Not(operand) => return operand.score(held, !want),
            TreeKind::And(parts) => (scores(parts), want),
            TreeKind::Or(parts) => (scores(parts), !want),
        };
        match (parts.len(), all) {
            (0, _) => 1.0,
            (count, true) => parts.iter().sum::<f64>() / count as f64,
            (_, false) => parts.iter().copied().fold(0.0, f64::max),
        }
    }

    fn holds(&self, held: &HashSet<usize>) -> bool {
        match &self.kind {
            TreeKind::Test(rule) => held.contains(rule),
            TreeKind::Not(operand) => !operand.holds(held),
            TreeKind::And(parts) => parts.iter().all(|part| part.holds(held)),
            TreeKind::Or(parts) => parts.iter().any(|part| part.holds(held)),
        }
    }

    fn failures(&self, held: &HashSet<usize>, want: bool, out: &mut Vec<Failure>) {
        if self.holds(held) == want {
            return;
        }
        match (&self.kind, want) {
            (TreeKind::Not(operand), _) => operand.failures(held, !want, out),
            (TreeKind::And(parts), true) | (TreeKind::Or(parts), false) => {
                parts.iter().for_each(|part| part.failures(held, want, out));
            }
            _ => out.push((self.node, want)),
        }
    }
}
