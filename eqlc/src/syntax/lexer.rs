//! Text to tokens and comments.
//!
//! In: the text of a query. Out: tokens with values, comments, and a diagnostic for each thing that is no token. The lexer
//! never stops: what it cannot read is reported and left out, and a string in an old form becomes the string it means.

use logos::{Lexer, Logos};

use super::errors::{
    MalformedNumber, MalformedQuotedName, OldRawString, SingleQuotedString, TypographicQuotes, UnknownCharacter,
    UnterminatedComment, UnterminatedString,
};
use super::sink::Sink;
use super::strings;
use super::token::{Keyword, SpannedToken, Symbol, Token};
use super::{Comment, Span};

#[derive(Logos, Debug, Clone, Copy, PartialEq)]
#[logos(skip r"[ \t\r\n\x0c]+")]
#[logos(skip "\u{feff}")]
enum Lexeme {
    #[regex(r"[A-Za-z_@][A-Za-z0-9_]*")]
    Name,
    #[regex(r"[A-Za-z_@][A-Za-z0-9_]*~")]
    FoldName,
    #[token("`", scan_backtick)]
    QuotedName(Closed),
    #[regex(r"\$[A-Za-z_][A-Za-z0-9_]*")]
    Variable,
    #[regex(r"[0-9]+", priority = 10)]
    Integer,
    #[regex(r"[0-9]+\.[0-9]*", priority = 10)]
    #[regex(r"\.[0-9]+", priority = 10)]
    #[regex(r"([0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+", priority = 10)]
    Float,
    #[regex(r"([0-9]+\.?[0-9]*|\.[0-9]+)[A-Za-z_][A-Za-z0-9_]*", priority = 5)]
    Suffixed,
    #[token("\"", |lexer| scan_line(lexer, '"', true))]
    String(Closed),
    #[token("\"\"\"", scan_raw)]
    RawString(Closed),
    #[token("'", |lexer| scan_line(lexer, '\'', true))]
    SingleQuoted(Closed),
    #[token("?\"", |lexer| scan_line(lexer, '"', false))]
    #[token("?'", |lexer| scan_line(lexer, '\'', false))]
    OldRaw(Closed),
    #[regex("[“”„‟‘’‚‛«»]", scan_typographic)]
    Typographic(Closed),
    #[regex(r"//[^\n]*", allow_greedy = true)]
    LineComment,
    #[token("/*", scan_comment)]
    BlockComment(Closed),
    #[token("==", |_| Symbol::Equal)]
    #[token("!=", |_| Symbol::NotEqual)]
    #[token("<", |_| Symbol::Less)]
    #[token("<=", |_| Symbol::LessEqual)]
    #[token(">", |_| Symbol::Greater)]
    #[token(">=", |_| Symbol::GreaterEqual)]
    #[token(":", |_| Symbol::Colon)]
    #[token("=", |_| Symbol::Assign)]
    #[token("+", |_| Symbol::Plus)]
    #[token("-", |_| Symbol::Minus)]
    #[token("*", |_| Symbol::Star)]
    #[token("/", |_| Symbol::Slash)]
    #[token("%", |_| Symbol::Percent)]
    #[token("(", |_| Symbol::OpenParen)]
    #[token(")", |_| Symbol::CloseParen)]
    #[token("[", |_| Symbol::OpenBracket)]
    #[token("![", |_| Symbol::OpenMissing)]
    #[token("]", |_| Symbol::CloseBracket)]
    #[token(",", |_| Symbol::Comma)]
    #[token(".", |_| Symbol::Dot)]
    #[token("?", |_| Symbol::Question)]
    #[token("|", |_| Symbol::Bar)]
    Symbol(Symbol),
    #[token("&&")]
    #[token("&")]
    #[token("||")]
    #[token("!")]
    #[token("<>")]
    #[token("===")]
    #[token("!==")]
    #[token("=~")]
    #[token("!~")]
    #[token("=<")]
    #[token("=>")]
    Foreign,
}

// What other languages write; the repairs know what each means.
const FOREIGN: [&str; 11] = ["&&", "&", "||", "!", "<>", "===", "!==", "=~", "!~", "=<", "=>"];

#[derive(Debug, Clone, Copy, PartialEq)]
struct Closed(bool);

fn scan_backtick(lexer: &mut Lexer<'_, Lexeme>) -> Closed {
    let rest = lexer.remainder();
    let mut characters = rest.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        match character {
            '`' if characters.peek().is_some_and(|(_, next)| *next == '`') => {
                characters.next();
            }
            '`' => {
                lexer.bump(index + 1);
                return Closed(true);
            }
            '\n' | '\r' => break,
            _ => {}
        }
    }
    Closed(false)
}

fn scan_line(lexer: &mut Lexer<'_, Lexeme>, quote: char, escapes: bool) -> Closed {
    let rest = lexer.remainder();
    let mut characters = rest.char_indices();
    let mut line_end = rest.len();
    while let Some((index, character)) = characters.next() {
        match character {
            '\n' | '\r' => {
                line_end = index;
                break;
            }
            '\\' if escapes => {
                if let Some((index, '\n' | '\r')) = characters.next() {
                    line_end = index;
                    break;
                }
            }
            _ if character == quote => {
                lexer.bump(index + 1);
                return Closed(true);
            }
            _ => {}
        }
    }
    // Brackets that end the line are more likely to close something than to belong to the string.
    let kept = rest.get(..line_end).unwrap_or("").trim_end_matches([')', ']', ' ', '\t', ',']);
    lexer.bump(kept.len());
    Closed(false)
}

fn scan_raw(lexer: &mut Lexer<'_, Lexeme>) -> Closed {
    let rest = lexer.remainder();
    // One pass that stops at the first of both: a search for the line's end alone would make a row of strings quadratic.
    let mut run = 0;
    for (index, byte) in rest.bytes().enumerate() {
        match byte {
            b'"' => run += 1,
            b'\n' | b'\r' => {
                let line = rest.get(..index).unwrap_or("");
                return cut_raw(lexer, line.trim_end_matches([')', ']', ' ', '\t', ',']).len());
            }
            _ => run = 0,
        }
        if run == 3 {
            // Up to two more quotes belong to the string: it ends with the last three of up to five.
            let more = rest.bytes().skip(index + 1).take_while(|byte| *byte == b'"').take(2).count();
            lexer.bump(index + 1 + more);
            return Closed(true);
        }
    }
    cut_raw(lexer, rest.trim_end_matches([')', ']', ' ', '\t', ',']).len())
}

fn cut_raw(lexer: &mut Lexer<'_, Lexeme>, length: usize) -> Closed {
    lexer.bump(length);
    Closed(false)
}

fn scan_typographic(lexer: &mut Lexer<'_, Lexeme>) -> Closed {
    let found = lexer.remainder().char_indices().find(|(_, character)| "“”„‟‘’‚‛«»\"\n\r".contains(*character));
    match found {
        Some((index, character)) if !matches!(character, '\n' | '\r') => {
            lexer.bump(index + character.len_utf8());
            Closed(true)
        }
        _ => Closed(false),
    }
}

fn scan_comment(lexer: &mut Lexer<'_, Lexeme>) -> Closed {
    let bytes = lexer.remainder().as_bytes();
    let mut depth = 1_usize;
    let mut index = 0;
    while let (Some(first), second) = (bytes.get(index), bytes.get(index + 1)) {
        match (first, second) {
            (b'/', Some(b'*')) => {
                depth += 1;
                index += 2;
            }
            (b'*', Some(b'/')) => {
                depth -= 1;
                index += 2;
                if depth == 0 {
                    lexer.bump(index);
                    return Closed(true);
                }
            }
            _ => index += 1,
        }
    }
    lexer.bump(bytes.len());
    Closed(false)
}

/// Reads the whole text.
pub(crate) fn lex(source: &str, sink: &mut Sink) -> (Vec<SpannedToken>, Vec<Comment>) {
    let mut tokens: Vec<SpannedToken> = Vec::new();
    let mut comments = Vec::new();
    let mut unknown: Option<Span> = None;
    for (raw, range) in Lexeme::lexer(source).spanned() {
        let span = Span::new(range.start, range.end);
        let Ok(raw) = raw else {
            // One diagnostic for a run of unknown characters.
            match unknown {
                Some(run) if run.end == span.start => unknown = Some(run.to(span)),
                _ => report_unknown(source, unknown.replace(span), sink),
            }
            continue;
        };
        report_unknown(source, unknown.take(), sink);
        match raw {
            Lexeme::LineComment => comments.push(Comment { span: trim_end(source, span), block: false }),
            Lexeme::BlockComment(Closed(closed)) => {
                if !closed {
                    sink.push(UnterminatedComment { span: Span::new(span.start, span.start + 2) });
                }
                comments.push(Comment { span, block: true });
            }
            Lexeme::Typographic(Closed(false)) => report_unknown(source, Some(span), sink),
            raw => tokens.extend(token_of(raw, span, source, sink).map(|token| SpannedToken::new(token, span))),
        }
    }
    report_unknown(source, unknown, sink);
    (tokens, comments)
}

fn trim_end(source: &str, span: Span) -> Span {
    Span::new(span.start, span.start + span.text(source).trim_end().len())
}

fn token_of(raw: Lexeme, span: Span, source: &str, sink: &mut Sink) -> Option<Token> {
    let text = span.text(source);
    let inner = |skip: usize, closed: bool, close: usize| {
        text.get(skip..text.len() - if closed { close } else { 0 }).unwrap_or("")
    };
    Some(match raw {
        Lexeme::Name | Lexeme::FoldName => match Keyword::of(text) {
            Some(keyword) => Token::Keyword(keyword),
            None => match text.strip_suffix('~') {
                Some(name) => Token::FoldName(name.to_string()),
                None => Token::Name(text.to_string()),
            },
        },
        Lexeme::QuotedName(Closed(closed)) => {
            let name = inner(1, closed, 1).replace("``", "`");
            if !closed {
                sink.push(MalformedQuotedName { span, reason: "expected a second backtick on this line" });
                return None;
            }
            if name.is_empty() {
                sink.push(MalformedQuotedName { span, reason: "expected a name between the backticks" });
            }
            Token::QuotedName(name)
        }
        Lexeme::Variable => Token::Variable(inner(1, false, 0).to_string()),
        Lexeme::Integer | Lexeme::Float => number(text, span, sink),
        Lexeme::Suffixed => Token::Suffixed,
        Lexeme::String(Closed(closed)) => {
            if !closed {
                sink.push(UnterminatedString { span, quote: "\"", close_at: span.end });
            }
            Token::String(strings::unescape(inner(1, closed, 1), span.start + 1, Some(sink)))
        }
        Lexeme::RawString(Closed(closed)) => {
            if !closed {
                sink.push(UnterminatedString { span, quote: "\"\"\"", close_at: span.end });
            }
            Token::RawString(inner(3, closed, 3).to_string())
        }
        Lexeme::SingleQuoted(Closed(closed)) => {
            let value = strings::unescape(inner(1, closed, 1), span.start + 1, Some(sink));
            sink.push(SingleQuotedString { span, replacement: strings::escape(&value) });
            Token::String(value)
        }
        Lexeme::OldRaw(Closed(closed)) => {
            let value = inner(2, closed, 1).to_string();
            sink.push(OldRawString { span, replacement: strings::raw(&value) });
            Token::RawString(value)
        }
        Lexeme::Typographic(_) => {
            let mut characters = text.chars();
            characters.next();
            characters.next_back();
            let value = strings::unescape(characters.as_str(), span.start + 3, None);
            sink.push(TypographicQuotes { span, replacement: strings::escape(&value) });
            Token::String(value)
        }
        Lexeme::Symbol(symbol) => Token::Symbol(symbol),
        Lexeme::Foreign => Token::Foreign(FOREIGN.into_iter().find(|known| *known == text)?),
        Lexeme::LineComment | Lexeme::BlockComment(_) => return None,
    })
}

/// The token of a number without letters behind it.
pub(crate) fn number(text: &str, span: Span, sink: &mut Sink) -> Token {
    if let Ok(value) = text.parse::<i64>() {
        return Token::Integer(value);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Token::Float(value),
        _ => {
            let reason = "too large for a 64-bit floating-point number";
            sink.push(MalformedNumber { span, text: text.to_string(), reason, value: None });
            Token::Float(f64::MAX)
        }
    }
}

fn report_unknown(source: &str, span: Option<Span>, sink: &mut Sink) {
    let Some(span) = span else { return };
    let text = span.text(source);
    let fix = match text {
        ";" => Some(("a query ends without `;`".to_string(), String::new())),
        "#" => Some(("a comment starts with `//`".to_string(), "//".to_string())),
        _ if text
            .chars()
            .all(|character| character.is_whitespace() || "\u{200b}\u{200c}\u{200d}\u{2060}".contains(character)) =>
        {
            Some(("this looks like a blank; write a plain space".to_string(), " ".to_string()))
        }
        _ => None,
    };
    let shown: String = text.chars().take(20).flat_map(char::escape_debug).collect();
    sink.push(UnknownCharacter { span, text: shown, fix });
}
