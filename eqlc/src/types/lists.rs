//! `in`, `:`, `like` and `regex`: a subject against a list of constants.
//!
//! In: the subject and the list as written. Out: a typed leaf whose list has the subject's type, or what constants make
//! of it.

use kestrel_ir::fold::fold as fold_case;
use kestrel_ir::model::Constant;
use kestrel_ir::pattern::wildcard_matches;
use kestrel_ir::regex;
use kestrel_ir::value::{self, Scalar, format_float};
use kestrel_schema::Family;

use super::comparison::Converted;
use super::errors::{
    ListElementNotConstant, ListElementTypeDiffers, MalformedRegex, OperatorDoesNotFit, PatternNotText,
};
use super::tree::{Type, Typed, TypedKind};
use super::warnings::{AnchorIsLiteral, LiteralWildcard, NullInList};
use super::{Checker, literals};
use crate::syntax::{Dialect, Expr, MatchOp, Span};

const BOOLEAN: Type = Type::Of(Family::Boolean);

impl Checker<'_> {
    /// `subject in (..)`
    pub(super) fn membership(&mut self, span: Span, fold: bool, subject: &Expr, list: &[Expr]) -> Typed {
        let operator = if fold { "in~" } else { "in" };
        let subject = self.expression(subject);
        let subject_fits = !subject.is_error() && !self.refuses_object(&subject);
        let mut constants = Vec::with_capacity(list.len());
        let mut refused = false;
        let mut warned = false;
        for element in list {
            let typed = self.expression(element);
            match (typed.constant(), typed.result) {
                (_, Type::Error) => refused = true,
                (None, _) => {
                    self.report(ListElementNotConstant { span: typed.span, operator });
                    refused = true;
                }
                (Some(Constant::Null), _) => self.report(NullInList { span: typed.span, operator }),
                (Some(constant), _) if !subject_fits || subject.is_null() => constants.push(constant.clone()),
                (Some(_), _) => match self.element(operator, &subject, &typed) {
                    Element::Constant(constant) => {
                        if let Constant::String(text) = &constant
                            && subject.result == Type::Of(Family::Text)
                            && !warned
                            && literals::looks_like_pattern(text)
                        {
                            warned = true;
                            let better = if fold { "like~" } else { "like" };
                            self.report(LiteralWildcard { span: typed.span, operator, better, fix: None });
                        }
                        constants.push(constant);
                    }
                    Element::NeverEqual => {}
                    Element::Refused => refused = true,
                },
            }
        }
        if refused || !subject_fits {
            return Typed::error(span);
        }
        if subject.is_null() {
            return Typed::null(span);
        }
        if let Some(constant) = subject.constant() {
            let subject = Scalar::from_constant(constant);
            let found = constants
                .iter()
                .any(|element| value::equal(&subject, &Scalar::from_constant(element), fold) == Some(true));
            return Typed::boolean(span, found);
        }
        if constants.is_empty() {
            return Typed::boolean(span, false);
        }
        let joined = subject.joined;
        let fold = fold && matches!(subject.result, Type::Of(Family::Text));
        let kind = TypedKind::In { fold, subject: Box::new(subject), list: constants };
        Typed { joined, ..Typed::new(span, BOOLEAN, kind) }
    }

    /// One element of a list, of the subject's type.
    fn element(&mut self, operator: &'static str, subject: &Typed, element: &Typed) -> Element {
        let (Some(constant), Type::Of(wanted), Type::Of(found)) = (element.constant(), subject.result, element.result)
        else {
            return Element::Refused;
        };
        if wanted == found {
            return Element::Constant(constant.clone());
        }
        match self.convert(element, wanted) {
            Converted::Constant(constant) => return Element::Constant(constant),
            Converted::Refused => return Element::Refused,
            Converted::Unfit => {}
        }
        let endpoint = self.dialect.includes(Dialect::Endpoint);
        match (wanted, constant) {
            (Family::Text, Constant::Integer(_) | Constant::Float(_)) if endpoint => {
                Element::Constant(Constant::String(text_of(constant)))
            }
            (Family::Number, Constant::String(text)) if endpoint => {
                number_of(text).map_or(Element::NeverEqual, Element::Constant)
            }
            _ => {
                let (help, fix) = match (wanted, constant) {
                    (Family::Text, Constant::Integer(_) | Constant::Float(_)) => {
                        let quoted = format!("\"{}\"", self.text(element.span));
                        (Some(format!("write the number as a text: `{quoted}`")), Some(quoted))
                    }
                    (Family::Number, Constant::String(text)) if number_of(text).is_some() => {
                        (Some("write the number without quotes".to_owned()), Some(text.clone()))
                    }
                    _ => (None, None),
                };
                let subject = (subject.span, self.describe(subject));
                let found = self.describe(element);
                self.report(ListElementTypeDiffers { span: element.span, operator, subject, found, help, fix });
                Element::Refused
            }
        }
    }

    /// `subject : pattern`, `like`, `regex`
    pub(super) fn matching(&mut self, span: Span, op: MatchOp, subject: &Expr, patterns: &[Expr]) -> Typed {
        let subject = self.expression(subject);
        let fits = self.can_be_matched(op.text(), &subject);
        let texts = self.patterns(op.text(), patterns);
        let (is_regex, fold) = match op {
            MatchOp::Colon => (false, true),
            MatchOp::Like { fold } => (false, fold),
            MatchOp::Regex { fold } => (true, fold),
        };
        let Some(texts) = texts else { return Typed::error(span) };
        if is_regex && !self.regexes_compile(&texts, fold) {
            return Typed::error(span);
        }
        if !fits {
            return Typed::error(span);
        }
        pattern_leaf(span, is_regex, fold, subject, texts.into_iter().map(|(_, text)| text).collect())
    }

    fn can_be_matched(&mut self, operator: &'static str, subject: &Typed) -> bool {
        let endpoint = self.dialect.includes(Dialect::Endpoint);
        match subject.result {
            Type::Error => false,
            Type::Null | Type::Of(Family::Text | Family::Version) => true,
            Type::Of(Family::Number | Family::Ip) if endpoint => true,
            Type::Of(family) => {
                if !self.refuses_object(subject) {
                    let found = self.describe(subject);
                    let help = match family {
                        Family::Number => Some("compare with `==` or `in`, or match `string(..)`".to_owned()),
                        Family::Ip => Some("compare with `==` or `in`, or use `cidrMatch`".to_owned()),
                        Family::Boolean | Family::Date => Some("compare with `==`".to_owned()),
                        _ => None,
                    };
                    self.report(OperatorDoesNotFit { span: subject.span, operator, expected: "a text", found, help });
                }
                false
            }
        }
    }

    /// The patterns with their places; `None` when one of them was reported.
    fn patterns(&mut self, operator: &'static str, patterns: &[Expr]) -> Option<Vec<(Span, String)>> {
        let endpoint = self.dialect.includes(Dialect::Endpoint);
        let mut texts = Vec::with_capacity(patterns.len());
        let mut complete = true;
        for pattern in patterns {
            let typed = self.expression(pattern);
            match typed.constant() {
                Some(Constant::String(text)) => texts.push((typed.span, text.clone())),
                Some(constant @ (Constant::Integer(_) | Constant::Float(_))) if endpoint => {
                    texts.push((typed.span, text_of(constant)));
                }
                _ => {
                    complete = false;
                    if !typed.is_error() {
                        let numeric = matches!(typed.constant(), Some(Constant::Integer(_) | Constant::Float(_)));
                        let fix = numeric.then(|| format!("\"{}\"", self.text(typed.span)));
                        let found = self.describe(&typed);
                        self.report(PatternNotText { span: typed.span, operator, found, fix });
                    }
                }
            }
        }
        complete.then_some(texts)
    }

    fn regexes_compile(&mut self, patterns: &[(Span, String)], fold: bool) -> bool {
        let mut all = true;
        for (span, pattern) in patterns {
            if let Err(error) = regex::compile(pattern, fold) {
                all = false;
                let span = self.inside(*span, pattern, error.offset);
                self.report(MalformedRegex { span, message: error.message, help: error.help });
            } else {
                self.warn_about_anchors(*span, pattern);
            }
        }
        all
    }

    fn warn_about_anchors(&mut self, span: Span, pattern: &str) {
        for (offset, character) in anchors(pattern) {
            let place = self.inside(span, pattern, offset);
            let exact = place != span;
            self.report(AnchorIsLiteral { span: place, character, fix: exact.then(String::new) });
        }
    }

    /// The place of one character of a string; that of the whole string when escapes hide it.
    fn inside(&self, span: Span, value: &str, offset: usize) -> Span {
        let text = span.text(self.source);
        let quote = if text.starts_with("\"\"\"") { 3 } else { 1 };
        let literal = text.get(quote..text.len().saturating_sub(quote)) == Some(value);
        match value.get(offset..).and_then(|rest| rest.chars().next()) {
            Some(character) if literal => {
                let start = span.start + quote + offset;
                Span::new(start, start + character.len_utf8())
            }
            _ => span,
        }
    }
}

/// `^` and `$` where people mean anchors: at an end of the expression, of a group or of an alternative.
fn anchors(pattern: &str) -> Vec<(usize, char)> {
    let mut found = Vec::new();
    let (mut class, mut quoted, mut before) = (false, false, '(');
    let mut characters = pattern.char_indices().peekable();
    while let Some((offset, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '"' if !class => quoted = !quoted,
            _ if quoted => {}
            '[' => class = true,
            ']' => class = false,
            _ if class => {}
            '^' if matches!(before, '(' | '|') => found.push((offset, '^')),
            '$' if characters.peek().is_none_or(|(_, next)| matches!(next, ')' | '|')) => found.push((offset, '$')),
            _ => {}
        }
        // A character behind a backslash opens nothing.
        before = if class || quoted { 'x' } else { character };
    }
    found
}

enum Element {
    Constant(Constant),
    NeverEqual,
    Refused,
}

/// A subject that can be matched against patterns that compile.
pub(super) fn pattern_leaf(span: Span, is_regex: bool, fold: bool, subject: Typed, patterns: Vec<String>) -> Typed {
    if subject.is_null() {
        return Typed::null(span);
    }
    if let Some(constant) = subject.constant() {
        let text = text_of(constant);
        let found = patterns.iter().any(|pattern| match (is_regex, fold) {
            (true, _) => regex::compile(pattern, fold).is_ok_and(|regex| regex.is_match(&text)),
            (false, true) => wildcard_matches(&fold_case(pattern), &fold_case(&text)),
            (false, false) => wildcard_matches(pattern, &text),
        });
        return Typed::boolean(span, found);
    }
    let joined = subject.joined;
    let kind = TypedKind::Match { regex: is_regex, fold, subject: Box::new(subject), patterns };
    Typed { joined, ..Typed::new(span, BOOLEAN, kind) }
}

/// The text that a number compares with; a whole decimal is written as the author would write the number.
pub(crate) fn text_of(constant: &Constant) -> String {
    match constant {
        Constant::Integer(value) => value.to_string(),
        Constant::Float(value) => format_float(*value),
        other => Scalar::from_constant(other).to_owned_text().unwrap_or_default(),
    }
}

/// The number whose text this is, if it is one's.
pub(crate) fn number_of(text: &str) -> Option<Constant> {
    if let Ok(value) = text.parse::<i64>() {
        return (value.to_string() == text).then_some(Constant::Integer(value));
    }
    let value: f64 = text.parse().ok()?;
    (value.is_finite() && format_float(value) == text).then_some(Constant::Float(value))
}
