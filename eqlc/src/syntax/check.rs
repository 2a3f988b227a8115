//! Checks of the tree that need more than one token: dialects, terms, keys, pipes, functions with `~`.
//!
//! In: a tree. Out: diagnostics; the tree stays as it is. Names and types are not looked at.

use super::Dialect;
use super::actions::is_count;
use super::ast::{Call, Expr, ExprKind, Field, Filter, Form, Key, Name, Pipe, Query, Segment, Span, Term};
use super::errors::{
    ArrayIndex, KeyCountDiffers, MisplacedFold, MissingEventWithoutMaxspan, NoPositiveTerm, OtherDialect,
    PartNotAllowed, SampleWithoutKeys, TooFewTerms, UnknownPipe, WrongPipeArgument,
};
use super::sink::Sink;
use super::walk;
use crate::diagnostics::nearest;

/// The functions that have a case-insensitive form.
pub const FOLDING_FUNCTIONS: [&str; 5] = ["between", "endsWith", "indexOf", "startsWith", "stringContains"];

/// The functions that `elastic` has not.
pub const ENDPOINT_FUNCTIONS: [&str; 6] =
    ["arrayContains", "arrayCount", "arraySearch", "_arraysearch", "match", "wildcard"];

/// The pipes of all dialects.
pub const PIPES: [&str; 7] = ["head", "tail", "count", "filter", "sort", "unique", "unique_count"];

/// Checks a query; `clean` says that nothing was reported yet, so that what is missing is not missing for that reason.
pub(crate) fn check(query: &Query, dialect: Dialect, clean: bool, sink: &mut Sink) {
    let mut checker = Checker { dialect, sink };
    match &query.form {
        Form::Event(filter) => checker.filter(filter),
        Form::Error(_) => {}
        Form::Sequence(sequence) => {
            let timed = sequence.maxspan.is_some() || !clean;
            checker.terms("sequence", sequence.span, &sequence.keys, &sequence.terms, sequence.until.as_deref(), clean);
            for term in sequence.terms.iter().filter(|term| term.missing && !timed) {
                checker.sink.push(MissingEventWithoutMaxspan { span: term.span });
            }
            if !sequence.terms.is_empty() && sequence.terms.iter().all(|term| term.missing) {
                checker.sink.push(NoPositiveTerm { span: sequence.span });
            }
        }
        Form::Sample(sample) => {
            checker.terms("sample", sample.span, &sample.keys, &sample.terms, None, clean);
            if clean && sample.keys.is_empty() && sample.terms.iter().all(|term| term.keys.is_empty()) {
                checker.sink.push(SampleWithoutKeys { span: word(sample.span, "sample") });
            }
            checker.plain_terms(&sample.terms, "a sample");
        }
        Form::Join(join) => {
            checker.only_in(
                Dialect::Classic,
                word(join.span, "join"),
                "`join` is".to_string(),
                Some("write a `sequence` or a `sample`"),
            );
            checker.terms("join", join.span, &join.keys, &join.terms, join.until.as_deref(), clean);
            checker.plain_terms(&join.terms, "a join");
        }
    }
    for pipe in &query.pipes {
        checker.pipe(pipe);
    }
}

fn word(span: Span, text: &str) -> Span {
    Span::new(span.start, span.start + text.len())
}

struct Checker<'a> {
    dialect: Dialect,
    sink: &'a mut Sink,
}

impl Checker<'_> {
    fn only_in(&mut self, has: Dialect, span: Span, what: String, help: Option<&str>) {
        if !self.dialect.includes(has) {
            let help = help.map(|help| format!("{help}, or choose the dialect `{has}`"));
            self.sink.push(OtherDialect { span, what, dialect: self.dialect, has, help });
        }
    }

    fn terms(
        &mut self,
        form: &'static str,
        span: Span,
        keys: &[Key],
        terms: &[Term],
        until: Option<&Term>,
        clean: bool,
    ) {
        let steps: usize = terms.iter().map(|term| term.runs.map_or(1, |runs| runs.count as usize)).sum();
        if clean && steps < 2 {
            let single = terms.first().map(|term| term.span);
            self.sink.push(TooFewTerms { span: word(span, form), form, found: terms.len(), single });
        }
        self.keys(keys);
        for term in terms.iter().chain(until) {
            self.filter(&term.filter);
            self.keys(&term.keys);
            if let Some(alias) = &term.alias {
                self.only_in(Dialect::Endpoint, alias.span, "the name of an event, `as`, is".to_string(), None);
            }
        }
        let mut counted = terms.iter().chain(until).filter(|_| clean);
        if let Some(first) = counted.next() {
            for term in counted.filter(|term| term.keys.len() != first.keys.len()) {
                self.sink.push(KeyCountDiffers {
                    span: keys_span(term),
                    first: keys_span(first),
                    expected: first.keys.len(),
                    found: term.keys.len(),
                });
            }
        }
        for (part, there, span) in until.iter().flat_map(|until| term_parts(until)) {
            if there {
                self.sink.push(PartNotAllowed { span, part, place: "`until`" });
            }
        }
    }

    /// Reports what only terms of a sequence can have.
    fn plain_terms(&mut self, terms: &[Term], place: &'static str) {
        for (part, there, span) in terms.iter().flat_map(term_parts) {
            if there {
                self.sink.push(PartNotAllowed { span, part, place });
            }
        }
    }

    fn keys(&mut self, keys: &[Key]) {
        for key in keys {
            self.field(&key.field);
        }
    }

    fn filter(&mut self, filter: &Filter) {
        walk::each(&filter.condition, &mut |expr| self.expr(expr));
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Field(field) => self.field(field),
            ExprKind::Variable(variable) => {
                self.only_in(
                    Dialect::Endpoint,
                    variable.name.span,
                    format!("the variable `${}` is", variable.name.text),
                    None,
                );
            }
            ExprKind::Lineage { relation, filter } => {
                let span = Span::new(expr.span.start, filter.span.start);
                self.only_in(Dialect::Endpoint, span, format!("`{} of` is", relation.text()), None);
            }
            ExprKind::Call(call) => self.call(call),
            _ => {}
        }
    }

    fn field(&mut self, field: &Field) {
        if self.dialect != Dialect::Elastic {
            return;
        }
        if let Some((position, index)) =
            field.segments.iter().enumerate().find(|(_, part)| matches!(part, Segment::Index { .. }))
        {
            let before = Field { segments: field.segments.iter().take(position).cloned().collect(), ..field.clone() };
            self.sink.push(ArrayIndex { span: index.span(), field: before.name() });
        }
    }

    fn call(&mut self, call: &Call) {
        let Name { span, text } = &call.name;
        let is = |known: &&str| known.eq_ignore_ascii_case(text);
        if call.fold && !FOLDING_FUNCTIONS.iter().any(is) {
            let tilde = Span::new(span.end.saturating_sub(1), span.end);
            let allowed = FOLDING_FUNCTIONS.map(|name| format!("`{name}`")).join(", ");
            self.sink.push(MisplacedFold { span: tilde, name: text.clone(), allowed });
        }
        if ENDPOINT_FUNCTIONS.iter().any(is) {
            let help = match text.to_ascii_lowercase().as_str() {
                "match" => Some("write `x regex~ \"..\"`"),
                "wildcard" => Some("write `x like~ \"..\"`"),
                "arraycontains" => {
                    Some("a comparison with a field of many values holds if one of them passes: `x == \"..\"`")
                }
                _ => None,
            };
            self.only_in(Dialect::Endpoint, *span, format!("the function `{text}` is"), help);
        }
    }

    fn pipe(&mut self, pipe: &Pipe) {
        for arg in &pipe.args {
            walk::each(arg, &mut |expr| self.expr(expr));
        }
        let name = pipe.name.text.as_str();
        match name {
            "head" | "tail" => {
                if pipe.args.len() != 1 || !pipe.args.iter().all(is_count) {
                    let span = match (pipe.args.first(), pipe.args.last()) {
                        (Some(first), Some(last)) => first.span.to(last.span),
                        _ => pipe.name.span,
                    };
                    let expected = "one whole number, not negative";
                    self.sink.push(WrongPipeArgument { span, pipe: name.to_string(), expected });
                }
            }
            "count" | "filter" | "sort" | "unique" | "unique_count" => {
                self.only_in(
                    Dialect::Classic,
                    pipe.name.span,
                    format!("the pipe `{name}` is not supported here: it is"),
                    None,
                );
            }
            _ => {
                let nearest = nearest(name, PIPES).map(str::to_string);
                self.sink.push(UnknownPipe { span: pipe.name.span, name: name.to_string(), nearest });
            }
        }
    }
}

fn keys_span(term: &Term) -> Span {
    match (term.keys.first(), term.keys.last()) {
        (Some(first), Some(last)) => first.field.span.to(last.field.span),
        _ => term.span,
    }
}

/// What a term has that only a sequence knows.
fn term_parts(term: &Term) -> [(&'static str, bool, Span); 3] {
    let runs = term.runs.map_or(term.span, |runs| runs.span);
    let alias = term.alias.as_ref().map_or(term.span, |alias| alias.span);
    [
        ("a missing event", term.missing, word(term.span, "![")),
        ("`with runs`", term.runs.is_some(), runs),
        ("`as`", term.alias.is_some(), alias),
    ]
}
