//! Points in time as nanoseconds since 1970-01-01T00:00:00Z: read from the forms that events and rules use, written as
//! RFC 3339 in UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use kestrel_schema::TimestampFormat;

/// Between 1601-01-01 and 1970-01-01, in units of 100 ns (Windows FILETIME's epoch).
const FILETIME_TO_UNIX: i128 = 116_444_736_000_000_000;

/// Reads a time from text: RFC 3339, or the same without an offset (UTC), with `T` or a space, or a date alone.
/// `None` when the text is no time or lies outside what 64-bit nanoseconds hold (1677 to 2262).
pub fn parse_text(text: &str) -> Option<i64> {
    if let Some(time) = parse_plain(text.as_bytes()) {
        return Some(time);
    }
    let text = text.trim();
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return i64::try_from(timestamp.as_nanosecond()).ok();
    }
    let civil: DateTime = match text.parse() {
        Ok(civil) => civil,
        Err(_) => text.parse::<jiff::civil::Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
    };
    let timestamp = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    i64::try_from(timestamp.as_nanosecond()).ok()
}

/// Reads the form that nearly all events have, `2023-11-14T22:13:20.123456789Z` with any number of decimals up to nine:
/// a fifth of what reading any form costs. `None` for every other form.
fn parse_plain(text: &[u8]) -> Option<i64> {
    let (second, rest) = text.split_at_checked(19)?;
    let places = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if places.iter().any(|&(place, separator)| second.get(place) != Some(&separator)) {
        return None;
    }
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0_i32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i32::from(digit - b'0')))
    };
    let field = |start: usize, end: usize| number(second.get(start..end)?);
    let two = |start: usize| i8::try_from(field(start, start + 2)?).ok();
    let decimals = match rest.strip_suffix(b"Z")? {
        [] => 0,
        [b'.', decimals @ ..] if (1..=9).contains(&decimals.len()) => {
            number(decimals)?.checked_mul(10_i32.pow(9 - decimals.len() as u32))?
        }
        _ => return None,
    };
    let year = i16::try_from(field(0, 4)?).ok()?;
    let civil = DateTime::new(year, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?, decimals).ok()?;
    let timestamp = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
    i64::try_from(timestamp.as_nanosecond()).ok()
}

/// Reads a time from an integer in the given unit. With [`TimestampFormat::Auto`] the magnitude decides: FILETIME from
/// 10^17 on, then nanoseconds, microseconds, milliseconds and seconds, such that every unit covers the years 1973 to 2286.
pub fn from_integer(value: i64, format: TimestampFormat) -> Option<i64> {
    let value = i128::from(value);
    let nanoseconds = match format {
        TimestampFormat::EpochS => value * 1_000_000_000,
        TimestampFormat::EpochMs => value * 1_000_000,
        TimestampFormat::EpochNs => value,
        TimestampFormat::Filetime => (value - FILETIME_TO_UNIX) * 100,
        TimestampFormat::Auto | TimestampFormat::Rfc3339 => match value.unsigned_abs() {
            0..100_000_000_000 => value * 1_000_000_000,
            100_000_000_000..100_000_000_000_000 => value * 1_000_000,
            100_000_000_000_000..100_000_000_000_000_000 => value * 1_000,
            100_000_000_000_000_000..1_000_000_000_000_000_000 => (value - FILETIME_TO_UNIX) * 100,
            _ => value,
        },
    };
    i64::try_from(nanoseconds).ok()
}

/// Writes a time as RFC 3339 in UTC with as many decimals of a second as it has, at least milliseconds.
pub fn format_rfc3339(nanoseconds: i64) -> String {
    let timestamp = Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH);
    let fraction = nanoseconds.rem_euclid(1_000_000_000);
    let precision = match fraction {
        _ if fraction % 1_000_000 == 0 => 3,
        _ if fraction % 1_000 == 0 => 6,
        _ => 9,
    };
    format!("{timestamp:.precision$}")
}

/// Reads a length of time: a whole number and `ms`, `s`, `m`, `h` or `d`, in nanoseconds. `None` when the text is none, or
/// longer than 64-bit nanoseconds hold (292 years).
pub fn parse_duration(text: &str) -> Option<i64> {
    let text = text.trim();
    let unit = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = (text.get(..unit)?, text.get(unit..)?.trim_start());
    let nanoseconds: i64 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_every_form() {
        let second = 1_700_000_000_000_000_000;
        for (text, expected) in [
            ("2023-11-14T22:13:20Z", Some(second)),
            ("2023-11-14T22:13:20.5Z", Some(second + 500_000_000)),
            ("2023-11-14 22:13:20.000000001", Some(second + 1)),
            ("2023-11-14T23:13:20+01:00", Some(second)),
            ("1970-01-01", Some(0)),
            ("2023-11-14T22:13:20.123456789Z", Some(second + 123_456_789)),
            ("2024-02-29T00:00:00.0Z", Some(1_709_164_800_000_000_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2023-11-14T25:13:20Z", None),
            ("2023-11-14T22:13:20.Z", None),
            ("2500-01-01T00:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_text(text), expected, "{text}");
        }
        assert_eq!(from_integer(1_700_000_000, TimestampFormat::Auto), Some(second));
        assert_eq!(from_integer(1_700_000_000_000, TimestampFormat::Auto), Some(second));
        assert_eq!(from_integer(second, TimestampFormat::Auto), Some(second));
        assert_eq!(from_integer(116_444_736_000_000_000, TimestampFormat::Auto), Some(0));
        assert_eq!(from_integer(116_444_736_000_000_001, TimestampFormat::Filetime), Some(100));
        assert_eq!(from_integer(i64::MAX, TimestampFormat::EpochS), None);
    }

    #[test]
    fn times_print_and_parse_back() {
        for nanoseconds in [0, 1, -1, 1_700_000_000_123_000_000, 1_700_000_000_123_456_789, -86_400_000_000_000] {
            assert_eq!(parse_text(&format_rfc3339(nanoseconds)), Some(nanoseconds));
        }
        assert_eq!(format_rfc3339(0), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn lengths_of_time_have_a_unit() {
        for (text, expected) in [
            ("500ms", Some(500_000_000)),
            ("5m", Some(300_000_000_000)),
            (" 1 h ", Some(3_600_000_000_000)),
            ("1d", Some(86_400_000_000_000)),
            ("5", None),
            ("m", None),
            ("-1s", None),
            ("1.5s", None),
            ("999999999d", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }
}
