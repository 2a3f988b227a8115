//! The mistakes people make, recognised in the row of tokens and put right before the grammar sees them.
//!
//! In: the lexer's tokens. Out: tokens that are nearer to the grammar, and a diagnostic (mostly with a fix) for each change.
//! What is put right here never changes the meaning of a correct query: each repair looks for a row of tokens that the
//! grammar does not have. What is left over is the grammar's own error recovery to handle.

mod brackets;
mod duration;
mod filters;
mod words;

pub(crate) use brackets::{balance, too_deep};
pub(crate) use filters::complete;
pub(crate) use words::correct;

use super::token::{Keyword, SpannedToken, Token};

/// Whether the query is made of terms: `sequence`, `sample`, `join`.
fn has_terms(tokens: &[SpannedToken]) -> bool {
    let word = match tokens.first().map(|first| &first.token) {
        Some(Token::Keyword(word)) => Some(*word),
        Some(Token::Name(name)) => Keyword::of(&name.to_ascii_lowercase()),
        _ => None,
    };
    let followed_by_where = tokens.get(1).is_some_and(|next| next.token.is_word(Keyword::Where));
    matches!(word, Some(Keyword::Sequence | Keyword::Sample | Keyword::Join)) && !followed_by_where
}
