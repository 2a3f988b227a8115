//! One line of the text form, read token by token.
//!
//! In: the tokens of a line. Out: words, ids, constants and lists as entries ask for them, or the error at the token that is
//! something else. `take_…` reads only what is wanted; everything else takes it as given.

use super::TextError;
use super::token::{Token, TokenKind};
use crate::cidr::Cidr;
use crate::layout::FieldId;
use crate::model::{Constant, Key, NodeId, Pipe, ValueId};

/// The tokens of one line, read from left to right.
pub(super) struct Line<'t> {
    line: usize,
    width: usize,
    tokens: &'t [Token],
    next: usize,
}

impl<'t> Line<'t> {
    /// The line with this number, `width` characters wide.
    pub(super) fn new(line: usize, width: usize, tokens: &'t [Token]) -> Line<'t> {
        Line { line, width, tokens, next: 0 }
    }

    /// An error at the token that was read last.
    pub(super) fn error_before(&self, message: &str) -> TextError {
        self.error_at(self.next.saturating_sub(1), message)
    }

    /// An error at the token that is next.
    pub(super) fn error_here(&self, message: &str) -> TextError {
        self.error_at(self.next, message)
    }

    pub(super) fn error_at(&self, index: usize, message: &str) -> TextError {
        let column = self.tokens.get(index).map_or(self.width + 1, |token| token.column);
        TextError { line: self.line, column, message: message.to_owned() }
    }

    pub(super) fn end(&self) -> Result<(), TextError> {
        if self.next < self.tokens.len() { Err(self.error_here("expected the end of the line")) } else { Ok(()) }
    }

    pub(super) fn take(&mut self) -> Option<&'t Token> {
        let token = self.tokens.get(self.next);
        self.next += 1;
        token
    }

    pub(super) fn peek_word(&self) -> Option<&'t str> {
        match self.tokens.get(self.next) {
            Some(Token { kind: TokenKind::Word(word), .. }) => Some(word),
            _ => None,
        }
    }

    pub(super) fn word(&mut self, expected: &str) -> Result<&'t str, TextError> {
        let word = self.peek_word().ok_or_else(|| self.error_here(&format!("expected {expected}")))?;
        self.next += 1;
        Ok(word)
    }

    pub(super) fn take_word(&mut self, wanted: &str) -> bool {
        let found = self.peek_word() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    pub(super) fn take_punctuation(&mut self, wanted: char) -> bool {
        let found = self.tokens.get(self.next).is_some_and(|token| token.kind == TokenKind::Punctuation(wanted));
        self.next += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, wanted: &str) -> Result<(), TextError> {
        if self.take_word(wanted) { Ok(()) } else { Err(self.error_here(&format!("expected `{wanted}`"))) }
    }

    pub(super) fn take_id(&mut self, letter: char) -> Option<u32> {
        let number = id_number(self.peek_word()?, letter)?;
        self.next += 1;
        Some(number)
    }

    pub(super) fn id(&mut self, letter: char) -> Result<u32, TextError> {
        self.take_id(letter).ok_or_else(|| self.error_here(&format!("expected an id such as `{letter}0`")))
    }

    /// Reads `a7 =`, where the table has 7 entries so far.
    pub(super) fn own_id(&mut self, letter: char, next: usize) -> Result<(), TextError> {
        if self.id(letter)? as usize != next {
            return Err(self.error_before(&format!("expected `{letter}{next}`")));
        }
        self.expect("=")
    }

    pub(super) fn key(&mut self) -> Result<Key, TextError> {
        let word = self.word("a key")?;
        let (name, optional) = word.strip_suffix('?').map_or((word, false), |name| (name, true));
        let field = match name {
            "null" => None,
            _ => Some(FieldId(id_number(name, 'f').ok_or_else(|| self.error_before("expected a key such as `f0`"))?)),
        };
        Ok(Key { field, optional })
    }

    pub(super) fn pipes(&mut self) -> Result<Vec<Pipe>, TextError> {
        let mut pipes = Vec::new();
        while self.take_word("|") {
            let pipe = match self.word("a pipe")? {
                "head" => Pipe::Head(self.number()?),
                "tail" => Pipe::Tail(self.number()?),
                "filter" => Pipe::Filter(NodeId(self.id('n')?)),
                "unique" => Pipe::Unique(self.pipe_values()?),
                "unique_count" => Pipe::UniqueCount(self.pipe_values()?),
                "sort" => Pipe::Sort(self.pipe_values()?),
                "count" => Pipe::Count(self.pipe_values()?),
                _ => return Err(self.error_before("expected a pipe")),
            };
            pipes.push(pipe);
        }
        Ok(pipes)
    }

    fn pipe_values(&mut self) -> Result<Vec<ValueId>, TextError> {
        let mut values = Vec::new();
        while let Some(value) = self.take_id('v') {
            values.push(ValueId(value));
            if !self.take_punctuation(',') {
                break;
            }
        }
        Ok(values)
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Result<T, TextError> {
        self.word("a number")?.parse().map_err(|_| self.error_before("expected a number"))
    }

    pub(super) fn integer(&mut self) -> Result<i64, TextError> {
        self.number()
    }

    pub(super) fn block(&mut self) -> Result<Cidr, TextError> {
        let word = self.word("a block of addresses")?;
        Cidr::parse(word).ok_or_else(|| self.error_before("expected a block of addresses such as `10.0.0.0/8`"))
    }

    pub(super) fn text(&mut self) -> Result<String, TextError> {
        match self.take() {
            Some(Token { kind: TokenKind::Text(text), .. }) => Ok(text.clone()),
            _ => Err(self.error_before("expected a string")),
        }
    }

    /// `null`, a truth value, a number or a string.
    pub(super) fn constant(&mut self) -> Result<Constant, TextError> {
        let Some(word) = self.peek_word() else { return self.text().map(Constant::String) };
        self.next += 1;
        let is_integer = word.strip_prefix('-').unwrap_or(word).bytes().all(|byte| byte.is_ascii_digit());
        match word {
            "null" => Ok(Constant::Null),
            "true" => Ok(Constant::Boolean(true)),
            "false" => Ok(Constant::Boolean(false)),
            _ if is_integer => {
                word.parse().map(Constant::Integer).map_err(|_| self.error_before("expected an integer of 64 bits"))
            }
            _ => word.parse().map(Constant::Float).map_err(|_| self.error_before("expected a constant")),
        }
    }

    /// `[x, y]`, possibly empty.
    pub(super) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, TextError>) -> Result<Vec<T>, TextError> {
        if !self.take_punctuation('[') {
            return Err(self.error_here("expected `[`"));
        }
        let mut list = Vec::new();
        if self.take_punctuation(']') {
            return Ok(list);
        }
        loop {
            list.push(item(self)?);
            if self.take_punctuation(']') {
                return Ok(list);
            }
            if !self.take_punctuation(',') {
                return Err(self.error_here("expected `,` or `]`"));
            }
        }
    }
}

/// The number of an id such as `a7`.
fn id_number(word: &str, letter: char) -> Option<u32> {
    let digits = word.strip_prefix(letter)?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty();
    digits.parse().ok().filter(|_| plain)
}
