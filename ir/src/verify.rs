//! The verifier: whether an [`Ir`] keeps the promises that interpreters and backends rely on.
//!
//! In: any value of the type, also one decoded from a hostile pack. Out: nothing, or all problems up to
//! [`MAX_PROBLEMS`]. It never recurses, and takes time and memory in proportion to the IR. It checks:
//!
//! - tables: no table is longer than its limit; lists inside entries count as references or strings, and are limited too
//! - layout: names are not empty and unique below one parent; parents are top-level objects, declared before their
//!   children, whose names they begin; slots are dense, in the order of declaration
//! - ids: every id is in its table; an entry refers only to earlier entries of its own table
//! - shape: nothing is cyclic across the tables (atom → value → node → atom); no chain of references is longer than
//!   [`MAX_DEPTH`]; written out as a tree, nothing has more than [`MAX_EXPANDED`] entries
//! - scope: a child field is read only inside an `AnyObject` over its parent; nothing else is in scope there than the
//!   children of that one object and top-level fields
//! - atoms: an atom fits its field's type; string lists are not empty, sorted, without duplicates, folded when they ignore
//!   case; regular expressions compile; integers and blocks are sorted, without duplicates; no number is NaN or infinite
//! - values: constants are finite; patterns as in atoms; functions have as many arguments as they take
//! - nodes: `And` and `Or` have at least two branches
//! - lineage: an atom's predicate is in its table, looks at nothing beside its event (see predicates), and is declared
//!   before it in the sense that nothing is cyclic; the fields that tell who descends from whom are top-level keywords
//! - predicates: no child field and no field of another step is read
//! - rules: ids are unique and not empty; terms and keys are within their limits; a sequence has at least two terms, one of
//!   them positive, and a sample two, all positive; all key counts are equal and the types of a key agree; keys are
//!   top-level fields and an unknown one is optional; `maxspan` is positive and there is one where a term is missing
//! - programs: names are not empty and unique; fields are top-level, no objects, and listed once; capabilities are sorted,
//!   without duplicates; limits are not 0; each is the program of exactly one rule, and that a rule of single events
//! - joins: a field of another step is read only in `joined`, and only of an earlier positive term; a sample has no joins
//!
//! It does not check that a rule is sensible, nor that it came from a compiler.

use std::collections::HashSet;
use std::fmt;

use crate::fold::fold;
use crate::layout::{FieldId, Layout, LayoutField};
use crate::model::{Atom, Constant, Function, Ir, Node, StringMatch, Value};
use kestrel_schema::FieldType;

use graph::Graph;
pub(crate) use graph::count_references;

mod graph;
mod programs;
mod rules;

/// The longest chain of references from a predicate down: bounds the recursion of whoever walks the IR.
pub const MAX_DEPTH: u32 = 512;
/// The largest number of entries that a node stands for when everything shared is written out: bounds the work of one
/// evaluation that remembers nothing.
pub const MAX_EXPANDED: u64 = 1 << 20;
/// The most fields of a layout.
pub const MAX_FIELDS: usize = 1 << 14;
/// The most entries of each of the tables of atoms, values and nodes.
pub const MAX_ENTRIES: usize = 1 << 20;
/// The most references in all entries together.
pub const MAX_REFERENCES: usize = 1 << 23;
/// The most predicates.
pub const MAX_PREDICATES: usize = 1 << 18;
/// The most rules.
pub const MAX_RULES: usize = 1 << 16;
/// The most hand-written predicates.
pub const MAX_PROGRAMS: usize = 1 << 10;
/// The most terms of a sequence, `runs` written out, or of a sample.
pub const MAX_STEPS: usize = 256;
/// The most fields of a join key.
pub const MAX_KEYS: usize = 64;
/// The most pipes behind a query.
pub const MAX_PIPES: usize = 16;
/// The longest name of a field and the longest rule id, in bytes.
pub const MAX_NAME: usize = 1024;
/// How many problems are told; more are counted.
pub const MAX_PROBLEMS: usize = 64;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyProblem {
    /// Where: the entry as the text form names it, `atom a7`.
    pub place: String,
    /// What.
    pub message: String,
}

/// Why an [`Ir`] was refused: every problem, up to [`MAX_PROBLEMS`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct VerifyError {
    problems: Vec<VerifyProblem>,
    untold: usize,
}

impl VerifyError {
    /// The problems, in the order in which they were found; at least one.
    pub fn problems(&self) -> &[VerifyProblem] {
        &self.problems
    }

    /// How many more there are beyond those that are told.
    pub fn untold(&self) -> usize {
        self.untold
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{}: {}", problem.place, problem.message)?;
        }
        if self.untold > 0 {
            write!(formatter, "; and {} more", self.untold)?;
        }
        Ok(())
    }
}

/// Checks all that the head of this module lists.
pub fn verify(ir: &Ir) -> Result<(), VerifyError> {
    let mut problems = Problems::default();
    // A table over its limit ends the check, so that the rest need not be afraid of sizes.
    check_sizes(ir, &mut problems);
    if problems.is_empty() {
        check_layout(&ir.layout, &mut problems);
        check_entries(ir, &mut problems);
        check_lineage(ir, &mut problems);
        let graph = Graph::new(ir, &mut problems);
        rules::check(ir, &graph, &mut problems);
        programs::check(ir, &mut problems);
    }
    problems.finish()
}

/// An entry that a problem is about.
#[derive(Debug, Clone, Copy)]
enum Place<'i> {
    Tables,
    Field(usize),
    Atom(usize),
    Value(usize),
    Node(usize),
    Predicate(usize),
    Program(usize),
    Rule(usize, &'i str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tables => formatter.write_str("tables"),
            Place::Field(index) => write!(formatter, "field f{index}"),
            Place::Atom(index) => write!(formatter, "atom a{index}"),
            Place::Value(index) => write!(formatter, "value v{index}"),
            Place::Node(index) => write!(formatter, "node n{index}"),
            Place::Predicate(index) => write!(formatter, "predicate p{index}"),
            Place::Program(index) => write!(formatter, "program g{index}"),
            Place::Rule(index, id) => {
                let short: String = id.chars().take(80).collect();
                write!(formatter, "rule {index} {short:?}")
            }
        }
    }
}

#[derive(Debug, Default)]
struct Problems {
    told: Vec<VerifyProblem>,
    untold: usize,
}

impl Problems {
    fn push(&mut self, place: Place<'_>, message: impl FnOnce() -> String) {
        if self.told.len() < MAX_PROBLEMS {
            self.told.push(VerifyProblem { place: place.to_string(), message: message() });
        } else {
            self.untold += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    fn finish(self) -> Result<(), VerifyError> {
        if self.is_empty() {
            return Ok(());
        }
        Err(VerifyError { problems: self.told, untold: self.untold })
    }
}

fn check_sizes(ir: &Ir, problems: &mut Problems) {
    for (table, length, limit) in [
        ("fields", ir.layout.len(), MAX_FIELDS),
        ("atoms", ir.atoms.len(), MAX_ENTRIES),
        ("values", ir.values.len(), MAX_ENTRIES),
        ("nodes", ir.nodes.len(), MAX_ENTRIES),
        ("references", count_references(ir), MAX_REFERENCES),
        ("predicates", ir.predicates.len(), MAX_PREDICATES),
        ("rules", ir.rules.len(), MAX_RULES),
        ("programs", ir.programs.len(), MAX_PROGRAMS),
    ] {
        if length > limit {
            problems.push(Place::Tables, || format!("{length} {table}, at most {limit} are allowed"));
        }
    }
}

fn check_layout(layout: &Layout, problems: &mut Problems) {
    let mut names = HashSet::new();
    // The number of slots used so far: at the top level, and below each field.
    let mut top_level = 0;
    let mut below = vec![0_u32; layout.len()];
    for (id, field) in layout.iter() {
        let place = Place::Field(id.index());
        if field.name.is_empty() || field.name.len() > MAX_NAME {
            problems.push(place, || format!("a name has 1 to {MAX_NAME} bytes, not {}", field.name.len()));
        }
        if !names.insert((field.parent, field.name.as_str())) {
            problems.push(place, || format!("`{}` is already declared", field.name));
        }
        let next_slot = match field.parent {
            None => &mut top_level,
            Some(parent) => {
                let Some(object) = layout.get(parent).filter(|_| parent < id) else {
                    problems.push(place, || format!("its parent f{} is not an earlier field", parent.0));
                    continue;
                };
                if object.parent.is_some() || object.field_type != FieldType::Object {
                    problems.push(place, || format!("its parent `{}` is no top-level object", object.name));
                }
                let tail = field.name.strip_prefix(object.name.as_str());
                if !tail.is_some_and(|tail| tail.len() > 1 && tail.starts_with('.')) {
                    problems.push(place, || format!("`{}` is not a name below `{}`", field.name, object.name));
                }
                &mut below[parent.index()]
            }
        };
        if field.slot != *next_slot {
            problems.push(place, || format!("slot {} where slot {next_slot} is next", field.slot));
        }
        *next_slot += 1;
    }
}

fn check_lineage(ir: &Ir, problems: &mut Problems) {
    for (index, atom) in ir.atoms.iter().enumerate() {
        let Atom::Lineage { predicate, .. } = atom else { continue };
        if ir.predicate(*predicate).is_none() {
            problems.push(Place::Atom(index), || format!("there is no p{}", predicate.0));
        }
        if ir.lineage.is_none() {
            problems.push(Place::Atom(index), || "no fields tell who descends from whom".to_owned());
        }
    }
    let Some(fields) = ir.lineage else { return };
    for field in [fields.entity, fields.parent, fields.ancestry, fields.event_type] {
        let fits = |field: &LayoutField| field.parent.is_none() && field.field_type == FieldType::Keyword;
        if !ir.layout.get(field).is_some_and(fits) {
            problems.push(Place::Tables, || format!("lineage: f{} is no keyword of the top level", field.0));
        }
    }
}

fn check_entries(ir: &Ir, problems: &mut Problems) {
    for (index, atom) in ir.atoms.iter().enumerate() {
        check_atom(&ir.layout, atom, Place::Atom(index), problems);
    }
    for (index, value) in ir.values.iter().enumerate() {
        check_value(&ir.layout, value, Place::Value(index), problems);
    }
    for (index, node) in ir.nodes.iter().enumerate() {
        if let Node::And(branches) | Node::Or(branches) = node
            && branches.len() < 2
        {
            problems.push(Place::Node(index), || format!("{} branches, at least 2 are needed", branches.len()));
        }
    }
}

fn check_atom(layout: &Layout, atom: &Atom, place: Place<'_>, problems: &mut Problems) {
    use FieldType::{Boolean, Date, Double, Ip, Keyword, Long, Object, Version};
    let wanted: (FieldId, &[FieldType]) = match atom {
        Atom::Present { field } => (*field, &FieldType::ALL),
        Atom::Boolean { field, .. } => (*field, &[Boolean]),
        Atom::Strings { field, matching, fold, strings } => {
            check_strings(*matching, *fold, strings, place, problems);
            (*field, &[Keyword, Version])
        }
        Atom::StringOrder { field, .. } => (*field, &[Keyword]),
        Atom::Integers { field, values } => {
            check_ascending(values, "integers", place, problems);
            (*field, &[Long, Date])
        }
        Atom::IntegerOrder { field, .. } => (*field, &[Long, Date]),
        Atom::FloatOrder { field, value, .. } => {
            check_finite(*value, place, problems);
            (*field, &[Double, Long])
        }
        Atom::Cidr { field, blocks } => {
            check_ascending(blocks, "blocks", place, problems);
            if let Some(block) = blocks.iter().find(|block| !block.is_canonical()) {
                problems.push(place, || format!("block with a prefix of {} bits is not canonical", block.prefix()));
            }
            (*field, &[Ip])
        }
        Atom::VersionOrder { field, .. } => (*field, &[Version]),
        Atom::AnyObject { object, .. } => (*object, &[Object]),
        Atom::Compute { .. } | Atom::Lineage { .. } => return,
    };
    let Some(field) = layout.get(wanted.0) else {
        problems.push(place, || format!("there is no field f{}", wanted.0.0));
        return;
    };
    if !wanted.1.contains(&field.field_type) {
        problems
            .push(place, || format!("`{}` is of type {}, which this test does not fit", field.name, field.field_type));
    }
    if matches!(atom, Atom::AnyObject { .. }) && field.parent.is_some() {
        problems.push(place, || format!("`{}` is a child, only top-level objects are searched", field.name));
    }
}

fn check_value(layout: &Layout, value: &Value, place: Place<'_>, problems: &mut Problems) {
    match value {
        Value::Constant(Constant::Float(value)) => check_finite(*value, place, problems),
        Value::Field(field) => {
            if layout.get(*field).is_none() {
                problems.push(place, || format!("there is no field f{}", field.0));
            }
        }
        Value::StepField { step, field } => {
            if *step as usize >= MAX_STEPS {
                problems.push(place, || format!("step {step}, at most {MAX_STEPS} steps are allowed"));
            }
            match layout.get(*field) {
                None => problems.push(place, || format!("there is no field f{}", field.0)),
                Some(definition) if definition.parent.is_some() => {
                    problems.push(place, || format!("`{}` of another step is a child field", definition.name));
                }
                Some(_) => {}
            }
        }
        Value::Matches { matching, fold, strings, .. } => check_strings(*matching, *fold, strings, place, problems),
        Value::Call { function, arguments, .. } => {
            let (least, most) = arity(*function);
            if arguments.len() < least || arguments.len() > most {
                problems.push(place, || format!("{function:?} does not take {} arguments", arguments.len()));
            }
        }
        Value::Constant(_)
        | Value::Negate(_)
        | Value::Arithmetic { .. }
        | Value::Compare { .. }
        | Value::IsNull(_)
        | Value::NotNull(_)
        | Value::Condition(_) => {}
    }
}

/// The least and the largest number of arguments.
fn arity(function: Function) -> (usize, usize) {
    const MANY: usize = 1 << 16;
    match function {
        Function::Add | Function::Subtract | Function::Multiply | Function::Divide | Function::Modulo => (2, 2),
        Function::StartsWith | Function::EndsWith | Function::StringContains => (2, 2),
        Function::Between => (3, 5),
        Function::IndexOf | Function::Substring => (2, 3),
        Function::Number => (1, 2),
        Function::Length | Function::String => (1, 1),
        Function::Concat | Function::ArrayCount => (1, MANY),
        Function::CidrMatch | Function::ArrayContains | Function::Match | Function::Wildcard => (2, MANY),
    }
}

fn check_strings(matching: StringMatch, folded: bool, strings: &[String], place: Place<'_>, problems: &mut Problems) {
    if matching != StringMatch::Regex {
        check_ascending(strings, "strings", place, problems);
        if folded && let Some(string) = strings.iter().find(|string| fold(string) != string.as_str()) {
            problems.push(place, || format!("{string:?} is not folded"));
        }
        return;
    }
    if strings.is_empty() {
        problems.push(place, || "no strings".to_owned());
    }
    let mut known = HashSet::new();
    for pattern in strings {
        if !known.insert(pattern) {
            problems.push(place, || format!("regular expression {pattern:?} is there twice"));
        } else if let Err(error) = crate::regex::compile(pattern, folded) {
            problems.push(place, || format!("regular expression {pattern:?}: {error}"));
        }
    }
}

fn check_ascending<T: Ord>(list: &[T], what: &str, place: Place<'_>, problems: &mut Problems) {
    if list.is_empty() {
        problems.push(place, || format!("no {what}"));
    } else if !list.is_sorted_by(|left, right| left < right) {
        problems.push(place, || format!("{what} are not sorted, or one is there twice"));
    }
}

fn check_finite(value: f64, place: Place<'_>, problems: &mut Problems) {
    if !value.is_finite() {
        problems.push(place, || format!("{value} is not a finite number"));
    }
}
