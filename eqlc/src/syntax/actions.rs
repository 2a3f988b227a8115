//! What the grammar does when it has read something: builds nodes, and reports the forms that are read only for that.
//!
//! In: the parts of a node. Out: the node, with flat `and`/`or`; diagnostics go to the sink.

use lalrpop_util::{ErrorRecovery, ParseError};

use super::ast::{
    ArithmeticOp, Category, CompareOp, Duration, Expr, ExprKind, Field, Filter, Form, Join, Key, Literal, MatchOp,
    Name, Relation, Runs, Sample, Segment, Sequence, Span, Term,
};
use super::errors::{
    ChainedComparison, EmptyList, NotBeforeMatch, PartNotAllowed, PartTwice, PatternNotConstant, RunsOutOfRange,
    UnexpectedToken, WrongOrder,
};
use super::expectation;
use super::limit_errors::ListTooLong;
use super::sink::Sink;
use super::token::{SpannedToken, Token};

/// A part before or behind a term.
#[derive(Debug)]
pub(crate) enum Part {
    /// `by a, b`
    By(Span, Vec<Key>),
    /// `with maxspan=5m`
    Maxspan(Span, Option<Duration>),
    /// `with runs=3`
    Runs(Span, Option<Runs>),
    /// `as e0`
    Alias(Span, Name),
    /// Reported.
    Error,
}

impl Part {
    fn describe(&self) -> (Span, &'static str) {
        match self {
            Part::By(span, _) => (*span, "by"),
            Part::Maxspan(span, _) => (*span, "with maxspan"),
            Part::Runs(span, _) => (*span, "with runs"),
            Part::Alias(span, _) => (*span, "as"),
            Part::Error => (Span::default(), ""),
        }
    }
}

/// What the actions need.
pub(crate) struct Actions<'s> {
    /// The text of the query.
    pub(crate) source: &'s str,
    /// The tokens that the grammar reads.
    pub(crate) tokens: &'s [SpannedToken],
    /// Where diagnostics go.
    pub(crate) sink: &'s mut Sink,
    /// The longest list.
    pub(crate) list_limit: usize,
}

impl Actions<'_> {
    /// Reports an error that the parser has recovered from, and goes on with `value`.
    pub(crate) fn recovered<T>(&mut self, error: ErrorRecovery<usize, Token, ()>, value: T) -> T {
        self.unexpected(error.error);
        value
    }

    /// Where the tokens lie that were left out.
    pub(crate) fn recovered_span(error: &ErrorRecovery<usize, Token, ()>, start: usize, end: usize) -> Span {
        match (error.dropped_tokens.first(), error.dropped_tokens.last()) {
            (Some((first, ..)), Some((.., last))) => Span::new(start.min(*first), end.max(*last)),
            _ => Span::new(start, end.max(start)),
        }
    }

    /// Reports an error of the parser.
    pub(crate) fn unexpected(&mut self, error: ParseError<usize, Token, ()>) {
        let (place, expected) = match error {
            ParseError::UnrecognizedToken { token: (start, token, end), expected } => {
                (Some((Span::new(start, end), token)), expected)
            }
            ParseError::UnrecognizedEof { expected, .. } => (None, expected),
            ParseError::ExtraToken { token: (start, token, end) } => (Some((Span::new(start, end), token)), Vec::new()),
            ParseError::InvalidToken { .. } | ParseError::User { .. } => return,
        };
        let report: UnexpectedToken = expectation::report(place, &expected, self.tokens, self.source);
        self.sink.push(report);
    }

    /// The filter that stands for one that could not be read.
    pub(crate) fn no_filter(span: Span) -> Filter {
        Filter { span, category: Category { span, name: None }, condition: Expr { span, kind: ExprKind::Error } }
    }

    /// Adds a value to a list, up to the limit.
    pub(crate) fn append(&mut self, mut values: Vec<Expr>, value: Expr) -> Vec<Expr> {
        if values.len() < self.list_limit {
            values.push(value);
        } else if values.len() == self.list_limit {
            self.sink.push(ListTooLong { span: value.span, limit: self.list_limit });
            // One more, so that it is reported once.
            values.push(value);
        }
        values
    }

    /// `a or b or c` as one node.
    pub(crate) fn flat(span: Span, first: Expr, rest: Vec<Expr>, kind: fn(Vec<Expr>) -> ExprKind) -> Expr {
        if rest.is_empty() {
            return first;
        }
        let mut operands = Vec::with_capacity(rest.len() + 1);
        operands.push(first);
        operands.extend(rest);
        Expr { span, kind: kind(operands) }
    }

    /// `a == b`
    pub(crate) fn compare(&mut self, left: Expr, (op, op_span): (CompareOp, Span), right: Expr) -> Expr {
        if let ExprKind::Compare { op_span: first, right: middle, .. } = &left.kind
            && !matches!(middle.kind, ExprKind::Error)
        {
            self.sink.push(ChainedComparison { span: op_span, first: *first });
        }
        let span = left.span.to(right.span);
        Expr { span, kind: ExprKind::Compare { op, op_span, left: Box::new(left), right: Box::new(right) } }
    }

    /// `a + b`
    pub(crate) fn arithmetic(left: Expr, (op, op_span): (ArithmeticOp, Span), right: Expr) -> Expr {
        let span = left.span.to(right.span);
        Expr { span, kind: ExprKind::Arithmetic { op, op_span, left: Box::new(left), right: Box::new(right) } }
    }

    /// `a in (..)`
    pub(crate) fn inside(
        &mut self,
        span: Span,
        subject: Expr,
        ((negated, fold), op_span): ((bool, bool), Span),
        (list, list_span): (Vec<Expr>, Span),
    ) -> Expr {
        if list.is_empty() {
            self.sink.push(EmptyList { span: list_span, operator: if fold { "in~" } else { "in" } });
        }
        Expr { span, kind: ExprKind::In { negated, fold, op_span, subject: Box::new(subject), list } }
    }

    /// `a like (..)`
    pub(crate) fn matching(
        &mut self,
        span: Span,
        subject: Expr,
        (op, op_span): (MatchOp, Span),
        (patterns, listed): (Vec<Expr>, bool),
        not: Option<Span>,
    ) -> Expr {
        let operator = op.text();
        if patterns.is_empty() {
            self.sink.push(EmptyList { span: Span::new(op_span.end, span.end), operator });
        }
        let alone = !listed;
        let patterns =
            patterns.into_iter().map(|pattern| self.pattern(pattern, op, op_span, alone && not.is_none())).collect();
        let kind = ExprKind::Match { op, op_span, subject: Box::new(subject.clone()), patterns, listed };
        let Some(not_span) = not else { return Expr { span, kind } };
        let subject_text = subject.span.text(self.source).to_string();
        // The `not` moves to the front; what stands between keeps its form.
        let tail = Span::new(op_span.start, span.end).text(self.source);
        let fix = (!subject_text.is_empty()).then(|| (span, format!("not {subject_text} {tail}")));
        self.sink.push(NotBeforeMatch { span: not_span, operator, subject: subject_text, not_span, fix });
        let inner = Expr { span, kind };
        Expr { span, kind: ExprKind::Not(Box::new(inner)) }
    }

    fn pattern(&mut self, pattern: Expr, op: MatchOp, op_span: Span, alone: bool) -> Expr {
        let found = match &pattern.kind {
            ExprKind::Literal(_) | ExprKind::Error => return pattern,
            ExprKind::Negate(inner) if matches!(inner.kind, ExprKind::Literal(_)) => return pattern,
            ExprKind::Paren(inner) if matches!(inner.kind, ExprKind::Literal(_)) => "parentheses",
            ExprKind::Field(_) => "a field",
            ExprKind::Call(_) => "a call",
            ExprKind::Variable(_) => "a variable",
            _ => "an expression",
        };
        let fix = (alone && op == MatchOp::Colon && found != "parentheses").then(|| (op_span, "==".to_string()));
        self.sink.push(PatternNotConstant { span: pattern.span, operator: op.text(), found, fix });
        Expr { span: pattern.span, kind: ExprKind::Error }
    }

    /// `descendant of [..]`
    pub(crate) fn lineage(&mut self, name: Name, filter: Filter) -> ExprKind {
        let relation = match name.text.as_str() {
            "child" => Relation::Child,
            "descendant" => Relation::Descendant,
            "event" => Relation::Event,
            _ => {
                let found = format!("`{}`", name.text);
                let expected = "`child`, `descendant` or `event` before `of`".to_string();
                let nearest = crate::diagnostics::nearest(&name.text, ["child", "descendant", "event"]);
                let help = nearest.map(|nearest| format!("did you mean `{nearest} of`?"));
                let fix = nearest.map(|nearest| (name.span, nearest.to_string()));
                self.sink.push(UnexpectedToken { span: name.span, found, expected, help, fix });
                Relation::Descendant
            }
        };
        ExprKind::Lineage { relation, filter: Box::new(filter) }
    }

    /// `?a.b`
    pub(crate) fn field(span: Span, optional: bool, first: Name, steps: Vec<Segment>) -> Field {
        let mut segments = Vec::with_capacity(steps.len() + 1);
        segments.push(Segment::Name(first));
        segments.extend(steps);
        Field { span, segments, optional }
    }

    /// `5m`; nothing where it was reported.
    pub(crate) fn duration(&self, (nanoseconds, span): (Option<i64>, Span)) -> Option<Duration> {
        let text = span.text(self.source).chars().filter(|character| !character.is_whitespace()).collect();
        Some(Duration { span, nanoseconds: nanoseconds?, text })
    }

    /// `runs=3`; nothing where it is reported.
    pub(crate) fn runs(&mut self, (number, span): (Option<i64>, Span)) -> Option<Runs> {
        match number.and_then(|number| u32::try_from(number).ok()).filter(|count| (1..=100).contains(count)) {
            Some(count) => Some(Runs { span, count }),
            None => {
                self.sink.push(RunsOutOfRange { span, text: span.text(self.source).to_string() });
                None
            }
        }
    }

    /// `sequence ...`
    pub(crate) fn sequence(
        &mut self,
        span: Span,
        head: Vec<Part>,
        terms: Vec<Option<Term>>,
        until: Option<Option<Term>>,
    ) -> Form {
        let parts = self.parts(head, &["by", "with maxspan"], "the head of a sequence");
        Form::Sequence(Sequence {
            span,
            keys: parts.keys,
            maxspan: parts.maxspan,
            terms: terms.into_iter().flatten().collect(),
            until: until.flatten().map(Box::new),
        })
    }

    /// `sample ...`
    pub(crate) fn sample(&mut self, span: Span, head: Vec<Part>, terms: Vec<Option<Term>>) -> Form {
        let parts = self.parts(head, &["by"], "a sample");
        Form::Sample(Sample { span, keys: parts.keys, terms: terms.into_iter().flatten().collect() })
    }

    /// `join ...`
    pub(crate) fn join(
        &mut self,
        span: Span,
        head: Vec<Part>,
        terms: Vec<Option<Term>>,
        until: Option<Option<Term>>,
    ) -> Form {
        let parts = self.parts(head, &["by"], "a join");
        Form::Join(Join {
            span,
            keys: parts.keys,
            terms: terms.into_iter().flatten().collect(),
            until: until.flatten().map(Box::new),
        })
    }

    /// `[..] by x with runs=3 as e0`
    pub(crate) fn term(&mut self, span: Span, missing: bool, filter: Filter, parts: Vec<Part>) -> Term {
        let parts = self.parts(parts, &["by", "with runs", "as"], "a term");
        Term { span, missing, filter, keys: parts.keys, runs: parts.runs, alias: parts.alias }
    }

    /// Sorts parts; `order` is what may come, in order.
    fn parts(&mut self, parts: Vec<Part>, order: &[&'static str], place: &'static str) -> Parts {
        let mut sorted = Parts::default();
        let mut seen: Vec<(Span, &'static str)> = Vec::new();
        for part in parts {
            let (span, name) = part.describe();
            if matches!(part, Part::Error) {
                continue;
            }
            let Some(position) = order.iter().position(|allowed| *allowed == name) else {
                let part = match name {
                    "by" => "`by`",
                    "with maxspan" => "`with maxspan`",
                    "with runs" => "`with runs`",
                    _ => "`as`",
                };
                self.sink.push(PartNotAllowed { span, part, place });
                continue;
            };
            if let Some((first, _)) = seen.iter().find(|(_, other)| *other == name) {
                self.sink.push(PartTwice { span, part: name, first: *first });
                continue;
            }
            let later =
                |other: &str| order.iter().position(|allowed| *allowed == other).is_some_and(|other| other > position);
            if let Some((before_span, before)) = seen.iter().find(|(_, other)| later(other)).copied() {
                let between = Span::new(before_span.start, span.start).text(self.source).trim_end();
                let fix = (before_span.to(span), format!("{} {between}", span.text(self.source)));
                self.sink.push(WrongOrder { span, part: name, before, fix: Some(fix) });
            }
            seen.push((span, name));
            match part {
                Part::By(_, keys) => sorted.keys = keys,
                Part::Maxspan(_, maxspan) => sorted.maxspan = maxspan,
                Part::Runs(_, runs) => sorted.runs = runs,
                Part::Alias(_, alias) => sorted.alias = Some(alias),
                Part::Error => {}
            }
        }
        sorted
    }
}

#[derive(Default)]
struct Parts {
    keys: Vec<Key>,
    maxspan: Option<Duration>,
    runs: Option<Runs>,
    alias: Option<Name>,
}

/// Whether a literal is a count: a whole number that is not negative.
pub(crate) fn is_count(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Literal(Literal::Integer(_)))
}
