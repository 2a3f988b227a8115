//! Tokens of the text form: words, strings and punctuation of one line.
//!
//! A word is a run of anything but spaces, quotes, commas, brackets, braces and `#`. That makes operators, addresses and
//! ids all words, told apart by the parser.

use super::TextError;

/// A token, where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// The column in characters, from 1.
    pub(super) column: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenKind {
    Word(String),
    Text(String),
    Punctuation(char),
}

/// The tokens of one line, numbered `line` from 1; a comment ends it.
pub(super) fn tokens(text: &str, line: usize) -> Result<Vec<Token>, TextError> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        let column = at + 1;
        let kind = match character {
            '#' => break,
            _ if character.is_whitespace() => {
                at += 1;
                continue;
            }
            '[' | ']' | '{' | '}' | ',' => {
                at += 1;
                TokenKind::Punctuation(character)
            }
            '"' => {
                at += 1;
                let text = string(&characters, &mut at);
                TokenKind::Text(text.map_err(|message| TextError { line, column: at + 1, message })?)
            }
            _ => {
                let length = characters[at..].iter().take_while(|character| is_word(**character)).count();
                let word = characters[at..at + length].iter().collect();
                at += length;
                TokenKind::Word(word)
            }
        };
        tokens.push(Token { kind, column });
    }
    Ok(tokens)
}

/// Whether a character belongs to words.
fn is_word(character: char) -> bool {
    !character.is_whitespace() && !matches!(character, '"' | '[' | ']' | '{' | '}' | ',' | '#')
}

/// The rest of a string; `at` stands behind its opening quote, then behind its closing one, or on the mistake.
fn string(characters: &[char], at: &mut usize) -> Result<String, String> {
    let mut text = String::new();
    loop {
        let &character = characters.get(*at).ok_or("this string is not closed")?;
        *at += 1;
        match character {
            '"' => return Ok(text),
            '\\' => {
                let &escape = characters.get(*at).ok_or("this string is not closed")?;
                text.push(match escape {
                    '"' | '\\' => escape,
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => {
                        let rest = &characters[*at + 1..];
                        let digits: String =
                            rest.iter().skip(1).take_while(|digit| digit.is_ascii_hexdigit()).collect();
                        let closed = rest.first() == Some(&'{') && rest.get(digits.len() + 1) == Some(&'}');
                        let value = u32::from_str_radix(&digits, 16).ok().filter(|_| closed).and_then(char::from_u32);
                        *at += digits.len() + 2;
                        value.ok_or("expected `\\u{…}` with a character's number")?
                    }
                    _ => return Err(format!("there is no escape `\\{escape}`")),
                });
                *at += 1;
            }
            _ => text.push(character),
        }
    }
}
