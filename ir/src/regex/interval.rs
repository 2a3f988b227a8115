//! Numeric intervals, `<m-n>`, as expressions over digits.
//!
//! In: two decimal numbers of up to [`MAX_DIGITS`](super::MAX_DIGITS) digits. Out: an expression that matches the numbers
//! between them, both included. As in Lucene, bounds in the wrong order are put right, bounds of one length ask for
//! exactly that many digits, and others allow any number of leading zeros.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Repetition};

/// The expression for the numbers from `low` to `high`, which are not empty and hold ASCII digits alone.
pub(super) fn numbers(low: &str, high: &str) -> Hir {
    if low.len() == high.len() {
        return of_one_length(low.min(high).as_bytes(), low.max(high).as_bytes());
    }
    let (low, high) = (significant(low), significant(high));
    let (low, high) = if (low.len(), low) <= (high.len(), high) { (low, high) } else { (high, low) };
    let lengths = (low.len()..=high.len()).map(|length| {
        let first = if length == low.len() { low.to_owned() } else { format!("1{}", "0".repeat(length - 1)) };
        let last = if length == high.len() { high.to_owned() } else { "9".repeat(length) };
        of_one_length(first.as_bytes(), last.as_bytes())
    });
    let zeros = Repetition { min: 0, max: None, greedy: true, sub: Box::new(digit(b'0', b'0')) };
    Hir::concat(vec![Hir::repetition(zeros), Hir::alternation(lengths.collect())])
}

/// The number without leading zeros; zero keeps one.
fn significant(number: &str) -> &str {
    let rest = number.trim_start_matches('0');
    if rest.is_empty() { "0" } else { rest }
}

/// From `low` to `high`, where both have the same length.
fn of_one_length(low: &[u8], high: &[u8]) -> Hir {
    if low.iter().all(|&digit| digit == b'0') && high.iter().all(|&digit| digit == b'9') {
        return any_digits(low.len());
    }
    let (Some((&first, low)), Some((&last, high))) = (low.split_first(), high.split_first()) else {
        return Hir::empty();
    };
    if first == last {
        return Hir::concat(vec![digit(first, first), of_one_length(low, high)]);
    }
    let (zeros, nines) = (vec![b'0'; high.len()], vec![b'9'; low.len()]);
    let mut branches = vec![
        Hir::concat(vec![digit(first, first), of_one_length(low, &nines)]),
        Hir::concat(vec![digit(last, last), of_one_length(&zeros, high)]),
    ];
    if last - first > 1 {
        branches.push(Hir::concat(vec![digit(first + 1, last - 1), any_digits(low.len())]));
    }
    Hir::alternation(branches)
}

fn any_digits(count: usize) -> Hir {
    let (count, sub) = (count as u32, Box::new(digit(b'0', b'9')));
    Hir::repetition(Repetition { min: count, max: Some(count), greedy: true, sub })
}

fn digit(low: u8, high: u8) -> Hir {
    Hir::class(Class::Unicode(ClassUnicode::new([ClassUnicodeRange::new(low.into(), high.into())])))
}
