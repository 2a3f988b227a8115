//! Brackets: how deep they go, and which are missing.
//!
//! In: tokens. Out: tokens whose brackets pair up, so that one forgotten bracket is one diagnostic and the parts behind it
//! are read as meant.

use crate::syntax::Span;
use crate::syntax::errors::{UnclosedBracket, UnmatchedClose};
use crate::syntax::sink::Sink;
use crate::syntax::token::{Keyword, SpannedToken, Symbol, Token};

/// The place where the tree would nest deeper than `limit`.
///
/// It bounds all that makes a tree deep: brackets, `not`, signs, and the operators of sums and comparisons, which lean to
/// the left. `and` and `or` are flat.
pub(crate) fn too_deep(tokens: &[SpannedToken], limit: usize) -> Option<Span> {
    let mut open: Vec<usize> = Vec::new();
    let mut here = 0_usize;
    let mut total = 0_usize;
    for token in tokens {
        match &token.token {
            Token::Symbol(Symbol::OpenParen | Symbol::OpenBracket | Symbol::OpenMissing) => {
                total += 1;
                open.push(here);
                here = 0;
            }
            Token::Symbol(Symbol::CloseParen | Symbol::CloseBracket) => {
                if let Some(outer) = open.pop() {
                    total -= here + 1;
                    here = outer;
                }
            }
            Token::Keyword(Keyword::And | Keyword::Or | Keyword::Where | Keyword::By)
            | Token::Symbol(Symbol::Comma | Symbol::Bar) => {
                total -= here;
                here = 0;
            }
            Token::Keyword(Keyword::Not)
            | Token::Symbol(Symbol::Plus | Symbol::Minus | Symbol::Star | Symbol::Slash | Symbol::Percent) => {
                total += 1;
                here += 1;
            }
            other if other.is_comparison() => {
                total += 1;
                here += 1;
            }
            _ => {}
        }
        if total > limit {
            return Some(token.span);
        }
    }
    None
}

/// Puts in the closing brackets that are missing and leaves out those that close nothing.
pub(crate) fn balance(tokens: Vec<SpannedToken>, sink: &mut Sink) -> Vec<SpannedToken> {
    let mut balancer = Balancer { sink, open: Vec::new(), output: Vec::with_capacity(tokens.len()) };
    for token in tokens {
        balancer.step(token);
    }
    balancer.close_until(0);
    balancer.output
}

struct Balancer<'a> {
    sink: &'a mut Sink,
    open: Vec<(Symbol, Span)>,
    output: Vec<SpannedToken>,
}

impl Balancer<'_> {
    fn step(&mut self, token: SpannedToken) {
        let behind_of = self.output.last().is_some_and(|last| last.token.is_word(Keyword::Of));
        let innermost = self.open.last().map(|(symbol, _)| *symbol);
        match token.token {
            Token::Symbol(Symbol::OpenParen) => self.open.push((Symbol::OpenParen, token.span)),
            Token::Symbol(symbol @ (Symbol::OpenBracket | Symbol::OpenMissing)) => {
                // A term cannot stand inside anything, except behind `of`.
                if !behind_of {
                    self.close_until(0);
                }
                self.open.push((symbol, token.span));
            }
            Token::Symbol(Symbol::CloseParen) => {
                if innermost != Some(Symbol::OpenParen) {
                    return self.sink.push(UnmatchedClose { span: token.span, close: ")" });
                }
                self.open.pop();
            }
            Token::Symbol(Symbol::CloseBracket) => {
                let Some(partner) = self.open.iter().rposition(|(symbol, _)| *symbol != Symbol::OpenParen) else {
                    return self.sink.push(UnmatchedClose { span: token.span, close: "]" });
                };
                self.close_until(partner + 1);
                self.open.pop();
            }
            Token::Symbol(Symbol::Bar) => self.close_until(0),
            Token::Keyword(Keyword::By | Keyword::With | Keyword::Until | Keyword::Sequence)
                if self.open.iter().any(|(symbol, _)| *symbol != Symbol::OpenParen) =>
            {
                self.close_until(0);
            }
            _ => {}
        }
        self.output.push(token);
    }

    /// Closes all but the outermost `count` brackets here.
    fn close_until(&mut self, count: usize) {
        while self.open.len() > count {
            let Some((symbol, span)) = self.open.pop() else { return };
            let at = self.output.last().map_or(span.end, |last| last.span.end);
            let (close, partner) = match symbol {
                Symbol::OpenParen => (")", Symbol::CloseParen),
                _ => ("]", Symbol::CloseBracket),
            };
            self.sink.push(UnclosedBracket { span, open: symbol.text(), close, at });
            self.output.push(SpannedToken::new(Token::Symbol(partner), Span::new(at, at)));
        }
    }
}
