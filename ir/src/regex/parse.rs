//! From the text of a pattern to a tree.
//!
//! In: a pattern in Lucene's syntax. Out: a [`Tree`] whose parts without `~` and `&` are trees of the ordinary engine, or
//! the first mistake with its place. `~` and `&` inside of classes and behind `\` are characters.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Repetition};

use super::{MAX_DEPTH, MAX_DIGITS, MAX_OPERATORS, MAX_PATTERN, MAX_REPEAT, RegexError, interval};

/// The most quantifiers behind one another.
const MAX_QUANTIFIERS: usize = 20;
/// The most levels of a tree: what compiles it descends by recursion.
const MAX_HEIGHT: usize = 400;

/// A regular expression.
#[derive(Debug)]
pub(super) enum Tree {
    /// One without complement and intersection.
    Plain(Hir),
    /// `~a`
    Complement(Box<Tree>),
    /// `a&b`
    Intersection(Vec<Tree>),
    /// `a|b` where one of them is not plain.
    Union(Vec<Tree>),
    /// `ab` where one of them is not plain.
    Concatenation(Vec<Tree>),
    /// `a{min,max}` where `a` is not plain.
    Repetition {
        /// What is repeated.
        tree: Box<Tree>,
        /// How often at least.
        min: u32,
        /// How often at most, if there is a limit.
        max: Option<u32>,
    },
}

impl Tree {
    fn union(mut trees: Vec<Tree>) -> Tree {
        let plain: Vec<Hir> =
            trees.extract_if(.., |tree| matches!(tree, Tree::Plain(_))).filter_map(Tree::plain).collect();
        if !plain.is_empty() {
            trees.push(Tree::Plain(Hir::alternation(plain)));
        }
        single(trees, Tree::Union)
    }

    fn concatenation(trees: Vec<Tree>) -> Tree {
        let mut joined = Vec::new();
        let mut run = Vec::new();
        for tree in trees {
            match tree {
                Tree::Plain(hir) => run.push(hir),
                tree => {
                    if !run.is_empty() {
                        joined.push(Tree::Plain(Hir::concat(std::mem::take(&mut run))));
                    }
                    joined.push(tree);
                }
            }
        }
        if !run.is_empty() || joined.is_empty() {
            joined.push(Tree::Plain(Hir::concat(run)));
        }
        single(joined, Tree::Concatenation)
    }

    fn repetition(tree: Tree, min: u32, max: Option<u32>) -> Tree {
        match tree {
            Tree::Plain(hir) => Tree::Plain(Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(hir) })),
            tree => Tree::Repetition { tree: Box::new(tree), min, max },
        }
    }

    fn plain(self) -> Option<Hir> {
        match self {
            Tree::Plain(hir) => Some(hir),
            _ => None,
        }
    }
}

/// The one tree, or what `many` makes of several.
fn single(mut trees: Vec<Tree>, many: fn(Vec<Tree>) -> Tree) -> Tree {
    match trees.pop() {
        Some(tree) if trees.is_empty() => tree,
        Some(tree) => {
            trees.push(tree);
            many(trees)
        }
        None => many(trees),
    }
}

/// Reads a pattern; with `fold` case is ignored.
pub(super) fn parse(pattern: &str, fold: bool) -> Result<Tree, RegexError> {
    if pattern.len() > MAX_PATTERN {
        return Err(error_at(0, format!("the pattern has {} bytes, more than {MAX_PATTERN}", pattern.len())));
    }
    let mut parser = Parser { pattern, position: 0, fold, depth: 0, operators: 0 };
    let tree = parser.union()?;
    match parser.peek() {
        None if is_too_high(&tree) => {
            Err(error_at(0, format!("groups, quantifiers and operators nest deeper than {MAX_HEIGHT}")))
        }
        None => Ok(tree),
        Some(_) => Err(error_at(parser.position, "this `)` closes no group".to_owned()).with_escape(')')),
    }
}

/// Whether a tree has more than [`MAX_HEIGHT`] levels; found without recursion.
fn is_too_high(tree: &Tree) -> bool {
    let mut trees = vec![(tree, 1)];
    let mut plain = Vec::new();
    while let Some((tree, height)) = trees.pop() {
        match tree {
            Tree::Plain(hir) => plain.push((hir, height)),
            _ if height > MAX_HEIGHT => return true,
            Tree::Complement(tree) | Tree::Repetition { tree, .. } => trees.push((tree, height + 1)),
            Tree::Intersection(parts) | Tree::Union(parts) | Tree::Concatenation(parts) => {
                trees.extend(parts.iter().map(|part| (part, height + 1)));
            }
        }
    }
    while let Some((hir, height)) = plain.pop() {
        if height > MAX_HEIGHT {
            return true;
        }
        plain.extend(hir.kind().subs().iter().map(|sub| (sub, height + 1)));
    }
    false
}

fn error_at(offset: usize, message: String) -> RegexError {
    RegexError { offset, message, help: None }
}

impl RegexError {
    fn with_escape(mut self, character: char) -> RegexError {
        self.help =
            Some(format!("for the character itself write `\\{character}` (in a plain string `\\\\{character}`)"));
        self
    }
}

struct Parser<'p> {
    pattern: &'p str,
    position: usize,
    fold: bool,
    depth: usize,
    operators: usize,
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

    fn union(&mut self) -> Result<Tree, RegexError> {
        let mut branches = vec![self.intersection()?];
        while self.eat('|') {
            branches.push(self.intersection()?);
        }
        Ok(Tree::union(branches))
    }

    fn intersection(&mut self) -> Result<Tree, RegexError> {
        let mut start = self.position;
        let mut parts = vec![self.concatenation()?];
        loop {
            let operator = self.position;
            let nothing = |side| {
                Err(error_at(operator, format!("nothing stands {side} this `&`; the empty text is `()`"))
                    .with_escape('&'))
            };
            if !self.eat('&') {
                return Ok(single(parts, Tree::Intersection));
            }
            if operator == start {
                return nothing("before");
            }
            self.count('&', operator)?;
            start = self.position;
            parts.push(self.concatenation()?);
            if self.position == start {
                return nothing("behind");
            }
        }
    }

    /// Counts a `~`, `&` or `<`, which stands at `offset`.
    fn count(&mut self, operator: char, offset: usize) -> Result<(), RegexError> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            let message = format!("the pattern has more than {MAX_OPERATORS} operators `~`, `&` and `<m-n>`");
            return Err(error_at(offset, message).with_escape(operator));
        }
        Ok(())
    }

    fn concatenation(&mut self) -> Result<Tree, RegexError> {
        let mut parts = Vec::new();
        while !matches!(self.peek(), None | Some('|' | '&' | ')')) {
            parts.push(self.repeated()?);
        }
        Ok(Tree::concatenation(parts))
    }

    fn repeated(&mut self) -> Result<Tree, RegexError> {
        let mut tree = self.complement()?;
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
            if quantifiers > MAX_QUANTIFIERS {
                let message = format!("more than {MAX_QUANTIFIERS} quantifiers stand behind one another");
                return Err(error_at(start, message));
            }
            tree = Tree::repetition(tree, min, max);
        }
    }

    /// `~a`; an even number of `~` is none.
    fn complement(&mut self) -> Result<Tree, RegexError> {
        let start = self.position;
        let mut negated = false;
        while self.eat('~') {
            self.count('~', self.position - 1)?;
            negated = !negated;
        }
        if self.position > start && matches!(self.peek(), None | Some('|' | '&' | ')')) {
            return Err(error_at(start, "nothing stands behind this `~`".to_owned()).with_escape('~'));
        }
        let tree = self.atom()?;
        Ok(if negated { Tree::Complement(Box::new(tree)) } else { tree })
    }

    /// The inside of `{m}`, `{m,}` or `{m,n}`; stands behind the brace when done.
    fn bounds(&mut self, start: usize) -> Result<(u32, Option<u32>), RegexError> {
        let malformed =
            || error_at(start, "expected a count such as `{2}`, `{2,}` or `{2,5}`".to_owned()).with_escape('{');
        let min = self.number().ok_or_else(malformed)?;
        let max = if self.eat(',') { self.number() } else { Some(min) };
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

    fn number(&mut self) -> Option<u32> {
        let start = self.position;
        while self.peek().is_some_and(|character| character.is_ascii_digit()) {
            self.position += 1;
        }
        let digits = &self.pattern[start..self.position];
        if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(u32::MAX)) }
    }

    fn atom(&mut self) -> Result<Tree, RegexError> {
        let start = self.position;
        let atom = match self.next() {
            Some('(') => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(error_at(start, format!("groups nest deeper than {MAX_DEPTH}")));
                }
                let inner = self.union()?;
                self.depth -= 1;
                if !self.eat(')') {
                    return Err(error_at(start, "this `(` is never closed".to_owned()).with_escape('('));
                }
                return Ok(inner);
            }
            Some('[') => self.class(start),
            Some('.') => Ok(any_character()),
            Some('"') => {
                let rest = &self.pattern[self.position..];
                let Some(length) = rest.find('"') else {
                    return Err(
                        error_at(start, "this `\"` starts a literal that is never closed".to_owned()).with_escape('"')
                    );
                };
                self.position += length + 1;
                Ok(Hir::concat(rest[..length].chars().map(|character| self.literal(character)).collect()))
            }
            Some('\\') => self.escape(start),
            Some('@') => {
                Ok(Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: Box::new(any_character()) }))
            }
            Some('#') => Ok(Hir::fail()),
            Some('<') => self.interval(start),
            Some(operator @ ('?' | '*' | '+' | '{')) => {
                Err(error_at(start, format!("`{operator}` has nothing to repeat")).with_escape(operator))
            }
            Some(character) => Ok(self.literal(character)),
            None => Ok(Hir::empty()),
        };
        atom.map(Tree::Plain)
    }

    /// `<m-n>`; stands behind the `<`.
    fn interval(&mut self, start: usize) -> Result<Hir, RegexError> {
        self.count('<', start)?;
        let rest = &self.pattern[self.position..];
        let bounds = rest.split_once('>').and_then(|(inside, _)| inside.split_once('-'));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match bounds {
            Some((low, high)) if is_number(low) && is_number(high) => {
                if low.len().max(high.len()) > MAX_DIGITS {
                    return Err(error_at(start, format!("a bound in `<m-n>` has at most {MAX_DIGITS} digits")));
                }
                self.position += low.len() + "-".len() + high.len() + ">".len();
                Ok(interval::numbers(low, high))
            }
            _ => Err(error_at(start, "expected a numeric interval such as `<1-100>`".to_owned()).with_escape('<')),
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
