//! Lowering: typed trees to the tables of the IR, shared across rules.
//!
//! In: [`TypedQuery`]s with their ids, one after another. Out: one [`Ir`]. It cannot fail: what could be wrong with a
//! query was reported before. Equal atoms, values, nodes and predicates become one entry, whichever rule they are of.
//!
//! ```text
//! lower ── condition   and, or, not; where null takes part, what makes it true and what makes it false
//!          leaf        the specific atom of a test of one field, else a computing atom
//!          value       expressions below computing atoms
//!          tables      entries, each once
//! ```

mod condition;
pub mod evidence;
mod leaf;
mod tables;
mod value;

use std::collections::HashMap;

use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{
    Atom, Capability, Ir, Key, LineageFields, Node, NodeId, Pipe, Predicate, PredicateId, Program, ProgramId,
    ProgramLanguage, ProgramLimits, Rule, RuleKind, Sequence, Step, StringMatch, Value,
};
use kestrel_schema::{FieldType, Schema};

use crate::types::tree::{
    FieldOwner, FieldUse, LINEAGE_FIELDS, Typed, TypedFilter, TypedForm, TypedKey, TypedKind, TypedPipe, TypedQuery,
    TypedTerm,
};
use tables::Table;

/// A hand-written predicate whose fields are known.
#[derive(Debug, Clone)]
pub struct TypedProgram {
    /// Its name, unique among the rules of a build.
    pub name: String,
    /// Its language.
    pub language: ProgramLanguage,
    /// The fields that it may read, each once.
    pub fields: Vec<(String, FieldType)>,
    /// What it may do, sorted, each once.
    pub capabilities: Vec<Capability>,
    /// Limits of its own.
    pub limits: ProgramLimits,
}

/// Collects rules into one IR.
#[derive(Debug)]
pub struct Lowering {
    category: String,
    category_type: FieldType,
    layout: Layout,
    fields: HashMap<(String, Option<FieldId>), FieldId>,
    atoms: Table<Atom>,
    values: Table<Value>,
    nodes: Table<Node>,
    predicates: Table<Predicate>,
    rules: Vec<Rule>,
    lineage: Option<LineageFields>,
    programs: Vec<Program>,
}

impl Lowering {
    /// Starts with no rule; the layout holds the evidence fields that the schema knows.
    pub fn new(schema: &Schema) -> Lowering {
        let category = schema.event().category.clone();
        let category_type = schema.lookup(&category).map_or(FieldType::Keyword, |info| info.field_type);
        let mut lowering = Lowering {
            category,
            category_type,
            layout: Layout::new(),
            fields: HashMap::new(),
            atoms: Table::default(),
            values: Table::default(),
            nodes: Table::default(),
            predicates: Table::default(),
            rules: Vec::new(),
            lineage: None,
            programs: Vec::new(),
        };
        for name in evidence::FIELDS {
            if let Some(info) = schema.lookup(name) {
                lowering.intern(name, info.field_type, None);
            }
        }
        lowering
    }

    /// Adds a rule.
    pub fn add(&mut self, id: &str, query: &TypedQuery) {
        let kind = match &query.form {
            TypedForm::Event(filter) => RuleKind::Event { predicate: self.predicate(filter) },
            TypedForm::Sequence(sequence) => RuleKind::Sequence(Sequence {
                steps: sequence.steps.iter().map(|term| self.step(term)).collect(),
                maxspan: sequence.maxspan,
                until: sequence.until.as_ref().map(|term| self.step(term)),
            }),
            TypedForm::Sample(terms) => RuleKind::Sample { terms: terms.iter().map(|term| self.step(term)).collect() },
        };
        let pipes = query.pipes.iter().map(|pipe| self.pipe(pipe)).collect();
        self.rules.push(Rule { id: id.to_owned(), kind, pipes, program: None });
    }

    /// Gives the rule that was added last a hand-written predicate.
    pub fn add_program(&mut self, program: &TypedProgram) {
        let fields = program.fields.iter().map(|(name, field_type)| self.intern(name, *field_type, None)).collect();
        let capabilities = program.capabilities.clone();
        if capabilities.contains(&Capability::Event) {
            self.intern(&self.category.clone(), self.category_type, None);
        }
        let id = ProgramId(self.programs.len() as u32);
        let (name, language, limits) = (program.name.clone(), program.language, program.limits);
        self.programs.push(Program { name, language, fields, capabilities, limits });
        if let Some(rule) = self.rules.last_mut() {
            rule.program = Some(id);
        }
    }

    /// Has the frames hold a field, whether a query reads it or not.
    pub fn keep_field(&mut self, name: &str, field_type: FieldType) {
        self.intern(name, field_type, None);
    }

    fn pipe(&mut self, pipe: &TypedPipe) -> Pipe {
        let mut all = |values: &[Typed]| values.iter().map(|value| self.value(value)).collect();
        match pipe {
            TypedPipe::Head(count) => Pipe::Head(*count),
            TypedPipe::Tail(count) => Pipe::Tail(*count),
            TypedPipe::Unique(values) => Pipe::Unique(all(values)),
            TypedPipe::UniqueCount(values) => Pipe::UniqueCount(all(values)),
            TypedPipe::Sort(values) => Pipe::Sort(all(values)),
            TypedPipe::Count(values) => Pipe::Count(all(values)),
            TypedPipe::Filter(condition) => Pipe::Filter(self.truth(condition, condition::Reach::Alone)),
        }
    }

    /// The IR of all rules that were added.
    pub fn finish(self) -> Ir {
        Ir {
            layout: self.layout,
            atoms: self.atoms.into_entries(),
            values: self.values.into_entries(),
            nodes: self.nodes.into_entries(),
            predicates: self.predicates.into_entries(),
            rules: self.rules,
            lineage: self.lineage,
            programs: self.programs,
        }
    }

    fn step(&mut self, term: &TypedTerm) -> Step {
        let predicate = self.predicate(&term.filter);
        let condition = &term.filter.condition;
        let joined = condition.joined.then(|| self.truth(condition, condition::Reach::Joined));
        let keys = term.keys.iter().map(|key| self.key(key)).collect();
        Step { predicate, joined, keys, missing: term.missing }
    }

    fn key(&mut self, key: &TypedKey) -> Key {
        Key { field: key.field.as_ref().map(|field| self.field(field)), optional: key.optional }
    }

    fn predicate(&mut self, filter: &TypedFilter) -> PredicateId {
        let category = filter.category.as_ref().map(|name| {
            let field = self.intern(&self.category.clone(), self.category_type, None);
            let strings = vec![name.clone()];
            let atom = match self.category_type {
                FieldType::Keyword | FieldType::Version => {
                    Atom::Strings { field, matching: StringMatch::Exact, fold: false, strings }
                }
                // A schema file may give its category another type; then it is compared by its text.
                _ => self.category_text(field, strings),
            };
            self.atoms.intern(atom)
        });
        let root = self.truth(&filter.condition, condition::Reach::Alone);
        self.predicates.intern(Predicate { category, root })
    }

    /// Has the frames hold who descends from whom.
    fn lineage_fields(&mut self) {
        let [entity, parent, ancestry, event_type] =
            LINEAGE_FIELDS.map(|name| self.intern(name, FieldType::Keyword, None));
        self.lineage = Some(LineageFields { entity, parent, ancestry, event_type });
    }

    fn category_text(&mut self, field: FieldId, strings: Vec<String>) -> Atom {
        let input = self.values.intern(Value::Field(field));
        let value = Value::Matches { matching: StringMatch::Exact, fold: false, input, strings };
        Atom::Compute { value: self.values.intern(value) }
    }

    /// The number of a field in the layout. A field of another step's event is laid out like the event's own.
    fn field(&mut self, field: &FieldUse) -> FieldId {
        let parent = match &field.owner {
            FieldOwner::Object(object) => Some(self.intern(object, FieldType::Object, None)),
            FieldOwner::Event | FieldOwner::Step(_) => None,
        };
        self.intern(&field.name, field.field_type, parent)
    }

    fn intern(&mut self, name: &str, field_type: FieldType, parent: Option<FieldId>) -> FieldId {
        if let Some(&known) = self.fields.get(&(name.to_owned(), parent)) {
            return known;
        }
        let field = match parent {
            Some(parent) => self.layout.intern_child(name, field_type, parent),
            None => self.layout.intern(name, field_type),
        };
        self.fields.insert((name.to_owned(), parent), field);
        field
    }

    fn atom_node(&mut self, atom: Atom) -> NodeId {
        let atom = self.atoms.intern(atom);
        self.nodes.intern(Node::Atom(atom))
    }

    fn constant(&mut self, value: bool) -> NodeId {
        self.nodes.intern(Node::Constant(value))
    }

    fn compute(&mut self, value: Value) -> NodeId {
        let value = self.values.intern(value);
        self.atom_node(Atom::Compute { value })
    }

    /// The field that an expression is, if an atom can test it: one of the event or of the searched object.
    fn own_field<'t>(&mut self, typed: &'t Typed) -> Option<(FieldId, &'t FieldUse)> {
        match &typed.kind {
            TypedKind::Field(field) if !matches!(field.owner, FieldOwner::Step(_)) => Some((self.field(field), field)),
            _ => None,
        }
    }
}
