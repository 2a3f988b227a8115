//! Regular expressions in Lucene's syntax, matched in linear time. They match whole values.
//!
//! In: a pattern. Out: a [`Regex`], or a [`RegexError`] that knows its place. Loosest first, as in Lucene:
//!
//! ```text
//! a|b                      union
//! a&b                      intersection: both match
//! ab                       concatenation
//! a? a* a+ a{2} a{2,} a{2,5}      repetition
//! ~a                       complement: every text but those of `a`; `~ab` is `(~a)b`
//! [a-z] [^a-z] . @ # "text" <1-100> ( ) \d \D \s \S \w \W \x     @ any text, # nothing, <m-n> whole numbers
//! ```
//!
//! `^` and `$` are ordinary characters; a `?` behind a quantifier makes it optional; `\d \s \w` are ASCII. Bounds of `<m-n>`
//! of the same length ask for exactly that many digits, others for any number of leading zeros.
//!
//! Three engines, all linear in the text:
//!
//! ```text
//! pattern ─ parse ─▶ tree ─┬─ without ~ and &                    an ordinary engine (regex-automata)
//!                          ├─ ~ a, a & b, a | b outermost        and, or, not of whole matches
//!                          └─ ~ or & inside of ab, a*, a{2}      an automaton of derivatives, at most 10,000 states
//! ```
//!
//! Limits: [`MAX_PATTERN`], [`MAX_REPEAT`], [`MAX_DEPTH`], [`MAX_OPERATORS`], [`MAX_STATES`] and the size of the compiled
//! program. What is beyond them is an error, never a slow match.

mod alphabet;
mod derive;
mod interval;
mod parse;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use regex_automata::meta;
use regex_automata::util::syntax;
use regex_syntax::hir::{Hir, HirKind, Look};
use thiserror::Error;

use crate::pattern::{Anchor, anchor_of, is_worth_looking_for};
use derive::Automaton;
use parse::Tree;

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 32 * 1024;
/// The highest count in `{m,n}`.
pub const MAX_REPEAT: u32 = 1000;
/// The deepest nesting of groups.
pub const MAX_DEPTH: usize = 100;
/// The most operators `~`, `&` and `<m-n>` in a pattern.
pub const MAX_OPERATORS: usize = 100;
/// The most digits of a bound in `<m-n>`.
pub const MAX_DIGITS: usize = 18;
/// The most states of an automaton for `~` or `&` inside of a concatenation or a repetition.
pub const MAX_STATES: usize = 10_000;
/// The size of a compiled program, in bytes.
const MAX_PROGRAM: usize = 2 << 20;

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
    program: Program,
}

#[derive(Debug, Clone)]
enum Program {
    Plain(meta::Regex),
    Derived(Arc<Automaton>),
    Not(Box<Program>),
    All(Vec<Program>),
    Any(Vec<Program>),
}

impl Regex {
    /// Whether the expression matches the whole of `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.program.is_match(text)
    }

    /// About how many bytes the compiled expression takes, for those who hold many.
    pub fn size(&self) -> usize {
        self.program.size()
    }
}

impl Program {
    fn is_match(&self, text: &str) -> bool {
        match self {
            Program::Plain(engine) => engine.is_match(text),
            Program::Derived(automaton) => automaton.is_match(text),
            Program::Not(program) => !program.is_match(text),
            Program::All(programs) => programs.iter().all(|program| program.is_match(text)),
            Program::Any(programs) => programs.iter().any(|program| program.is_match(text)),
        }
    }

    fn size(&self) -> usize {
        match self {
            Program::Plain(engine) => engine.memory_usage(),
            Program::Derived(automaton) => automaton.size(),
            Program::Not(program) => program.size(),
            Program::All(programs) | Program::Any(programs) => programs.iter().map(Program::size).sum(),
        }
    }
}

/// Compiles a pattern; with `fold` case is ignored (Unicode simple folding).
///
/// ```
/// use kestrel_ir::regex::compile;
///
/// let port = compile("port <1-1023>&~(.*(22|443))", false)?;
/// assert!(port.is_match("port 80") && !port.is_match("port 443") && !port.is_match("port 8080"));
///
/// let error = compile("a&", false).expect_err("nothing stands behind the `&`");
/// assert_eq!(error.offset, 1);
/// # Ok::<(), kestrel_ir::regex::RegexError>(())
/// ```
///
/// # Errors
/// The pattern is malformed or beyond a limit.
pub fn compile(pattern: &str, fold: bool) -> Result<Regex, RegexError> {
    let tree = parse::parse(pattern, fold)?;
    let mut room = MAX_PROGRAM;
    Ok(Regex { program: program(&tree, &mut room)? })
}

/// A text that stands in each text that a pattern matches, whatever its case: the longest of those that the pattern is put
/// together from. `None` when there is none that is worth looking for.
pub fn required_literal(pattern: &str) -> Option<(Anchor, String)> {
    let Tree::Plain(hir) = parse::parse(pattern, false).ok()? else { return None };
    let mut parts = vec![Vec::new()];
    literal_parts(&hir, &mut parts);
    let (place, literal) = parts.iter().enumerate().max_by_key(|(_, part)| part.len())?;
    let anchor = anchor_of(place, parts.len());
    let literal = String::from_utf8(literal.clone()).ok()?;
    is_worth_looking_for(anchor, &literal).then_some((anchor, literal))
}

/// The literals of an expression, one behind the other; between two of them anything may stand.
fn literal_parts(hir: &Hir, parts: &mut Vec<Vec<u8>>) {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => {
            if let Some(part) = parts.last_mut() {
                part.extend_from_slice(&literal.0);
            }
        }
        HirKind::Capture(capture) => literal_parts(&capture.sub, parts),
        HirKind::Concat(concat) => concat.iter().for_each(|hir| literal_parts(hir, parts)),
        _ => parts.push(Vec::new()),
    }
}

/// Compiles a tree within `room` bytes, which are for all its parts together.
fn program(tree: &Tree, room: &mut usize) -> Result<Program, RegexError> {
    Ok(match tree {
        Tree::Plain(hir) => Program::Plain(engine(hir, room)?),
        Tree::Complement(tree) => Program::Not(Box::new(program(tree, room)?)),
        Tree::Intersection(trees) => Program::All(programs(trees, room)?),
        Tree::Union(trees) => Program::Any(programs(trees, room)?),
        Tree::Concatenation(_) | Tree::Repetition { .. } => {
            let automaton = derive::automaton(tree).map_err(|error| RegexError {
                offset: 0,
                message: error.to_string(),
                help: Some(
                    "`~` and `&` that stand outermost have no such limit; inside of a sequence or a repetition use smaller \
                     counts in `{m,n}` and fewer `.*`; for the characters themselves write `\\~` and `\\&`"
                        .to_owned(),
                ),
            })?;
            *room = room.checked_sub(automaton.size()).ok_or_else(too_large)?;
            Program::Derived(Arc::new(automaton))
        }
    })
}

fn programs(trees: &[Tree], room: &mut usize) -> Result<Vec<Program>, RegexError> {
    trees.iter().map(|tree| program(tree, room)).collect()
}

fn engine(hir: &Hir, room: &mut usize) -> Result<meta::Regex, RegexError> {
    let whole = Hir::concat(vec![Hir::look(Look::Start), hir.clone(), Hir::look(Look::End)]);
    let engine = meta::Builder::new()
        .configure(meta::Config::new().nfa_size_limit(Some(*room)).hybrid_cache_capacity(1 << 20).dfa(false))
        .syntax(syntax::Config::new())
        .build_from_hir(&whole)
        .map_err(|error| match error.size_limit() {
            Some(_) => too_large(),
            None => RegexError { message: format!("the expression cannot be compiled: {error}"), ..too_large() },
        })?;
    *room = room.saturating_sub(engine.memory_usage());
    Ok(engine)
}

fn too_large() -> RegexError {
    RegexError {
        offset: 0,
        message: "the expression is too large when compiled".to_owned(),
        help: Some("use smaller counts in `{m,n}`".to_owned()),
    }
}
