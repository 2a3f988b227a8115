//! Queries as a whole: filters, steps with their aliases and keys, pipes.
//!
//! In: the forms of the syntax tree. Out: typed forms with `runs` written out and the keys of every step side by side.

use kestrel_ir::model::Constant;
use kestrel_ir::verify::{MAX_KEYS, MAX_PIPES, MAX_STEPS};
use kestrel_schema::{Family, FieldType, known_categories};

use super::errors::{AliasTwice, KeyTypesDiffer};
use super::limit_errors::{JoinNotSupported, PipeNeedsEnd, PipeNotSupported, RuleTooLarge};
use super::names::Resolved;
use super::tree::{
    FieldOwner, FieldUse, Type, Typed, TypedFilter, TypedForm, TypedKey, TypedPipe, TypedQuery, TypedSequence,
    TypedTerm,
};
use super::warnings::{NeverTrue, UnknownCategory};
use super::{Alias, Checker};
use crate::diagnostics::nearest;
use crate::syntax::errors::WrongPipeArgument;
use crate::syntax::{Dialect, Filter, Form, Key, Pipe, Query, Sample, Segment, Sequence, Span, Term};

impl Checker<'_> {
    /// The whole query; `None` when it cannot be told what it is.
    pub(super) fn query(&mut self, query: &Query) -> Option<TypedQuery> {
        let form = match &query.form {
            Form::Event(filter) => Some(TypedForm::Event(self.filter(filter))),
            Form::Sequence(sequence) => Some(TypedForm::Sequence(self.sequence(sequence))),
            Form::Sample(sample) => Some(TypedForm::Sample(self.sample(sample))),
            Form::Join(join) => {
                // In the other dialects the parser has reported it.
                if self.dialect == Dialect::Classic {
                    self.report(JoinNotSupported { span: Span::new(join.span.start, join.span.start + "join".len()) });
                }
                None
            }
            Form::Error(_) => None,
        };
        let pipes = self.pipes(&query.pipes);
        Some(TypedQuery { form: form?, pipes })
    }

    pub(super) fn filter(&mut self, filter: &Filter) -> TypedFilter {
        let category = filter.category.name.clone();
        if let Some(name) = &category
            && self.schema.event().category == kestrel_schema::EventFields::ecs().category
            && !known_categories().contains(&name.as_str())
        {
            let nearest = nearest(name, known_categories().iter().copied()).map(str::to_owned);
            self.report(UnknownCategory { span: filter.category.span, name: name.clone(), nearest });
        }
        let condition = self.condition(&filter.condition, "a condition");
        let never = match condition.constant() {
            Some(Constant::Boolean(false)) => Some(false),
            Some(Constant::Null) => Some(true),
            _ => None,
        };
        if let Some(null) = never {
            self.report(NeverTrue { span: filter.condition.span, null });
        }
        TypedFilter { category, condition }
    }

    fn sequence(&mut self, sequence: &Sequence) -> TypedSequence {
        self.define_aliases(&sequence.terms);
        let global = self.keys(&sequence.keys);
        let mut steps = Vec::new();
        let mut key_rows = Vec::new();
        for (number, term) in sequence.terms.iter().enumerate() {
            self.term = Some(number);
            self.no_references = term.missing.then_some("a missing event");
            let typed = self.typed_term(term, &global);
            key_rows.push((term, typed.keys.clone()));
            let runs = term.runs.map_or(1, |runs| runs.count as usize);
            steps.extend(std::iter::repeat_n(typed, runs.min(MAX_STEPS + 1)));
        }
        self.term = Some(usize::MAX);
        self.no_references = Some("`until`");
        let until = sequence.until.as_ref().map(|term| {
            let typed = self.typed_term(term, &global);
            key_rows.push((&**term, typed.keys.clone()));
            typed
        });
        self.term = None;
        self.no_references = None;
        self.compare_keys(sequence.keys.len(), &key_rows);
        if steps.len() > MAX_STEPS {
            self.report(RuleTooLarge { span: sequence.span, what: "steps", found: steps.len(), limit: MAX_STEPS });
        }
        TypedSequence { steps, maxspan: sequence.maxspan.as_ref().map(|duration| duration.nanoseconds), until }
    }

    fn sample(&mut self, sample: &Sample) -> Vec<TypedTerm> {
        let global = self.keys(&sample.keys);
        let mut key_rows = Vec::new();
        let mut terms = Vec::new();
        for term in &sample.terms {
            let typed = self.typed_term(term, &global);
            key_rows.push((term, typed.keys.clone()));
            terms.push(typed);
        }
        self.compare_keys(sample.keys.len(), &key_rows);
        if terms.len() > MAX_STEPS {
            self.report(RuleTooLarge { span: sample.span, what: "filters", found: terms.len(), limit: MAX_STEPS });
        }
        terms
    }

    fn define_aliases(&mut self, terms: &[Term]) {
        let mut step = 0_u32;
        for (number, term) in terms.iter().enumerate() {
            step = step.saturating_add(term.runs.map_or(1, |runs| runs.count));
            let Some(name) = &term.alias else { continue };
            if let Some(first) = self.aliases.iter().find(|alias| alias.name == name.text) {
                let first = first.span;
                self.report(AliasTwice { span: name.span, name: name.text.clone(), first });
                continue;
            }
            // The alias of a repeated term stands for its last event.
            let alias = Alias {
                name: name.text.clone(),
                span: name.span,
                term: number,
                step: step.saturating_sub(1),
                missing: term.missing,
            };
            self.aliases.push(alias);
        }
    }

    fn typed_term(&mut self, term: &Term, global: &[TypedKey]) -> TypedTerm {
        let filter = self.filter(&term.filter);
        let mut keys = global.to_vec();
        keys.extend(self.keys(&term.keys));
        if keys.len() > MAX_KEYS {
            self.report(RuleTooLarge { span: term.span, what: "keys", found: keys.len(), limit: MAX_KEYS });
        }
        TypedTerm { filter, keys, missing: term.missing }
    }

    fn keys(&mut self, keys: &[Key]) -> Vec<TypedKey> {
        keys.iter().map(|key| self.key(key)).collect()
    }

    /// A key; one that was reported joins nothing and is never looked at.
    fn key(&mut self, key: &Key) -> TypedKey {
        let field = &key.field;
        let broken = TypedKey { field: None, optional: true };
        if let Some(index) = field.segments.iter().find(|segment| matches!(segment, Segment::Index { .. })) {
            self.report_index(index.span());
            return broken;
        }
        let name = field.name();
        match self.resolve(&name, field) {
            Resolved::Field(FieldType::Object) => {
                self.object_as_value(&name, field.span);
                broken
            }
            Resolved::Field(field_type) => TypedKey {
                field: Some(FieldUse { name, field_type, owner: FieldOwner::Event }),
                optional: field.optional,
            },
            Resolved::Null | Resolved::Error => broken,
        }
    }

    /// The terms' own keys must be of one family at each position; the global ones are the same fields everywhere.
    fn compare_keys(&mut self, global: usize, rows: &[(&Term, Vec<TypedKey>)]) {
        let longest = rows.iter().map(|(term, _)| term.keys.len()).max().unwrap_or(0);
        for position in 0..longest {
            let mut first: Option<(Span, &FieldUse)> = None;
            for (term, keys) in rows {
                let Some(key) = term.keys.get(position) else { continue };
                let Some(used) = keys.get(global + position).and_then(|key| key.field.as_ref()) else { continue };
                match first {
                    None => first = Some((key.field.span, used)),
                    Some((_, expected)) if joins(expected.field_type.family(), used.field_type.family()) => {}
                    Some((span, expected)) => {
                        let error = KeyTypesDiffer {
                            span: key.field.span,
                            name: used.name.clone(),
                            found: Type::Of(used.field_type.family()).describe().to_owned(),
                            first: span,
                            first_name: expected.name.clone(),
                            expected: Type::Of(expected.field_type.family()).describe().to_owned(),
                        };
                        self.report(error);
                    }
                }
            }
        }
    }

    fn pipes(&mut self, pipes: &[Pipe]) -> Vec<TypedPipe> {
        if let Some(pipe) = pipes.get(MAX_PIPES) {
            self.report(RuleTooLarge { span: pipe.span, what: "pipes", found: pipes.len(), limit: MAX_PIPES });
        }
        let count = pipes.iter().position(|pipe| pipe.name.text == "count").unwrap_or(pipes.len());
        let dialect = self.dialect;
        // In the other dialects, and for unknown names, the parser has reported the pipe.
        let classic =
            |pipe: &&Pipe| matches!(pipe.name.text.as_str(), "count" | "filter" | "sort" | "unique" | "unique_count");
        for pipe in pipes.iter().skip(count + 1).filter(classic).filter(|_| dialect == Dialect::Classic) {
            self.report(PipeNotSupported { span: pipe.name.span, name: pipe.name.text.clone() });
        }
        pipes.iter().filter_map(|pipe| self.pipe(pipe)).collect()
    }

    fn pipe(&mut self, pipe: &Pipe) -> Option<TypedPipe> {
        let name = pipe.name.text.as_str();
        if !matches!(name, "head" | "tail") {
            return self.classic_pipe(pipe);
        }
        // Wrong arguments and names that no dialect knows were reported by the parser.
        let count = pipe.args.first().and_then(|argument| match self.expression(argument).constant() {
            Some(Constant::Integer(count)) => u64::try_from(*count).ok(),
            _ => None,
        });
        match pipe.name.text.as_str() {
            "head" => count.map(TypedPipe::Head),
            "tail" if self.live => {
                self.report(PipeNeedsEnd { span: pipe.span, name: "tail" });
                None
            }
            _ => count.map(TypedPipe::Tail),
        }
    }

    /// The pipes of `classic`; in the other dialects the parser has reported them.
    fn classic_pipe(&mut self, pipe: &Pipe) -> Option<TypedPipe> {
        if self.dialect != Dialect::Classic {
            return None;
        }
        let name = pipe.name.text.as_str();
        self.no_references = Some("a pipe");
        let mut arguments: Vec<Typed> = pipe
            .args
            .iter()
            .map(|argument| match name {
                "filter" => self.condition(argument, "a condition"),
                _ => self.expression(argument),
            })
            .collect();
        self.no_references = None;
        if self.live
            && let Some(name) = ["count", "sort", "unique_count"].into_iter().find(|known| *known == name)
        {
            self.report(PipeNeedsEnd { span: pipe.span, name });
            return None;
        }
        let fits = match name {
            "filter" => arguments.len() == 1,
            "count" => true,
            _ => !arguments.is_empty(),
        };
        if !fits {
            let expected = if name == "filter" { "one condition" } else { "at least one value" };
            self.report(WrongPipeArgument { span: pipe.span, pipe: name.to_owned(), expected });
            return None;
        }
        if arguments.iter().any(Typed::is_error) {
            return None;
        }
        match name {
            "filter" => arguments.pop().map(|condition| TypedPipe::Filter(Box::new(condition))),
            "unique" => Some(TypedPipe::Unique(arguments)),
            "unique_count" => Some(TypedPipe::UniqueCount(arguments)),
            "sort" => Some(TypedPipe::Sort(arguments)),
            "count" => Some(TypedPipe::Count(arguments)),
            _ => None,
        }
    }
}

fn joins(left: Family, right: Family) -> bool {
    left == right
}
