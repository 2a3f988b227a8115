//! The typed IR: pack-wide tables of atoms, values, boolean nodes, predicates and rules.
//!
//! ```text
//! Rule ──▶ Predicate ──▶ Node (and, or, not) ──▶ Atom: one test of one field, shared by all rules
//!                                                  └──▶ Value: arithmetic, functions, field against field
//! ```
//!
//! Tables hold plain data; a reference is a typed id into a table. References never form a cycle and never nest deeply:
//! [`verify`](crate::verify) checks that. What the tables mean is said by
//! [`interp`](crate::interp).

use serde::{Deserialize, Serialize};

use crate::cidr::Cidr;
use crate::layout::{FieldId, Layout};
pub use kestrel_schema::host_api::Capability;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub u32);

        impl $name {
            /// The id as an index into its table.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// An entry of [`Ir::atoms`].
    AtomId
    /// An entry of [`Ir::values`].
    ValueId
    /// An entry of [`Ir::nodes`].
    NodeId
    /// An entry of [`Ir::predicates`].
    PredicateId
    /// An entry of [`Ir::rules`].
    RuleIndex
    /// An entry of [`Ir::programs`].
    ProgramId
}

/// All that the rules of a pack need at run time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ir {
    /// The fields of the pack's frames.
    pub layout: Layout,
    /// Tests, each of one field (or of a computed value), shared across rules.
    pub atoms: Vec<Atom>,
    /// Value expressions, for atoms that compute.
    pub values: Vec<Value>,
    /// The boolean DAG over atoms.
    pub nodes: Vec<Node>,
    /// What an event must fulfil for a rule or a step.
    pub predicates: Vec<Predicate>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The fields that tell who descends from whom; there when an atom asks for it.
    pub lineage: Option<LineageFields>,
    /// Hand-written predicates, each of one rule. Their code is not here but beside the IR, under their names.
    pub programs: Vec<Program>,
}

/// The fields by which processes are known and related.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageFields {
    /// The id of an event's process, a keyword.
    pub entity: FieldId,
    /// The id of its parent.
    pub parent: FieldId,
    /// The ids of its ancestors, if the source knows them.
    pub ancestry: FieldId,
    /// What kind of event it is: `end` is the end of the process.
    pub event_type: FieldId,
}

/// Which processes a lineage atom asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Relation {
    /// `child of`: the parent of the event's process.
    Child,
    /// `descendant of`: any ancestor of the event's process.
    Descendant,
    /// `event of`: the event's process itself.
    Event,
}

impl Relation {
    /// The words of the language.
    pub fn text(self) -> &'static str {
        match self {
            Relation::Child => "child of",
            Relation::Descendant => "descendant of",
            Relation::Event => "event of",
        }
    }
}

/// An ordering test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Order {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

/// A comparison between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `< <= > >=`
    Ordered(Order),
}

/// How strings are matched against a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StringMatch {
    /// The whole value, character by character.
    Exact,
    /// `*` any run, `?` one character, over the whole value.
    Wildcard,
    /// A regular expression in Lucene's syntax, over the whole value.
    Regex,
}

/// One test. True if any value of the field makes it true; a missing field makes every atom false.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Atom {
    /// The field has a value.
    Present {
        /// The tested field, of any type.
        field: FieldId,
    },
    /// A `boolean` field has this value.
    Boolean {
        /// The tested field.
        field: FieldId,
        /// The wanted value.
        value: bool,
    },
    /// A `keyword` or `version` field matches any string of a list.
    Strings {
        /// The tested field.
        field: FieldId,
        /// How a string is matched.
        matching: StringMatch,
        /// Whether case is ignored (Unicode simple folding). The strings are then folded, regular expressions aside.
        fold: bool,
        /// The list, without duplicates; sorted, except that regular expressions keep their order.
        strings: Vec<String>,
    },
    /// A `keyword` field against a string by code point.
    StringOrder {
        /// The tested field.
        field: FieldId,
        /// The comparison; the field is on its left.
        order: Order,
        /// Its right side.
        value: String,
    },
    /// A `long` or `date` field is one of these, sorted, without duplicates.
    Integers {
        /// The tested field.
        field: FieldId,
        /// The list; dates in nanoseconds since 1970.
        values: Vec<i64>,
    },
    /// A `long` or `date` field against an integer.
    IntegerOrder {
        /// The tested field.
        field: FieldId,
        /// The comparison; the field is on its left.
        order: Order,
        /// Its right side.
        value: i64,
    },
    /// A `double` field against a number, or a `long` field against a number that is no integer.
    FloatOrder {
        /// The tested field.
        field: FieldId,
        /// The comparison; the field is on its left.
        comparison: Comparison,
        /// Its right side.
        value: f64,
    },
    /// An `ip` field lies in any of these blocks; an equality is a block of one address.
    Cidr {
        /// The tested field.
        field: FieldId,
        /// The blocks, sorted.
        blocks: Vec<Cidr>,
    },
    /// A `version` field against a version.
    VersionOrder {
        /// The tested field.
        field: FieldId,
        /// The comparison; the field is on its left.
        comparison: Comparison,
        /// Its right side.
        value: String,
    },
    /// Any other leaf: a value expression that is a boolean. True if any combination of its fields' values makes it true.
    Compute {
        /// The expression; null is false.
        value: ValueId,
    },
    /// Some object of an array of objects fulfils a condition on its children.
    AnyObject {
        /// The object field.
        object: FieldId,
        /// The condition: its atoms may test the object's children as well as top-level fields.
        condition: NodeId,
    },
    /// A related process had an event that fulfilled a predicate, up to and including this event. The one atom whose
    /// answer depends on earlier events: whoever evaluates it is told (see [`interp::Context`](crate::interp::Context)).
    Lineage {
        /// Which processes.
        relation: Relation,
        /// What their event fulfilled; it does not look at steps or objects.
        predicate: PredicateId,
    },
}

/// A constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Constant {
    /// No value.
    Null,
    /// A truth value.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A decimal.
    Float(f64),
    /// A string.
    String(String),
}

/// An arithmetic operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
}

/// A function of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the language's own; the language guide says what each computes")]
pub enum Function {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Between,
    CidrMatch,
    Concat,
    EndsWith,
    IndexOf,
    Length,
    Number,
    StartsWith,
    String,
    StringContains,
    Substring,
    ArrayContains,
    ArrayCount,
    Match,
    Wildcard,
}

/// A value expression. A field stands for one of its values at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A constant.
    Constant(Constant),
    /// A field of the event, or of the object that is being searched when the field is a child.
    Field(FieldId),
    /// A field of the event that an earlier step of the sequence matched.
    StepField {
        /// The step, counted among all terms from 0.
        step: u32,
        /// The field.
        field: FieldId,
    },
    /// `-x`
    Negate(ValueId),
    /// `x + y` and its like.
    Arithmetic {
        /// The operation.
        operation: Arithmetic,
        /// Left side.
        left: ValueId,
        /// Right side.
        right: ValueId,
    },
    /// `x == y` and its like; null when a side is null.
    Compare {
        /// The comparison.
        comparison: Comparison,
        /// Left side.
        left: ValueId,
        /// Right side.
        right: ValueId,
    },
    /// `x : ("a", "b")`, `like`, `regex`; null when the input is null.
    Matches {
        /// How strings are matched.
        matching: StringMatch,
        /// Whether case is ignored.
        fold: bool,
        /// The matched value.
        input: ValueId,
        /// The patterns, as in [`Atom::Strings`].
        strings: Vec<String>,
    },
    /// Whether the operand is null: never null itself.
    IsNull(ValueId),
    /// Whether the operand is not null: never null itself.
    NotNull(ValueId),
    /// A condition as a value: true or false.
    Condition(NodeId),
    /// A function call.
    Call {
        /// The function.
        function: Function,
        /// Whether case is ignored (`startsWith~`).
        fold: bool,
        /// The arguments.
        arguments: Vec<ValueId>,
    },
}

/// A node of the boolean DAG: two-valued.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Node {
    /// Always or never.
    Constant(bool),
    /// A test.
    Atom(AtomId),
    /// Negation.
    Not(NodeId),
    /// All of these; at least two.
    And(Vec<NodeId>),
    /// Any of these; at least two.
    Or(Vec<NodeId>),
}

/// What one event must fulfil.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Predicate {
    /// `process where`: an atom over the category field. `None` for `any where`.
    pub category: Option<AtomId>,
    /// The condition.
    pub root: NodeId,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The rule's id, unique in a pack.
    pub id: String,
    /// What it looks for.
    pub kind: RuleKind,
    /// Pipes behind the query, in order.
    pub pipes: Vec<Pipe>,
    /// A hand-written predicate, which decides about the events that `kind` selects; for rules of single events alone.
    pub program: Option<ProgramId>,
}

/// The language of a hand-written predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProgramLanguage {
    /// A Wasm module.
    Wasm,
    /// A Lua source.
    Lua,
}

impl ProgramLanguage {
    /// The word of the text form, and the ending of files.
    pub fn name(self) -> &'static str {
        match self {
            ProgramLanguage::Wasm => "wasm",
            ProgramLanguage::Lua => "lua",
        }
    }
}

/// A hand-written predicate: what it may read and do. `docs/host-api.md` says how it is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Program {
    /// Its name, unique in a pack.
    pub name: String,
    /// Its language.
    pub language: ProgramLanguage,
    /// The fields that it may read.
    pub fields: Vec<FieldId>,
    /// What it may do, sorted.
    pub capabilities: Vec<Capability>,
    /// Limits of its own, which only lower those of the engine.
    pub limits: ProgramLimits,
}

/// What one call of a hand-written predicate may use at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProgramLimits {
    /// Instructions: fuel in Wasm, instructions of the virtual machine in Lua.
    pub instructions: Option<u64>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Work of the host's functions, one for each call and one more for every 64 bytes that it handles.
    pub host_work: Option<u64>,
}

/// What a rule looks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RuleKind {
    /// Single events.
    Event {
        /// The condition.
        predicate: PredicateId,
    },
    /// Events in order.
    Sequence(Sequence),
    /// One event for each filter, in any order, that share their keys.
    Sample {
        /// One filter each, with as many keys each.
        terms: Vec<Step>,
    },
}

/// An ordered pattern of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// The terms in order, `runs` written out.
    pub steps: Vec<Step>,
    /// The longest time between the first and the last event, inclusive, in nanoseconds.
    pub maxspan: Option<i64>,
    /// Ends partial matches of its key.
    pub until: Option<Step>,
}

/// One term of a sequence or a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What its event must fulfil, as far as that can be said of the event alone.
    pub predicate: PredicateId,
    /// What it must fulfil beside the events of earlier steps; `None` when `predicate` says it all.
    pub joined: Option<NodeId>,
    /// The join key: the query's own keys, then the term's.
    pub keys: Vec<Key>,
    /// `![…]`: such an event must be missing.
    pub missing: bool,
}

/// A field of a join key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The field; `None` for an optional field that the schema does not know, which is null in every event.
    pub field: Option<FieldId>,
    /// `?key`: a missing value is null and joins null.
    pub optional: bool,
}

/// A pipe behind a query. Conditions and values are those of a match's first event; of a field with many values the
/// first counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pipe {
    /// `head n`: the first n matches.
    Head(u64),
    /// `tail n`: the last n matches.
    Tail(u64),
    /// `filter condition`: the matches that fulfil it (classic).
    Filter(NodeId),
    /// `unique a, b`: of the matches with equal values the first (classic).
    Unique(Vec<ValueId>),
    /// `unique_count a, b`: the same, with how many there were (classic).
    UniqueCount(Vec<ValueId>),
    /// `sort a, b`: the matches in ascending order, null first, otherwise as they came (classic).
    Sort(Vec<ValueId>),
    /// `count a, b`: how many matches there are for each combination of values, in ascending order (classic).
    Count(Vec<ValueId>),
}

impl Pipe {
    /// The word of the language.
    pub fn name(&self) -> &'static str {
        match self {
            Pipe::Head(_) => "head",
            Pipe::Tail(_) => "tail",
            Pipe::Filter(_) => "filter",
            Pipe::Unique(_) => "unique",
            Pipe::UniqueCount(_) => "unique_count",
            Pipe::Sort(_) => "sort",
            Pipe::Count(_) => "count",
        }
    }

    /// The values that the pipe looks at.
    pub fn values(&self) -> &[ValueId] {
        match self {
            Pipe::Unique(values) | Pipe::UniqueCount(values) | Pipe::Sort(values) | Pipe::Count(values) => values,
            Pipe::Head(_) | Pipe::Tail(_) | Pipe::Filter(_) => &[],
        }
    }

    /// Whether the pipe can let a match through without knowing those to come.
    pub fn streams(&self) -> bool {
        matches!(self, Pipe::Head(_) | Pipe::Filter(_) | Pipe::Unique(_))
    }
}

impl Ir {
    /// The entry of an atom.
    pub fn atom(&self, id: AtomId) -> Option<&Atom> {
        self.atoms.get(id.index())
    }

    /// The entry of a node.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }

    /// The entry of a value.
    pub fn value(&self, id: ValueId) -> Option<&Value> {
        self.values.get(id.index())
    }

    /// The entry of a program.
    pub fn program(&self, id: ProgramId) -> Option<&Program> {
        self.programs.get(id.index())
    }

    /// The entry of a predicate.
    pub fn predicate(&self, id: PredicateId) -> Option<&Predicate> {
        self.predicates.get(id.index())
    }
}

impl Rule {
    /// The predicates of the rule, in order, that of `until` last.
    pub fn predicates(&self) -> Vec<PredicateId> {
        self.steps().map(|step| step.predicate).chain(self.event_predicate()).collect()
    }

    /// The terms of a sequence (then its `until`) or of a sample; none for a rule of single events.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let (steps, until): (&[Step], Option<&Step>) = match &self.kind {
            RuleKind::Event { .. } => (&[], None),
            RuleKind::Sequence(sequence) => (&sequence.steps, sequence.until.as_ref()),
            RuleKind::Sample { terms } => (terms, None),
        };
        steps.iter().chain(until)
    }

    fn event_predicate(&self) -> Option<PredicateId> {
        match self.kind {
            RuleKind::Event { predicate } => Some(predicate),
            _ => None,
        }
    }
}
