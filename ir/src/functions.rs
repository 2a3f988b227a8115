//! The functions of the language over single values, and their arithmetic. Total: nothing traps, an impossible result is
//! null. What each computes is said in the language guide, section "Functions".

use bumpalo::Bump;
use bumpalo::collections::{String as ScratchString, Vec as ScratchVec};

use crate::cidr::Cidr;
use crate::event::ip_octets;
use crate::fold::{fold_char, fold_in};
use crate::model::{Arithmetic, Constant, Function};
use crate::pattern::wildcard_matches;
use crate::value::Scalar;

/// The longest text that a function makes, in bytes; a longer one is null. Keeps `concat` of long fields bounded.
pub const MAX_TEXT: usize = 1 << 20;

/// Calls a function; texts that it makes lie in `arena`. A null argument gives null unless the function says otherwise.
pub fn call<'v>(function: Function, folded: bool, arguments: &[Scalar<'v>], arena: &'v Bump) -> Scalar<'v> {
    match function {
        Function::CidrMatch => cidr_match(arguments),
        Function::Substring => substring(arguments, arena),
        Function::IndexOf => index_of(arguments, folded, arena),
        Function::Between => between(arguments, folded, arena),
        Function::Number => number(arguments),
        _ if arguments.iter().any(Scalar::is_null) => Scalar::Null,
        Function::Add => binary(Arithmetic::Add, arguments),
        Function::Subtract => binary(Arithmetic::Subtract, arguments),
        Function::Multiply => binary(Arithmetic::Multiply, arguments),
        Function::Divide => binary(Arithmetic::Divide, arguments),
        Function::Modulo => binary(Arithmetic::Modulo, arguments),
        Function::Concat => concat(arguments, arena),
        Function::String => arguments.first().and_then(|value| value.to_text(arena)).map_or(Scalar::Null, Scalar::Text),
        Function::Length => match arguments {
            [value] => value.as_text().map_or(Scalar::Null, |text| Scalar::Integer(text.encode_utf16().count() as i64)),
            _ => Scalar::Null,
        },
        Function::StartsWith => texts(arguments, folded, arena, |text, part| text.starts_with(part)),
        Function::EndsWith => texts(arguments, folded, arena, |text, part| text.ends_with(part)),
        Function::StringContains => {
            texts(arguments, folded, arena, |text, part| !part.is_empty() && text.contains(part))
        }
        Function::Wildcard => {
            any_pattern(arguments, |text, pattern| wildcard_matches(fold_in(pattern, arena), fold_in(text, arena)))
        }
        Function::Match => any_pattern(arguments, |text, pattern| {
            crate::regex::compile(pattern, true).is_ok_and(|regex| regex.is_match(text))
        }),
        // Arrays as a whole are the interpreter's concern; over one value they are what is left of their meaning.
        Function::ArrayContains => match arguments {
            [value, wanted @ ..] => {
                Scalar::Boolean(wanted.iter().any(|wanted| crate::value::equal(value, wanted, true).unwrap_or(false)))
            }
            [] => Scalar::Null,
        },
        Function::ArrayCount => Scalar::Null,
    }
}

/// What a function gives for constants.
pub fn call_constants(function: Function, folded: bool, arguments: &[&Constant]) -> Constant {
    let arguments: Vec<Scalar<'_>> = arguments.iter().map(|&constant| Scalar::from_constant(constant)).collect();
    call(function, folded, &arguments, &Bump::new()).to_constant()
}

/// Integers: `/` truncates toward zero, `%` has the dividend's sign; overflow and division by zero are null. A decimal
/// on either side makes a decimal.
pub fn arithmetic(operation: Arithmetic, left: &Scalar<'_>, right: &Scalar<'_>) -> Scalar<'static> {
    if let (Scalar::Integer(left), Scalar::Integer(right)) = (left, right) {
        let result = match operation {
            Arithmetic::Add => left.checked_add(*right),
            Arithmetic::Subtract => left.checked_sub(*right),
            Arithmetic::Multiply => left.checked_mul(*right),
            Arithmetic::Divide => left.checked_div(*right),
            // The one quotient that overflows, i64::MIN / -1, leaves no remainder.
            Arithmetic::Modulo if *right == -1 => Some(0),
            Arithmetic::Modulo => left.checked_rem(*right),
        };
        return result.map_or(Scalar::Null, Scalar::Integer);
    }
    let (Some(left), Some(right)) = (as_float(left), as_float(right)) else { return Scalar::Null };
    Scalar::from_float(match operation {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Modulo => left % right,
    })
}

/// The negative of a number; null for anything else and for the one integer that has none.
pub fn negate(value: &Scalar<'_>) -> Scalar<'static> {
    match value {
        Scalar::Integer(value) => value.checked_neg().map_or(Scalar::Null, Scalar::Integer),
        Scalar::Float(value) => Scalar::from_float(-value),
        _ => Scalar::Null,
    }
}

fn as_float(value: &Scalar<'_>) -> Option<f64> {
    match value {
        Scalar::Integer(value) => Some(*value as f64),
        Scalar::Float(value) => Some(*value),
        _ => None,
    }
}

fn binary(operation: Arithmetic, arguments: &[Scalar<'_>]) -> Scalar<'static> {
    match arguments {
        [left, right] => arithmetic(operation, left, right),
        _ => Scalar::Null,
    }
}

fn concat<'v>(arguments: &[Scalar<'v>], arena: &'v Bump) -> Scalar<'v> {
    let mut text = ScratchString::new_in(arena);
    for argument in arguments {
        text.push_str(argument.to_text(arena).unwrap_or_default());
        if text.len() > MAX_TEXT {
            return Scalar::Null;
        }
    }
    Scalar::Text(text.into_bump_str())
}

/// Whether the first text relates to any of the others.
fn texts<'v>(
    arguments: &[Scalar<'v>],
    folded: bool,
    arena: &'v Bump,
    test: impl Fn(&str, &str) -> bool,
) -> Scalar<'static> {
    let Some((Some(text), parts)) = arguments.split_first().map(|(first, rest)| (first.as_text(), rest)) else {
        return Scalar::Null;
    };
    let form = |text: &'v str| if folded { fold_in(text, arena) } else { text };
    let text = form(text);
    let holds = parts.iter().filter_map(Scalar::as_text).any(|part| test(text, form(part)));
    Scalar::Boolean(holds)
}

fn any_pattern(arguments: &[Scalar<'_>], test: impl Fn(&str, &str) -> bool) -> Scalar<'static> {
    let Some((Some(text), patterns)) = arguments.split_first().map(|(first, rest)| (first.as_text(), rest)) else {
        return Scalar::Null;
    };
    Scalar::Boolean(patterns.iter().filter_map(Scalar::as_text).any(|pattern| test(text, pattern)))
}

/// `cidrMatch(ip, block...)`: whether the address lies in a block. Null for a null or unreadable address.
fn cidr_match(arguments: &[Scalar<'_>]) -> Scalar<'static> {
    let Some((address, blocks)) = arguments.split_first() else { return Scalar::Null };
    let octets = match address {
        Scalar::Ip(octets) => *octets,
        other => match other.as_text().and_then(|text| text.parse().ok()) {
            Some(address) => ip_octets(address),
            None => return Scalar::Null,
        },
    };
    let holds = blocks.iter().filter_map(Scalar::as_text).filter_map(Cidr::parse).any(|block| block.contains(octets));
    Scalar::Boolean(holds)
}

/// `substring(s, start[, end])` in UTF-16 units: negatives count from the end, both ends are clamped.
fn substring<'v>(arguments: &[Scalar<'v>], arena: &'v Bump) -> Scalar<'v> {
    let (text, start, end) = match arguments {
        [text, Scalar::Integer(start)] => (text, *start, i64::MAX),
        [text, Scalar::Integer(start), Scalar::Integer(end)] => (text, *start, *end),
        _ => return Scalar::Null,
    };
    let Some(text) = text.as_text() else { return Scalar::Null };
    let units = ScratchVec::from_iter_in(text.encode_utf16(), arena);
    let length = units.len() as i64;
    let clamp = |position: i64| {
        let position = if position < 0 { position.saturating_add(length) } else { position };
        position.clamp(0, length) as usize
    };
    let (start, end) = (clamp(start), clamp(end));
    // Half of a pair becomes the replacement character.
    let part = char::decode_utf16(units.get(start..end).unwrap_or(&[]).iter().copied())
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    Scalar::Text(ScratchString::from_iter_in(part, arena).into_bump_str())
}

/// `indexOf(src, sub[, start])`: the first position from `start` on, 0-based in UTF-16 units, or null.
fn index_of(arguments: &[Scalar<'_>], folded: bool, arena: &Bump) -> Scalar<'static> {
    let (text, part, start) = match arguments {
        [text, part] => (text, part, 0),
        [text, part, Scalar::Integer(start)] => (text, part, (*start).max(0)),
        _ => return Scalar::Null,
    };
    let (Some(text), Some(part)) = (text.as_text(), part.as_text()) else { return Scalar::Null };
    let text = units(text, folded, arena);
    let part = units(part, folded, arena);
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    match find(&text, &part, start) {
        Some(position) => Scalar::Integer(position as i64),
        None => Scalar::Null,
    }
}

/// UTF-16 units, folded character by character; simple folding may change how many units a character takes, which then
/// counts as the folded text has it.
fn units<'a>(text: &str, folded: bool, arena: &'a Bump) -> ScratchVec<'a, u16> {
    let mut units = ScratchVec::with_capacity_in(text.len(), arena);
    for character in text.chars() {
        let character = if folded { fold_char(character) } else { character };
        units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
    }
    units
}

fn find(text: &[u16], part: &[u16], start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    if part.is_empty() {
        return Some(start);
    }
    rest.windows(part.len()).position(|window| window == part).map(|position| start + position)
}

/// `between(src, left, right[, greedy])`: the text between the first `left` and the next (greedy: the last) `right`
/// behind it; `""` when there is none.
fn between<'v>(arguments: &[Scalar<'v>], folded: bool, arena: &'v Bump) -> Scalar<'v> {
    let (text, left, right, greedy) = match arguments {
        [text, left, right] => (text, left, right, false),
        [text, left, right, Scalar::Boolean(greedy)] => (text, left, right, *greedy),
        _ => return Scalar::Null,
    };
    let (Some(text), Some(left), Some(right)) = (text.as_text(), left.as_text(), right.as_text()) else {
        return Scalar::Null;
    };
    // Folding is one character to one, so positions are counted in characters of either form.
    let original = ScratchVec::from_iter_in(text.chars(), arena);
    let fold_chars =
        |text: &str| ScratchVec::from_iter_in(text.chars().map(|c| if folded { fold_char(c) } else { c }), arena);
    let (text, left, right) = (fold_chars(text), fold_chars(left), fold_chars(right));
    let search = |from: usize, part: &[char], last: bool| -> Option<usize> {
        let rest = text.get(from..)?;
        if part.is_empty() {
            return Some(if last { text.len() } else { from });
        }
        let mut windows = rest.windows(part.len());
        let found =
            if last { windows.rposition(|window| window == part) } else { windows.position(|window| window == part) };
        found.map(|position| from + position)
    };
    let found = search(0, &left, false).and_then(|position| {
        let start = position + left.len();
        search(start, &right, greedy).and_then(|end| original.get(start..end))
    });
    let found = found.unwrap_or_default().iter().copied();
    Scalar::Text(ScratchString::from_iter_in(found, arena).into_bump_str())
}

/// `number(s[, base])`: an integer or a decimal; `0x` means base 16 when no base is given; null when it cannot be read.
fn number(arguments: &[Scalar<'_>]) -> Scalar<'static> {
    let (value, base) = match arguments {
        [value] | [value, Scalar::Null] => (value, None),
        [value, Scalar::Integer(base)] => (value, Some(*base)),
        _ => return Scalar::Null,
    };
    let Some(text) = value.as_text() else { return Scalar::Null };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, base) = match (base, hexadecimal) {
        (None, Some(rest)) | (Some(16), Some(rest)) => (rest, 16),
        (base, _) => (digits, base.unwrap_or(10)),
    };
    let Some(base) = u32::try_from(base).ok().filter(|base| (2..=36).contains(base)) else { return Scalar::Null };
    if digits.starts_with(['+', '-']) {
        return Scalar::Null;
    }
    if let Ok(magnitude) = i128::from_str_radix(digits, base) {
        return i64::try_from(sign * magnitude).map_or(Scalar::Null, Scalar::Integer);
    }
    match digits.parse::<f64>() {
        Ok(magnitude) if base == 10 && digits.bytes().any(|byte| byte.is_ascii_digit()) => {
            Scalar::from_float(sign as f64 * magnitude)
        }
        _ => Scalar::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Scalar<'_> {
        Scalar::Text(text)
    }

    #[test]
    fn functions_compute_what_the_guide_says() {
        use Function as F;
        use Scalar::{Boolean, Integer, Null};
        let cases: Vec<(F, bool, Vec<Scalar<'_>>, Scalar<'_>)> = vec![
            (F::Length, false, vec![text("héllo")], Integer(5)),
            (F::Length, false, vec![text("😀")], Integer(2)),
            (F::Length, false, vec![Null], Null),
            (F::StartsWith, false, vec![text(""), text("")], Boolean(true)),
            (F::StartsWith, true, vec![text("ABC"), text("ab")], Boolean(true)),
            (F::StringContains, false, vec![text("abc"), text("")], Boolean(false)),
            (F::IndexOf, false, vec![text("abcabc"), text("c"), Integer(3)], Integer(5)),
            (F::IndexOf, false, vec![text("abc"), text("z")], Null),
            (F::IndexOf, false, vec![text("abc"), text("a"), Integer(-9)], Integer(0)),
            (F::Substring, false, vec![text("hello"), Integer(-3)], text("llo")),
            (F::Substring, false, vec![text("hello"), Integer(1), Integer(-1)], text("ell")),
            (F::Substring, false, vec![text("hello"), Integer(9)], text("")),
            (F::Between, false, vec![text("a[b]c]"), text("["), text("]")], text("b")),
            (F::Between, false, vec![text("a[b]c]"), text("["), text("]"), Boolean(true)], text("b]c")),
            (F::Between, true, vec![text("xABy"), text("a"), text("Y")], text("B")),
            (F::Between, false, vec![text("abc"), text("x"), text("y")], text("")),
            (F::Number, false, vec![text("0x1F")], Integer(31)),
            (F::Number, false, vec![text("-12.5")], Scalar::Float(-12.5)),
            (F::Number, false, vec![text("1f"), Integer(16)], Integer(31)),
            (F::Number, false, vec![text("nan")], Null),
            (F::Number, false, vec![text("")], Null),
            (F::Concat, false, vec![text("a"), Integer(1), Boolean(true)], text("a1true")),
            (F::Concat, false, vec![text("a"), Null], Null),
            (F::CidrMatch, false, vec![text("10.1.1.1"), text("10.0.0.0/8")], Boolean(true)),
            (F::CidrMatch, false, vec![Null, text("10.0.0.0/8")], Null),
            (F::Divide, false, vec![Integer(-7), Integer(2)], Integer(-3)),
            (F::Modulo, false, vec![Integer(-7), Integer(2)], Integer(-1)),
            (F::Divide, false, vec![Integer(1), Integer(0)], Null),
            (F::Divide, false, vec![Integer(i64::MIN), Integer(-1)], Null),
            (F::Modulo, false, vec![Integer(i64::MIN), Integer(-1)], Integer(0)),
            (F::Add, false, vec![Integer(i64::MAX), Integer(1)], Null),
            (F::Multiply, false, vec![Integer(2), Scalar::Float(1.5)], Scalar::Float(3.0)),
        ];
        let arena = Bump::new();
        for (function, folded, arguments, expected) in cases {
            assert_eq!(call(function, folded, &arguments, &arena), expected, "{function:?} of {arguments:?}");
        }
    }
}
