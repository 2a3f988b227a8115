//! The syntax tree of one query: what was written, with the byte range of every node.
//!
//! In: nothing; the parser fills it. Out: plain data for the type checker, the formatter and the editor. The tree keeps
//! parentheses, raw strings and the text of durations, so that the formatter can print what the author meant. It does not
//! resolve names, and it holds nodes that a dialect forbids (the parser has reported them).
//!
//! INVARIANT: `And` and `Or` are flat (two or more operands, none of them a bare node of the same kind); everything else
//! nests at most [`Limits::nesting`](crate::syntax::Limits) deep, so recursion over the tree (and dropping it) is safe.

/// A byte range of the source text of a query: `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The range `start..end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The smallest range that holds both.
    pub fn to(self, other: Span) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Whether the byte offset lies in the range; its end counts (a cursor behind a word belongs to it).
    pub fn touches(self, offset: usize) -> bool {
        self.start <= offset && offset <= self.end
    }

    /// The text of the range, or nothing where it does not fit the source.
    pub fn text(self, source: &str) -> &str {
        source.get(self.start..self.end).unwrap_or("")
    }

    /// The range as the standard library writes it.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start..self.end
    }
}

/// A comment, kept beside the tree in source order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comment {
    /// Where it stands, with its markers, without the line end.
    pub span: Span,
    /// Whether it is `/* ... */` rather than `// ...`.
    pub block: bool,
}

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// From the first to the last token.
    pub span: Span,
    /// What kind of query.
    pub form: Form,
    /// The pipes behind it, in order.
    pub pipes: Vec<Pipe>,
}

/// The forms of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// `process where ...`
    Event(Filter),
    /// `sequence ...`
    Sequence(Sequence),
    /// `sample by ...`
    Sample(Sample),
    /// `join ...`, the classic form; parsed, reported in every dialect but `classic`.
    Join(Join),
    /// Nothing that could be read; reported.
    Error(Span),
}

/// `sequence by ... with maxspan=... [..] [..] until [..]`
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// From `sequence` to the last term.
    pub span: Span,
    /// The keys that hold for every term.
    pub keys: Vec<Key>,
    /// The longest time from the first to the last event.
    pub maxspan: Option<Duration>,
    /// The steps in order; usually two or more (fewer were reported).
    pub terms: Vec<Term>,
    /// What ends an open sequence.
    pub until: Option<Box<Term>>,
}

/// `sample by ... [..] [..]`
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// From `sample` to the last item.
    pub span: Span,
    /// The keys that hold for every item.
    pub keys: Vec<Key>,
    /// The filters, in no order; aliases, runs and missing events were reported.
    pub terms: Vec<Term>,
}

/// `join by ... [..] [..] until [..]`
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// From `join` to the last item.
    pub span: Span,
    /// The keys that hold for every item.
    pub keys: Vec<Key>,
    /// The filters.
    pub terms: Vec<Term>,
    /// What ends an open join.
    pub until: Option<Box<Term>>,
}

/// One bracketed filter of a sequence, sample or join.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// From the bracket to the last part behind it.
    pub span: Span,
    /// Whether it was opened by `![`: the event must be missing.
    pub missing: bool,
    /// What stands in the brackets.
    pub filter: Filter,
    /// The term's own keys.
    pub keys: Vec<Key>,
    /// `with runs=N`.
    pub runs: Option<Runs>,
    /// `as e0` (endpoint).
    pub alias: Option<Name>,
}

/// One key behind `by`. Whether it may be missing is `field.optional`.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The field.
    pub field: Field,
}

/// `category where condition`
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// From the category to the end of the condition.
    pub span: Span,
    /// Which events.
    pub category: Category,
    /// The condition.
    pub condition: Expr,
}

/// The event category of a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Category {
    /// The word or string.
    pub span: Span,
    /// `None` is `any`.
    pub name: Option<String>,
}

/// `maxspan`.
#[derive(Debug, Clone, PartialEq)]
pub struct Duration {
    /// The number and the unit.
    pub span: Span,
    /// In nanoseconds; positive. A duration that could not be read is reported and left out of the tree.
    pub nanoseconds: i64,
    /// As written, such as `5m`.
    pub text: String,
}

/// `runs=N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs {
    /// The number.
    pub span: Span,
    /// 1 to 100.
    pub count: u32,
}

/// A word: a function, an alias, a pipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// Where.
    pub span: Span,
    /// As written, without backticks.
    pub text: String,
}

/// `| name args`
#[derive(Debug, Clone, PartialEq)]
pub struct Pipe {
    /// From the bar to the last argument.
    pub span: Span,
    /// Which pipe.
    pub name: Name,
    /// The arguments.
    pub args: Vec<Expr>,
}

/// An expression and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// From the first to the last token.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// The kinds of expression.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `a or b or c`: two or more.
    Or(Vec<Expr>),
    /// `a and b and c`: two or more.
    And(Vec<Expr>),
    /// `not a`
    Not(Box<Expr>),
    /// `a == b`
    Compare {
        /// The operator.
        op: CompareOp,
        /// Where the operator stands.
        op_span: Span,
        /// The left side.
        left: Box<Expr>,
        /// The right side.
        right: Box<Expr>,
    },
    /// `a in (..)`, `a not in~ (..)`
    In {
        /// `not in`.
        negated: bool,
        /// `in~`: case does not count.
        fold: bool,
        /// Where the operator stands, with its `not`.
        op_span: Span,
        /// What is looked for.
        subject: Box<Expr>,
        /// Where; the type checker wants constants of one type.
        list: Vec<Expr>,
    },
    /// `a : "x*"`, `a like~ ("x*", "y")`, `a regex "..."`
    Match {
        /// The operator.
        op: MatchOp,
        /// Where the operator stands.
        op_span: Span,
        /// What is matched.
        subject: Box<Expr>,
        /// One or more literals (anything else was reported and is `Error`).
        patterns: Vec<Expr>,
        /// Whether the patterns stood in parentheses.
        listed: bool,
    },
    /// `a + b`
    Arithmetic {
        /// The operator.
        op: ArithmeticOp,
        /// Where the operator stands.
        op_span: Span,
        /// The left side.
        left: Box<Expr>,
        /// The right side.
        right: Box<Expr>,
    },
    /// `-a`; the sign of a number is this too.
    Negate(Box<Expr>),
    /// `+a`; means `a`.
    Plus(Box<Expr>),
    /// `process.name`, `?user.id`, `` `in`.x ``
    Field(Field),
    /// `$v`, `$v.a.b` (endpoint)
    Variable(Variable),
    /// `length(a)`
    Call(Call),
    /// A constant.
    Literal(Literal),
    /// `descendant of [process where ...]` (endpoint)
    Lineage {
        /// Which relation.
        relation: Relation,
        /// The ancestor's event.
        filter: Box<Filter>,
    },
    /// `(a)`
    Paren(Box<Expr>),
    /// Something that could not be read; reported.
    Error,
}

/// A field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// With the `?` and the backticks.
    pub span: Span,
    /// The parts between the dots, and indexes.
    pub segments: Vec<Segment>,
    /// Whether it was written `?a.b`.
    pub optional: bool,
}

impl Field {
    /// The dotted name, without backticks; an index prints as `[0]`.
    pub fn name(&self) -> String {
        dotted(&self.segments)
    }
}

/// A variable of `_arraysearch`, with a path into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// With the `$` and the path.
    pub span: Span,
    /// `$v`, without the dollar sign.
    pub name: Name,
    /// The parts behind the name.
    pub path: Vec<Segment>,
}

impl Variable {
    /// The dotted path behind the name; empty for a bare `$v`.
    pub fn path_name(&self) -> String {
        dotted(&self.path)
    }
}

/// One part of a field's name.
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// A word.
    Name(Name),
    /// `[0]`; parsed everywhere, reported in `elastic`.
    Index {
        /// The brackets and the number.
        span: Span,
        /// Which element.
        index: u64,
    },
}

impl Segment {
    /// Where the part stands.
    pub fn span(&self) -> Span {
        match self {
            Segment::Name(name) => name.span,
            Segment::Index { span, .. } => *span,
        }
    }
}

fn dotted(segments: &[Segment]) -> String {
    let mut text = String::new();
    for segment in segments {
        match segment {
            Segment::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&name.text);
            }
            Segment::Index { index, .. } => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function's name as written, without the `~`; case does not count.
    pub name: Name,
    /// `name~`: case does not count in the strings.
    pub fold: bool,
    /// The arguments.
    pub args: Vec<Expr>,
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer that fits 64 bits; never negative (the sign is [`ExprKind::Negate`]).
    Integer(i64),
    /// A decimal, or an integer too large for 64 bits; finite.
    Float(f64),
    /// A string.
    String {
        /// The value, escapes resolved.
        value: String,
        /// Whether it was written `"""..."""`.
        raw: bool,
    },
}

/// `==`, `<` and their kin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

impl CompareOp {
    /// As written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }
}

/// The operators that match patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `:`
    Colon,
    /// `like`, `like~`
    Like {
        /// Whether case does not count.
        fold: bool,
    },
    /// `regex`, `regex~`
    Regex {
        /// Whether case does not count.
        fold: bool,
    },
}

impl MatchOp {
    /// As written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Colon => ":",
            Self::Like { fold: false } => "like",
            Self::Like { fold: true } => "like~",
            Self::Regex { fold: false } => "regex",
            Self::Regex { fold: true } => "regex~",
        }
    }
}

/// The operators of arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArithmeticOp {
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

impl ArithmeticOp {
    /// As written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }
}

/// The relations of lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `child of`: one level up.
    Child,
    /// `descendant of`: any level up.
    Descendant,
    /// `event of`: the same process.
    Event,
}

impl Relation {
    /// As written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Child => "child",
            Self::Descendant => "descendant",
            Self::Event => "event",
        }
    }
}
