//! Values while a value expression is evaluated, and how they compare.

use std::cmp::Ordering;
use std::fmt::Write;

use bumpalo::Bump;
use bumpalo::collections::String as ScratchString;

use crate::event::{ip_address, ip_octets};
use crate::fold::{equal_folded, fold_char};
use crate::frame::Slot;
use crate::model::{Comparison, Constant, Order};
use kestrel_schema::FieldType;

/// One value; null is the absence of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'v> {
    /// No value.
    Null,
    /// A truth value.
    Boolean(bool),
    /// An integer, or a date in nanoseconds since 1970.
    Integer(i64),
    /// A decimal; never NaN or infinite.
    Float(f64),
    /// A text.
    Text(&'v str),
    /// A version; compares with texts as a version.
    Version(&'v str),
    /// An address; compares with texts that are addresses.
    Ip([u8; 16]),
}

impl<'v> Scalar<'v> {
    /// The value of a frame's slot. An object has no scalar value and gives null.
    pub fn from_slot(slot: Slot<'v>, field_type: FieldType) -> Scalar<'v> {
        match slot {
            Slot::Integer(value) => Scalar::Integer(value),
            Slot::Float(value) => Scalar::Float(value),
            Slot::Boolean(value) => Scalar::Boolean(value),
            Slot::Text(text) if field_type == FieldType::Version => Scalar::Version(text),
            Slot::Text(text) => Scalar::Text(text),
            Slot::Ip(octets) => Scalar::Ip(octets),
            Slot::Object(_) => Scalar::Null,
        }
    }

    /// The value of a constant.
    pub fn from_constant(constant: &'v Constant) -> Scalar<'v> {
        match constant {
            Constant::Null => Scalar::Null,
            Constant::Boolean(value) => Scalar::Boolean(*value),
            Constant::Integer(value) => Scalar::Integer(*value),
            Constant::Float(value) => Scalar::Float(*value),
            Constant::String(text) => Scalar::Text(text),
        }
    }

    /// The constant that holds this value; an address and a version become their text.
    pub fn to_constant(&self) -> Constant {
        match self {
            Scalar::Null => Constant::Null,
            Scalar::Boolean(value) => Constant::Boolean(*value),
            Scalar::Integer(value) => Constant::Integer(*value),
            Scalar::Float(value) => Constant::Float(*value),
            other => Constant::String(other.to_owned_text().unwrap_or_default()),
        }
    }

    /// A float, or null where it is none: no NaN and no infinity leaves a computation.
    pub fn from_float(value: f64) -> Scalar<'static> {
        if value.is_finite() { Scalar::Float(value) } else { Scalar::Null }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Scalar::Null)
    }

    /// The text that `string` and `concat` make of the value, in `arena` where it has to be made; `None` for null.
    pub fn to_text<'t>(&self, arena: &'t Bump) -> Option<&'t str>
    where
        'v: 't,
    {
        match self {
            Scalar::Null => None,
            Scalar::Text(text) | Scalar::Version(text) => Some(text),
            other => {
                let mut made = ScratchString::new_in(arena);
                // Writing into memory does not fail.
                let _ = other.write_text(&mut made);
                Some(made.into_bump_str())
            }
        }
    }

    /// The same text, owned.
    pub fn to_owned_text(&self) -> Option<String> {
        let mut text = String::new();
        // Writing into memory does not fail.
        let _ = self.write_text(&mut text);
        (!self.is_null()).then_some(text)
    }

    fn write_text(&self, out: &mut impl Write) -> std::fmt::Result {
        match self {
            Scalar::Null => Ok(()),
            Scalar::Boolean(value) => write!(out, "{value}"),
            Scalar::Integer(value) => write!(out, "{value}"),
            Scalar::Float(value) => write_float(out, *value),
            Scalar::Text(text) | Scalar::Version(text) => out.write_str(text),
            Scalar::Ip(octets) => write!(out, "{}", ip_address(*octets)),
        }
    }

    /// The text of a text or a version; `None` for anything else.
    pub fn as_text(&self) -> Option<&'v str> {
        match self {
            Scalar::Text(text) => Some(text),
            Scalar::Version(text) => Some(text),
            _ => None,
        }
    }
}

/// A decimal as text: whole numbers keep one decimal (`1.0`).
pub fn format_float(value: f64) -> String {
    let mut text = String::new();
    // Writing into memory does not fail.
    let _ = write_float(&mut text, value);
    text
}

fn write_float(out: &mut impl Write, value: f64) -> std::fmt::Result {
    write!(out, "{value:?}")
}

/// Compares two values; `None` (null) when one is null or their families differ.
pub fn compare(comparison: Comparison, left: &Scalar<'_>, right: &Scalar<'_>) -> Option<bool> {
    match comparison {
        Comparison::Equal => equal(left, right, false),
        Comparison::NotEqual => equal(left, right, false).map(|equal| !equal),
        Comparison::Ordered(order) => ordering(left, right).map(|ordering| order.holds(ordering)),
    }
}

impl Order {
    /// Whether a left side that compares to the right side as `ordering` fulfils this order.
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Order::Less => ordering.is_lt(),
            Order::LessEqual => ordering.is_le(),
            Order::Greater => ordering.is_gt(),
            Order::GreaterEqual => ordering.is_ge(),
        }
    }
}

/// Whether two values are equal, ignoring case in texts with `folded`. Null when one is null; values of different
/// families are compared by their texts when one is a text (a number against a keyword), and are never equal else.
pub fn equal(left: &Scalar<'_>, right: &Scalar<'_>, folded: bool) -> Option<bool> {
    use Scalar::{Boolean, Ip, Null, Text, Version};
    Some(match (left, right) {
        (Null, _) | (_, Null) => return None,
        (Boolean(left), Boolean(right)) => left == right,
        (Ip(octets), Text(text)) | (Text(text), Ip(octets)) => {
            text.parse().is_ok_and(|address: std::net::IpAddr| ip_octets(address) == *octets)
        }
        (Version(version), other) | (other, Version(version)) => match other.as_text() {
            Some(text) => compare_versions(version, text).is_eq(),
            None => false,
        },
        (Text(left), Text(right)) if folded => equal_folded(left, right),
        (Text(text), other) | (other, Text(text)) => is_written(other, text, folded),
        _ => ordering(left, right).is_some_and(Ordering::is_eq),
    })
}

/// Whether the text of a value is `text`, without making that text.
fn is_written(value: &Scalar<'_>, text: &str, folded: bool) -> bool {
    struct Rest<'t> {
        text: std::str::Chars<'t>,
        folded: bool,
    }
    impl Write for Rest<'_> {
        /// Fails at the first difference.
        fn write_str(&mut self, part: &str) -> std::fmt::Result {
            let folded = self.folded;
            let equal = part.chars().all(|wanted| {
                let found = self.text.next();
                if folded { found.map(fold_char) == Some(fold_char(wanted)) } else { found == Some(wanted) }
            });
            if equal { Ok(()) } else { Err(std::fmt::Error) }
        }
    }
    let mut rest = Rest { text: text.chars(), folded };
    value.write_text(&mut rest).is_ok() && rest.text.as_str().is_empty()
}

/// The order of two values of one family; `None` when one is null or they have no order.
pub fn ordering(left: &Scalar<'_>, right: &Scalar<'_>) -> Option<Ordering> {
    use Scalar::{Float, Integer, Ip, Text, Version};
    match (left, right) {
        (Integer(left), Integer(right)) => Some(left.cmp(right)),
        (Integer(left), Float(right)) => compare_integer_float(*left, *right),
        (Float(left), Integer(right)) => compare_integer_float(*right, *left).map(Ordering::reverse),
        (Float(left), Float(right)) => left.partial_cmp(right),
        // By code point, which for UTF-8 is by byte.
        (Text(left), Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Version(left), right) => right.as_text().map(|right| compare_versions(left, right)),
        (left, Version(right)) => left.as_text().map(|left| compare_versions(left, right)),
        (Ip(left), Ip(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Compares an integer and a decimal by their exact values, without rounding the integer.
pub fn compare_integer_float(integer: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // 2^63 and everything above is greater than any i64, everything below -2^63 is less.
    if float >= 9_223_372_036_854_775_808.0 {
        return Some(Ordering::Less);
    }
    if float < -9_223_372_036_854_775_808.0 {
        return Some(Ordering::Greater);
    }
    let truncated = float as i64;
    Some(
        integer
            .cmp(&truncated)
            .then_with(|| 0.0_f64.partial_cmp(&(float - truncated as f64)).unwrap_or(Ordering::Equal)),
    )
}

/// Compares two versions by the rules of Semantic Versioning 2.0.0, section 11, leniently: any number of numeric parts
/// (missing ones are 0), an optional leading `v`, build metadata ignored; what is no version sorts behind, by text.
pub fn compare_versions(left: &str, right: &str) -> Ordering {
    match (parse_version(left), parse_version(right)) {
        (Some((left_numbers, left_pre)), Some((right_numbers, right_pre))) => {
            let parts = left_numbers.split('.').count().max(right_numbers.split('.').count());
            let numbers = |numbers| padded_numbers(numbers, parts);
            numbers(left_numbers).cmp(numbers(right_numbers)).then_with(|| compare_prereleases(left_pre, right_pre))
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

/// The numbers of a version and what is behind their `-`; `None` when a part is no number.
fn parse_version(text: &str) -> Option<(&str, Option<&str>)> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let text = text.split_once('+').map_or(text, |(version, _)| version);
    let (numbers, prerelease) = match text.split_once('-') {
        Some((numbers, prerelease)) => (numbers, Some(prerelease)),
        None => (text, None),
    };
    numbers.split('.').all(|part| version_part(part).is_some()).then_some((numbers, prerelease))
}

/// The numbers of a version, as many as are asked for; the missing ones are 0.
fn padded_numbers(numbers: &str, parts: usize) -> impl Iterator<Item = Option<u64>> {
    numbers.split('.').map(version_part).chain(std::iter::repeat(Some(0))).take(parts)
}

fn version_part(part: &str) -> Option<u64> {
    part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn compare_prereleases(left: Option<&str>, right: Option<&str>) -> Ordering {
    let (left, right) = match (left, right) {
        (None, None) => return Ordering::Equal,
        (None, Some(_)) => return Ordering::Greater,
        (Some(_), None) => return Ordering::Less,
        (Some(left), Some(right)) => (left, right),
    };
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let ordering = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => match (left.parse::<u64>(), right.parse::<u64>()) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => left.cmp(right),
            },
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_semantic_versioning_says() {
        let ascending = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0",
            "1.2",
            "1.10.0",
            "v2",
            "odd",
        ];
        for (index, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(compare_versions(left, right), index.cmp(&other), "{left} against {right}");
            }
        }
        assert!(compare_versions("1.0", "1.0.0+build").is_eq());
    }

    #[test]
    fn integers_and_floats_compare_exactly() {
        let large = 9_007_199_254_740_993; // 2^53 + 1, which no f64 holds
        assert_eq!(compare_integer_float(large, 9_007_199_254_740_992.0), Some(Ordering::Greater));
        assert_eq!(compare_integer_float(i64::MAX, 9_223_372_036_854_775_808.0), Some(Ordering::Less));
        assert_eq!(compare_integer_float(i64::MIN, -9_223_372_036_854_775_808.0), Some(Ordering::Equal));
        assert_eq!(compare_integer_float(1, 1.5), Some(Ordering::Less));
        assert_eq!(compare_integer_float(-1, -1.5), Some(Ordering::Greater));
        assert_eq!(compare_integer_float(0, f64::NAN), None);
    }
}
