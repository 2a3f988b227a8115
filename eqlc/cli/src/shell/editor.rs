//! The terminal's side: line editing, completion, colours, history.
//!
//! In: keys. Out: complete inputs for the session. This file and no other knows the editor.

use std::borrow::Cow;
use std::path::PathBuf;
use std::rc::Rc;

use eqlc::syntax::token::{Keyword, Symbol, Token};
use eqlc::syntax::{PIPES, tokens};
use eqlc::types::functions;
use kestrel_schema::{Schema, known_categories};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::{Next, Seen, Session, input};

const COMMANDS: [&str; 9] =
    [":help", ":fields", ":explain ", ":load ", ":output ", ":runtime ", ":dialect ", ":schema", ":quit"];

/// Reads and runs inputs until the end.
pub(super) fn run(session: &mut Session) -> anyhow::Result<()> {
    let config = Config::builder()
        .completion_type(rustyline::CompletionType::List)
        .history_ignore_space(true)
        .auto_add_history(true)
        .build();
    let mut editor: Editor<Assistant, FileHistory> = Editor::with_config(config)?;
    let history = history_file();
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    loop {
        editor.set_helper(Some(Assistant::of(session)));
        match editor.readline("eql> ") {
            Ok(line) => {
                if session.take(&line)? == Next::Quit {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(path) = &history
        && let Err(error) = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .map_err(ReadlineError::from)
            .and_then(|()| editor.save_history(path))
    {
        crate::report::tell!("the history is not kept: cannot write `{}`: {error}", path.display());
    }
    Ok(())
}

/// `EQLC_HISTORY`, or a file in the user's folder for state.
fn history_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("EQLC_HISTORY").or_else(|| {
        let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
        Some(state.join("eqlc/history"))
    })
}

/// What completion offers, in the order in which it is looked for.
struct Assistant {
    words: Vec<String>,
    others: Vec<String>,
    seen: Rc<Seen>,
}

impl Assistant {
    fn of(session: &Session) -> Assistant {
        let others = session.schema.fields().map(|(name, _)| name.to_owned()).collect();
        Assistant { words: words(&session.schema, &session.seen), others, seen: Rc::clone(&session.seen) }
    }
}

/// Fields of the events, then keywords, functions, categories and pipes.
fn words(schema: &Schema, seen: &Seen) -> Vec<String> {
    let mut words: Vec<String> =
        seen.fields().filter(|name| schema.lookup(name).is_some()).map(str::to_owned).collect();
    words.extend(Keyword::ALL.iter().map(|word| word.text().to_owned()));
    words.extend(functions::names().into_iter().map(|name| format!("{name}(")));
    words.extend(known_categories().iter().map(|name| (*name).to_owned()));
    words.extend(PIPES.iter().map(|name| (*name).to_owned()));
    let mut known = std::collections::HashSet::new();
    words.retain(|word| known.insert(word.clone()));
    words
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..position).unwrap_or("");
        let pair = |display: &str, replacement: String| Pair { display: display.to_owned(), replacement };
        if before.starts_with(':') && !before.contains(char::is_whitespace) {
            let found = COMMANDS.iter().filter(|command| command.starts_with(before));
            return Ok((0, found.map(|command| pair(command.trim(), (*command).to_owned())).collect()));
        }
        if let Some(quote) = open_string(before) {
            let (head, typed) = (before.get(..quote).unwrap_or(""), before.get(quote + 1..).unwrap_or(""));
            let values = subject(head).map(|field| self.seen.values(&field).collect::<Vec<_>>()).unwrap_or_default();
            let escaped = values.into_iter().map(|value| value.replace('\\', "\\\\").replace('"', "\\\""));
            let found = escaped.filter(|value| value.to_lowercase().starts_with(&typed.to_lowercase()));
            return Ok((quote + 1, found.map(|value| pair(&value, format!("{value}\""))).collect()));
        }
        let part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '.' | '@' | '~');
        let start = before
            .char_indices()
            .rev()
            .take_while(|(_, character)| part(*character))
            .last()
            .map_or(position, |(at, _)| at);
        let typed = before.get(start..).unwrap_or("").to_lowercase();
        if typed.is_empty() {
            return Ok((start, Vec::new()));
        }
        let matching = |words: &'_ [String]| -> Vec<Pair> {
            let found = words.iter().filter(|word| word.to_lowercase().starts_with(&typed));
            found.map(|word| pair(word, word.clone())).collect()
        };
        // The schema's other fields are thousands; they are offered where the events have none of that name.
        let mut found = matching(&self.words);
        if found.is_empty() {
            found = matching(&self.others);
        }
        Ok((start, found))
    }
}

/// Where the string starts in which a text ends.
fn open_string(text: &str) -> Option<usize> {
    let mut open = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match (open, character) {
            (Some(_), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(_), '"') if !escaped => open = None,
            (None, '"') => open = Some(at),
            _ => {}
        }
        escaped = false;
    }
    open
}

/// The field that a string behind `head` is compared with: the last one before the operator and its list.
fn subject(head: &str) -> Option<String> {
    let (tokens, _) = tokens(head);
    let mut parts: Vec<String> = Vec::new();
    for token in tokens.iter().rev() {
        match &token.token {
            Token::Name(name) | Token::QuotedName(name) => parts.push(name.clone()),
            Token::Symbol(Symbol::Dot) if !parts.is_empty() => {}
            _ if !parts.is_empty() => break,
            Token::Symbol(Symbol::OpenParen | Symbol::Comma) | Token::String(_) | Token::RawString(_) => {}
            token if token.is_comparison() || token.is_word(Keyword::Not) => {}
            _ => return None,
        }
    }
    parts.reverse();
    (!parts.is_empty()).then(|| parts.join("."))
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if line.starts_with(':') && !line.starts_with(":explain ") {
            return Cow::Owned(format!("\x1b[35m{line}\x1b[0m"));
        }
        Cow::Owned(coloured(line))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(format!("\x1b[1m{prompt}\x1b[0m"))
    }
}

/// The text with colours by the compiler's own lexer; nothing but colours is added.
fn coloured(text: &str) -> String {
    let (offset, query) = match text.strip_prefix(":explain ") {
        Some(query) => (text.len() - query.len(), query),
        None => (0, text),
    };
    let (tokens, comments) = tokens(query);
    let mut marks: Vec<(usize, usize, &str)> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let called = tokens.get(index + 1).is_some_and(|next| next.token.is(Symbol::OpenParen));
        let colour = match &token.token {
            Token::Keyword(_) | Token::As => "34",
            Token::String(_) | Token::RawString(_) => "32",
            Token::Integer(_) | Token::Float(_) | Token::Suffixed | Token::Duration(_) => "36",
            Token::Name(_) | Token::FoldName(_) if called => "33",
            Token::Variable(_) => "33",
            _ => continue,
        };
        marks.push((token.span.start, token.span.end, colour));
    }
    marks.extend(comments.iter().map(|comment| (comment.span.start, comment.span.end, "90")));
    marks.sort_unstable();
    let mut shown = text.get(..offset).unwrap_or("").to_owned();
    let mut done = 0;
    for (start, end, colour) in marks {
        if let (Some(between), Some(word)) = (query.get(done..start), query.get(start..end)) {
            shown.push_str(between);
            shown.push_str(&format!("\x1b[{colour}m{word}\x1b[0m"));
            done = end;
        }
    }
    shown.push_str(query.get(done..).unwrap_or(""));
    shown
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let complete = context.input().trim().is_empty() || input::is_complete(context.input());
        Ok(if complete { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compared_field_is_found() {
        for (line, expected) in [
            ("process where process.name == \"ba", Some("process.name")),
            ("process where process.name in (\"a\", \"b", Some("process.name")),
            ("process where not user.name : \"", Some("user.name")),
            ("process where process.args not in~ (\"", Some("process.args")),
            ("process where \"", None),
        ] {
            let quote = open_string(line).expect("a string is open");
            assert_eq!(subject(&line[..quote]).as_deref(), expected, "{line}");
        }
        assert_eq!(open_string("a == \"b\\\"c\" and "), None);
    }

    #[test]
    fn colours_are_all_that_is_added() {
        for line in [
            "process where process.name == \"é\" // c",
            "length(x) > 1 and \"open",
            ":explain any where true",
            "\u{1f600} (",
        ] {
            let shown = coloured(line);
            let mut plain = String::new();
            let mut rest = shown.as_str();
            while let Some((before, behind)) = rest.split_once("\x1b[") {
                plain += before;
                rest = behind.split_once('m').expect("a colour ends").1;
            }
            assert_eq!(plain + rest, line);
        }
    }
}
