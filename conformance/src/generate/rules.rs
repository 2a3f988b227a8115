//! Rules over the predicates of a generated pack: single events, sequences with keys of every family, missing terms,
//! `until` and joins, samples, and pipes.

use kestrel_ir::model::{
    Atom, AtomId, Ir, Key, Node, NodeId, Pipe, PredicateId, Rule, RuleKind, Sequence, Step, ValueId,
};
use kestrel_schema::FieldType;

use super::Random;
use super::fields::Fields;
use super::values::Expressions;

/// Rule number `number` of a pack.
pub fn rule(random: &mut Random, ir: &mut Ir, fields: &Fields, number: usize) -> Rule {
    let kind = match random.below(6) {
        0 | 1 => RuleKind::Event { predicate: predicate(random, ir) },
        2 => RuleKind::Sample { terms: steps(random, ir, fields, &[false; 3]) },
        _ => RuleKind::Sequence(sequence(random, ir, fields)),
    };
    let pipes = if random.once_in(3) { vec![pipe(random, ir)] } else { Vec::new() };
    Rule { id: format!("rule {number}"), kind, pipes, program: None }
}

fn predicate(random: &mut Random, ir: &Ir) -> PredicateId {
    PredicateId(random.below(ir.predicates.len()) as u32)
}

fn sequence(random: &mut Random, ir: &mut Ir, fields: &Fields) -> Sequence {
    let mut missing: Vec<bool> = (0..2 + random.below(3)).map(|_| random.once_in(5)).collect();
    let positive = random.below(missing.len());
    missing[positive] = false;
    let needs_maxspan = missing.contains(&true);
    let until = random.once_in(3);
    if until {
        missing.push(false);
    }
    let mut steps = steps(random, ir, fields, &missing);
    let until = if until { steps.pop() } else { None };
    // What the first steps read is known when they are matched: only the leading positive ones.
    let leading = missing.iter().take_while(|missing| !**missing).count().min(steps.len());
    for (number, step) in steps.iter_mut().enumerate().skip(1) {
        if random.once_in(3) && leading > 0 {
            step.joined = Some(join(random, ir, fields, leading.min(number)));
        }
    }
    let maxspan = (needs_maxspan || random.once_in(2)).then(|| 1 + random.below(30) as i64);
    Sequence { steps, maxspan, until }
}

/// A condition beside the fields of the first `known` steps.
fn join(random: &mut Random, ir: &mut Ir, fields: &Fields, known: usize) -> NodeId {
    let steps = known as u32;
    let mut expressions = Expressions { fields, object: None, conditions: &[], steps, values: &mut ir.values };
    let value = expressions.boolean(random, 1);
    ir.atoms.push(Atom::Compute { value });
    ir.nodes.push(Node::Atom(AtomId(ir.atoms.len() as u32 - 1)));
    let join = NodeId(ir.nodes.len() as u32 - 1);
    if random.once_in(2) {
        return join;
    }
    ir.nodes.push(Node::Not(join));
    NodeId(ir.nodes.len() as u32 - 1)
}

/// One step for each entry of `missing`, with keys of the same families.
fn steps(random: &mut Random, ir: &Ir, fields: &Fields, missing: &[bool]) -> Vec<Step> {
    let families: Vec<&[FieldType]> = (0..random.below(3))
        .map(|_| -> &[FieldType] {
            match random.below(5) {
                0..3 => &[FieldType::Keyword],
                3 => &[FieldType::Boolean],
                _ => &[FieldType::Ip],
            }
        })
        .collect();
    let same: Vec<Option<_>> = families.iter().map(|kinds| Some(fields.pick(random, None, kinds))).collect();
    missing
        .iter()
        .map(|&missing| {
            let keys = families.iter().zip(&same).map(|(kinds, same)| {
                let other = random.once_in(5).then(|| fields.pick(random, None, kinds));
                match random.below(12) {
                    0 => Key { field: None, optional: true },
                    one => Key { field: other.or(*same), optional: one < 4 },
                }
            });
            let keys = keys.collect();
            Step { predicate: predicate(random, ir), joined: None, keys, missing }
        })
        .collect()
}

fn pipe(random: &mut Random, ir: &Ir) -> Pipe {
    // A filter looks at the fields of its event alone; so does every predicate.
    let values = |random: &mut Random| -> Vec<ValueId> {
        let plain = ir.values.iter().enumerate().filter(|(_, value)| match value {
            kestrel_ir::model::Value::Field(field) => {
                ir.layout.get(*field).is_some_and(|definition| definition.parent.is_none())
            }
            _ => false,
        });
        let plain: Vec<ValueId> = plain.map(|(index, _)| ValueId(index as u32)).collect();
        (0..random.below(3)).filter(|_| !plain.is_empty()).map(|_| random.pick(&plain)).collect()
    };
    match random.below(4) {
        0 => Pipe::Head(1 + random.below(5) as u64),
        1 => Pipe::Filter(ir.predicates[random.below(ir.predicates.len())].root),
        2 => Pipe::Unique(values(random)),
        _ => Pipe::Head(100),
    }
}
