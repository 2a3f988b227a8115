//! The typed tree of one query: names resolved, constants folded, types known; nothing in it can be wrong.
//!
//! In: nothing; [`check`](super::check) fills it. Out: what [`lower`](crate::lower) translates. What the author wrote in
//! several ways is one here: `not in` is a `not` over an `in`, `x == null` is [`TypedKind::IsNull`], a constant stands on
//! the right, a date is an integer of nanoseconds, a list holds constants of the subject's type.

use kestrel_ir::model::{Arithmetic, Comparison, Constant, Function, Relation};
use kestrel_schema::{Family, FieldType};

use crate::syntax::Span;

/// The fields by which processes are known and related: an event's process, its parent, its ancestors, and what kind of
/// event it is.
pub const LINEAGE_FIELDS: [&str; 4] =
    ["process.entity_id", "process.parent.entity_id", "process.Ext.ancestry", "event.type"];

/// A checked query.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedQuery {
    /// What kind of query.
    pub form: TypedForm,
    /// The pipes behind it.
    pub pipes: Vec<TypedPipe>,
}

/// A pipe; conditions and values are those of a match's first event.
#[derive(Debug, Clone, PartialEq)]
pub enum TypedPipe {
    /// `head n`
    Head(u64),
    /// `tail n`
    Tail(u64),
    /// `filter condition`
    Filter(Box<Typed>),
    /// `unique a, b`
    Unique(Vec<Typed>),
    /// `unique_count a, b`
    UniqueCount(Vec<Typed>),
    /// `sort a, b`
    Sort(Vec<Typed>),
    /// `count a, b`
    Count(Vec<Typed>),
}

/// The forms of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum TypedForm {
    /// Single events.
    Event(TypedFilter),
    /// Events in order.
    Sequence(TypedSequence),
    /// Events that share their keys, in any order.
    Sample(Vec<TypedTerm>),
}

/// `sequence`
#[derive(Debug, Clone, PartialEq)]
pub struct TypedSequence {
    /// The steps in order, `runs` written out.
    pub steps: Vec<TypedTerm>,
    /// In nanoseconds.
    pub maxspan: Option<i64>,
    /// What ends an open sequence.
    pub until: Option<TypedTerm>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedTerm {
    /// Which events.
    pub filter: TypedFilter,
    /// The query's keys, then the term's own.
    pub keys: Vec<TypedKey>,
    /// `![..]`
    pub missing: bool,
}

/// One part of a join key.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedKey {
    /// The field; `None` for an optional one that the schema does not know.
    pub field: Option<FieldUse>,
    /// Whether an event without it joins.
    pub optional: bool,
}

/// `category where condition`
#[derive(Debug, Clone, PartialEq)]
pub struct TypedFilter {
    /// `None` is `any`.
    pub category: Option<String>,
    /// A boolean.
    pub condition: Typed,
}

/// An expression with its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    /// Where it was written.
    pub span: Span,
    /// What it gives.
    pub result: Type,
    /// Whether an operand of its `and`s, `or`s and `not`s is the constant null, so that it may be neither true nor false.
    pub unknown: bool,
    /// Whether it reads a field of another step's event.
    pub joined: bool,
    /// What it is.
    pub kind: TypedKind,
}

/// The type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A value of this family, or null at run time.
    Of(Family),
    /// The constant null.
    Null,
    /// Something that was reported; it fits everywhere.
    Error,
}

/// The kinds of typed expression.
#[derive(Debug, Clone, PartialEq)]
pub enum TypedKind {
    /// A constant of the type that its surroundings want: an address and a version are texts, a date is nanoseconds.
    Constant(Constant),
    /// A field.
    Field(FieldUse),
    /// All of these, at least two.
    And(Vec<Typed>),
    /// Any of these, at least two.
    Or(Vec<Typed>),
    /// Negation.
    Not(Box<Typed>),
    /// `a == b` and its like. If one side is a constant, it is the right one.
    Compare {
        /// The comparison.
        comparison: Comparison,
        /// Left side.
        left: Box<Typed>,
        /// Right side.
        right: Box<Typed>,
    },
    /// `a in (..)`
    In {
        /// `in~`
        fold: bool,
        /// What is looked for.
        subject: Box<Typed>,
        /// At least one constant, of the subject's type, no null.
        list: Vec<Constant>,
    },
    /// `a : "x"`, `like`, `regex`
    Match {
        /// Whether the patterns are regular expressions rather than wildcard patterns.
        regex: bool,
        /// Whether case does not count.
        fold: bool,
        /// What is matched.
        subject: Box<Typed>,
        /// At least one pattern.
        patterns: Vec<String>,
    },
    /// `a == null`
    IsNull(Box<Typed>),
    /// `a != null`
    NotNull(Box<Typed>),
    /// `-a`
    Negate(Box<Typed>),
    /// `a + b`
    Arithmetic {
        /// The operation.
        operation: Arithmetic,
        /// Left side.
        left: Box<Typed>,
        /// Right side.
        right: Box<Typed>,
    },
    /// A call.
    Call {
        /// The function.
        function: Function,
        /// `name~`
        fold: bool,
        /// The arguments.
        arguments: Vec<Typed>,
    },
    /// Some object of an array of objects fulfils the condition.
    AnyObject {
        /// The object field.
        object: FieldUse,
        /// The condition, over the object's children and other fields.
        condition: Box<Typed>,
    },
    /// A related process had an event that passes the filter.
    Lineage {
        /// Which processes.
        relation: Relation,
        /// What their event fulfils.
        filter: Box<TypedFilter>,
    },
    /// Some value of the fields in a leaf makes the leaf false: `_arraysearch(f, $v, $v != "x")`.
    SomeFails(Box<Typed>),
    /// Something that was reported.
    Error,
}

/// A field and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldUse {
    /// The whole dotted name.
    pub name: String,
    /// Its type.
    pub field_type: FieldType,
    /// Whose it is.
    pub owner: FieldOwner,
}

/// Whose field it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldOwner {
    /// The event's.
    Event,
    /// That of the object which is searched, an element of this field.
    Object(String),
    /// That of the event which another step matched, counted from 0.
    Step(u32),
}

impl Typed {
    /// A node; what it inherits from its operands is the caller's concern.
    pub fn new(span: Span, result: Type, kind: TypedKind) -> Typed {
        Typed { span, result, unknown: false, joined: false, kind }
    }

    /// Stands for something that was reported.
    pub fn error(span: Span) -> Typed {
        Typed::new(span, Type::Error, TypedKind::Error)
    }

    /// A truth value.
    pub fn boolean(span: Span, value: bool) -> Typed {
        Typed::new(span, Type::Of(Family::Boolean), TypedKind::Constant(Constant::Boolean(value)))
    }

    /// The constant null.
    pub fn null(span: Span) -> Typed {
        Typed { unknown: true, ..Typed::new(span, Type::Null, TypedKind::Constant(Constant::Null)) }
    }

    /// The constant that this is.
    pub fn constant(&self) -> Option<&Constant> {
        match &self.kind {
            TypedKind::Constant(constant) => Some(constant),
            _ => None,
        }
    }

    /// The field that this is.
    pub fn field(&self) -> Option<&FieldUse> {
        match &self.kind {
            TypedKind::Field(field) => Some(field),
            _ => None,
        }
    }

    /// Whether this was reported.
    pub fn is_error(&self) -> bool {
        self.result == Type::Error
    }

    /// Whether this is the constant null.
    pub fn is_null(&self) -> bool {
        self.constant() == Some(&Constant::Null)
    }

    /// Takes over what operands pass on to a value that is made of them.
    #[must_use]
    pub fn reading<'t>(mut self, operands: impl IntoIterator<Item = &'t Typed>) -> Typed {
        self.joined |= operands.into_iter().any(|operand| operand.joined);
        self
    }
}

impl Type {
    /// As messages call it.
    pub fn describe(self) -> &'static str {
        match self {
            Type::Null => "null",
            Type::Error => "something unreadable",
            Type::Of(family) => describe(family),
        }
    }
}

/// A family as messages call it.
pub fn describe(family: Family) -> &'static str {
    match family {
        Family::Text => "a text",
        Family::Number => "a number",
        Family::Boolean => "a boolean",
        Family::Ip => "an ip",
        Family::Date => "a date",
        Family::Version => "a version",
        Family::Object => "an object",
    }
}
