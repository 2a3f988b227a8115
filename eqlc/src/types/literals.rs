//! Literals that stand for something else than text: addresses, dates, versions.
//!
//! In: constants as written. Out: the constants that the IR wants, or nothing where the text is no such thing.

use std::net::IpAddr;

use kestrel_ir::model::Constant;
use kestrel_ir::time;
use kestrel_schema::TimestampFormat;

/// An address, written the one way.
pub(super) fn address(text: &str) -> Option<Constant> {
    let address: IpAddr = text.trim().parse().ok()?;
    Some(Constant::String(address.to_string()))
}

/// A date: a text as in ISO 8601, or milliseconds since 1970. Gives nanoseconds.
pub(super) fn date(constant: &Constant) -> Option<Constant> {
    let nanoseconds = match constant {
        Constant::String(text) => time::parse_text(text)?,
        Constant::Integer(milliseconds) => time::from_integer(*milliseconds, TimestampFormat::EpochMs)?,
        _ => return None,
    };
    Some(Constant::Integer(nanoseconds))
}

/// Whether a text reads as a version: a number first, then more parts.
pub(super) fn is_version(text: &str) -> bool {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let numbers = text.split(['-', '+']).next().unwrap_or("");
    !numbers.is_empty()
        && numbers.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a text that is taken literally was probably meant as a pattern. A command line may well hold a `*` or a `?`
/// of its own, so one with blanks must begin or end like a pattern.
pub(super) fn looks_like_pattern(text: &str) -> bool {
    let letters = text.chars().filter(|character| character.is_alphanumeric()).count();
    let edge = text.starts_with('*') || text.ends_with('*');
    let inside = text.contains('*') && !text.contains(char::is_whitespace);
    letters >= 2 && (edge || inside || text.starts_with("?:\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_told_from_other_text() {
        assert_eq!(address("FE80::1"), Some(Constant::String("fe80::1".to_owned())));
        assert_eq!(address("10.0.0.0/8"), None);
        assert_eq!(date(&Constant::Integer(1)), Some(Constant::Integer(1_000_000)));
        assert_eq!(date(&Constant::String("soon".to_owned())), None);
        for (text, expected) in
            [("1.2", true), ("v2", true), ("1.0.0-rc.1+b", true), ("new", false), ("1..2", false), ("", false)]
        {
            assert_eq!(is_version(text), expected, "{text}");
        }
        for (text, expected) in [
            ("*.exe", true),
            ("*", false),
            ("a?", false),
            ("?:\\Users\\x", true),
            ("plain", false),
            ("grep -o a.*b c", false),
            ("* /add*", true),
        ] {
            assert_eq!(looks_like_pattern(text), expected, "{text}");
        }
    }
}
