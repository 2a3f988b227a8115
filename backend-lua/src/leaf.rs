//! An atom as a Lua expression: a test of the frame's numbers, or a question to the host.
//!
//! In: an atom. Out: an expression about event `e` that gives true or false, made of the host's functions. A Lua number
//! holds integers exactly up to 2^53. The host reads a 64-bit integer as the nearest Lua number, which keeps its order
//! against any constant below that; constants beyond are compared as 64-bit integers of LuaJIT's FFI.

use kestrel_ir::frame::slot_offset;
use kestrel_ir::layout::{FieldId, Layout};
use kestrel_ir::model::{Atom, AtomId, Comparison, Order};
use kestrel_schema::FieldType;

/// The longest list of integers that is written out; the host has a search for longer ones.
const MAX_INTEGERS: usize = 16;
/// Integers below this, by magnitude, are Lua numbers. 2^53 itself is not: 2^53 + 1 reads as 2^53.
const EXACT: u64 = 1 << 53;

/// The expression of an atom.
pub(crate) fn leaf(id: AtomId, atom: &Atom, layout: &Layout) -> String {
    in_frame(atom, layout).unwrap_or_else(|| format!("atom(e, {})", id.0))
}

/// The same for an atom that is tested on the frame; `None` for one that the host tests.
pub(crate) fn in_frame(atom: &Atom, layout: &Layout) -> Option<String> {
    Some(match atom {
        Atom::Present { field } => format!("present(e, {})", slot(layout, *field)?),
        Atom::Boolean { field, value } if has_type(layout, *field, &[FieldType::Boolean]) => {
            format!("any_boolean(e, {}, {value})", slot(layout, *field)?)
        }
        Atom::Integers { field, values } if is_integer(layout, *field) && values.len() <= MAX_INTEGERS => {
            let slot = slot(layout, *field)?;
            let tests: Vec<String> = values.iter().map(|&value| integer(slot, "equal", value)).collect();
            match tests.len() {
                0 => "false".to_owned(),
                1 => tests.into_iter().collect(),
                _ => format!("({})", tests.join(" or ")),
            }
        }
        Atom::IntegerOrder { field, order, value } if is_integer(layout, *field) => {
            integer(slot(layout, *field)?, order_name(*order), *value)
        }
        Atom::FloatOrder { field, comparison, value } if has_type(layout, *field, &[FieldType::Double]) => {
            let test = match comparison {
                Comparison::Equal => "equal",
                Comparison::NotEqual => "not_equal",
                Comparison::Ordered(order) => order_name(*order),
            };
            format!("any_double(e, {}, {test}, {})", slot(layout, *field)?, float(*value))
        }
        _ => return None,
    })
}

fn integer(slot: usize, test: &str, value: i64) -> String {
    if value.unsigned_abs() < EXACT {
        format!("any_integer(e, {slot}, {test}, {value})")
    } else {
        // In hexadecimal, because `-9223372036854775808LL` is a negated literal that has no positive value.
        format!("any_integer64(e, {slot}, {test}, {value:#018x}LL)")
    }
}

fn float(value: f64) -> String {
    if value.is_nan() {
        "0/0".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "1/0".to_owned() } else { "-1/0".to_owned() }
    } else {
        format!("{value:?}")
    }
}

fn order_name(order: Order) -> &'static str {
    match order {
        Order::Less => "less",
        Order::LessEqual => "less_equal",
        Order::Greater => "greater",
        Order::GreaterEqual => "greater_equal",
    }
}

/// The offset of a top-level field's slot in words of 32 bits; `None` for a child of an object, which the host looks at.
fn slot(layout: &Layout, field: FieldId) -> Option<usize> {
    let definition = layout.get(field).filter(|definition| definition.parent.is_none())?;
    Some(slot_offset(layout.top_level_slots(), definition.slot as usize) / 4)
}

fn has_type(layout: &Layout, field: FieldId, types: &[FieldType]) -> bool {
    layout.get(field).is_some_and(|definition| types.contains(&definition.field_type))
}

fn is_integer(layout: &Layout, field: FieldId) -> bool {
    has_type(layout, field, &[FieldType::Long, FieldType::Date])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_lua_cannot_hold_are_64_bit_literals() {
        let mut layout = Layout::new();
        let field = layout.intern("file.size", FieldType::Long);
        for (value, expected) in [
            (1000, "any_integer(e, 12, greater, 1000)"),
            (-1, "any_integer(e, 12, greater, -1)"),
            (9_007_199_254_740_991, "any_integer(e, 12, greater, 9007199254740991)"),
            (9_007_199_254_740_992, "any_integer64(e, 12, greater, 0x0020000000000000LL)"),
            (-9_007_199_254_740_993, "any_integer64(e, 12, greater, 0xffdfffffffffffffLL)"),
            (i64::MIN, "any_integer64(e, 12, greater, 0x8000000000000000LL)"),
        ] {
            let atom = Atom::IntegerOrder { field, order: Order::Greater, value };
            assert_eq!(leaf(AtomId(0), &atom, &layout), expected);
        }
    }
}
