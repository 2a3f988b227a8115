//! Atoms that machine code tests by itself, in the frame: presence, truth values, integers, dates, decimals.
//!
//! In: an atom. Out: what is tested in which slot. Presence is a bit of the frame's head. The first value lies in the slot and is tested in place; the values
//! behind it, if there are any, are tested by functions that all atoms share ([`AnyMore`]), or by the host for a list.
//!
//! ```text
//! count == 0 ─▶ no      first < 1024 ─▶ yes      count <= 1 ─▶ no      any_more(slot, <, 1024)
//! ```

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use kestrel_ir::frame::{HEADER_SIZE, slot_offset};
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{Atom, Comparison, Order};
use kestrel_schema::FieldType;

/// The longest list of integers that is tested one after another; the host has a search for longer ones.
const MAX_INTEGERS: usize = 16;

/// An atom that needs no host while its field has one value.
#[derive(Debug)]
pub(super) struct InlineAtom {
    /// The offset of the field's slot in the frame.
    pub(super) slot: i32,
    pub(super) test: InlineTest,
}

#[derive(Debug)]
pub(super) enum InlineTest {
    /// Whether a bit of the byte at this offset of the frame is set.
    Present {
        byte: i32,
        bit: u8,
    },
    /// One comparison; a truth value is an integer that is 0 or not.
    Integer(IntCC, i64),
    /// Any of several, at most [`MAX_INTEGERS`].
    Integers(Vec<i64>),
    Float(FloatCC, f64),
}

/// A function over the values of a field behind its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnyMore {
    Integer(IntCC),
    Float(FloatCC),
}

impl AnyMore {
    /// All of them.
    pub(super) const ALL: [AnyMore; 12] = [
        AnyMore::Integer(IntCC::Equal),
        AnyMore::Integer(IntCC::NotEqual),
        AnyMore::Integer(IntCC::SignedLessThan),
        AnyMore::Integer(IntCC::SignedLessThanOrEqual),
        AnyMore::Integer(IntCC::SignedGreaterThan),
        AnyMore::Integer(IntCC::SignedGreaterThanOrEqual),
        AnyMore::Float(FloatCC::Equal),
        AnyMore::Float(FloatCC::NotEqual),
        AnyMore::Float(FloatCC::LessThan),
        AnyMore::Float(FloatCC::LessThanOrEqual),
        AnyMore::Float(FloatCC::GreaterThan),
        AnyMore::Float(FloatCC::GreaterThanOrEqual),
    ];
}

impl InlineAtom {
    /// `None` when the host is to be asked: texts, addresses, computations, children of objects, decimals against
    /// integer fields (where exactness takes more than one comparison), and any atom that does not fit its field.
    pub(super) fn new(atom: &Atom, layout: &Layout) -> Option<InlineAtom> {
        let (field, test) = match atom {
            Atom::Present { field } => (*field, InlineTest::Present { byte: 0, bit: 0 }),
            Atom::Boolean { field, value } if is(layout, *field, &[FieldType::Boolean]) => {
                let condition = if *value { IntCC::NotEqual } else { IntCC::Equal };
                (*field, InlineTest::Integer(condition, 0))
            }
            Atom::Integers { field, values } if is_integer(layout, *field) => match values.as_slice() {
                [value] => (*field, InlineTest::Integer(IntCC::Equal, *value)),
                values if values.len() <= MAX_INTEGERS => (*field, InlineTest::Integers(values.to_vec())),
                _ => return None,
            },
            Atom::IntegerOrder { field, order, value } if is_integer(layout, *field) => {
                (*field, InlineTest::Integer(integer_condition(*order), *value))
            }
            Atom::FloatOrder { field, comparison, value } if is(layout, *field, &[FieldType::Double]) => {
                (*field, InlineTest::Float(float_condition(*comparison), *value))
            }
            _ => return None,
        };
        let definition = layout.get(field).filter(|definition| definition.parent.is_none())?;
        let slots = layout.top_level_slots();
        // INVARIANT: a frame that `fits` holds every slot below `slots`; machine code checks none of its reads.
        let number = usize::try_from(definition.slot).ok().filter(|&slot| slot < slots)?;
        let slot = i32::try_from(slot_offset(slots, number)).ok()?;
        let test = match test {
            InlineTest::Present { .. } => {
                InlineTest::Present { byte: i32::try_from(HEADER_SIZE + number / 8).ok()?, bit: 1 << (number % 8) }
            }
            other => other,
        };
        Some(InlineAtom { slot, test })
    }

    /// What the atom adds to its function's size, in leaves.
    pub(super) fn size(&self) -> u32 {
        match &self.test {
            InlineTest::Present { .. } => 1,
            InlineTest::Integer(..) | InlineTest::Float(..) => 2,
            InlineTest::Integers(values) => 2 + values.len() as u32 / 2,
        }
    }
}

fn integer_condition(order: Order) -> IntCC {
    match order {
        Order::Less => IntCC::SignedLessThan,
        Order::LessEqual => IntCC::SignedLessThanOrEqual,
        Order::Greater => IntCC::SignedGreaterThan,
        Order::GreaterEqual => IntCC::SignedGreaterThanOrEqual,
    }
}

/// A decimal that is no number is not equal to any, and nothing else: `NotEqual` holds for unordered operands too.
fn float_condition(comparison: Comparison) -> FloatCC {
    match comparison {
        Comparison::Equal => FloatCC::Equal,
        Comparison::NotEqual => FloatCC::NotEqual,
        Comparison::Ordered(Order::Less) => FloatCC::LessThan,
        Comparison::Ordered(Order::LessEqual) => FloatCC::LessThanOrEqual,
        Comparison::Ordered(Order::Greater) => FloatCC::GreaterThan,
        Comparison::Ordered(Order::GreaterEqual) => FloatCC::GreaterThanOrEqual,
    }
}

fn is(layout: &Layout, field: FieldId, types: &[FieldType]) -> bool {
    layout.get(field).is_some_and(|definition| types.contains(&definition.field_type))
}

fn is_integer(layout: &Layout, field: FieldId) -> bool {
    is(layout, field, &[FieldType::Long, FieldType::Date])
}
