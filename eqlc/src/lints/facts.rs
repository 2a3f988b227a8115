//! What a leaf says of one field, and which of two such facts rules the other out.
//!
//! In: typed leaves. Out: [`Fact`]s. A field may hold many values: `x == "a"` says that some value is `a`, its negation
//! that none is. So a test and a negated test exclude each other when all that fulfils the one fulfils the other; two
//! tests exclude each other only where a field has one value.

use kestrel_ir::fold::fold as fold_case;
use kestrel_ir::model::{Comparison, Constant, Order};
use kestrel_ir::pattern::wildcard_matches;
use kestrel_schema::FieldType;

use crate::syntax::Span;
use crate::types::tree::{FieldOwner, FieldUse, Typed, TypedKind};

/// Pairs of long lists are not compared.
const MOST_PAIRS: usize = 100_000;

/// What a leaf asks of a field, or forbids.
#[derive(Debug, Clone)]
pub(super) struct Fact<'t> {
    pub(super) field: &'t str,
    pub(super) positive: bool,
    pub(super) span: Span,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    /// There is a value.
    Present,
    /// Some value is one of these.
    Texts { fold: bool, wild: bool, texts: Vec<String> },
    /// Some value lies in one of these ranges, ends included.
    Numbers(Vec<(i64, i64)>),
}

impl<'t> Fact<'t> {
    /// The fact that a leaf, negated or not, states of a field of the event itself.
    pub(super) fn of(typed: &'t Typed, positive: bool) -> Option<Fact<'t>> {
        let (field, test, positive) = match &typed.kind {
            TypedKind::Not(inner) => return Fact::of(inner, !positive).map(|fact| Fact { span: typed.span, ..fact }),
            TypedKind::IsNull(tested) => (own(tested)?, Test::Present, !positive),
            TypedKind::NotNull(tested) => (own(tested)?, Test::Present, positive),
            TypedKind::In { fold, subject, list } => {
                let field = own(subject)?;
                (field, one_of(field, *fold, list.iter())?, positive)
            }
            TypedKind::Match { regex: false, fold, subject, patterns } => {
                let field = own(subject).filter(|field| field.field_type == FieldType::Keyword)?;
                (field, Test::Texts { fold: *fold, wild: true, texts: folded(patterns.iter(), *fold) }, positive)
            }
            TypedKind::Compare { comparison, left, right } => {
                let (field, constant) = (own(left)?, right.constant()?);
                let test = match (comparison, constant) {
                    (Comparison::Equal, constant) => one_of(field, false, std::iter::once(constant))?,
                    (Comparison::Ordered(order), Constant::Integer(bound)) => {
                        Test::Numbers(vec![range(*order, *bound)?])
                    }
                    _ => return None,
                };
                (field, test, positive)
            }
            _ => return None,
        };
        Some(Fact { field: &field.name, positive, span: typed.span, test })
    }

    /// The same leaf, the other way round.
    pub(super) fn inverted(self) -> Fact<'t> {
        Fact { positive: !self.positive, ..self }
    }

    /// Why both cannot hold of one event. `single` says that the field has one value at most.
    pub(super) fn excludes(&self, other: &Fact<'_>, single: bool) -> Option<&'static str> {
        match (self.positive, other.positive) {
            (true, false) => self.test.within(&other.test).then_some("all that this lets through is excluded"),
            (false, true) => other.test.within(&self.test).then_some("all that the other lets through is excluded"),
            (true, true) if single => self.test.apart(&other.test).then_some("no value fulfils both"),
            _ => None,
        }
    }
}

fn own(typed: &Typed) -> Option<&FieldUse> {
    typed.field().filter(|field| field.owner == FieldOwner::Event)
}

fn folded<'s>(texts: impl Iterator<Item = &'s String>, fold: bool) -> Vec<String> {
    texts.map(|text| if fold { fold_case(text).into_owned() } else { text.clone() }).collect()
}

fn one_of<'c>(field: &FieldUse, fold: bool, constants: impl Iterator<Item = &'c Constant>) -> Option<Test> {
    match field.field_type {
        FieldType::Keyword => {
            let texts: Option<Vec<&String>> = constants
                .map(|constant| match constant {
                    Constant::String(text) => Some(text),
                    _ => None,
                })
                .collect();
            Some(Test::Texts { fold, wild: false, texts: folded(texts?.into_iter(), fold) })
        }
        FieldType::Long | FieldType::Date => {
            let numbers: Option<Vec<(i64, i64)>> = constants
                .map(|constant| match constant {
                    Constant::Integer(value) => Some((*value, *value)),
                    _ => None,
                })
                .collect();
            numbers.map(Test::Numbers)
        }
        _ => None,
    }
}

fn range(order: Order, bound: i64) -> Option<(i64, i64)> {
    Some(match order {
        Order::Less => (i64::MIN, bound.checked_sub(1)?),
        Order::LessEqual => (i64::MIN, bound),
        Order::Greater => (bound.checked_add(1)?, i64::MAX),
        Order::GreaterEqual => (bound, i64::MAX),
    })
}

impl Test {
    /// Whether every value that fulfils this fulfils the other; `false` where that cannot be told.
    fn within(&self, other: &Test) -> bool {
        match (self, other) {
            (_, Test::Present) => true,
            (Test::Texts { fold, wild, texts }, Test::Texts { fold: other_fold, wild: other_wild, texts: others }) => {
                // Tests that ignore case let more through than those that do not.
                if (*fold && !*other_fold) || texts.len().saturating_mul(others.len()) > MOST_PAIRS {
                    return false;
                }
                texts.iter().all(|text| {
                    let text = if *other_fold && !*fold { fold_case(text).into_owned() } else { text.clone() };
                    others.iter().any(|other| match (*wild, *other_wild) {
                        (_, true) if *wild => covers(other, &text),
                        (_, true) => wildcard_matches(other, &text),
                        // A pattern without a wildcard is a text.
                        (_, false) => *other == text && !(*wild && kestrel_ir::pattern::has_wildcard(&text)),
                    })
                })
            }
            (Test::Numbers(ranges), Test::Numbers(others)) => {
                ranges.len().saturating_mul(others.len()) <= MOST_PAIRS
                    && ranges.iter().all(|(low, high)| {
                        others.iter().any(|(other_low, other_high)| other_low <= low && high <= other_high)
                    })
            }
            _ => false,
        }
    }

    /// Whether no value fulfils both; `false` where that cannot be told.
    fn apart(&self, other: &Test) -> bool {
        match (self, other) {
            (Test::Texts { fold, wild, texts }, Test::Texts { fold: other_fold, wild: other_wild, texts: others }) => {
                if texts.len().saturating_mul(others.len()) > MOST_PAIRS {
                    return false;
                }
                let fold = *fold || *other_fold;
                let (texts, others) = (folded(texts.iter(), fold), folded(others.iter(), fold));
                let pattern = |wild: bool, text: &str| wild && kestrel_ir::pattern::has_wildcard(text);
                texts.iter().all(|text| {
                    others.iter().all(|other| match (pattern(*wild, text), pattern(*other_wild, other)) {
                        (false, false) => text != other,
                        (true, false) => !wildcard_matches(text, other),
                        (false, true) => !wildcard_matches(other, text),
                        (true, true) => false,
                    })
                })
            }
            (Test::Numbers(ranges), Test::Numbers(others)) => {
                ranges.len().saturating_mul(others.len()) <= MOST_PAIRS
                    && ranges.iter().all(|(low, high)| {
                        others.iter().all(|(other_low, other_high)| high < other_low || other_high < low)
                    })
            }
            _ => false,
        }
    }
}

/// Whether a wildcard pattern matches all that another one matches; `false` where that cannot be told. The other's
/// wildcards are read as characters that only `*`, and for `?` also `?`, can stand for.
pub(super) fn covers(pattern: &str, other: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let other: Vec<char> = other.chars().collect();
    // reached[i]: whether the pattern up to here can match the first i characters of the other.
    let mut reached = vec![false; other.len() + 1];
    reached[0] = true;
    for wanted in pattern {
        let mut next = vec![false; other.len() + 1];
        if wanted == '*' {
            let mut open = false;
            for (index, is_reached) in reached.iter().enumerate() {
                open |= is_reached;
                next[index] = open;
            }
        } else {
            for (index, found) in other.iter().enumerate() {
                next[index + 1] =
                    reached[index] && *found != '*' && (wanted == '?' || (wanted == *found && *found != '?'));
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_they_match() {
        for (pattern, other, expected) in [
            ("*", "a", true),
            ("*", "", true),
            ("a*", "ab*", true),
            ("a*", "*", false),
            ("a?", "ab", true),
            ("a?", "a*", false),
            ("a?", "a?", true),
            ("ab", "a?", false),
            ("*b*", "a?b?", true),
            ("/tmp/*", "/tmp/x/*", true),
            ("/tmp/*", "/tmp", false),
            ("a**", "a*", true),
        ] {
            assert_eq!(covers(pattern, other), expected, "{pattern} covers {other}");
        }
    }
}
