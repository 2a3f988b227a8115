//! Values: what computing atoms evaluate.
//!
//! In: typed expressions. Out: entries of the value table. A condition below a value is two-valued like a leaf.

use kestrel_ir::model::{Comparison, Constant, Function, StringMatch, Value, ValueId};
use kestrel_ir::pattern::has_wildcard;

use super::Lowering;
use super::condition::Reach;
use super::leaf::{folds, in_order, normal_strings, squeezed};
use crate::types::tree::{FieldOwner, Typed, TypedKind};

impl Lowering {
    /// The value of an expression.
    pub(super) fn value(&mut self, typed: &Typed) -> ValueId {
        let value = match &typed.kind {
            TypedKind::Constant(constant) => Value::Constant(constant.clone()),
            TypedKind::Field(used) => {
                let field = self.field(used);
                match used.owner {
                    FieldOwner::Step(step) => Value::StepField { step, field },
                    FieldOwner::Event | FieldOwner::Object(_) => Value::Field(field),
                }
            }
            TypedKind::Negate(operand) => Value::Negate(self.value(operand)),
            TypedKind::Arithmetic { operation, left, right } => {
                Value::Arithmetic { operation: *operation, left: self.value(left), right: self.value(right) }
            }
            TypedKind::Call { function, fold, arguments } => self.call_value(*function, *fold, arguments),
            TypedKind::Error => Value::Constant(Constant::Null),
            _ => Value::Condition(self.truth(typed, Reach::Joined)),
        };
        self.values.intern(value)
    }

    fn call_value(&mut self, function: Function, fold: bool, arguments: &[Typed]) -> Value {
        let arguments = arguments.iter().map(|argument| self.value(argument)).collect();
        Value::Call { function, fold, arguments }
    }

    /// `subject : (..)` as a value, null when the subject is.
    pub(super) fn matches_value(&mut self, regex: bool, fold: bool, subject: &Typed, patterns: &[String]) -> ValueId {
        let input = self.value(subject);
        let (matching, fold, strings) = if regex {
            (StringMatch::Regex, fold, in_order(patterns))
        } else {
            let strings = normal_strings(patterns.iter().map(|pattern| squeezed(pattern)).collect(), fold);
            // A string without a wildcard is a pattern too.
            let wild = strings.iter().any(|pattern| has_wildcard(pattern));
            let matching = if wild { StringMatch::Wildcard } else { StringMatch::Exact };
            (matching, fold && folds(&strings), strings)
        };
        self.values.intern(Value::Matches { matching, fold, input, strings })
    }

    /// A leaf as a value of its own, for each combination of its fields' values true, false or null.
    pub(super) fn leaf_value(&mut self, leaf: &Typed) -> ValueId {
        match &leaf.kind {
            TypedKind::Compare { comparison, left, right } => {
                let (left, right) = (self.value(left), self.value(right));
                self.values.intern(Value::Compare { comparison: *comparison, left, right })
            }
            TypedKind::Match { regex, fold, subject, patterns } => self.matches_value(*regex, *fold, subject, patterns),
            TypedKind::In { fold, subject, list } => self.membership_value(*fold, subject, list),
            _ => self.value(leaf),
        }
    }

    fn membership_value(&mut self, fold: bool, subject: &Typed, list: &[Constant]) -> ValueId {
        let texts: Option<Vec<String>> = list
            .iter()
            .map(|constant| match constant {
                Constant::String(text) => Some(text.clone()),
                _ => None,
            })
            .collect();
        let input = self.value(subject);
        if let Some(texts) = texts {
            let strings = normal_strings(texts, fold);
            let fold = fold && folds(&strings);
            return self.values.intern(Value::Matches { matching: StringMatch::Exact, fold, input, strings });
        }
        match list {
            [only] => {
                let right = self.values.intern(Value::Constant(only.clone()));
                self.values.intern(Value::Compare { comparison: Comparison::Equal, left: input, right })
            }
            _ => {
                // The search refuses what would need this: see `types::searches`.
                let arguments = std::iter::once(input)
                    .chain(list.iter().map(|constant| self.values.intern(Value::Constant(constant.clone()))))
                    .collect();
                self.values.intern(Value::Call { function: Function::ArrayContains, fold: false, arguments })
            }
        }
    }
}
