//! The verifier's checks of hand-written predicates and of the rules that have one.

use std::collections::HashSet;

use super::{MAX_FIELDS, MAX_NAME, Place, Problems};
use crate::model::{Ir, Program, RuleKind};
use kestrel_schema::FieldType;

/// Checks all programs, then who uses them.
pub(super) fn check(ir: &Ir, problems: &mut Problems) {
    let mut names = HashSet::new();
    for (index, program) in ir.programs.iter().enumerate() {
        let place = Place::Program(index);
        if !names.insert(program.name.as_str()) {
            problems.push(place, || "another program has this name".to_owned());
        }
        check_program(ir, program, place, problems);
    }
    let mut users = vec![0_u32; ir.programs.len()];
    for (index, rule) in ir.rules.iter().enumerate() {
        let Some(program) = rule.program else { continue };
        let place = Place::Rule(index, &rule.id);
        match users.get_mut(program.index()) {
            Some(count) => *count += 1,
            None => problems.push(place, || format!("there is no g{}", program.0)),
        }
        if !matches!(rule.kind, RuleKind::Event { .. }) {
            problems.push(place, || "only a rule of single events can have a program".to_owned());
        }
    }
    for (index, count) in users.into_iter().enumerate().filter(|(_, count)| *count != 1) {
        problems.push(Place::Program(index), || format!("it is the program of {count} rules, not of one"));
    }
}

fn check_program(ir: &Ir, program: &Program, place: Place<'_>, problems: &mut Problems) {
    let Program { name, fields, capabilities, limits, .. } = program;
    if name.is_empty() || name.len() > MAX_NAME {
        problems.push(place, || format!("a name has 1 to {MAX_NAME} bytes, not {}", name.len()));
    }
    if fields.len() > MAX_FIELDS {
        problems.push(place, || format!("{} fields, at most {MAX_FIELDS} are allowed", fields.len()));
        return;
    }
    let mut known = HashSet::new();
    for id in fields {
        match ir.layout.get(*id) {
            None => problems.push(place, || format!("there is no field f{}", id.0)),
            Some(field) if field.parent.is_some() || field.field_type == FieldType::Object => {
                problems.push(place, || format!("`{}` is an object or a child field", field.name));
            }
            Some(_) => {}
        }
        if !known.insert(id) {
            problems.push(place, || format!("f{} is listed twice", id.0));
        }
    }
    if !capabilities.is_sorted_by(|left, right| left < right) {
        problems.push(place, || "capabilities are not sorted, or one is there twice".to_owned());
    }
    if [limits.instructions, limits.memory, limits.host_work].contains(&Some(0)) {
        problems.push(place, || "a limit is 0".to_owned());
    }
}
