//! Shrinking: a case on which somebody differs, made small while they still do.
//!
//! In: a case and a test whether it still shows the difference. Out: a case from which none of the steps below can take
//! anything away. Coarse steps come first: events, predicates and rules, then nodes, atoms and values, then what is in
//! them, then what is in the events. A step that breaks the tables is refused by the verifier and undone.

use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{Atom, Constant, Node, NodeId, PredicateId, RuleKind, Step, Value};
use kestrel_ir::verify::verify;
use serde_json::Value as Json;

use super::ask::Contenders;
use super::case::{Case, Difference};
use super::prune::{operands, prune};
use super::streams::Finding;

/// The most candidates that are tried: a test makes every runtime anew.
const MAX_TRIES: usize = 20_000;

/// A finding made small: the case, and the difference that it still shows.
pub fn minimise(finding: Finding, contenders: &Contenders) -> (Case, Difference) {
    let Finding { difference, case } = finding;
    let culprit = difference.runtime.clone();
    let shows = |case: &Case| case.difference(contenders, None).filter(|found| found.runtime == culprit);
    let mut case = prune(&case);
    // Mostly one predicate on one event is enough, which saves most of the steps.
    if let (Some(event), true) = (difference.event, case.ir.rules.is_empty()) {
        let mut alone = case.clone();
        alone.events = case.events.get(event).cloned().into_iter().collect();
        if shows(&alone).is_some() {
            case = alone;
        }
    }
    let case = shrink(case, &mut |case| shows(case).is_some());
    let difference = shows(&case).unwrap_or(difference);
    (case, difference)
}

/// What a run of the shrinker works on.
struct Shrinker<'s> {
    case: Case,
    differs: &'s mut dyn FnMut(&Case) -> bool,
    tries: usize,
}

/// The smallest case that is found on which `differs` still says true.
pub fn shrink(case: Case, differs: &mut dyn FnMut(&Case) -> bool) -> Case {
    let mut shrinker = Shrinker { case, differs, tries: 0 };
    loop {
        let before = shrinker.case.clone();
        shrinker.runs(|case| case.events.len(), |case, from, to| drop(case.events.drain(from..to)));
        shrinker.predicates();
        shrinker.rules();
        shrinker.nodes();
        shrinker.values();
        shrinker.atoms();
        shrinker.events();
        if shrinker.case == before || shrinker.tries >= MAX_TRIES {
            return shrinker.case;
        }
    }
}

impl Shrinker<'_> {
    /// Takes over a smaller case if it is whole and still differs.
    fn take(&mut self, change: impl FnOnce(&mut Case)) -> bool {
        if self.tries >= MAX_TRIES {
            return false;
        }
        let mut candidate = self.case.clone();
        change(&mut candidate);
        if candidate == self.case || verify(&candidate.ir).is_err() {
            return false;
        }
        let candidate = prune(&candidate);
        self.tries += 1;
        if candidate == self.case || verify(&candidate.ir).is_err() || !(self.differs)(&candidate) {
            return false;
        }
        self.case = candidate;
        true
    }

    /// Removes runs of a list: the half, the quarter, and so on down to one by one.
    fn runs(&mut self, length: impl Fn(&Case) -> usize, remove: impl Fn(&mut Case, usize, usize)) {
        let mut size = length(&self.case);
        while size > 0 {
            let mut from = 0;
            while from < length(&self.case) {
                let to = (from + size).min(length(&self.case));
                if !self.take(|case| remove(case, from, to)) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    fn predicates(&mut self) {
        self.runs(|case| case.ir.predicates.len(), remove_predicates);
        for number in (0..self.case.ir.predicates.len()).rev() {
            self.take(|case| case.ir.predicates[number].category = None);
            let root = self.case.ir.node(self.case.ir.predicates[number].root);
            if let Some(Node::Constant(_)) = root {
                continue;
            }
            // What nothing asks about may as well hold never.
            for constant in [false, true] {
                self.take(|case| {
                    if let Some(node) = push(case, Node::Constant(constant)) {
                        case.ir.predicates[number].root = node;
                    }
                });
            }
        }
    }

    fn rules(&mut self) {
        // The last rule stays: without one the case is no stream.
        self.runs(
            |case| case.ir.rules.len(),
            |case, from, to| {
                if to - from < case.ir.rules.len() {
                    case.ir.rules.drain(from..to);
                }
            },
        );
        for rule in 0..self.case.ir.rules.len() {
            self.take(|case| case.ir.rules[rule].pipes.clear());
            let steps = self.case.ir.rules[rule].steps().count();
            for step in (0..steps).rev() {
                let change = |change: fn(&mut Step)| {
                    move |case: &mut Case| match &mut case.ir.rules[rule].kind {
                        RuleKind::Sequence(sequence) => {
                            sequence.steps.iter_mut().chain(&mut sequence.until).skip(step).take(1).for_each(change);
                        }
                        RuleKind::Sample { terms } => terms.iter_mut().skip(step).take(1).for_each(change),
                        RuleKind::Event { .. } => {}
                    }
                };
                self.take(change(|step| step.joined = None));
                self.take(change(|step| step.missing = false));
                self.take(|case| match &mut case.ir.rules[rule].kind {
                    RuleKind::Sequence(sequence) if step < sequence.steps.len() => drop(sequence.steps.remove(step)),
                    RuleKind::Sequence(sequence) => sequence.until = None,
                    RuleKind::Sample { terms } => drop(terms.remove(step)),
                    RuleKind::Event { .. } => {}
                });
            }
            self.take(|case| match &mut case.ir.rules[rule].kind {
                RuleKind::Sequence(sequence) => {
                    sequence.steps.iter_mut().chain(&mut sequence.until).for_each(|step| step.keys.clear());
                }
                RuleKind::Sample { terms } => terms.iter_mut().for_each(|step| step.keys.clear()),
                RuleKind::Event { .. } => {}
            });
        }
    }

    /// Replaces nodes by constants and by their operands, and drops operands.
    fn nodes(&mut self) {
        let mut number = self.case.ir.nodes.len();
        while number > 0 {
            number = (number - 1).min(self.case.ir.nodes.len().saturating_sub(1));
            let Some(node) = self.case.ir.nodes.get(number).cloned() else { return };
            // INVARIANT: every step makes a case plainer by one order, so that no two of them undo each other for ever.
            let mut constants = [false, true].into_iter();
            if matches!(node, Node::Constant(_))
                || constants.any(|value| self.take(|case| case.ir.nodes[number] = Node::Constant(value)))
            {
                continue;
            }
            let operands = match &node {
                Node::Not(operand) => vec![*operand],
                Node::And(operands) | Node::Or(operands) => operands.clone(),
                Node::Constant(_) | Node::Atom(_) => continue,
            };
            let copies: Vec<Node> = operands.iter().filter_map(|id| self.case.ir.node(*id).cloned()).collect();
            if copies.into_iter().any(|copy| self.take(|case| case.ir.nodes[number] = copy)) {
                // Once more the same place, which holds something smaller now.
                number = (number + 1).min(self.case.ir.nodes.len());
                continue;
            }
            if let Node::And(_) | Node::Or(_) = node {
                self.runs(
                    |case| match case.ir.nodes.get(number) {
                        Some(Node::And(operands) | Node::Or(operands)) => operands.len(),
                        _ => 0,
                    },
                    |case, from, to| {
                        if let Some(Node::And(operands) | Node::Or(operands)) = case.ir.nodes.get_mut(number) {
                            operands.drain(from..to);
                        }
                    },
                );
            }
        }
    }

    /// Replaces values by constants and by their operands, and makes constants plain.
    fn values(&mut self) {
        let mut number = self.case.ir.values.len();
        while number > 0 {
            number = (number - 1).min(self.case.ir.values.len().saturating_sub(1));
            let Some(value) = self.case.ir.values.get(number).cloned() else { return };
            if let Value::Constant(constant) = &value {
                let plainer = plainer(constant).into_iter().take_while(|plain| plain != constant);
                let mut plainer = plainer.map(Value::Constant);
                plainer.any(|plain| self.take(|case| case.ir.values[number] = plain));
                continue;
            }
            let operands = operands(&value).into_iter().filter_map(|id| self.case.ir.value(id).cloned());
            let constants = [Constant::Null, Constant::Boolean(true), Constant::Boolean(false)].map(Value::Constant);
            let smaller: Vec<Value> = constants.into_iter().chain(operands).collect();
            if smaller.into_iter().any(|smaller| self.take(|case| case.ir.values[number] = smaller)) {
                number = (number + 1).min(self.case.ir.values.len());
                continue;
            }
            self.runs(
                |case| match case.ir.values.get(number) {
                    Some(Value::Call { arguments, .. }) => arguments.len(),
                    Some(Value::Matches { strings, .. }) => strings.len(),
                    _ => 0,
                },
                |case, from, to| match case.ir.values.get_mut(number) {
                    Some(Value::Call { arguments, .. }) => drop(arguments.drain(from..to)),
                    Some(Value::Matches { strings, .. }) => drop(strings.drain(from..to)),
                    _ => {}
                },
            );
        }
    }

    /// Drops entries of lists and makes what stands in atoms plain.
    fn atoms(&mut self) {
        for number in 0..self.case.ir.atoms.len() {
            self.runs(
                |case| match case.ir.atoms.get(number) {
                    Some(Atom::Strings { strings, .. }) => strings.len(),
                    Some(Atom::Integers { values, .. }) => values.len(),
                    Some(Atom::Cidr { blocks, .. }) => blocks.len(),
                    _ => 0,
                },
                |case, from, to| match case.ir.atoms.get_mut(number) {
                    Some(Atom::Strings { strings, .. }) => drop(strings.drain(from..to)),
                    Some(Atom::Integers { values, .. }) => drop(values.drain(from..to)),
                    Some(Atom::Cidr { blocks, .. }) => drop(blocks.drain(from..to)),
                    _ => {}
                },
            );
            let Some(atom) = self.case.ir.atoms.get(number).cloned() else { return };
            match &atom {
                Atom::Strings { strings, .. } => {
                    for place in 0..strings.len() {
                        let text = strings[place].clone();
                        self.text(text, |case, text| {
                            if let Some(Atom::Strings { strings, .. }) = case.ir.atoms.get_mut(number) {
                                strings[place] = text;
                            }
                        });
                    }
                }
                Atom::StringOrder { value: text, .. } | Atom::VersionOrder { value: text, .. } => {
                    self.text(text.clone(), |case, text| {
                        if let Some(Atom::StringOrder { value, .. } | Atom::VersionOrder { value, .. }) =
                            case.ir.atoms.get_mut(number)
                        {
                            *value = text;
                        }
                    });
                }
                _ => {}
            }
            // That some field is there may be all that matters.
            let fields: Vec<FieldId> = self.case.ir.layout.iter().map(|(field, _)| field).take(8).collect();
            if !matches!(atom, Atom::Present { .. }) {
                fields.into_iter().any(|field| {
                    self.take(|case| {
                        if let Some(atom) = case.ir.atoms.get_mut(number) {
                            *atom = Atom::Present { field };
                        }
                    })
                });
            }
        }
    }

    /// Drops values of events and makes those that stay plain.
    fn events(&mut self) {
        for event in 0..self.case.events.len() {
            self.runs(
                |case| case.events.get(event).map_or(0, |event| event.values.len()),
                |case, from, to| drop(case.events[event].values.drain(from..to)),
            );
            self.take(|case| case.events[event].lineage.clear());
            self.take(|case| case.events[event].flags = 0);
            let plain = [0, event as i64];
            let timestamp = self.case.events.get(event).map_or(0, |event| event.timestamp);
            for plain in plain.into_iter().take_while(|plain| *plain != timestamp) {
                if self.take(|case| case.events[event].timestamp = plain) {
                    break;
                }
            }
            for place in 0..self.case.events.get(event).map_or(0, |event| event.values.len()) {
                self.take(|case| case.events[event].values[place].1 = 0);
                match self.case.events[event].values[place].2.clone() {
                    Json::String(text) => self.text(text, |case, text| {
                        case.events[event].values[place].2 = Json::from(text);
                    }),
                    Json::Number(number) if number.is_i64() => self.number(event, place, [0, 1].map(Json::from)),
                    Json::Number(_) => self.number(event, place, [0.0, 1.0].map(Json::from)),
                    _ => {}
                }
            }
        }
    }

    /// Makes a number one that is plainer.
    fn number(&mut self, event: usize, place: usize, plainer: [Json; 2]) {
        let number = self.case.events[event].values[place].2.clone();
        for plain in plainer.into_iter().take_while(|plain| *plain != number) {
            if self.take(|case| case.events[event].values[place].2 = plain) {
                return;
            }
        }
    }

    /// Makes a text shorter by runs of characters, then plainer.
    fn text(&mut self, text: String, put: impl Fn(&mut Case, String)) {
        let mut characters: Vec<char> = text.chars().collect();
        let mut size = characters.len();
        while size > 0 {
            let mut from = 0;
            while from < characters.len() {
                let mut shorter = characters.clone();
                shorter.drain(from..(from + size).min(characters.len()));
                if self.take(|case| put(case, shorter.iter().collect())) {
                    characters = shorter;
                } else {
                    from += size;
                }
            }
            size /= 2;
        }
        if characters.len() > 64 {
            return;
        }
        for place in 0..characters.len() {
            let mut plainer = characters.clone();
            plainer[place] = 'a';
            if characters[place] != 'a' && self.take(|case| put(case, plainer.iter().collect())) {
                characters = plainer;
            }
        }
    }
}

/// Removes predicates that no rule and no lineage atom refers to, and numbers the references to those behind anew.
fn remove_predicates(case: &mut Case, from: usize, to: usize) {
    let mut references: Vec<&mut PredicateId> = Vec::new();
    for rule in &mut case.ir.rules {
        match &mut rule.kind {
            RuleKind::Event { predicate } => references.push(predicate),
            RuleKind::Sequence(sequence) => {
                let steps = sequence.steps.iter_mut().chain(&mut sequence.until);
                references.extend(steps.map(|step| &mut step.predicate));
            }
            RuleKind::Sample { terms } => references.extend(terms.iter_mut().map(|step| &mut step.predicate)),
        }
    }
    references.extend(case.ir.atoms.iter_mut().filter_map(|atom| match atom {
        Atom::Lineage { predicate, .. } => Some(predicate),
        _ => None,
    }));
    if references.iter().any(|reference| (from..to).contains(&reference.index())) {
        return;
    }
    for reference in references.into_iter().filter(|reference| reference.index() >= to) {
        reference.0 -= (to - from) as u32;
    }
    case.ir.predicates.drain(from..to);
}

/// One more node in front of all others could change what they are called; at the end nothing changes.
fn push(case: &mut Case, node: Node) -> Option<NodeId> {
    let id = u32::try_from(case.ir.nodes.len()).ok()?;
    case.ir.nodes.push(node);
    Some(NodeId(id))
}

fn plainer(constant: &Constant) -> Vec<Constant> {
    match constant {
        Constant::Null => Vec::new(),
        Constant::Boolean(_) => vec![Constant::Null],
        Constant::Integer(_) => vec![Constant::Null, Constant::Integer(0), Constant::Integer(1)],
        Constant::Float(_) => vec![Constant::Null, Constant::Float(0.0), Constant::Float(1.0)],
        Constant::String(text) => {
            let half: String = text.chars().take(text.chars().count() / 2).collect();
            vec![Constant::Null, Constant::String(String::new()), Constant::String(half)]
        }
    }
}
