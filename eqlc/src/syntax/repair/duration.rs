//! `maxspan=5m`: the number and the unit, and the ways to get them wrong.
//!
//! In: the tokens behind `maxspan=`. Out: one [`Token::Duration`] and how many tokens it takes the place of.

use crate::syntax::Span;
use crate::syntax::errors::{
    DecimalDuration, DurationNotPositive, DurationWithoutUnit, MalformedDuration, UnknownUnit,
};
use crate::syntax::sink::Sink;
use crate::syntax::token::{SpannedToken, Symbol, Token};

const UNITS: [(&str, i64); 5] = [
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Reads the duration that `tokens` starts with; `None` where there is none.
pub(super) fn read(tokens: &[SpannedToken], source: &str, sink: &mut Sink) -> Option<(SpannedToken, usize)> {
    let (sign, rest) = match tokens {
        [first, rest @ ..] if first.token.is(Symbol::Minus) || first.token.is(Symbol::Plus) => (Some(first), rest),
        _ => (None, tokens),
    };
    let number = rest.first()?;
    let (text, unit, count) = match &number.token {
        Token::Integer(_) | Token::Float(_) => match rest.get(1) {
            // A unit behind a blank.
            Some(SpannedToken { token: Token::Name(unit), span }) if unit != "as" => {
                (number.span.text(source), Some((unit.as_str(), *span)), 2)
            }
            _ => (number.span.text(source), None, 1),
        },
        Token::Suffixed => {
            let whole = number.span.text(source);
            let split =
                whole.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(whole.len());
            let (digits, unit) = whole.split_at(split);
            (digits, Some((unit, number.span)), 1)
        }
        Token::String(value) | Token::RawString(value) => {
            let good = value.strip_suffix(|last: char| last.is_ascii_lowercase()).is_some_and(|head| {
                !head.is_empty() && head.trim_end_matches('m').chars().all(|character| character.is_ascii_digit())
            });
            let reason = "expected a number and a unit, found a string";
            let fix = good.then(|| value.clone());
            sink.push(MalformedDuration { span: number.span, reason, fix });
            return Some((SpannedToken::new(Token::Duration(None), number.span), 1 + usize::from(sign.is_some())));
        }
        _ => return None,
    };
    let end = unit.map_or(number.span, |(_, span)| span);
    let span = sign.map_or(number.span, |sign| sign.span).to(end);
    let value = value(sign, text, unit.map(|(unit, _)| unit), span, sink);
    Some((SpannedToken::new(Token::Duration(value), span), count + usize::from(sign.is_some())))
}

fn value(sign: Option<&SpannedToken>, text: &str, unit: Option<&str>, span: Span, sink: &mut Sink) -> Option<i64> {
    if sign.is_some_and(|sign| sign.token.is(Symbol::Minus)) {
        sink.push(DurationNotPositive { span });
        return None;
    }
    if sign.is_some() {
        let fix = Some(format!("{text}{}", unit.unwrap_or("s")));
        sink.push(MalformedDuration { span, reason: "expected a number, found a sign", fix });
        return None;
    }
    let Some(unit) = unit else {
        sink.push(DurationWithoutUnit { span, number: text.to_string() });
        return None;
    };
    let Some((_, nanoseconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        sink.push(UnknownUnit { span, unit: unit.to_string(), number: text.to_string(), nearest: nearest_unit(unit) });
        return None;
    };
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        sink.push(DecimalDuration { span, text: format!("{text}{unit}"), whole: whole(text, *nanoseconds) });
        return None;
    }
    let product = text.parse::<i64>().ok().and_then(|number| number.checked_mul(*nanoseconds));
    match product {
        Some(0) => sink.push(DurationNotPositive { span }),
        Some(_) => {}
        None => sink.push(MalformedDuration { span, reason: "longer than 292 years", fix: None }),
    }
    product.filter(|product| *product > 0)
}

fn nearest_unit(unit: &str) -> Option<&'static str> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return None,
    })
}

/// A decimal as a whole number of the largest unit that has one: `1.5m` is `90s`.
fn whole(text: &str, nanoseconds: i64) -> Option<String> {
    let product = text.parse::<f64>().ok()? * nanoseconds as f64;
    if !(1.0..1e18).contains(&product) || product.fract() != 0.0 {
        return None;
    }
    let product = product as i64;
    let (unit, size) = UNITS.iter().rev().find(|(_, size)| product % size == 0)?;
    Some(format!("{}{unit}", product / size))
}
