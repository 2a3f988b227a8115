//! A string against a list: exact strings, wildcard patterns by their shape, regular expressions.
//!
//! ```text
//! "cmd.exe"  exact    ─┐
//! "/tmp/*"   prefixes  ├─ sets, one look-up for each different length
//! "*.sh"     suffixes ─┘
//! "*curl*"   infixes  ──── one automaton for all of the list
//! "a*b*c"    segments ──── in turn: start, end, then what is between them from left to right
//! "a?c"      the rest ──── kestrel_ir::pattern
//! ```
//!
//! Texts come in folded when the list is; only regular expressions fold by themselves.

use aho_corasick::AhoCorasick;
use kestrel_ir::model::StringMatch;
use kestrel_ir::pattern::{has_wildcard, wildcard_matches};
use kestrel_ir::regex::Regex;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::{MatchKind, Span};

use super::string_set::StringSet;

/// A compiled list.
#[derive(Debug)]
pub(super) enum StringTest {
    Exact(StringSet),
    Wildcards(Box<Wildcards>),
    Regexes(Box<[Regex]>),
}

/// The patterns of a list, sorted by shape.
#[derive(Debug)]
pub(super) struct Wildcards {
    /// `*` alone is among them.
    everything: bool,
    exact: StringSet,
    prefixes: Ends,
    suffixes: Ends,
    infixes: Option<Infixes>,
    segments: Box<[Segments]>,
    /// Those that begin with `?`, without it: for the text behind its first character. Paths of any drive begin so.
    behind_one: Option<Box<Wildcards>>,
    rest: Box<[Box<str>]>,
}

/// So many `?` at the start of a pattern are taken off.
const MAX_LEADING: usize = 4;

/// Prefixes or suffixes, with their different lengths in bytes, ascending.
#[derive(Debug)]
struct Ends {
    lengths: Box<[usize]>,
    set: StringSet,
}

/// `start*middle*…*end`: no `?`, and a `*` somewhere within.
#[derive(Debug)]
struct Segments {
    start: Box<str>,
    middle: Box<[Infix]>,
    end: Box<str>,
    shortest: usize,
}

/// What searches for one string: by hand in short texts, else a vectorised search (`regex-automata` gives it out as a
/// prefilter, which for one whole string is exact).
///
/// PERF (2026-11): 32 predicates with `*curl*17*` and its like over a command line of 47 bytes took 9.7 us an event
/// vectorised, 10.7 us by hand and 12.1 us with an automaton of `aho-corasick` for each part.
#[derive(Debug)]
struct Infix {
    string: Box<str>,
    search: Option<Prefilter>,
}

/// The longest text that is searched by hand, in bytes.
const SHORT: usize = 16;

/// What searches for any of some strings.
#[derive(Debug)]
enum Infixes {
    One(Infix),
    Many(AhoCorasick),
    /// More than an automaton takes.
    Each(Box<[Infix]>),
}

impl StringTest {
    /// Exact strings or wildcard patterns.
    pub(super) fn list(matching: StringMatch, strings: &[String]) -> StringTest {
        if matching == StringMatch::Wildcard && strings.iter().any(|pattern| has_wildcard(pattern)) {
            let patterns: Vec<&str> = strings.iter().map(String::as_str).collect();
            StringTest::Wildcards(Box::new(Wildcards::new(&patterns, MAX_LEADING)))
        } else {
            StringTest::Exact(StringSet::new(strings.iter().map(String::as_str)))
        }
    }

    /// Regular expressions, which fold by themselves, as `compiled` has them.
    pub(super) fn regexes<'r>(
        patterns: &[String],
        compiled: impl Fn(&str) -> Option<&'r Regex>,
    ) -> Result<StringTest, String> {
        let find = |pattern: &String| compiled(pattern).cloned().ok_or_else(|| format!("`{pattern}` was not compiled"));
        Ok(StringTest::Regexes(patterns.iter().map(find).collect::<Result<_, _>>()?))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            StringTest::Exact(set) => set.contains(text),
            StringTest::Wildcards(wildcards) => wildcards.matches(text),
            StringTest::Regexes(regexes) => regexes.iter().any(|regex| regex.is_match(text)),
        }
    }
}

impl Wildcards {
    /// Sorts patterns, of which at most `leading` `?` at the start are taken off.
    fn new(patterns: &[&str], leading: usize) -> Wildcards {
        let mut everything = false;
        let (mut exact, mut prefixes, mut suffixes, mut infixes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut segments, mut behind_one, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for &pattern in patterns {
            if pattern.contains('?') {
                match pattern.strip_prefix('?').filter(|_| leading > 0) {
                    Some(behind) => behind_one.push(behind),
                    None => rest.push(pattern.into()),
                }
                continue;
            }
            let parts: Vec<&str> = pattern.split('*').collect();
            let (start, end) = (parts[0], parts[parts.len() - 1]);
            let middle: Vec<&str> = match parts.len() {
                1 => {
                    exact.push(start);
                    continue;
                }
                count => parts[1..count - 1].iter().copied().filter(|part| !part.is_empty()).collect(),
            };
            match (start, &middle[..], end) {
                ("", [], "") => everything = true,
                (start, [], "") => prefixes.push(start),
                ("", [], end) => suffixes.push(end),
                ("", [infix], "") => infixes.push(*infix),
                (start, middle, end) => segments.push(Segments::new(start, middle, end)),
            }
        }
        Wildcards {
            everything,
            exact: StringSet::new(exact),
            prefixes: Ends::new(&prefixes),
            suffixes: Ends::new(&suffixes),
            infixes: match &infixes[..] {
                [] => None,
                [infix] => Some(Infixes::One(Infix::new(infix))),
                _ => Some(Infixes::many(&infixes)),
            },
            segments: segments.into(),
            behind_one: (!behind_one.is_empty()).then(|| Box::new(Wildcards::new(&behind_one, leading - 1))),
            rest: rest.into(),
        }
    }

    fn matches(&self, text: &str) -> bool {
        self.everything
            || self.exact.contains(text)
            || self.prefixes.any(|length| text.get(..length))
            || self.suffixes.any(|length| text.get(text.len().checked_sub(length)?..))
            || self.infixes.as_ref().is_some_and(|infixes| infixes.is_in(text))
            || self.segments.iter().any(|segments| segments.matches(text))
            || self.behind_one.as_ref().is_some_and(|wildcards| {
                let mut characters = text.chars();
                characters.next().is_some() && wildcards.matches(characters.as_str())
            })
            || self.rest.iter().any(|pattern| wildcard_matches(pattern, text))
    }
}

impl Ends {
    fn new(ends: &[&str]) -> Ends {
        let mut lengths: Vec<usize> = ends.iter().map(|end| end.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        Ends { lengths: lengths.into(), set: StringSet::new(ends.iter().copied()) }
    }

    /// Whether the end that `cut` makes for any of the lengths is in the set. A cut through a character or past the
    /// text makes none.
    fn any<'t>(&self, cut: impl Fn(usize) -> Option<&'t str>) -> bool {
        self.lengths.iter().any(|&length| cut(length).is_some_and(|end| self.set.contains(end)))
    }
}

impl Segments {
    fn new(start: &str, middle: &[&str], end: &str) -> Segments {
        let shortest = start.len() + end.len() + middle.iter().map(|part| part.len()).sum::<usize>();
        let middle = middle.iter().map(|part| Infix::new(part)).collect();
        Segments { start: start.into(), middle, end: end.into(), shortest }
    }

    /// The leftmost place for each part in turn is enough: a later one only leaves less for the parts behind it.
    fn matches(&self, text: &str) -> bool {
        if text.len() < self.shortest || !text.starts_with(&*self.start) || !text.ends_with(&*self.end) {
            return false;
        }
        let Some(mut between) = text.get(self.start.len()..text.len() - self.end.len()) else { return false };
        self.middle.iter().all(|part| match part.end_in(between) {
            Some(end) => {
                between = between.get(end..).unwrap_or("");
                true
            }
            None => false,
        })
    }
}

impl Infix {
    fn new(string: &str) -> Infix {
        Infix { string: string.into(), search: Prefilter::new(MatchKind::LeftmostFirst, &[string]) }
    }

    /// Behind the leftmost place in `text`.
    fn end_in(&self, text: &str) -> Option<usize> {
        match &self.search {
            Some(search) if text.len() > SHORT => {
                search.find(text.as_bytes(), Span::from(0..text.len())).map(|found| found.end)
            }
            _ => find_by_hand(text.as_bytes(), self.string.as_bytes()),
        }
    }
}

/// The end of the leftmost `wanted`.
fn find_by_hand(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let Some((&first, rest)) = wanted.split_first() else { return Some(0) };
    let starts = text.len().checked_sub(rest.len())?;
    let found = |&start: &usize| text[start] == first && text[start + 1..].starts_with(rest);
    (0..starts).find(found).map(|start| start + wanted.len())
}

impl Infixes {
    fn many(strings: &[&str]) -> Infixes {
        match AhoCorasick::new(strings) {
            Ok(automaton) => Infixes::Many(automaton),
            Err(_) => Infixes::Each(strings.iter().map(|string| Infix::new(string)).collect()),
        }
    }

    fn is_in(&self, text: &str) -> bool {
        match self {
            Infixes::One(infix) => infix.end_in(text).is_some(),
            Infixes::Many(automaton) => automaton.is_match(text),
            Infixes::Each(infixes) => infixes.iter().any(|infix| infix.end_in(text).is_some()),
        }
    }
}
