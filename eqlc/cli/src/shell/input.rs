//! Whether what was typed is complete.
//!
//! In: one or more lines. Out: yes or no. A command is complete at the end of its line; a query when its brackets and
//! comments are closed and it does not end in a word or sign that wants more. Behind the terms of a sequence more may
//! follow: one that takes several lines ends with an empty line.

use eqlc::syntax::token::{Keyword, Symbol, Token};
use eqlc::syntax::tokens;

/// Whether the text can be run.
pub(super) fn is_complete(text: &str) -> bool {
    if text.trim_start().starts_with(':') && !text.trim_start().starts_with(":explain") {
        return true;
    }
    let query = text.trim_start().strip_prefix(":explain").unwrap_or(text);
    // An empty line ends everything: nobody is to be caught in an open bracket.
    if query.contains('\n') && query.rsplit('\n').next().is_some_and(|line| line.trim().is_empty()) {
        return true;
    }
    let (tokens, comments) = tokens(query);
    if comments.last().is_some_and(|comment| comment.block && !comment.span.text(query).ends_with("*/")) {
        return false;
    }
    let (mut depth, mut terms) = (0_usize, 0);
    for token in &tokens {
        match &token.token {
            Token::Symbol(Symbol::OpenBracket | Symbol::OpenMissing) => {
                terms += usize::from(depth == 0);
                depth += 1;
            }
            Token::Symbol(Symbol::OpenParen) => depth += 1,
            Token::Symbol(Symbol::CloseParen | Symbol::CloseBracket) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if depth > 0 || tokens.last().is_some_and(|last| wants_more(&last.token)) {
        return false;
    }
    let in_terms = tokens.first().is_some_and(|first| {
        matches!(&first.token, Token::Keyword(Keyword::Sequence | Keyword::Sample | Keyword::Join))
    });
    let several_lines = query.trim_end().contains('\n');
    !in_terms || (terms >= 2 && !several_lines)
}

fn wants_more(token: &Token) -> bool {
    match token {
        Token::Keyword(word) => !matches!(word, Keyword::True | Keyword::False | Keyword::Null | Keyword::Any),
        Token::Symbol(symbol) => !matches!(symbol, Symbol::CloseParen | Symbol::CloseBracket),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_goes_on_until_it_is_complete() {
        for (text, expected) in [
            (":help", true),
            (":explain process where (", false),
            ("process where true", true),
            ("process where", false),
            ("process where process.name in (", false),
            ("process where process.name in (\n\"a\")", true),
            ("process where true and", false),
            ("process where \"(\" == process.name", true),
            ("process where true /* (", false),
            ("process where (\n", true),
            ("sequence by host.id", false),
            ("sequence by host.id [any where true]", false),
            ("sequence by host.id [any where true] [any where true]", true),
            ("sequence by host.id\n[any where true]\n[any where true]", false),
            ("sequence by host.id\n[any where true]\n[any where true]\n", true),
            ("process where true | head", true),
            ("process where true |", false),
        ] {
            assert_eq!(is_complete(text), expected, "{text:?}");
        }
    }
}
