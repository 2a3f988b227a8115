//! The text form of an IR: what `eqlc show --stage ir` prints, what tests are written in.
//!
//! In: an [`Ir`](crate::model::Ir), or text. Out: text, or an IR equal to the one that was printed. One entry a line, tables in order,
//! ids counted from 0; `#` starts a comment, and [`print()`] adds the names of fields as comments. What is parsed is not
//! verified: [`verify`](crate::verify::verify) does that.
//!
//! ```text
//! field f0 event.category : keyword          child: field f5 stack.symbol : keyword in f4
//! atom a0 = f1 exact~ ["bash", "sh"]         also: exact wildcard wildcard~ regex regex~
//! atom a1 = f2 present                       f2 is true   f2 in [1, 2]   f2 < 5   f2 < 1.5   f2 >= "text"
//! atom a2 = f3 cidr [10.0.0.0/8]             f3 version >= "1.2"   value v3   any f4 where n2
//! value v0 = f1                              null   true   5   1.5   "text"   step 0 f1   negate v1   v1 + v2
//! value v1 = call length v0                  v1 == v2   v1 exact~ ["a"]   isnull v1   notnull v1   when n2
//! node n0 = a1                               true   false   not n0   and n0 n1   or n0 n1
//! predicate p0 = a0 where n0                 any where n0
//! program g0 = lua "entropy.lua" fields [f1, f3] capabilities [fields, captures] instructions 1000 memory 65536
//! rule "id" = event p0 | head 5              event p0 program g0
//! rule "id" = sequence maxspan 5m {
//!   step p0 by f1, f2?                       null? is an optional key that the schema does not know
//!   missing p1 joined n4 by f1, null?
//!   until p2 by f1, f2
//! } | tail 1
//! rule "id" = sample {
//!   step p0 by f1
//! }
//! ```
//!
//! Numbers with a point, an exponent or `inf` are decimals. Spans are in `ns us ms s m h d`. Names of fields that are no
//! plain words are written as strings.

mod expression;
mod line;
mod parse;
mod print;
mod token;

pub use expression::{atom_expression, predicate_expression, print_rule};
pub use parse::parse;
pub use print::print;

use crate::model::Function;

/// Why a text is no IR.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What was expected and what was found.
    pub message: String,
}

/// Units of spans, largest first, in nanoseconds.
const SPAN_UNITS: [(&str, i64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Every function, to be found by its name.
const FUNCTIONS: [Function; 20] = [
    Function::Add,
    Function::Subtract,
    Function::Multiply,
    Function::Divide,
    Function::Modulo,
    Function::Between,
    Function::CidrMatch,
    Function::Concat,
    Function::EndsWith,
    Function::IndexOf,
    Function::Length,
    Function::Number,
    Function::StartsWith,
    Function::String,
    Function::StringContains,
    Function::Substring,
    Function::ArrayContains,
    Function::ArrayCount,
    Function::Match,
    Function::Wildcard,
];

/// A function's name as the language writes it.
fn function_name(function: Function) -> &'static str {
    match function {
        Function::Add => "add",
        Function::Subtract => "subtract",
        Function::Multiply => "multiply",
        Function::Divide => "divide",
        Function::Modulo => "modulo",
        Function::Between => "between",
        Function::CidrMatch => "cidrMatch",
        Function::Concat => "concat",
        Function::EndsWith => "endsWith",
        Function::IndexOf => "indexOf",
        Function::Length => "length",
        Function::Number => "number",
        Function::StartsWith => "startsWith",
        Function::String => "string",
        Function::StringContains => "stringContains",
        Function::Substring => "substring",
        Function::ArrayContains => "arrayContains",
        Function::ArrayCount => "arrayCount",
        Function::Match => "match",
        Function::Wildcard => "wildcard",
    }
}

/// A span in the largest unit that divides it.
pub fn span_text(nanoseconds: i64) -> String {
    let (unit, size) =
        SPAN_UNITS.into_iter().find(|(_, size)| nanoseconds != 0 && nanoseconds % size == 0).unwrap_or(("ns", 1));
    format!("{}{unit}", nanoseconds / size)
}

/// A span read back.
fn parse_span(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let (_, size) = SPAN_UNITS.into_iter().find(|(unit, _)| *unit == &text[digits.len()..])?;
    digits.parse::<i64>().ok()?.checked_mul(size)
}

/// Appends `text` in quotes, escaped so that it stays on one line.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}'..='\u{202e}') => {
                out.extend(character.escape_unicode());
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}
