//! The verifier's checks of predicates and rules.

use std::collections::HashSet;

use super::graph::{Graph, Scope, StepSet};
use super::{MAX_KEYS, MAX_NAME, MAX_PIPES, MAX_STEPS, Place, Problems};
use crate::model::{Ir, Pipe, PredicateId, Rule, RuleKind, Sequence, Step};
use kestrel_schema::{Family, FieldType};

/// Checks all predicates, then all rules.
pub(super) fn check(ir: &Ir, graph: &Graph, problems: &mut Problems) {
    for (index, predicate) in ir.predicates.iter().enumerate() {
        let place = Place::Predicate(index);
        if let Some(category) = predicate.category {
            match graph.atom(category) {
                None => problems.push(place, || format!("there is no a{}", category.0)),
                Some(facts) => check_alone(facts.scope, &facts.steps, place, problems),
            }
        }
        match graph.node(predicate.root) {
            None => problems.push(place, || format!("there is no n{}", predicate.root.0)),
            Some(facts) => check_alone(facts.scope, &facts.steps, place, problems),
        }
    }
    let mut ids = HashSet::new();
    for (index, rule) in ir.rules.iter().enumerate() {
        let mut check = RuleCheck { ir, graph, place: Place::Rule(index, &rule.id), problems };
        if !ids.insert(rule.id.as_str()) {
            check.problem("another rule has this id");
        }
        check.rule(rule);
    }
}

fn check_alone(scope: Scope, steps: &StepSet, place: Place<'_>, problems: &mut Problems) {
    if scope != Scope::Closed {
        problems.push(place, || "reads a child field outside a search of its object".to_owned());
    }
    if !steps.is_empty() {
        problems.push(place, || "reads a field of another step".to_owned());
    }
}

struct RuleCheck<'c> {
    ir: &'c Ir,
    graph: &'c Graph,
    place: Place<'c>,
    problems: &'c mut Problems,
}

impl RuleCheck<'_> {
    fn problem(&mut self, message: &str) {
        self.problems.push(self.place, || message.to_owned());
    }

    fn rule(&mut self, rule: &Rule) {
        if rule.id.is_empty() || rule.id.len() > MAX_NAME {
            self.problems.push(self.place, || format!("an id has 1 to {MAX_NAME} bytes, not {}", rule.id.len()));
        }
        if rule.pipes.len() > MAX_PIPES {
            self.problems.push(self.place, || format!("{} pipes, at most {MAX_PIPES} are allowed", rule.pipes.len()));
        }
        for pipe in &rule.pipes {
            self.pipe(pipe);
        }
        match &rule.kind {
            RuleKind::Event { predicate } => self.predicate(*predicate),
            RuleKind::Sequence(sequence) => self.sequence(sequence),
            RuleKind::Sample { terms } => self.sample(terms),
        }
    }

    fn pipe(&mut self, pipe: &Pipe) {
        let values = pipe.values();
        if values.len() > MAX_KEYS {
            self.problems.push(self.place, || format!("{} values in a pipe, at most {MAX_KEYS}", values.len()));
        }
        let graph = self.graph;
        let node = match pipe {
            Pipe::Filter(node) => Some(graph.node(*node)),
            _ => None,
        };
        for facts in values.iter().map(|&value| graph.value(value)).chain(node) {
            match facts {
                None => self.problem("a pipe refers to an entry that is not there"),
                Some(facts) if facts.scope != Scope::Closed || !facts.steps.is_empty() => {
                    self.problem("a pipe reads more than the fields of its event");
                }
                Some(_) => {}
            }
        }
    }

    fn predicate(&mut self, predicate: PredicateId) {
        if self.ir.predicate(predicate).is_none() {
            self.problems.push(self.place, || format!("there is no p{}", predicate.0));
        }
    }

    fn sequence(&mut self, sequence: &Sequence) {
        if !self.count(&sequence.steps) {
            return;
        }
        if sequence.steps.iter().all(|step| step.missing) {
            self.problem("no term of the sequence is positive");
        }
        if sequence.maxspan.is_some_and(|span| span <= 0) {
            self.problem("maxspan is not positive");
        }
        if sequence.maxspan.is_none() && sequence.steps.iter().any(|step| step.missing) {
            self.problem("a missing term needs a maxspan");
        }
        if sequence.until.as_ref().is_some_and(|until| until.missing) {
            self.problem("`until` can not be a missing term");
        }
        let mut earlier = StepSet::default();
        for (index, step) in sequence.steps.iter().enumerate() {
            self.step(step, &earlier);
            if !step.missing {
                earlier.insert(index);
            }
        }
        if let Some(until) = &sequence.until {
            self.step(until, &earlier);
        }
        self.keys(sequence.steps.iter().chain(&sequence.until));
    }

    fn sample(&mut self, terms: &[Step]) {
        if !self.count(terms) {
            return;
        }
        if terms.iter().any(|term| term.missing) {
            self.problem("a sample can not have a missing term");
        }
        if terms.iter().any(|term| term.joined.is_some()) {
            self.problem("a sample can not join its terms' fields");
        }
        for term in terms {
            self.step(term, &StepSet::default());
        }
        self.keys(terms.iter());
    }

    /// Whether the number of terms is possible.
    fn count(&mut self, steps: &[Step]) -> bool {
        let possible = (2..=MAX_STEPS).contains(&steps.len());
        if !possible {
            self.problems.push(self.place, || format!("{} terms, 2 to {MAX_STEPS} are allowed", steps.len()));
        }
        possible
    }

    fn step(&mut self, step: &Step, earlier: &StepSet) {
        self.predicate(step.predicate);
        let Some(joined) = step.joined else { return };
        let Some(facts) = self.graph.node(joined) else {
            self.problems.push(self.place, || format!("there is no n{}", joined.0));
            return;
        };
        if facts.scope != Scope::Closed {
            self.problem("a join reads a child field outside a search of its object");
        }
        if let Some(step) = facts.steps.first_outside(earlier) {
            self.problems.push(self.place, || format!("a join reads step {step}, which is no earlier positive term"));
        }
    }

    fn keys<'s>(&mut self, steps: impl Iterator<Item = &'s Step>) {
        let mut families: Option<Vec<Option<Family>>> = None;
        for step in steps {
            if step.keys.len() > MAX_KEYS {
                self.problems.push(self.place, || format!("{} keys, at most {MAX_KEYS} are allowed", step.keys.len()));
                return;
            }
            let own: Vec<Option<Family>> = step.keys.iter().map(|key| self.key(key.field, key.optional)).collect();
            let families = families.get_or_insert_with(|| own.clone());
            if families.len() != own.len() {
                self.problem("the terms have different numbers of keys");
                return;
            }
            for (family, own) in families.iter_mut().zip(own) {
                match (*family, own) {
                    (None, own) => *family = own,
                    (Some(left), Some(right)) if left != right => {
                        self.problem("the types of a key differ between terms");
                        return;
                    }
                    _ => {}
                }
            }
        }
    }

    /// The family of a key's type, when it is known.
    fn key(&mut self, field: Option<crate::layout::FieldId>, optional: bool) -> Option<Family> {
        let Some(id) = field else {
            if !optional {
                self.problem("a key without a field is not optional");
            }
            return None;
        };
        let Some(field) = self.ir.layout.get(id) else {
            self.problems.push(self.place, || format!("there is no field f{}", id.0));
            return None;
        };
        if field.parent.is_some() || field.field_type == FieldType::Object {
            self.problem("a key is an object or a child field");
        }
        Some(field.field_type.family())
    }
}
