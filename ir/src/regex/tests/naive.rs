//! Random expressions over few characters, matched by trying every place where a part can end.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::regex::compile;

/// How many expressions a run compares.
const EXPRESSIONS: usize = 3_000;
/// What texts are made of.
const CHARACTERS: [char; 9] = ['a', 'b', 'A', '0', '1', '9', 'é', 'É', '\n'];

/// An expression as the language guide describes it.
#[derive(Debug, Clone)]
enum Expression {
    Empty,
    Nothing,
    AnyText,
    AnyCharacter,
    Character(char),
    Digit(bool),
    Class(bool, Vec<(char, char)>),
    Literal(String),
    /// Smallest, largest, and how many digits; 0 for any number of leading zeros.
    Interval(u64, u64, usize),
    Concatenation(Vec<Expression>),
    Union(Vec<Expression>),
    Intersection(Vec<Expression>),
    Complement(Box<Expression>),
    Repetition(Box<Expression>, usize, Option<usize>),
}

/// Random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((value ^ (value >> 31)) % limit as u64) as usize
    }

    fn character(&mut self) -> char {
        CHARACTERS[self.below(CHARACTERS.len())]
    }

    fn text(&mut self, longest: usize) -> String {
        let length = self.below(longest + 1);
        (0..length).map(|_| self.character()).collect()
    }

    fn some(&mut self, depth: usize) -> Vec<Expression> {
        let count = 2 + self.below(2);
        (0..count).map(|_| self.expression(depth)).collect()
    }

    fn expression(&mut self, depth: usize) -> Expression {
        let kinds = if depth == 0 { 9 } else { 18 };
        match self.below(kinds) {
            0..=2 => Expression::Character(self.character()),
            3 => Expression::AnyCharacter,
            4 => Expression::Digit(self.below(2) == 0),
            5 => {
                let range = |random: &mut Random| {
                    let (one, other) = (random.character(), random.character());
                    (one.min(other), one.max(other))
                };
                Expression::Class(self.below(3) == 0, (0..=self.below(2)).map(|_| range(self)).collect())
            }
            6 => Expression::Literal(self.text(2)),
            7 => {
                let (one, other) = (self.below(120) as u64, self.below(120) as u64);
                let (low, high) = (one.min(other), one.max(other));
                let width = if low.to_string().len() == high.to_string().len() { high.to_string().len() } else { 0 };
                Expression::Interval(low, high, width)
            }
            8 => match self.below(3) {
                0 => Expression::Empty,
                1 => Expression::Nothing,
                _ => Expression::AnyText,
            },
            9..=11 => Expression::Concatenation(self.some(depth - 1)),
            12 => Expression::Union(self.some(depth - 1)),
            13 => Expression::Intersection(self.some(depth - 1)),
            14 | 15 => Expression::Complement(Box::new(self.expression(depth - 1))),
            _ => {
                let min = self.below(3);
                let max = (self.below(2) == 0).then(|| min + self.below(3));
                Expression::Repetition(Box::new(self.expression(depth - 1)), min, max)
            }
        }
    }
}

impl Expression {
    /// How tightly it binds: union 0, intersection 1, concatenation 2, repetition 3, complement 4, all others 5.
    fn level(&self) -> u8 {
        match self {
            Expression::Union(_) => 0,
            Expression::Intersection(_) => 1,
            Expression::Concatenation(_) => 2,
            Expression::Repetition(..) => 3,
            Expression::Complement(_) => 4,
            _ => 5,
        }
    }

    /// Writes it with no more brackets than needed where `level` is expected.
    fn write(&self, level: u8, out: &mut String) {
        if self.level() < level {
            out.push('(');
            self.write(0, out);
            out.push(')');
            return;
        }
        let list = |parts: &[Expression], separator: &str, level: u8, out: &mut String| {
            for (index, part) in parts.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { separator });
                part.write(level, out);
            }
        };
        match self {
            Expression::Empty => out.push_str("()"),
            Expression::Nothing => out.push('#'),
            Expression::AnyText => out.push('@'),
            Expression::AnyCharacter => out.push('.'),
            Expression::Character(character) => out.push(*character),
            Expression::Digit(true) => out.push_str("\\d"),
            Expression::Digit(false) => out.push_str("\\D"),
            Expression::Class(negated, ranges) => {
                out.push_str(if *negated { "[^" } else { "[" });
                ranges.iter().for_each(|(low, high)| {
                    let _ = write!(out, "{low}-{high}");
                });
                out.push(']');
            }
            Expression::Literal(text) => {
                let _ = write!(out, "\"{text}\"");
            }
            Expression::Interval(low, high, _) => {
                let _ = write!(out, "<{low}-{high}>");
            }
            Expression::Concatenation(parts) => list(parts, "", 3, out),
            Expression::Union(parts) => list(parts, "|", 1, out),
            Expression::Intersection(parts) => list(parts, "&", 2, out),
            Expression::Complement(inner) => {
                out.push('~');
                inner.write(4, out);
            }
            Expression::Repetition(inner, min, max) => {
                inner.write(3, out);
                match (min, max) {
                    (0, None) => out.push('*'),
                    (1, None) => out.push('+'),
                    (0, Some(1)) => out.push('?'),
                    (min, None) => drop(write!(out, "{{{min},}}")),
                    (min, Some(max)) if min == max => drop(write!(out, "{{{min}}}")),
                    (min, Some(max)) => drop(write!(out, "{{{min},{max}}}")),
                }
            }
        }
    }

    /// Where it can end in `text` when it begins at `start`.
    fn ends(&self, text: &[char], start: usize, fold: bool) -> BTreeSet<usize> {
        let one = |fits: &dyn Fn(char) -> bool| {
            let found = text.get(start).is_some_and(|&character| fits(character));
            found.then_some(start + 1).into_iter().collect()
        };
        let same = |left: char, right: char| left == right || fold && variants(left).contains(&right);
        match self {
            Expression::Empty => BTreeSet::from([start]),
            Expression::Nothing => BTreeSet::new(),
            Expression::AnyText => (start..=text.len()).collect(),
            Expression::AnyCharacter => one(&|_| true),
            Expression::Character(wanted) => one(&|character| same(character, *wanted)),
            Expression::Digit(digit) => one(&|character| character.is_ascii_digit() == *digit),
            Expression::Class(negated, ranges) => one(&|character| {
                let within = |character: char| ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
                let found = within(character) || fold && variants(character).into_iter().any(within);
                found != *negated
            }),
            Expression::Literal(literal) => {
                let wanted: Vec<char> = literal.chars().collect();
                let found = text.get(start..start + wanted.len());
                let fits =
                    found.is_some_and(|found| found.iter().zip(&wanted).all(|(left, right)| same(*left, *right)));
                fits.then_some(start + wanted.len()).into_iter().collect()
            }
            Expression::Interval(low, high, width) => (start + 1..=text.len())
                .filter(|&end| {
                    let digits: String = text[start..end].iter().collect();
                    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>());
                    matches!(number, Some(Ok(number)) if (low..=high).contains(&&number))
                        && (*width == 0 || digits.len() == *width)
                })
                .collect(),
            Expression::Concatenation(parts) => parts.iter().fold(BTreeSet::from([start]), |starts, part| {
                starts.into_iter().flat_map(|start| part.ends(text, start, fold)).collect()
            }),
            Expression::Union(parts) => parts.iter().flat_map(|part| part.ends(text, start, fold)).collect(),
            Expression::Intersection(parts) => {
                let mut sets = parts.iter().map(|part| part.ends(text, start, fold));
                let first = sets.next().unwrap_or_default();
                sets.fold(first, |left, right| left.intersection(&right).copied().collect())
            }
            Expression::Complement(inner) => {
                let inner = inner.ends(text, start, fold);
                (start..=text.len()).filter(|end| !inner.contains(end)).collect()
            }
            Expression::Repetition(inner, min, max) => {
                let mut ends = BTreeSet::new();
                let mut starts = BTreeSet::from([start]);
                // Behind as many turns as there are characters, a turn more adds nothing but empty ones.
                for turn in 0..=max.unwrap_or(min + text.len() + 1) {
                    if turn >= *min {
                        ends.extend(&starts);
                    }
                    starts = starts.into_iter().flat_map(|start| inner.ends(text, start, fold)).collect();
                }
                ends
            }
        }
    }
}

fn variants(character: char) -> Vec<char> {
    character.to_lowercase().chain(character.to_uppercase()).collect()
}

#[test]
fn random_expressions_match_what_the_guide_says() {
    let seed = std::env::var("KESTREL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("KESTREL_SEED={seed}");
    let mut random = Random(seed);
    let (mut refused, mut found) = (0, 0);
    for number in 0..EXPRESSIONS {
        let depth = random.below(5);
        let expression = random.expression(depth);
        let fold = random.below(3) == 0;
        let mut pattern = String::new();
        expression.write(0, &mut pattern);
        let Ok(regex) = compile(&pattern, fold) else {
            refused += 1;
            continue;
        };
        for _ in 0..12 {
            let text = random.text(6);
            let characters: Vec<char> = text.chars().collect();
            let expected = expression.ends(&characters, 0, fold).contains(&characters.len());
            found += usize::from(expected);
            assert_eq!(regex.is_match(&text), expected, "{number}: {pattern:?} (fold {fold}) over {text:?}");
        }
    }
    println!("{refused} refused, {found} of {} matched", 12 * EXPRESSIONS);
    assert!(refused < EXPRESSIONS / 100);
}
