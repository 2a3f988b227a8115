//! Which fields rules ask for.
//!
//! A pack's layout also has fields that no rule looks at: alerts show them as evidence. What is free is filled in for them
//! too; what costs reading files is not.

use std::collections::BTreeSet;

use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{Atom, Ir, RuleKind, Step, Value};

/// The names of the fields that the rules' conditions, join keys and hand-written predicates read.
pub fn asked_fields(ir: &Ir) -> BTreeSet<&str> {
    let mut fields: BTreeSet<FieldId> = ir.atoms.iter().filter_map(field_of_atom).collect();
    fields.extend(ir.values.iter().filter_map(|value| match value {
        Value::Field(field) | Value::StepField { field, .. } => Some(*field),
        _ => None,
    }));
    fields.extend(ir.programs.iter().flat_map(|program| &program.fields));
    let steps = ir.rules.iter().flat_map(|rule| match &rule.kind {
        RuleKind::Event { .. } => Vec::new(),
        RuleKind::Sequence(sequence) => sequence.steps.iter().chain(&sequence.until).collect::<Vec<&Step>>(),
        RuleKind::Sample { terms } => terms.iter().collect(),
    });
    fields.extend(steps.flat_map(|step| &step.keys).filter_map(|key| key.field));
    fields.into_iter().map(|field| ir.layout.name(field)).collect()
}

fn field_of_atom(atom: &Atom) -> Option<FieldId> {
    match atom {
        Atom::Present { field }
        | Atom::Boolean { field, .. }
        | Atom::Strings { field, .. }
        | Atom::StringOrder { field, .. }
        | Atom::Integers { field, .. }
        | Atom::IntegerOrder { field, .. }
        | Atom::FloatOrder { field, .. }
        | Atom::Cidr { field, .. }
        | Atom::VersionOrder { field, .. }
        | Atom::AnyObject { object: field, .. } => Some(*field),
        Atom::Compute { .. } | Atom::Lineage { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use kestrel_ir::model::{Key, PredicateId, Rule};
    use kestrel_schema::FieldType;

    use super::*;

    #[test]
    fn conditions_values_and_keys_ask_and_evidence_does_not() {
        let mut ir = Ir::default();
        let mut field = |name: &str| ir.layout.intern(name, FieldType::Keyword);
        let (tested, computed, key, _evidence) =
            (field("file.name"), field("file.path"), field("host.id"), field("file.hash.sha256"));
        ir.atoms.push(Atom::Present { field: tested });
        ir.values.push(Value::Field(computed));
        let keys = vec![Key { field: Some(key), optional: false }];
        let step = Step { predicate: PredicateId(0), joined: None, keys, missing: false };
        let kind = RuleKind::Sample { terms: vec![step] };
        ir.rules.push(Rule { id: "sample".to_owned(), kind, pipes: Vec::new(), program: None });
        assert_eq!(asked_fields(&ir).into_iter().collect::<Vec<_>>(), ["file.name", "file.path", "host.id"]);
    }
}
