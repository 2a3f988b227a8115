//! The atoms of a pack, compiled: one lazy test per atom and event, shared by dispatch, by every runtime and by explain.
//!
//! In: an [`Ir`] once, then a [`Frame`] per event. Out: whether an atom holds. [`Atoms`] is shared by all threads and
//! never changes, but that a list of strings is compiled when it is asked for the first time. What one event's evaluation
//! remembers lives in an [`AtomCache`] that its caller owns and resets.
//!
//! ```text
//! Ir ──Atoms::new──▶ Atoms (immutable, cheap to clone)
//!                      │ test(id, frame, cache) ──▶ known? its value : test, remember
//!                      └──▶ Interpreter, for atoms that compute or search objects
//! ```
//!
//! What an atom means is said by [`kestrel_ir::interp`]; this module only says it faster. It evaluates no predicate.

mod cache;
mod string_set;
mod strings;

use std::sync::{Arc, OnceLock};

use kestrel_ir::cidr::Cidr;
use kestrel_ir::frame::{Frame, Slot};
use kestrel_ir::interp::{Interpreter, InterpreterError};
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{Atom, AtomId, Comparison, Ir, Order, StringMatch};
use kestrel_ir::value::{compare_integer_float, compare_versions};
use thiserror::Error;

pub use cache::AtomCache;
use strings::StringTest;

/// Why an [`Ir`] has no compiled atoms.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AtomsError {
    /// The reference interpreter refused the tables.
    #[error("the rules cannot be interpreted: {0}")]
    Interpreter(#[from] InterpreterError),
    /// An atom's patterns do not compile. The verifier lets none through.
    #[error("atom {atom}: {reason}")]
    Pattern {
        /// The atom's number.
        atom: u32,
        /// What is wrong with its patterns.
        reason: String,
    },
}

/// The compiled atoms of one pack. Clones share the program.
#[derive(Debug, Clone)]
pub struct Atoms {
    program: Arc<Program>,
}

#[derive(Debug)]
struct Program {
    layout: Layout,
    tests: Vec<FieldTest>,
    interpreter: Interpreter,
}

/// A test and the field that it reads.
#[derive(Debug)]
struct FieldTest {
    field: FieldId,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Present,
    Boolean(bool),
    /// Compiled when it is asked for the first time: of a thousand rules' lists most events need few, and automata take
    /// long to build. Regular expressions are compiled at once, so that a mistake in one is told at once.
    Strings {
        /// Whether texts come in folded.
        folded: bool,
        compiled: OnceLock<Box<StringTest>>,
    },
    StringOrder(Order, Box<str>),
    /// Sorted. A binary search: below some hundred numbers, which is what rules have, it is no slower than a hash.
    Integers(Box<[i64]>),
    IntegerOrder(Order, i64),
    FloatOrder(Comparison, f64),
    Cidr(Box<[Cidr]>),
    VersionOrder(Comparison, Box<str>),
    Interpret,
}

impl Atoms {
    /// Compiles the atoms of `ir`.
    ///
    /// # Errors
    /// When the tables are inconsistent or a pattern does not compile; the verifier's task is that neither happens.
    pub fn new(ir: &Ir) -> Result<Atoms, AtomsError> {
        let interpreter = Interpreter::new(ir)?;
        let compile = |(index, atom): (usize, &Atom)| {
            FieldTest::new(atom, &interpreter).map_err(|reason| AtomsError::Pattern { atom: index as u32, reason })
        };
        let tests = ir.atoms.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        Ok(Atoms { program: Arc::new(Program { layout: ir.layout.clone(), tests, interpreter }) })
    }

    /// How many atoms there are.
    pub fn len(&self) -> usize {
        self.program.tests.len()
    }

    /// Whether there is no atom.
    pub fn is_empty(&self) -> bool {
        self.program.tests.is_empty()
    }

    /// The layout of the frames that the atoms read.
    pub fn layout(&self) -> &Layout {
        &self.program.layout
    }

    /// The interpreter behind the atoms that compute, for callers who evaluate nodes beyond a predicate.
    pub fn interpreter(&self) -> &Interpreter {
        &self.program.interpreter
    }

    /// Whether both are clones of one compilation.
    pub fn same(&self, other: &Atoms) -> bool {
        Arc::ptr_eq(&self.program, &other.program)
    }

    /// A cache with room for these atoms, so that no event has to make it.
    pub fn cache(&self) -> AtomCache {
        AtomCache::with_capacity(self.len(), self.program.layout.len())
    }

    /// Whether an atom holds for `frame`; evaluated at most once between two resets of `cache`. An id of another pack is
    /// false.
    ///
    /// INVARIANT: between two resets a cache sees one frame and one `Atoms`.
    #[inline]
    pub fn test(&self, atom: AtomId, frame: Frame<'_>, cache: &mut AtomCache) -> bool {
        match cache.known(atom) {
            Some(answer) => answer,
            None => self.evaluate(atom, frame, cache),
        }
    }

    fn evaluate(&self, atom: AtomId, frame: Frame<'_>, cache: &mut AtomCache) -> bool {
        let Some(test) = self.program.tests.get(atom.index()) else { return false };
        let answer = match &test.test {
            Test::Interpret => self.program.interpreter.atom_with(atom, frame, cache.context()),
            Test::Strings { folded, compiled } => {
                let strings = compiled.get_or_init(|| Box::new(self.list(atom)));
                let values = frame.values(&self.program.layout, test.field);
                match folded {
                    true => cache.any_folded(test.field, values, |text| strings.matches(text)),
                    false => values.iter().any(|slot| matches!(slot, Slot::Text(text) if strings.matches(text))),
                }
            }
            simple => simple.holds(frame, &self.program.layout, test.field),
        };
        cache.remember(atom, answer);
        answer
    }

    /// Compiles an atom's list.
    #[cold]
    fn list(&self, atom: AtomId) -> StringTest {
        match self.program.interpreter.ir().atom(atom) {
            Some(Atom::Strings { matching, strings, .. }) => StringTest::list(*matching, strings),
            _ => StringTest::list(StringMatch::Exact, &[]),
        }
    }
}

impl FieldTest {
    fn new(atom: &Atom, interpreter: &Interpreter) -> Result<FieldTest, String> {
        let (field, test) = match atom {
            Atom::Present { field } => (*field, Test::Present),
            Atom::Boolean { field, value } => (*field, Test::Boolean(*value)),
            Atom::Strings { field, matching, fold, strings } => {
                let regex = *matching == StringMatch::Regex;
                let compiled = match regex {
                    true => OnceLock::from(Box::new(StringTest::regexes(strings, |pattern| {
                        interpreter.regex(pattern, *fold)
                    })?)),
                    false => OnceLock::new(),
                };
                // A regular expression folds by itself: its text must reach it as it is.
                (*field, Test::Strings { folded: *fold && !regex, compiled })
            }
            Atom::StringOrder { field, order, value } => (*field, Test::StringOrder(*order, value.as_str().into())),
            Atom::Integers { field, values } => {
                let mut values = values.clone();
                values.sort_unstable();
                (*field, Test::Integers(values.into()))
            }
            Atom::IntegerOrder { field, order, value } => (*field, Test::IntegerOrder(*order, *value)),
            Atom::FloatOrder { field, comparison, value } => (*field, Test::FloatOrder(*comparison, *value)),
            Atom::Cidr { field, blocks } => (*field, Test::Cidr(blocks.clone().into())),
            Atom::VersionOrder { field, comparison, value } => {
                (*field, Test::VersionOrder(*comparison, value.as_str().into()))
            }
            // The matcher tells a lineage atom's answer before anybody asks; unasked it is false.
            Atom::Compute { .. } | Atom::AnyObject { .. } | Atom::Lineage { .. } => (FieldId(0), Test::Interpret),
        };
        Ok(FieldTest { field, test })
    }
}

impl Test {
    fn holds(&self, frame: Frame<'_>, layout: &Layout, field: FieldId) -> bool {
        if let Test::Present = self {
            return frame.is_present(layout, field);
        }
        frame.values(layout, field).iter().any(|slot| self.holds_for(slot))
    }

    /// Whether one value fulfils the test. A value of a type that the test is not made for does not.
    fn holds_for(&self, slot: Slot<'_>) -> bool {
        match (self, slot) {
            (Test::Boolean(wanted), Slot::Boolean(value)) => value == *wanted,
            // By code point, which for UTF-8 is by byte.
            (Test::StringOrder(order, wanted), Slot::Text(text)) => order.holds(text.as_bytes().cmp(wanted.as_bytes())),
            (Test::Integers(wanted), Slot::Integer(value)) => wanted.binary_search(&value).is_ok(),
            (Test::IntegerOrder(order, wanted), Slot::Integer(value)) => order.holds(value.cmp(wanted)),
            (Test::FloatOrder(comparison, wanted), Slot::Float(value)) => {
                compares(*comparison, value.partial_cmp(wanted))
            }
            (Test::FloatOrder(comparison, wanted), Slot::Integer(value)) => {
                compares(*comparison, compare_integer_float(value, *wanted))
            }
            (Test::Cidr(blocks), Slot::Ip(octets)) => blocks.iter().any(|block| block.contains(octets)),
            (Test::VersionOrder(comparison, wanted), Slot::Text(text)) => {
                compares(*comparison, Some(compare_versions(text, wanted)))
            }
            _ => false,
        }
    }
}

/// Whether an ordering fulfils a comparison; no ordering (not a number) is merely not equal.
fn compares(comparison: Comparison, ordering: Option<std::cmp::Ordering>) -> bool {
    match (comparison, ordering) {
        (Comparison::NotEqual, ordering) => ordering != Some(std::cmp::Ordering::Equal),
        (_, None) => false,
        (Comparison::Equal, Some(ordering)) => ordering.is_eq(),
        (Comparison::Ordered(order), Some(ordering)) => order.holds(ordering),
    }
}

#[cfg(test)]
mod tests;
