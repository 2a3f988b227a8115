//! Leaves: the specific atom for a test of one field with constants, a computing atom for everything else.
//!
//! In: a typed leaf. Out: a node, two-valued: false where the field is missing.

use kestrel_ir::cidr::Cidr;
use kestrel_ir::fold::fold as fold_case;
use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{Atom, Comparison, Constant, Function, NodeId, Order, StringMatch, Value};
use kestrel_ir::pattern::has_wildcard;
use kestrel_schema::FieldType;

use super::Lowering;
use crate::types::lists::{number_of, text_of};
use crate::types::tree::{FieldUse, Typed, TypedKind};

/// -2^63, the least integer, and 2^63, the first number above the greatest, both exact.
const INTEGER_BOUND: f64 = 9_223_372_036_854_775_808.0;

impl Lowering {
    /// The node of a leaf.
    pub(super) fn leaf(&mut self, typed: &Typed) -> NodeId {
        match &typed.kind {
            TypedKind::Compare { comparison, left, right } => self.comparison(*comparison, left, right),
            TypedKind::In { fold, subject, list } => self.membership(*fold, subject, list),
            TypedKind::Match { regex, fold, subject, patterns } => self.matching(*regex, *fold, subject, patterns),
            TypedKind::IsNull(tested) => self.null_test(tested, true),
            TypedKind::NotNull(tested) => self.null_test(tested, false),
            TypedKind::Call { function, fold, arguments } => self.call(typed, *function, *fold, arguments),
            TypedKind::AnyObject { object, condition } => {
                let object = self.field(object);
                self.any_object(object, condition)
            }
            TypedKind::Lineage { relation, filter } => {
                let predicate = self.predicate(filter);
                self.lineage_fields();
                self.atom_node(Atom::Lineage { relation: *relation, predicate })
            }
            TypedKind::SomeFails(leaf) => {
                let left = self.leaf_value(leaf);
                let right = self.values.intern(Value::Constant(Constant::Boolean(false)));
                self.compute(Value::Compare { comparison: Comparison::Equal, left, right })
            }
            TypedKind::Field(_) => match self.own_field(typed) {
                Some((field, _)) => self.atom_node(Atom::Boolean { field, value: true }),
                None => {
                    let value = self.value(typed);
                    self.atom_node(Atom::Compute { value })
                }
            },
            _ => {
                let value = self.value(typed);
                self.atom_node(Atom::Compute { value })
            }
        }
    }

    fn comparison(&mut self, comparison: Comparison, left: &Typed, right: &Typed) -> NodeId {
        if let Some(constant) = right.constant()
            && let Some((field, used)) = self.own_field(left)
            && let Some(atom) = field_comparison(field, used, comparison, constant)
        {
            return self.atom_node(atom);
        }
        let (left, right) = (self.value(left), self.value(right));
        self.compute(Value::Compare { comparison, left, right })
    }

    fn null_test(&mut self, tested: &Typed, wants_null: bool) -> NodeId {
        if let Some((field, _)) = self.own_field(tested) {
            let present = self.atom_node(Atom::Present { field });
            return if wants_null { self.negation(present) } else { present };
        }
        let value = self.value(tested);
        self.compute(if wants_null { Value::IsNull(value) } else { Value::NotNull(value) })
    }

    fn membership(&mut self, fold: bool, subject: &Typed, list: &[Constant]) -> NodeId {
        if let Some((field, used)) = self.own_field(subject)
            && let Some(atoms) = field_membership(field, used, fold, list)
        {
            let nodes = atoms.into_iter().map(|atom| self.atom_node(atom)).collect();
            return self.any(nodes);
        }
        let value = self.value(subject);
        if let Some(strings) = texts(list) {
            let strings = normal_strings(strings, fold);
            let fold = fold && folds(&strings);
            return self.compute(Value::Matches { matching: StringMatch::Exact, fold, input: value, strings });
        }
        let nodes = list
            .iter()
            .map(|constant| {
                let right = self.values.intern(Value::Constant(constant.clone()));
                self.compute(Value::Compare { comparison: Comparison::Equal, left: value, right })
            })
            .collect();
        self.any(nodes)
    }

    fn matching(&mut self, regex: bool, fold: bool, subject: &Typed, patterns: &[String]) -> NodeId {
        if let Some((field, used)) = self.own_field(subject)
            && matches!(used.field_type, FieldType::Keyword | FieldType::Version)
        {
            return if regex {
                self.regexes(field, fold, patterns)
            } else {
                self.wildcards(field, fold, patterns.to_vec())
            };
        }
        let value = self.matches_value(regex, fold, subject, patterns);
        self.atom_node(Atom::Compute { value })
    }

    fn regexes(&mut self, field: FieldId, fold: bool, patterns: &[String]) -> NodeId {
        let strings = in_order(patterns);
        self.atom_node(Atom::Strings { field, matching: StringMatch::Regex, fold, strings })
    }

    /// Wildcard patterns over a field: those without a wildcard are exact strings, and `*` is any value at all.
    fn wildcards(&mut self, field: FieldId, fold: bool, patterns: Vec<String>) -> NodeId {
        let patterns: Vec<String> = patterns.iter().map(|pattern| squeezed(pattern)).collect();
        if patterns.iter().any(|pattern| pattern == "*") {
            return self.atom_node(Atom::Present { field });
        }
        let (wild, exact): (Vec<String>, Vec<String>) = patterns.into_iter().partition(|pattern| has_wildcard(pattern));
        let mut nodes = Vec::new();
        for (matching, strings) in [(StringMatch::Exact, exact), (StringMatch::Wildcard, wild)] {
            if !strings.is_empty() {
                nodes.push(self.strings(field, matching, fold, strings));
            }
        }
        self.any(nodes)
    }

    fn strings(&mut self, field: FieldId, matching: StringMatch, fold: bool, strings: Vec<String>) -> NodeId {
        let atom = strings_atom(field, matching, fold, strings);
        self.atom_node(atom)
    }

    /// A call as a condition. What a pattern or a list says of a field is said by the atom of that, so that it is shared
    /// with the operators and found by guards.
    fn call(&mut self, typed: &Typed, function: Function, fold: bool, arguments: &[Typed]) -> NodeId {
        if let [subject, rest @ ..] = arguments
            && let Some((field, used)) = self.own_field(subject)
            && let Some(constants) = rest.iter().map(Typed::constant).collect::<Option<Vec<&Constant>>>()
        {
            let constants: Vec<Constant> = constants.into_iter().cloned().collect();
            let found = match (used.field_type, texts(&constants)) {
                (FieldType::Keyword, Some(strings)) => self.text_call(field, function, fold, strings),
                (FieldType::Ip, Some(strings)) if function == Function::CidrMatch => {
                    blocks_atom(field, &strings).map(|atom| self.atom_node(atom))
                }
                _ => None,
            };
            if let Some(node) = found {
                return node;
            }
        }
        let value = self.value(typed);
        self.atom_node(Atom::Compute { value })
    }

    fn text_call(&mut self, field: FieldId, function: Function, fold: bool, strings: Vec<String>) -> Option<NodeId> {
        if function == Function::ArrayContains {
            return Some(self.strings(field, StringMatch::Exact, true, strings));
        }
        let [text] = strings.as_slice() else { return None };
        if has_wildcard(text) {
            return None;
        }
        let pattern = match function {
            Function::StartsWith => format!("{text}*"),
            Function::EndsWith => format!("*{text}"),
            Function::StringContains if text.is_empty() => return Some(self.constant(false)),
            Function::StringContains => format!("*{text}*"),
            _ => return None,
        };
        Some(self.wildcards(field, fold, vec![pattern]))
    }
}

/// The atom of `field == constant` or an ordering; `None` where only a computation says it exactly.
fn field_comparison(field: FieldId, used: &FieldUse, comparison: Comparison, constant: &Constant) -> Option<Atom> {
    let equal = comparison == Comparison::Equal;
    let order = match comparison {
        Comparison::Ordered(order) => Some(order),
        _ => None,
    };
    match (used.field_type, constant) {
        (FieldType::Keyword, Constant::String(value)) => Some(match order {
            Some(order) => Atom::StringOrder { field, order, value: value.clone() },
            None => exact(field, vec![value.clone()]),
        }),
        (FieldType::Keyword, Constant::Integer(_) | Constant::Float(_)) if equal => {
            Some(exact(field, vec![text_of(constant)]))
        }
        (FieldType::Long | FieldType::Date, Constant::Integer(value)) => Some(integer(field, order, *value)),
        (FieldType::Long, Constant::Float(value)) => Some(match whole(*value) {
            Some(value) => integer(field, order, value),
            None => Atom::FloatOrder { field, comparison, value: *value },
        }),
        (FieldType::Long, Constant::String(text)) if equal => match number_of(text) {
            Some(Constant::Integer(value)) => Some(integer(field, None, value)),
            _ => None,
        },
        (FieldType::Double, Constant::Float(value)) => Some(Atom::FloatOrder { field, comparison, value: *value }),
        (FieldType::Double, Constant::Integer(value)) => {
            let float = *value as f64;
            (whole(float) == Some(*value)).then_some(Atom::FloatOrder { field, comparison, value: float })
        }
        (FieldType::Boolean, Constant::Boolean(value)) if equal => Some(Atom::Boolean { field, value: *value }),
        (FieldType::Ip, Constant::String(text)) if equal => blocks_atom(field, std::slice::from_ref(text)),
        (FieldType::Version, Constant::String(value)) => {
            Some(Atom::VersionOrder { field, comparison, value: value.clone() })
        }
        _ => None,
    }
}

/// The atoms one of which holds when the field is in the list; `None` where only a computation says it exactly.
fn field_membership(field: FieldId, used: &FieldUse, fold: bool, list: &[Constant]) -> Option<Vec<Atom>> {
    match used.field_type {
        FieldType::Keyword => texts(list).map(|strings| vec![strings_atom(field, StringMatch::Exact, fold, strings)]),
        FieldType::Ip => texts(list).and_then(|strings| blocks_atom(field, &strings)).map(|atom| vec![atom]),
        FieldType::Long | FieldType::Date => {
            // A decimal that is not whole equals no integer, and neither atom is needed for it.
            let mut values: Vec<i64> = list
                .iter()
                .filter_map(|constant| match constant {
                    Constant::Integer(value) => Some(*value),
                    Constant::Float(value) => whole(*value),
                    _ => None,
                })
                .collect();
            values.sort_unstable();
            values.dedup();
            Some(if values.is_empty() { Vec::new() } else { vec![Atom::Integers { field, values }] })
        }
        FieldType::Double | FieldType::Boolean | FieldType::Version => {
            list.iter().map(|constant| field_comparison(field, used, Comparison::Equal, constant)).collect()
        }
        FieldType::Object => None,
    }
}

fn integer(field: FieldId, order: Option<Order>, value: i64) -> Atom {
    match order {
        Some(order) => Atom::IntegerOrder { field, order, value },
        None => Atom::Integers { field, values: vec![value] },
    }
}

/// The integer that a decimal is exactly.
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && (-INTEGER_BOUND..INTEGER_BOUND).contains(&value)).then_some(value as i64)
}

fn exact(field: FieldId, strings: Vec<String>) -> Atom {
    Atom::Strings { field, matching: StringMatch::Exact, fold: false, strings }
}

fn strings_atom(field: FieldId, matching: StringMatch, fold: bool, strings: Vec<String>) -> Atom {
    let strings = normal_strings(strings, fold);
    let fold = fold && folds(&strings);
    Atom::Strings { field, matching, fold, strings }
}

fn blocks_atom(field: FieldId, texts: &[String]) -> Option<Atom> {
    let mut blocks: Vec<Cidr> = texts.iter().map(|text| Cidr::parse(text)).collect::<Option<_>>()?;
    blocks.sort_unstable();
    blocks.dedup();
    Some(Atom::Cidr { field, blocks })
}

fn texts(list: &[Constant]) -> Option<Vec<String>> {
    list.iter()
        .map(|constant| match constant {
            Constant::String(text) => Some(text.clone()),
            _ => None,
        })
        .collect()
}

/// Folded where case does not count, sorted, each once.
pub(super) fn normal_strings(strings: Vec<String>, fold: bool) -> Vec<String> {
    let mut strings: Vec<String> =
        if fold { strings.iter().map(|text| fold_case(text).into_owned()).collect() } else { strings };
    strings.sort_unstable();
    strings.dedup();
    strings
}

/// Each once, in order: of regular expressions an early one may be the cheap one.
pub(super) fn in_order(patterns: &[String]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    patterns.iter().filter(|pattern| seen.insert(pattern.as_str())).cloned().collect()
}

/// Whether folding changes anything: no character folds to an ASCII character that is no letter.
pub(super) fn folds(strings: &[String]) -> bool {
    !strings.iter().all(|text| text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_alphabetic()))
}

/// Several `*` in a row are one.
pub(super) fn squeezed(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    for character in pattern.chars() {
        if !(character == '*' && text.ends_with('*')) {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_decimals_are_integers() {
        for (value, expected) in [
            (1.0, Some(1)),
            (-0.0, Some(0)),
            (1.5, None),
            (-INTEGER_BOUND, Some(i64::MIN)),
            (INTEGER_BOUND, None),
            (1e300, None),
        ] {
            assert_eq!(whole(value), expected, "{value}");
        }
    }

    #[test]
    fn patterns_have_one_form() {
        assert_eq!(squeezed("a***b**"), "a*b*");
        assert_eq!(normal_strings(vec!["B".into(), "a".into(), "b".into()], true), ["a", "b"]);
        assert!(!folds(&["1.2*".into(), "/".into()]));
        assert!(folds(&["a".into()]) && folds(&["ß".into()]));
    }
}
