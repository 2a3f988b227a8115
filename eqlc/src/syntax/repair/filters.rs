//! Filters: `category where condition`, in brackets where they are terms.
//!
//! In: tokens with paired brackets. Out: tokens in which each filter has its category, its `where` and its brackets.

use super::has_terms;
use crate::syntax::Span;
use crate::syntax::errors::{FilterWithoutBrackets, MissingCategory, MissingWhere};
use crate::syntax::sink::Sink;
use crate::syntax::token::{Keyword, SpannedToken, Symbol, Token};

/// Puts in what filters lack.
pub(crate) fn complete(tokens: Vec<SpannedToken>, source: &str, sink: &mut Sink) -> Vec<SpannedToken> {
    let terms = has_terms(&tokens);
    let mut output: Vec<SpannedToken> = Vec::with_capacity(tokens.len());
    let mut depth = 0_usize;
    let mut filter_starts = !terms;
    let mut close_at = None;
    for (index, token) in tokens.iter().enumerate() {
        let rest = tokens.get(index..).unwrap_or(&[]);
        if close_at == Some(index) {
            close(&mut output);
            close_at = None;
        }
        if terms && depth == 0 && close_at.is_none() && is_filter(rest) {
            let length = filter_length(rest);
            let end = rest.get(length.saturating_sub(1)).map_or(token.span, |last| last.span);
            let span = token.span.to(end);
            sink.push(FilterWithoutBrackets { span, text: span.text(source).to_string() });
            let start = Span::new(span.start, span.start);
            output.push(SpannedToken::new(Token::Symbol(Symbol::OpenBracket), start));
            close_at = Some(index + length);
        }
        let behind =
            if std::mem::take(&mut filter_starts) { start_filter(rest, &mut output, source, sink) } else { Vec::new() };
        match &token.token {
            Token::Symbol(Symbol::OpenBracket | Symbol::OpenMissing) => {
                depth += 1;
                filter_starts = true;
            }
            Token::Symbol(Symbol::CloseBracket) => depth = depth.saturating_sub(1),
            _ => {}
        }
        output.push(token.clone());
        output.extend(behind);
    }
    if close_at.is_some() {
        close(&mut output);
    }
    output
}

fn close(output: &mut Vec<SpannedToken>) {
    let end = output.last().map_or(0, |last| last.span.end);
    output.push(SpannedToken::new(Token::Symbol(Symbol::CloseBracket), Span::new(end, end)));
}

fn is_category(token: &Token) -> bool {
    matches!(token, Token::Name(_) | Token::QuotedName(_) | Token::String(_) | Token::RawString(_))
        || token.is_word(Keyword::Any)
}

fn is_filter(tokens: &[SpannedToken]) -> bool {
    matches!(tokens, [category, next, ..] if is_category(&category.token) && next.token.is_word(Keyword::Where))
}

/// How many tokens a filter without brackets takes.
fn filter_length(tokens: &[SpannedToken]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(2) {
        let ends = match &token.token {
            Token::Symbol(Symbol::OpenBracket) => {
                !tokens.get(index - 1).is_some_and(|last| last.token.is_word(Keyword::Of))
            }
            Token::Symbol(Symbol::OpenMissing | Symbol::Bar) | Token::As => true,
            Token::Keyword(Keyword::Until | Keyword::By | Keyword::With) => true,
            _ => tokens.get(index..).is_some_and(is_filter),
        };
        if depth == 0 && ends {
            return index;
        }
        match &token.token {
            Token::Symbol(Symbol::OpenParen | Symbol::OpenBracket) => depth += 1,
            Token::Symbol(Symbol::CloseParen | Symbol::CloseBracket) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    tokens.len()
}

/// Looks at the first tokens of a filter; emits what is missing before them and returns what is missing behind the first.
fn start_filter(
    tokens: &[SpannedToken],
    output: &mut Vec<SpannedToken>,
    source: &str,
    sink: &mut Sink,
) -> Vec<SpannedToken> {
    let Some(first) = tokens.first() else { return Vec::new() };
    let at = |offset| Span::new(offset, offset);
    let word = |keyword, offset| SpannedToken::new(Token::Keyword(keyword), at(offset));
    if first.token.is_word(Keyword::Where) {
        sink.push(MissingCategory { span: first.span, insertion: "any " });
        output.push(word(Keyword::Any, first.span.start));
        return Vec::new();
    }
    let second = tokens.get(1);
    if is_category(&first.token) {
        let category = first.span.text(source).to_string();
        let end = first.span.end;
        let ends = second.is_none_or(|next| next.token.is(Symbol::CloseBracket) || next.token.is(Symbol::Bar));
        if ends {
            sink.push(MissingWhere { span: first.span, category, insertion: " where true" });
            return vec![word(Keyword::Where, end), word(Keyword::True, end)];
        }
        let condition = second.is_some_and(|next| match &next.token {
            Token::Symbol(Symbol::OpenParen) => next.span.start > end,
            Token::Keyword(Keyword::Not) => {
                // `a not in (..)` is a condition of its own.
                !tokens.get(2).is_some_and(|third| third.token.is_comparison())
            }
            other => other.starts_operand() && !other.is(Symbol::CloseBracket) && !matches!(other, Token::Index(_)),
        });
        if condition {
            sink.push(MissingWhere { span: first.span, category, insertion: " where" });
            return vec![word(Keyword::Where, end)];
        }
    }
    let operator = second.is_some_and(|next| {
        next.token.is_comparison()
            || matches!(next.token, Token::Index(_) | Token::Keyword(Keyword::Not))
            || matches!(
                next.token,
                Token::Symbol(
                    Symbol::Dot
                        | Symbol::OpenParen
                        | Symbol::Plus
                        | Symbol::Minus
                        | Symbol::Star
                        | Symbol::Slash
                        | Symbol::Percent
                )
            )
    });
    let condition = match &first.token {
        Token::Symbol(Symbol::Question | Symbol::OpenParen) | Token::Keyword(Keyword::Not) => true,
        other => other.starts_operand() && !other.is(Symbol::CloseBracket) && operator,
    };
    if condition {
        let end = tokens.iter().position(|token| token.token.is(Symbol::CloseBracket) || token.token.is(Symbol::Bar));
        let last = tokens.get(end.unwrap_or(tokens.len()).saturating_sub(1)).unwrap_or(first);
        sink.push(MissingCategory { span: first.span.to(last.span), insertion: "any where " });
        output.push(word(Keyword::Any, first.span.start));
        output.push(word(Keyword::Where, first.span.start));
    }
    Vec::new()
}
