//! The reference interpreter: the semantics of record. Every other runtime is judged against it, so it is written to be
//! read, not to be fast.
//!
//! In: a verified [`Ir`] and a frame. Out: truth values.
//!
//! - An atom is true if any value of its field makes it true; over a missing field it is false.
//! - Nodes are two-valued; `not` flips what its operand gave.
//! - A computing atom tries every combination of the values of the fields that it reads (a missing one stands for null
//!   once), up to [`MAX_COMBINATIONS`], and is true if one of them gives true; null is not true.

use std::cell::RefCell;
use std::collections::HashMap;

use bumpalo::Bump;
use bumpalo::collections::Vec as ScratchVec;
use thiserror::Error;

use crate::fold::fold_in;
use crate::frame::{Frame, FrameValues, ObjectOffset, Slot};
use crate::functions;
use crate::layout::FieldId;
use crate::model::{Atom, AtomId, Function, Ir, Node, NodeId, PredicateId, StringMatch, Value, ValueId};
use crate::pattern::wildcard_matches;
use crate::regex::{self, Regex};
use crate::value::{self, Scalar};

/// How many combinations of field values a computing atom tries; those beyond are not looked at.
pub const MAX_COMBINATIONS: usize = 65_536;

/// Why an interpreter cannot be made.
#[derive(Debug, Error)]
#[error("the IR holds a regular expression that does not compile: {0}")]
pub struct InterpreterError(String);

/// Evaluates the predicates of one IR.
#[derive(Debug)]
pub struct Interpreter {
    ir: Ir,
    /// By their patterns: those that tell cases apart, and those that do not.
    regexes: [HashMap<String, Regex>; 2],
}

/// What an event is evaluated beside.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'c> {
    /// The events that earlier steps of the sequence matched, by the number of the step.
    pub steps: &'c [Option<Frame<'c>>],
    /// The lineage atoms that hold for the event's process, as far as the past tells.
    pub lineage: &'c [AtomId],
    /// Memory that evaluations share. Without it each takes its own.
    pub scratch: Option<&'c Scratch>,
}

/// The memory of computing atoms: the texts that they make, the values that they try. A thread keeps one, so that no
/// event allocates once the first have been seen.
#[derive(Debug, Default)]
pub struct Scratch {
    free: RefCell<Vec<Bump>>,
}

/// An arena that has grown beyond so many bytes is given back to the system after its evaluation.
const MAX_KEPT_ARENA: usize = 256 << 10;

impl Clone for Scratch {
    /// New memory: a clone works beside its original.
    fn clone(&self) -> Scratch {
        Scratch::default()
    }
}

impl Scratch {
    fn take(&self) -> Bump {
        self.free.borrow_mut().pop().unwrap_or_default()
    }

    fn give_back(&self, mut arena: Bump) {
        if arena.allocated_bytes() <= MAX_KEPT_ARENA {
            arena.reset();
            self.free.borrow_mut().push(arena);
        }
    }
}

/// What an evaluation may look at: an event, the object that is being searched, the past.
#[derive(Clone, Copy)]
struct Scope<'f> {
    frame: Frame<'f>,
    object: Option<(FieldId, ObjectOffset)>,
    context: Context<'f>,
}

/// One field of a computing atom and the value that it stands for in the current combination.
struct Binding<'f> {
    field: FieldId,
    step: Option<u32>,
    values: FrameValues<'f>,
    index: usize,
}

impl Interpreter {
    /// Prepares an IR: compiles its regular expressions.
    pub fn new(ir: &Ir) -> Result<Interpreter, InterpreterError> {
        let mut regexes = [HashMap::new(), HashMap::new()];
        let in_atoms = ir.atoms.iter().filter_map(|atom| match atom {
            Atom::Strings { matching: StringMatch::Regex, fold, strings, .. } => Some((*fold, strings)),
            _ => None,
        });
        let in_values = ir.values.iter().filter_map(|value| match value {
            Value::Matches { matching: StringMatch::Regex, fold, strings, .. } => Some((*fold, strings)),
            _ => None,
        });
        for (fold, patterns) in in_atoms.chain(in_values) {
            for pattern in patterns {
                let regex =
                    regex::compile(pattern, fold).map_err(|error| InterpreterError(format!("`{pattern}`: {error}")))?;
                regexes[usize::from(fold)].insert(pattern.clone(), regex);
            }
        }
        Ok(Interpreter { ir: ir.clone(), regexes })
    }

    /// A regular expression of the IR, compiled.
    pub fn regex(&self, pattern: &str, fold: bool) -> Option<&Regex> {
        self.regexes[usize::from(fold)].get(pattern)
    }

    /// The IR that is interpreted.
    pub fn ir(&self) -> &Ir {
        &self.ir
    }

    /// Whether the event fulfils a predicate: its category and its condition.
    pub fn predicate(&self, id: PredicateId, frame: Frame<'_>) -> bool {
        self.predicate_with(id, frame, Context::default())
    }

    /// The same beside the past.
    pub fn predicate_with(&self, id: PredicateId, frame: Frame<'_>, context: Context<'_>) -> bool {
        let Some(predicate) = self.ir.predicate(id) else { return false };
        let scope = Scope { frame, object: None, context };
        predicate.category.is_none_or(|category| self.atom_in(category, scope)) && self.node_in(predicate.root, scope)
    }

    /// Whether the event fulfils a condition.
    pub fn node(&self, id: NodeId, frame: Frame<'_>) -> bool {
        self.node_with(id, frame, Context::default())
    }

    /// The same beside the past.
    pub fn node_with(&self, id: NodeId, frame: Frame<'_>, context: Context<'_>) -> bool {
        self.node_in(id, Scope { frame, object: None, context })
    }

    /// Whether the event makes an atom true.
    pub fn atom(&self, id: AtomId, frame: Frame<'_>) -> bool {
        self.atom_with(id, frame, Context::default())
    }

    /// The same beside the past.
    pub fn atom_with(&self, id: AtomId, frame: Frame<'_>, context: Context<'_>) -> bool {
        self.atom_in(id, Scope { frame, object: None, context })
    }

    fn node_in(&self, id: NodeId, scope: Scope<'_>) -> bool {
        match self.ir.node(id) {
            Some(Node::Constant(value)) => *value,
            Some(Node::Atom(atom)) => self.atom_in(*atom, scope),
            Some(Node::Not(operand)) => !self.node_in(*operand, scope),
            Some(Node::And(operands)) => operands.iter().all(|&operand| self.node_in(operand, scope)),
            Some(Node::Or(operands)) => operands.iter().any(|&operand| self.node_in(operand, scope)),
            None => false,
        }
    }

    fn atom_in(&self, id: AtomId, scope: Scope<'_>) -> bool {
        let Some(atom) = self.ir.atom(id) else { return false };
        match atom {
            Atom::Present { field } => self.is_present(*field, scope),
            Atom::Boolean { field, value } => self.any(*field, scope, |slot| slot == Slot::Boolean(*value)),
            Atom::Strings { field, matching, fold, strings } => self.any(*field, scope, |slot| match slot {
                Slot::Text(text) => self.matches(text, *matching, *fold, strings, scope),
                _ => false,
            }),
            Atom::StringOrder { field, order, value } => self.any(*field, scope, |slot| match slot {
                Slot::Text(text) => order.holds(text.as_bytes().cmp(value.as_bytes())),
                _ => false,
            }),
            Atom::Integers { field, values } => self.any(*field, scope, |slot| match slot {
                Slot::Integer(value) => values.contains(&value),
                _ => false,
            }),
            Atom::IntegerOrder { field, order, value } => self.any(*field, scope, |slot| match slot {
                Slot::Integer(left) => order.holds(left.cmp(value)),
                _ => false,
            }),
            Atom::FloatOrder { field, comparison, value } => {
                let right = Scalar::Float(*value);
                self.any_scalar(*field, scope, |left| value::compare(*comparison, left, &right) == Some(true))
            }
            Atom::Cidr { field, blocks } => self.any(*field, scope, |slot| match slot {
                Slot::Ip(octets) => blocks.iter().any(|block| block.contains(octets)),
                _ => false,
            }),
            Atom::VersionOrder { field, comparison, value } => {
                let right = Scalar::Version(value);
                self.any_scalar(*field, scope, |left| value::compare(*comparison, left, &right) == Some(true))
            }
            Atom::Compute { value } => self.any_combination(*value, scope),
            Atom::Lineage { .. } => scope.context.lineage.contains(&id),
            Atom::AnyObject { object, condition } => self.any(*object, scope, |slot| match slot {
                Slot::Object(offset) => self.node_in(*condition, Scope { object: Some((*object, offset)), ..scope }),
                _ => false,
            }),
        }
    }

    fn is_present(&self, field: FieldId, scope: Scope<'_>) -> bool {
        match self.values_in_object(field, scope) {
            Some(values) => !values.is_empty(),
            None => scope.frame.is_present(&self.ir.layout, field),
        }
    }

    fn values<'f>(&self, field: FieldId, scope: Scope<'f>) -> FrameValues<'f> {
        self.values_in_object(field, scope).unwrap_or_else(|| scope.frame.values(&self.ir.layout, field))
    }

    /// The values of a child of the object in scope.
    fn values_in_object<'f>(&self, field: FieldId, scope: Scope<'f>) -> Option<FrameValues<'f>> {
        let (object, offset) = scope.object?;
        let parent = self.ir.layout.get(field)?.parent?;
        (parent == object).then(|| scope.frame.object_values(&self.ir.layout, offset, field))
    }

    fn any<'f>(&self, field: FieldId, scope: Scope<'f>, test: impl Fn(Slot<'f>) -> bool) -> bool {
        self.values(field, scope).iter().any(test)
    }

    fn any_scalar(&self, field: FieldId, scope: Scope<'_>, test: impl Fn(&Scalar<'_>) -> bool) -> bool {
        let field_type = self.ir.layout.field_type(field);
        self.any(field, scope, |slot| test(&Scalar::from_slot(slot, field_type)))
    }

    fn matches(&self, text: &str, matching: StringMatch, folded: bool, strings: &[String], scope: Scope<'_>) -> bool {
        if matching == StringMatch::Regex {
            return strings.iter().any(|pattern| self.regex(pattern, folded).is_some_and(|regex| regex.is_match(text)));
        }
        with_arena(scope, |arena| {
            let text = if folded { fold_in(text, arena) } else { text };
            strings.iter().any(|string| match matching {
                StringMatch::Wildcard => wildcard_matches(string, text),
                _ => string == text,
            })
        })
    }

    /// Whether some combination of the values of the fields below `root` makes it true.
    fn any_combination(&self, root: ValueId, scope: Scope<'_>) -> bool {
        with_arena(scope, |arena| {
            let mut bindings = ScratchVec::new_in(arena);
            self.bind(root, scope, &mut bindings);
            for _ in 0..MAX_COMBINATIONS {
                // Its own arena: what a combination made is gone before the next.
                if with_arena(scope, |arena| self.evaluate(root, scope, &bindings, arena) == Scalar::Boolean(true)) {
                    return true;
                }
                // Counts up like an odometer, the first field fastest.
                let advanced = bindings.iter_mut().any(|binding| {
                    binding.index += 1;
                    let in_range = binding.index < binding.values.len();
                    if !in_range {
                        binding.index = 0;
                    }
                    in_range
                });
                if !advanced {
                    return false;
                }
            }
            false
        })
    }

    /// Collects the fields that a value reads, each once. Conditions and whole arrays read theirs on their own.
    fn bind<'f>(&self, id: ValueId, scope: Scope<'f>, bindings: &mut ScratchVec<'_, Binding<'f>>) {
        let (field, step) = match self.ir.value(id) {
            Some(Value::Field(field)) => (*field, None),
            Some(Value::StepField { step, field }) => (*field, Some(*step)),
            Some(Value::Negate(operand) | Value::IsNull(operand) | Value::NotNull(operand)) => {
                return self.bind(*operand, scope, bindings);
            }
            Some(Value::Arithmetic { left, right, .. } | Value::Compare { left, right, .. }) => {
                self.bind(*left, scope, bindings);
                return self.bind(*right, scope, bindings);
            }
            Some(Value::Matches { input, .. }) => return self.bind(*input, scope, bindings),
            Some(Value::Call { function: Function::ArrayCount, .. }) => return,
            Some(Value::Call { arguments, .. }) => {
                return arguments.iter().for_each(|&argument| self.bind(argument, scope, bindings));
            }
            Some(Value::Constant(_) | Value::Condition(_)) | None => return,
        };
        if !bindings.iter().any(|binding| binding.field == field && binding.step == step) {
            let values = self.field_values(field, step, scope);
            bindings.push(Binding { field, step, values, index: 0 });
        }
    }

    /// What `read` makes of what a value expression gives for an event; a field stands for its first value.
    pub fn value<R>(
        &self,
        id: ValueId,
        frame: Frame<'_>,
        context: Context<'_>,
        read: impl FnOnce(&Scalar<'_>) -> R,
    ) -> R {
        let scope = Scope { frame, object: None, context };
        with_arena(scope, |arena| {
            let mut bindings = ScratchVec::new_in(arena);
            self.bind(id, scope, &mut bindings);
            read(&self.evaluate(id, scope, &bindings, arena))
        })
    }

    fn field_values<'f>(&self, field: FieldId, step: Option<u32>, scope: Scope<'f>) -> FrameValues<'f> {
        let Some(step) = step else { return self.values(field, scope) };
        match scope.context.steps.get(step as usize).copied().flatten() {
            Some(frame) => frame.values(&self.ir.layout, field),
            None => scope.frame.values(&self.ir.layout, FieldId(u32::MAX)),
        }
    }

    fn evaluate<'f>(&'f self, id: ValueId, scope: Scope<'f>, bindings: &[Binding<'f>], arena: &'f Bump) -> Scalar<'f> {
        let evaluate = |id: ValueId| self.evaluate(id, scope, bindings, arena);
        let Some(value) = self.ir.value(id) else { return Scalar::Null };
        let null_or = |result: Option<bool>| result.map_or(Scalar::Null, Scalar::Boolean);
        match value {
            Value::Constant(constant) => Scalar::from_constant(constant),
            Value::Field(field) => self.bound(*field, None, bindings),
            Value::StepField { step, field } => self.bound(*field, Some(*step), bindings),
            Value::Negate(operand) => functions::negate(&evaluate(*operand)),
            Value::Arithmetic { operation, left, right } => {
                functions::arithmetic(*operation, &evaluate(*left), &evaluate(*right))
            }
            Value::Compare { comparison, left, right } => {
                null_or(value::compare(*comparison, &evaluate(*left), &evaluate(*right)))
            }
            Value::Matches { matching, fold, input, strings } => {
                let input = evaluate(*input);
                null_or(input.to_text(arena).map(|text| self.matches(text, *matching, *fold, strings, scope)))
            }
            Value::IsNull(operand) => Scalar::Boolean(evaluate(*operand).is_null()),
            Value::NotNull(operand) => Scalar::Boolean(!evaluate(*operand).is_null()),
            Value::Condition(node) => Scalar::Boolean(self.node_in(*node, scope)),
            Value::Call { function: Function::ArrayCount, arguments, .. } => self.array_count(arguments, scope),
            Value::Call { function, fold, arguments } => {
                let arguments = ScratchVec::from_iter_in(arguments.iter().map(|&argument| evaluate(argument)), arena);
                functions::call(*function, *fold, &arguments, arena)
            }
        }
    }

    fn bound<'f>(&self, field: FieldId, step: Option<u32>, bindings: &[Binding<'f>]) -> Scalar<'f> {
        let field_type = self.ir.layout.field_type(field);
        bindings
            .iter()
            .find(|binding| binding.field == field && binding.step == step)
            .and_then(|binding| binding.values.get(binding.index))
            .map_or(Scalar::Null, |slot| Scalar::from_slot(slot, field_type))
    }

    /// `arrayCount(field)`: how many values the field has; null when it is missing.
    fn array_count(&self, arguments: &[ValueId], scope: Scope<'_>) -> Scalar<'static> {
        let (field, step) = match arguments.first().and_then(|&argument| self.ir.value(argument)) {
            Some(Value::Field(field)) => (*field, None),
            Some(Value::StepField { step, field }) => (*field, Some(*step)),
            _ => return Scalar::Null,
        };
        match self.field_values(field, step, scope).len() {
            0 => Scalar::Null,
            count => Scalar::Integer(count as i64),
        }
    }
}

/// Runs a computation with an arena of the scope's scratch memory, or with its own.
fn with_arena<R>(scope: Scope<'_>, compute: impl FnOnce(&Bump) -> R) -> R {
    let Some(scratch) = scope.context.scratch else { return compute(&Bump::new()) };
    let arena = scratch.take();
    let result = compute(&arena);
    scratch.give_back(arena);
    result
}
