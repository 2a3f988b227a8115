//! Atoms that the module tests by itself, in the frame: presence, truth values, integers, decimals.
//!
//! In: an atom. Out: instructions that leave 1 or 0. Presence is a bit of the frame's head. The first value lies in the slot and is tested in place; functions
//! that all atoms share go over the values behind it, if there are any:
//!
//! ```text
//! count == 0 ? 0 : first < 1024 ? 1 : count <= 1 ? 0 : any_more_integer_less(slot, 1024)
//! ```
//!
//! The host has checked that the frame holds all slots. Where an array lies is the frame's word alone, so that these
//! functions stay within the frame's length.

use kestrel_ir::frame::{HEADER_SIZE, slot_offset};
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{Atom, Comparison, Order};
use kestrel_schema::FieldType;
use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, ValType};

use crate::abi::Reads;
use crate::emit::{FIRST_ANY_MORE, FLOAT, FRAME, INTEGER};

/// The longest list of integers that is tested one after another; the host has a search for longer ones.
const MAX_INTEGERS: usize = 16;

/// A function over the values behind the first: `(frame: i32, slot: i32, wanted: i64 or f64) -> i32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnyMore {
    /// Whether the values are decimals.
    pub(crate) float: bool,
    comparison: Comparison,
}

/// All comparisons, in the order of their functions' indices.
const COMPARISONS: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Ordered(Order::Less),
    Comparison::Ordered(Order::LessEqual),
    Comparison::Ordered(Order::Greater),
    Comparison::Ordered(Order::GreaterEqual),
];

/// An atom that needs no host.
#[derive(Debug)]
pub(crate) struct InlineAtom {
    /// The offset of the field's slot in the frame.
    slot: u64,
    test: InlineTest,
}

#[derive(Debug)]
enum InlineTest {
    /// Whether the presence bit of this slot is set.
    Present(u32),
    /// Any of these; a truth value is an integer that is 0 or not.
    Integers(Comparison, Vec<i64>),
    Float(Comparison, f64),
}

impl InlineAtom {
    /// `None` when the host is to be asked: texts, addresses, computations, children of objects, decimals against
    /// integer fields (where exactness takes more than one comparison), and any atom that does not fit its field.
    pub(crate) fn new(atom: &Atom, layout: &Layout) -> Option<InlineAtom> {
        let (field, test) = match atom {
            Atom::Present { field } => (*field, InlineTest::Present(0)),
            Atom::Boolean { field, value } if is(layout, *field, &[FieldType::Boolean]) => {
                let comparison = if *value { Comparison::NotEqual } else { Comparison::Equal };
                (*field, InlineTest::Integers(comparison, vec![0]))
            }
            Atom::Integers { field, values } if is_integer(layout, *field) && values.len() <= MAX_INTEGERS => {
                (*field, InlineTest::Integers(Comparison::Equal, values.clone()))
            }
            Atom::IntegerOrder { field, order, value } if is_integer(layout, *field) => {
                (*field, InlineTest::Integers(Comparison::Ordered(*order), vec![*value]))
            }
            Atom::FloatOrder { field, comparison, value } if is(layout, *field, &[FieldType::Double]) => {
                (*field, InlineTest::Float(*comparison, *value))
            }
            _ => return None,
        };
        let definition = layout.get(field).filter(|definition| definition.parent.is_none())?;
        let slot = slot_offset(layout.top_level_slots(), definition.slot as usize) as u64;
        let test = match test {
            InlineTest::Present(_) => InlineTest::Present(definition.slot),
            other => other,
        };
        Some(InlineAtom { slot, test })
    }

    /// What the atom adds to its function's size, in leaves.
    pub(crate) fn size(&self) -> u32 {
        match &self.test {
            InlineTest::Present(_) => 1,
            InlineTest::Integers(_, values) => 2 + values.len() as u32 / 2,
            InlineTest::Float(..) => 2,
        }
    }

    /// How much of the frame it reads.
    pub(crate) fn reads(&self) -> Reads {
        match self.test {
            InlineTest::Present(_) => Reads::Head,
            InlineTest::Integers(..) | InlineTest::Float(..) => Reads::All,
        }
    }

    /// Leaves 1 or 0: whether any value fulfils the test.
    pub(crate) fn emit(&self, sink: &mut InstructionSink<'_>) {
        if let InlineTest::Present(slot) = self.test {
            let place = frame_place(HEADER_SIZE as u64 + u64::from(slot / 8));
            sink.local_get(FRAME).i32_load8_u(place).i32_const((slot % 8) as i32).i32_shr_u().i32_const(1).i32_and();
            return;
        }
        sink.block(BlockType::Result(ValType::I32));
        sink.i32_const(0);
        self.load_count(sink);
        sink.i32_eqz().br_if(0).drop();
        sink.i32_const(1);
        self.test_first(sink);
        sink.br_if(0).drop();
        sink.i32_const(0);
        self.load_count(sink);
        sink.i32_const(1).i32_le_u().br_if(0).drop();
        self.test_others(sink);
        sink.end();
    }

    fn load_count(&self, sink: &mut InstructionSink<'_>) {
        sink.local_get(FRAME).i32_load(frame_place(self.slot));
    }

    fn test_first(&self, sink: &mut InstructionSink<'_>) {
        let value = frame_place(self.slot + 8);
        match &self.test {
            InlineTest::Present(_) => {
                sink.i32_const(1);
            }
            InlineTest::Integers(comparison, values) => {
                sink.local_get(FRAME).i64_load(value).local_set(INTEGER);
                any_of(sink, values, |sink, value| {
                    sink.local_get(INTEGER).i64_const(*value);
                    compare_integers(sink, *comparison);
                });
            }
            InlineTest::Float(comparison, wanted) => {
                sink.local_get(FRAME).f64_load(value).local_set(FLOAT);
                sink.local_get(FLOAT).f64_const((*wanted).into());
                compare_floats(sink, *comparison);
            }
        }
    }

    fn test_others(&self, sink: &mut InstructionSink<'_>) {
        let slot = self.slot as i32;
        match &self.test {
            InlineTest::Present(_) => {
                sink.i32_const(1);
            }
            InlineTest::Integers(comparison, values) => {
                let function = AnyMore { float: false, comparison: *comparison };
                any_of(sink, values, |sink, value| {
                    sink.local_get(FRAME).i32_const(slot).i64_const(*value).call(function.index());
                });
            }
            InlineTest::Float(comparison, wanted) => {
                let function = AnyMore { float: true, comparison: *comparison };
                sink.local_get(FRAME).i32_const(slot).f64_const((*wanted).into()).call(function.index());
            }
        }
    }
}

impl AnyMore {
    /// All of them, in the order of their indices.
    pub(crate) fn all() -> impl Iterator<Item = AnyMore> {
        [false, true].into_iter().flat_map(|float| COMPARISONS.map(|comparison| AnyMore { float, comparison }))
    }

    /// How many there are.
    pub(crate) const COUNT: u32 = 2 * COMPARISONS.len() as u32;

    fn index(self) -> u32 {
        let place = AnyMore::all().position(|function| function == self).unwrap_or(0);
        FIRST_ANY_MORE + place as u32
    }

    /// The name for debuggers.
    pub(crate) fn name(self) -> String {
        let values = if self.float { "float" } else { "integer" };
        let test = match self.comparison {
            Comparison::Equal => "equal",
            Comparison::NotEqual => "not_equal",
            Comparison::Ordered(Order::Less) => "less",
            Comparison::Ordered(Order::LessEqual) => "less_equal",
            Comparison::Ordered(Order::Greater) => "greater",
            Comparison::Ordered(Order::GreaterEqual) => "greater_equal",
        };
        format!("any_more_{values}_{test}")
    }

    /// The function's body; the caller has seen that there is more than one value.
    pub(crate) fn function(self) -> Function {
        const SLOT: u32 = 1;
        const WANTED: u32 = 2;
        const ADDRESS: u32 = 3;
        const END: u32 = 4;
        const LIMIT: u32 = 5;
        let mut function = Function::new([(3, ValType::I64)]);
        let mut sink = function.instructions();
        // end = min(array + 8 * count, length - 7), in 64 bits: a value at a lower address lies in the frame as a whole.
        sink.local_get(FRAME).local_get(SLOT).i32_add().i32_load(frame_place(4)).i64_extend_i32_u();
        sink.local_tee(ADDRESS);
        sink.local_get(FRAME).local_get(SLOT).i32_add().i32_load(frame_place(0)).i64_extend_i32_u();
        sink.i64_const(3).i64_shl().i64_add().local_set(END);
        sink.local_get(FRAME).i32_load(frame_place(4)).i64_extend_i32_u().i64_const(7).i64_sub().local_set(LIMIT);
        sink.local_get(END).local_get(LIMIT).local_get(END).local_get(LIMIT).i64_lt_s().select().local_set(END);
        sink.block(BlockType::Empty).loop_(BlockType::Empty);
        sink.local_get(ADDRESS).i64_const(8).i64_add().local_tee(ADDRESS);
        sink.local_get(END).i64_ge_s().br_if(1);
        sink.local_get(ADDRESS).i32_wrap_i64().local_get(FRAME).i32_add();
        if self.float {
            sink.f64_load(frame_place(0)).local_get(WANTED);
            compare_floats(&mut sink, self.comparison);
        } else {
            sink.i64_load(frame_place(0)).local_get(WANTED);
            compare_integers(&mut sink, self.comparison);
        }
        sink.i32_eqz().br_if(0);
        sink.i32_const(1).return_();
        sink.end().end();
        sink.i32_const(0);
        sink.end();
        function
    }
}

/// Whether any of `values` passes, without branches: there are few.
fn any_of(sink: &mut InstructionSink<'_>, values: &[i64], test: impl Fn(&mut InstructionSink<'_>, &i64)) {
    let Some((first, others)) = values.split_first() else {
        sink.i32_const(0);
        return;
    };
    test(sink, first);
    for value in others {
        test(sink, value);
        sink.i32_or();
    }
}

fn compare_integers(sink: &mut InstructionSink<'_>, comparison: Comparison) {
    match comparison {
        Comparison::Equal => sink.i64_eq(),
        Comparison::NotEqual => sink.i64_ne(),
        Comparison::Ordered(Order::Less) => sink.i64_lt_s(),
        Comparison::Ordered(Order::LessEqual) => sink.i64_le_s(),
        Comparison::Ordered(Order::Greater) => sink.i64_gt_s(),
        Comparison::Ordered(Order::GreaterEqual) => sink.i64_ge_s(),
    };
}

fn compare_floats(sink: &mut InstructionSink<'_>, comparison: Comparison) {
    match comparison {
        Comparison::Equal => sink.f64_eq(),
        Comparison::NotEqual => sink.f64_ne(),
        Comparison::Ordered(Order::Less) => sink.f64_lt(),
        Comparison::Ordered(Order::LessEqual) => sink.f64_le(),
        Comparison::Ordered(Order::Greater) => sink.f64_gt(),
        Comparison::Ordered(Order::GreaterEqual) => sink.f64_ge(),
    };
}

/// A place in the frame. An alignment of one byte is only a hint less: saved frames may lie anywhere.
fn frame_place(offset: u64) -> MemArg {
    MemArg { offset, align: 0, memory_index: 0 }
}

fn is(layout: &Layout, field: FieldId, types: &[FieldType]) -> bool {
    layout.get(field).is_some_and(|definition| types.contains(&definition.field_type))
}

fn is_integer(layout: &Layout, field: FieldId) -> bool {
    is(layout, field, &[FieldType::Long, FieldType::Date])
}
