//! Words and operators: `&&`, `AND`, `=`, keywords that name fields, indexes, durations.
//!
//! In: the lexer's tokens. Out: tokens of the language, and what was wrong.

use super::{duration, has_terms};
use crate::syntax::Span;
use crate::syntax::errors::{
    ForeignOperator, KeywordAsName, MalformedNumber, SingleEquals, UnexpectedToken, UpperCaseKeyword,
};
use crate::syntax::lexer;
use crate::syntax::sink::Sink;
use crate::syntax::token::{Keyword, SpannedToken, Symbol, Token};

/// Puts words and operators right.
pub(crate) fn correct(tokens: Vec<SpannedToken>, source: &str, sink: &mut Sink) -> Vec<SpannedToken> {
    let terms = has_terms(&tokens);
    let mut corrector = Corrector { source, sink, terms, depth: 0, output: Vec::with_capacity(tokens.len()) };
    let mut rest = tokens.as_slice();
    while let Some((first, _)) = rest.split_first() {
        let taken = corrector.step(first, rest);
        rest = rest.get(taken.max(1)..).unwrap_or(&[]);
    }
    corrector.output
}

struct Corrector<'a> {
    source: &'a str,
    sink: &'a mut Sink,
    /// Whether the query is made of terms.
    terms: bool,
    /// How many `[` are open.
    depth: usize,
    output: Vec<SpannedToken>,
}

impl Corrector<'_> {
    /// Handles the first of `tokens`; returns how many were used up.
    fn step(&mut self, first: &SpannedToken, tokens: &[SpannedToken]) -> usize {
        let span = first.span;
        match &first.token {
            Token::Foreign(text) => return self.foreign(text, span, tokens),
            Token::Symbol(symbol) => return self.symbol(*symbol, first, tokens),
            Token::Suffixed => {
                let token = self.suffixed(span);
                self.emit(token, span);
            }
            Token::Keyword(keyword) => self.keyword(*keyword, span, tokens),
            Token::Name(name) | Token::FoldName(name) => self.name(name, first, tokens),
            _ => self.output.push(first.clone()),
        }
        1
    }

    fn emit(&mut self, token: Token, span: Span) {
        self.output.push(SpannedToken::new(token, span));
    }

    fn previous(&self) -> Option<&Token> {
        self.output.last().map(|last| &last.token)
    }

    fn previous_is_word(&self, keyword: Keyword) -> bool {
        self.previous().is_some_and(|previous| previous.is_word(keyword))
    }

    fn previous_is(&self, symbol: Symbol) -> bool {
        self.previous().is_some_and(|previous| previous.is(symbol))
    }

    fn after_operand(&self) -> bool {
        self.previous().is_some_and(Token::ends_operand)
    }

    /// Between the terms of a sequence.
    fn outside_terms(&self) -> bool {
        self.terms && self.depth == 0
    }

    fn foreign(&mut self, text: &'static str, span: Span, tokens: &[SpannedToken]) -> usize {
        if text == "!" && tokens.get(1).is_some_and(|next| next.token.is(Symbol::OpenBracket)) {
            let whole = span.to(tokens.get(1).map_or(span, |next| next.span));
            let text = whole.text(self.source).to_string();
            self.sink.push(ForeignOperator { span: whole, text, replacement: "![".to_string(), sure: true });
            self.depth += 1;
            self.emit(Token::Symbol(Symbol::OpenMissing), whole);
            return 2;
        }
        let (token, sure) = match text {
            "&&" | "&" => (Token::Keyword(Keyword::And), true),
            "||" => (Token::Keyword(Keyword::Or), true),
            "!" => (Token::Keyword(Keyword::Not), true),
            "===" => (Token::Symbol(Symbol::Equal), true),
            "<>" | "!==" => (Token::Symbol(Symbol::NotEqual), true),
            "!~" => (Token::Symbol(Symbol::NotEqual), false),
            "=<" => (Token::Symbol(Symbol::LessEqual), true),
            "=>" => (Token::Symbol(Symbol::GreaterEqual), true),
            _ => (Token::Symbol(Symbol::Colon), false),
        };
        let replacement = match &token {
            Token::Keyword(word) => self.spaced(word.text(), span),
            Token::Symbol(symbol) => symbol.text().to_string(),
            _ => String::new(),
        };
        self.sink.push(ForeignOperator { span, text: text.to_string(), replacement, sure });
        self.emit(token, span);
        1
    }

    /// The word with blanks where it would otherwise grow together with its neighbours.
    fn spaced(&self, word: &str, span: Span) -> String {
        let blank = |character: Option<char>| character.is_none_or(char::is_whitespace);
        let before = blank(self.source.get(..span.start).and_then(|text| text.chars().next_back()));
        let after = blank(self.source.get(span.end..).and_then(|text| text.chars().next()));
        let before = before || self.source.get(..span.start).is_some_and(|text| text.ends_with(['(', '[']));
        format!("{}{word}{}", if before { "" } else { " " }, if after { "" } else { " " })
    }

    fn symbol(&mut self, symbol: Symbol, first: &SpannedToken, tokens: &[SpannedToken]) -> usize {
        let span = first.span;
        let next = tokens.get(1).map(|next| &next.token);
        let setting = self.previous_is_word(Keyword::Maxspan) || self.previous_is_word(Keyword::Runs);
        match symbol {
            Symbol::OpenBracket => {
                if let Some(length) = self.index(tokens) {
                    return length;
                }
                self.depth += 1;
            }
            Symbol::OpenMissing => self.depth += 1,
            Symbol::CloseBracket => self.depth = self.depth.saturating_sub(1),
            Symbol::Comma if next.is_some_and(|next| next.is(Symbol::CloseParen)) => {
                let help = Some("remove the last comma".to_string());
                let expected = "a value".to_string();
                let fix = Some((span, String::new()));
                self.sink.push(UnexpectedToken { span, found: "`,` before `)`".to_string(), expected, help, fix });
                return 1;
            }
            Symbol::Assign | Symbol::Equal | Symbol::Colon if setting => {
                if symbol != Symbol::Assign {
                    let found = format!("`{}`", symbol.text());
                    let fix = Some((span, "=".to_string()));
                    self.sink.push(UnexpectedToken { span, found, expected: "`=`".to_string(), help: None, fix });
                }
                let maxspan = self.previous_is_word(Keyword::Maxspan);
                self.emit(Token::Symbol(Symbol::Assign), span);
                let rest = tokens.get(1..).unwrap_or(&[]);
                if maxspan && let Some((token, length)) = duration::read(rest, self.source, self.sink) {
                    self.output.push(token);
                    return 1 + length;
                }
                return 1;
            }
            Symbol::Assign => {
                self.sink.push(SingleEquals { span });
                self.emit(Token::Symbol(Symbol::Equal), span);
                return 1;
            }
            _ => {}
        }
        self.output.push(first.clone());
        1
    }

    /// `[0]` right behind a field.
    fn index(&mut self, tokens: &[SpannedToken]) -> Option<usize> {
        let last = self.output.last()?;
        let adjacent = tokens.first().is_some_and(|open| open.span.start == last.span.end);
        let named = matches!(last.token, Token::Name(_) | Token::QuotedName(_) | Token::Variable(_) | Token::Index(_));
        match tokens {
            [open, SpannedToken { token: Token::Integer(index), .. }, close, ..]
                if adjacent && named && close.token.is(Symbol::CloseBracket) =>
            {
                self.emit(Token::Index(index.unsigned_abs()), open.span.to(close.span));
                Some(3)
            }
            _ => None,
        }
    }

    fn suffixed(&mut self, span: Span) -> Token {
        let text = span.text(self.source);
        let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        if let Some(value) = hexadecimal.and_then(|digits| i64::from_str_radix(digits, 16).ok()) {
            let reason = "expected a decimal number, found a hexadecimal one";
            self.sink.push(MalformedNumber { span, text: text.to_string(), reason, value: Some(value.to_string()) });
            return Token::Integer(value);
        }
        let reason = "letters right behind a number; a name that starts with a digit is written in backticks";
        self.sink.push(MalformedNumber { span, text: text.to_string(), reason, value: None });
        let digits =
            text.split(|character: char| !character.is_ascii_digit() && character != '.').next().unwrap_or("0");
        lexer::number(if digits.is_empty() { "0" } else { digits }, span, self.sink)
    }

    fn keyword(&mut self, keyword: Keyword, span: Span, tokens: &[SpannedToken]) {
        let next = tokens.get(1).map(|next| &next.token);
        if self.is_name_here(keyword, next) {
            self.sink.push(KeywordAsName { span, keyword: keyword.text().to_string() });
            return self.emit(Token::QuotedName(keyword.text().to_string()), span);
        }
        let setting = matches!(keyword, Keyword::Maxspan | Keyword::Runs);
        if setting && self.outside_terms() && !self.previous_is_word(Keyword::With) {
            let before = Span::new(span.start, span.start);
            let found = format!("`{}`", keyword.text());
            let help = Some(format!("write `with {}`", keyword.text()));
            let fix = Some((before, "with ".to_string()));
            self.sink.push(UnexpectedToken { span, found, expected: "`with`".to_string(), help, fix });
            self.emit(Token::Keyword(Keyword::With), before);
        }
        self.emit(Token::Keyword(keyword), span);
    }

    /// Whether the keyword stands where only a name can.
    fn is_name_here(&self, keyword: Keyword, next: Option<&Token>) -> bool {
        use Keyword::{Any, By, Join, Maxspan, Of, Runs, Sample, Sequence, Until, Where, With};
        let next_is = |symbol| next.is_some_and(|next| next.is(symbol));
        if self.previous_is(Symbol::Dot) || self.previous_is(Symbol::Question) || next_is(Symbol::Dot) {
            return true;
        }
        if !matches!(keyword, Any | By | Join | Maxspan | Of | Runs | Sample | Sequence | Until | Where | With) {
            return false;
        }
        if self.outside_terms() {
            let key = self.previous_is_word(By) || self.previous_is(Symbol::Comma);
            return key && !matches!(keyword, With | Until);
        }
        let in_condition = match self.previous() {
            Some(Token::Symbol(symbol)) => {
                matches!(symbol, Symbol::OpenParen | Symbol::Comma) || self.previous().is_some_and(Token::is_comparison)
            }
            Some(Token::Keyword(Keyword::And | Keyword::Or | Keyword::Not | Where)) => {
                next.is_some_and(Token::is_comparison)
            }
            _ => false,
        };
        in_condition && !next.is_some_and(|next| next.is_word(Where))
    }

    fn name(&mut self, name: &str, first: &SpannedToken, tokens: &[SpannedToken]) {
        let next = tokens.get(1).map(|next| &next.token);
        let lower = first.span.text(self.source).to_ascii_lowercase();
        if let Some(keyword) = Keyword::of(&lower)
            && self.is_keyword_here(keyword, next)
        {
            let text = first.span.text(self.source).to_string();
            self.sink.push(UpperCaseKeyword { span: first.span, text, keyword: keyword.text() });
            return self.emit(Token::Keyword(keyword), first.span);
        }
        let alias = name == "as" && self.outside_terms() && matches!(next, Some(Token::Name(_) | Token::QuotedName(_)));
        if alias && (self.after_operand() || matches!(self.previous(), Some(Token::Duration(_)))) {
            return self.emit(Token::As, first.span);
        }
        self.output.push(first.clone());
    }

    /// Whether a keyword in upper case stands where a name cannot.
    fn is_keyword_here(&self, keyword: Keyword, next: Option<&Token>) -> bool {
        let next_is = |symbol| next.is_some_and(|next| next.is(symbol));
        if self.previous_is(Symbol::Dot) || self.previous_is(Symbol::Question) || next_is(Symbol::Dot) {
            return false;
        }
        let behind = self.after_operand();
        let behind_part = behind || matches!(self.previous(), Some(Token::Duration(_) | Token::Keyword(_)));
        match keyword {
            Keyword::And | Keyword::Or | Keyword::In | Keyword::InFold => behind,
            Keyword::Like | Keyword::LikeFold | Keyword::Regex | Keyword::RegexFold => {
                behind || self.previous_is_word(Keyword::Not)
            }
            Keyword::Where => behind || self.previous_is_word(Keyword::Any),
            Keyword::Not => behind || next.is_some_and(|next| next.starts_operand() || next.is_word(Keyword::Not)),
            Keyword::True | Keyword::False | Keyword::Null => {
                !behind
                    && self.previous().is_some()
                    && !next_is(Symbol::OpenParen)
                    && !next.is_some_and(|next| next.is_word(Keyword::Where))
            }
            Keyword::Sequence | Keyword::Sample | Keyword::Join => self.output.is_empty() && self.terms,
            Keyword::By | Keyword::With | Keyword::Until => self.outside_terms() && behind_part,
            Keyword::Maxspan | Keyword::Runs => self.outside_terms() && self.previous_is_word(Keyword::With),
            Keyword::Of => behind && next_is(Symbol::OpenBracket),
            Keyword::Any => false,
        }
    }
}
