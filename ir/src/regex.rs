//! Regular expressions in Lucene's syntax, translated to a linear-time engine. They match whole values.
//!
//! `. ? + * {m,n} | ( ) [ ] [^ ] "literal" \x \d \s \w \D \S \W @ #` mean what they mean in Lucene; `^` and `$` are
//! ordinary characters; a `?` behind a quantifier makes it optional. `~` (complement), `&` (intersection) and `<m-n>`
//! (interval) are refused with the escape that makes them literal. Limits: [`MAX_PATTERN`], [`MAX_REPEAT`],
//! [`MAX_DEPTH`] and the size of the compiled program.

use regex_automata::meta;
use regex_automata::util::syntax;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Look, Repetition};
use thiserror::Error;

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 32 * 1024;
/// The highest count in `{m,n}`.
pub const MAX_REPEAT: u32 = 1000;
/// The deepest nesting of groups.
pub const MAX_DEPTH: usize = 100;
/// The size of a compiled program, in bytes.
const MAX_PROGRAM: usize = 10 << 20;

/// Why a pattern is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct RegexError {
    /// The byte of the pattern where the mistake is.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead, if that is known.
    pub help: Option<String>,
}

/// A compiled regular expression.
#[derive(Debug, Clone)]
pub struct Regex {
    engine: meta::Regex,
}

impl Regex {
    /// Whether the expression matches the whole of `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.engine.is_match(text)
    }
}

/// Compiles a pattern; with `fold` case is ignored (Unicode simple folding).
pub fn compile(pattern: &str, fold: bool) -> Result<Regex, RegexError> {
    let inner = translate(pattern, fold)?;
    let whole = Hir::concat(vec![Hir::look(Look::Start), inner, Hir::look(Look::End)]);
    let engine = meta::Builder::new()
        .configure(meta::Config::new().nfa_size_limit(Some(MAX_PROGRAM)).hybrid_cache_capacity(1 << 20).dfa(false))
        .syntax(syntax::Config::new())
        .build_from_hir(&whole)
        .map_err(|error| RegexError {
            offset: 0,
            message: match error.size_limit() {
                Some(_) => "the expression is too large when compiled".to_owned(),
                None => format!("the expression cannot be compiled: {error}"),
            },
            help: Some("use smaller counts in `{m,n}`".to_owned()),
        })?;
    Ok(Regex { engine })
}

/// Translates a pattern to a syntax tree of the engine, without anchors.
pub fn translate(pattern: &str, fold: bool) -> Result<Hir, RegexError> {
    if pattern.len() > MAX_PATTERN {
        return Err(error_at(0, format!("the pattern has {} bytes, more than {MAX_PATTERN}", pattern.len())));
    }
    let mut parser = Parser { pattern, position: 0, fold, depth: 0 };
    let tree = parser.alternation()?;
    match parser.peek() {
        None => Ok(tree),
        Some(_) => Err(error_at(parser.position, "this `)` closes no group".to_owned()).with_escape(')')),
    }
}

fn error_at(offset: usize, message: String) -> RegexError {
    RegexError { offset, message, help: None }
}

impl RegexError {
    fn with_escape(mut self, character: char) -> RegexError {
        self.help = Some(format!("for the character itself write `\\{character}` (in a plain string `\\\\{character}`)"));
        self
    }
}

struct Parser<'p> {
    pattern: &'p str,
    position: usize,
    fold: bool,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.pattern[self.position..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.position += character.len_utf8();
        Some(character)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.position += wanted.len_utf8();
        }
        found
    }

    fn alternation(&mut self) -> Result<Hir, RegexError> {
        let mut branches = vec![self.concatenation()?];
        while self.eat('|') {
            branches.push(self.concatenation()?);
        }
        Ok(Hir::alternation(branches))
    }

    fn concatenation(&mut self) -> Result<Hir, RegexError> {
        let mut parts = Vec::new();
        while !matches!(self.peek(), None | Some('|' | ')')) {
            parts.push(self.repeated()?);
        }
        Ok(Hir::concat(parts))
    }

    fn repeated(&mut self) -> Result<Hir, RegexError> {
        let mut tree = self.atom()?;
        let mut quantifiers = 0;
        loop {
            let start = self.position;
            let (min, max) = match self.peek() {
                Some('?') => (0, Some(1)),
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('{') => {
                    self.position += 1;
                    let bounds = self.bounds(start)?;
                    self.position -= 1;
                    bounds
                }
                _ => return Ok(tree),
            };
            self.position += 1;
            quantifiers += 1;
            if quantifiers > 20 {
                return Err(error_at(start, "more than 20 quantifiers stand behind one another".to_owned()));
            }
            tree = Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(tree) });
        }
    }

    /// The inside of `{m}`, `{m,}` or `{m,n}`; stands behind the brace when done.
    fn bounds(&mut self, start: usize) -> Result<(u32, Option<u32>), RegexError> {
        let malformed = || error_at(start, "expected a count such as `{2}`, `{2,}` or `{2,5}`".to_owned()).with_escape('{');
        let min = self.count().ok_or_else(malformed)?;
        let max = if self.eat(',') { self.count() } else { Some(min) };
        if !self.eat('}') {
            return Err(malformed());
        }
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT) {
            return Err(error_at(start, format!("a count in `{{m,n}}` is at most {MAX_REPEAT}")));
        }
        if max.is_some_and(|max| max < min) {
            return Err(error_at(start, "the counts in `{m,n}` stand in the wrong order".to_owned()));
        }
        Ok((min, max))
    }

    fn count(&mut self) -> Option<u32> {
        let start = self.position;
        while self.peek().is_some_and(|character| character.is_ascii_digit()) {
            self.position += 1;
        }
        let digits = &self.pattern[start..self.position];
        if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(u32::MAX)) }
    }

    fn atom(&mut self) -> Result<Hir, RegexError> {
        let start = self.position;
        match self.next() {
            Some('(') => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(error_at(start, format!("groups nest deeper than {MAX_DEPTH}")));
                }
                let inner = self.alternation()?;
                self.depth -= 1;
                if !self.eat(')') {
                    return Err(error_at(start, "this `(` is never closed".to_owned()).with_escape('('));
                }
                Ok(inner)
            }
            Some('[') => self.class(start),
            Some('.') => Ok(any_character()),
            Some('"') => {
                let rest = &self.pattern[self.position..];
                let Some(length) = rest.find('"') else {
                    return Err(error_at(start, "this `\"` starts a literal that is never closed".to_owned()).with_escape('"'));
                };
                self.position += length + 1;
                Ok(Hir::concat(rest[..length].chars().map(|character| self.literal(character)).collect()))
            }
            Some('\\') => self.escape(start),
            Some('@') => {
                Ok(Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: Box::new(any_character()) }))
            }
            Some('#') => Ok(Hir::fail()),
            Some(operator @ ('~' | '&' | '<')) => {
                let name = match operator {
                    '~' => "complement",
                    '&' => "intersection",
                    _ => "numeric interval",
                };
                Err(error_at(start, format!("the {name} operator `{operator}` is not supported")).with_escape(operator))
            }
            Some(operator @ ('?' | '*' | '+' | '{')) => {
                Err(error_at(start, format!("`{operator}` has nothing to repeat")).with_escape(operator))
            }
            Some(character) => Ok(self.literal(character)),
            None => Ok(Hir::empty()),
        }
    }

    fn literal(&self, character: char) -> Hir {
        let mut class = ClassUnicode::new([ClassUnicodeRange::new(character, character)]);
        if self.fold {
            class.case_fold_simple();
        }
        Hir::class(Class::Unicode(class))
    }

    fn escape(&mut self, start: usize) -> Result<Hir, RegexError> {
        match self.next() {
            Some(shorthand) if perl_class(shorthand).is_some() => {
                let class = perl_class(shorthand).unwrap_or_else(ClassUnicode::empty);
                Ok(Hir::class(Class::Unicode(class)))
            }
            Some(character) => Ok(self.literal(character)),
            None => Err(error_at(start, "the pattern ends behind a `\\`".to_owned()).with_escape('\\')),
        }
    }

    /// `[a-z\d]`, `[^a-z]`; stands behind the opening bracket.
    fn class(&mut self, start: usize) -> Result<Hir, RegexError> {
        let unclosed = || error_at(start, "this `[` is never closed".to_owned()).with_escape('[');
        let negated = self.eat('^');
        let mut class = ClassUnicode::empty();
        let mut first = true;
        loop {
            let item = self.position;
            let low = match self.next() {
                None => return Err(unclosed()),
                Some(']') if !first => break,
                Some(']') => return Err(error_at(start, "this class is empty".to_owned()).with_escape('[')),
                Some('\\') => match self.next() {
                    None => return Err(unclosed()),
                    Some(shorthand) => match perl_class(shorthand) {
                        Some(shorthand) => {
                            class.union(&shorthand);
                            first = false;
                            continue;
                        }
                        None => shorthand,
                    },
                },
                Some(character) => character,
            };
            first = false;
            let high = self.range_end().map_err(|()| unclosed())?.unwrap_or(low);
            if high < low {
                return Err(error_at(item, format!("the range `{low}-{high}` stands in the wrong order")));
            }
            class.push(ClassUnicodeRange::new(low, high));
        }
        if self.fold {
            class.case_fold_simple();
        }
        if negated {
            class.negate();
        }
        Ok(Hir::class(Class::Unicode(class)))
    }

    /// The end of a range, if a `-` follows that does not close the class.
    fn range_end(&mut self) -> Result<Option<char>, ()> {
        let mut ahead = self.pattern[self.position..].chars();
        if ahead.next() != Some('-') || matches!(ahead.next(), Some(']')) {
            return Ok(None);
        }
        self.position += 1;
        match self.next() {
            Some('\\') => self.next().map(Some).ok_or(()),
            Some(character) => Ok(Some(character)),
            None => Err(()),
        }
    }
}

fn any_character() -> Hir {
    Hir::class(Class::Unicode(ClassUnicode::new([ClassUnicodeRange::new('\0', char::MAX)])))
}

/// `\d \s \w` over ASCII, as Lucene has them, and their complements.
fn perl_class(shorthand: char) -> Option<ClassUnicode> {
    let ranges: &[(char, char)] = match shorthand.to_ascii_lowercase() {
        'd' => &[('0', '9')],
        's' => &[('\t', '\n'), ('\r', '\r'), (' ', ' ')],
        'w' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        _ => return None,
    };
    let mut class = ClassUnicode::new(ranges.iter().map(|&(low, high)| ClassUnicodeRange::new(low, high)));
    if shorthand.is_ascii_uppercase() {
        class.negate();
    }
    Some(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_whole_values() {
        for (pattern, fold, text, expected) in [
            ("", false, "", true),
            ("", false, "a", false),
            ("abc", false, "abc", true),
            ("abc", false, "xabc", false),
            ("ABC", true, "abc", true),
            (".*b", false, "a\nb", true),
            ("a|b", false, "b", true),
            ("a|", false, "", true),
            ("(ab)+", false, "abab", true),
            ("a{2,3}", false, "aaaa", false),
            ("a{2,}", false, "aaaa", true),
            ("[a-c]+", false, "abc", true),
            ("[^a-c]", false, "d", true),
            ("[^a-c]", true, "B", false),
            ("[-a]", false, "-", true),
            ("[a-]", false, "-", true),
            ("[.]", false, "x", false),
            (r"\d+\.\d", false, "12.5", true),
            (r"[\w.]+", false, "a_b.c", true),
            (r"\S+", false, "a b", false),
            ("^a$", false, "^a$", true),
            ("^a$", false, "a", false),
            ("\"a.b\"c", false, "a.bc", true),
            ("\"a.b\"c", false, "axbc", false),
            ("a@", false, "axyz", true),
            ("a#", false, "a", false),
            ("a.*?", false, "abc", true),
            ("ß", true, "ẞ", true),
        ] {
            let regex = compile(pattern, fold).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.is_match(text), expected, "{pattern} over {text:?}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (pattern, offset, part) in [
            ("a(b", 1, "never closed"),
            ("ab)", 2, "closes no group"),
            ("[ab", 0, "never closed"),
            ("a[]b", 1, "empty"),
            ("*a", 0, "nothing to repeat"),
            ("a{3,1}", 1, "wrong order"),
            ("a{x}", 1, "expected a count"),
            ("a{2000}", 1, "at most"),
            ("[z-a]", 1, "wrong order"),
            ("a\\", 1, "ends behind"),
            ("a~b", 1, "complement"),
            ("a&b", 1, "intersection"),
            ("<1-9>", 0, "interval"),
            ("\"a", 0, "never closed"),
        ] {
            let error = compile(pattern, false).expect_err(pattern);
            assert_eq!(error.offset, offset, "{pattern}: {error}");
            assert!(error.message.contains(part), "{pattern}: {error}");
        }
        assert!(compile(&"(".repeat(10_000), false).is_err());
        assert!(compile("((a{1000}){1000}){1000}", false).is_err());
    }
}
