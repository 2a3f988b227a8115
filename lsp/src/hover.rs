//! What is shown for the word under the pointer: what a field holds, what a function gives, what a keyword means, and the
//! page of a mistake.
//!
//! In: an analysis, the schema and a byte of the file. Out: [`Hover`], markdown with the range it is about. It reads the
//! tokens rather than the tree, so that it works in the middle of a rule that cannot be parsed yet.

use eqlc::diagnostics::explain;
use eqlc::syntax::token::{Keyword, SpannedToken, Symbol, Token};
use eqlc::syntax::{ENDPOINT_FUNCTIONS, Span, tokens};
use eqlc::types::functions::signature;
use kestrel_schema::{EventKind, Schema, event_kinds, known_categories};

use crate::analysis::{Analysis, Finding};
use crate::words;

/// What to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hover {
    /// The range of the file that it is about.
    pub span: Span,
    /// The text.
    pub markdown: String,
}

/// What there is to say about a byte of the file.
pub fn hover(analysis: &Analysis, schema: &Schema, offset: usize) -> Option<Hover> {
    let word = word_at(analysis, schema, offset);
    let touched = |finding: &&Finding| finding.span.touches(offset);
    let mut pages: Vec<&'static str> = Vec::new();
    let mut span = word.as_ref().map(|word| word.span);
    for finding in analysis.findings.iter().filter(touched) {
        span.get_or_insert(finding.span);
        if let Some(page) = explain(finding.code).filter(|page| !pages.contains(page)) {
            pages.push(page);
        }
    }
    let parts: Vec<String> =
        word.into_iter().map(|word| word.markdown).chain(pages.iter().map(|page| shown(page))).collect();
    span.filter(|_| !parts.is_empty()).map(|span| Hover { span, markdown: parts.join("\n\n---\n\n") })
}

/// The page of a code with its heading made small.
fn shown(page: &str) -> String {
    let (title, body) = page.split_once('\n').unwrap_or((page, ""));
    format!("**{}**\n\n{}", title.trim_start_matches("# "), body.trim())
}

fn word_at(analysis: &Analysis, schema: &Schema, offset: usize) -> Option<Hover> {
    let query = &analysis.rule.as_ref()?.query;
    let offset = analysis.offset_in_query(offset)?;
    let (tokens, _) = tokens(query);
    let index = token_at(&tokens, offset)?;
    let here = Place { tokens: &tokens, index, query, schema };
    let (span, markdown) = here.describe()?;
    Some(Hover { span: analysis.span_in_file(span), markdown })
}

/// The token under the pointer; between two that touch, the word and not the symbol, else the later one.
fn token_at(tokens: &[SpannedToken], offset: usize) -> Option<usize> {
    let first = tokens.partition_point(|token| token.span.end < offset);
    let touching =
        (first..tokens.len()).take_while(|index| tokens.get(*index).is_some_and(|token| token.span.touches(offset)));
    touching
        .max_by_key(|index| (tokens.get(*index).is_some_and(|token| !matches!(token.token, Token::Symbol(_))), *index))
}

/// A token among its neighbours.
struct Place<'a> {
    tokens: &'a [SpannedToken],
    index: usize,
    query: &'a str,
    schema: &'a Schema,
}

impl Place<'_> {
    fn token(&self, index: usize) -> Option<&Token> {
        self.tokens.get(index).map(|token| &token.token)
    }

    fn is(&self, index: usize, symbol: Symbol) -> bool {
        self.token(index).is_some_and(|token| token.is(symbol))
    }

    fn is_word(&self, index: usize, keyword: Keyword) -> bool {
        self.token(index).is_some_and(|token| token.is_word(keyword))
    }

    fn describe(&self) -> Option<(Span, String)> {
        let here = self.tokens.get(self.index)?;
        let span = here.span;
        match &here.token {
            Token::Keyword(word) => {
                let (meaning, example) = words::keyword(*word);
                Some((span, format!("**`{}`** (keyword)\n\n{meaning}\n\n```eql\n{example}\n```", word.text())))
            }
            Token::Symbol(Symbol::Dot) => self.field(),
            Token::Symbol(symbol) => {
                words::symbol(*symbol).map(|meaning| (span, format!("**`{}`** (operator)\n\n{meaning}", symbol.text())))
            }
            Token::Variable(name) => {
                let text = "The element that the condition of an array search is about.";
                Some((span, format!("**`${name}`** (variable)\n\n{text}")))
            }
            Token::FoldName(name) => Self::function(name).map(|text| (span, text)),
            Token::Name(name) => {
                let around = self.by_neighbours(name).map(|text| (span, text));
                around.or_else(|| self.field())
            }
            Token::QuotedName(_) => self.field(),
            Token::String(name) if self.is_word(self.index + 1, Keyword::Where) => Some((span, category(name))),
            _ => None,
        }
    }

    /// A name that is no field, as what is beside it tells.
    fn by_neighbours(&self, name: &str) -> Option<String> {
        let before = self.index.checked_sub(1);
        if before.is_some_and(|before| self.is(before, Symbol::Dot)) || self.is(self.index + 1, Symbol::Dot) {
            return None;
        }
        if self.is(self.index + 1, Symbol::OpenParen) {
            return Self::function(name);
        }
        if self.is_word(self.index + 1, Keyword::Where) {
            return Some(category(name));
        }
        if self.is_word(self.index + 1, Keyword::Of) {
            return words::relation(name).map(|text| format!("**`{name} of`** (lineage)\n\n{text}"));
        }
        if before.is_some_and(|before| self.is(before, Symbol::Bar)) {
            return words::pipe(name).map(|text| format!("**`{name}`** (pipe)\n\n{text}"));
        }
        None
    }

    fn function(name: &str) -> Option<String> {
        let signature = signature(name)?;
        let text = words::function(&name.to_lowercase()).unwrap_or("");
        let endpoint = ENDPOINT_FUNCTIONS.iter().any(|known| known.eq_ignore_ascii_case(name));
        let dialect = if endpoint { "\n\nOnly in the `endpoint` dialect and those above it." } else { "" };
        Some(format!("```eql\n{signature}\n```\n\n{text}{dialect}"))
    }

    /// The whole dotted name around the token.
    fn field(&self) -> Option<(Span, String)> {
        let (first, last) = self.chain();
        let span = self.tokens.get(first)?.span.to(self.tokens.get(last)?.span);
        let mut parts: Vec<&str> = Vec::new();
        for token in self.tokens.get(first..=last)? {
            match &token.token {
                Token::Name(name) | Token::QuotedName(name) => parts.push(name),
                Token::Keyword(word) => parts.push(word.text()),
                _ => {}
            }
        }
        let name = parts.join(".");
        if let Some(text) = field(self.schema, &name) {
            return Some((span, text));
        }
        // `e0.process.name`: a field of the event of another step.
        let (step, rest) = name.split_once('.')?;
        let text = field(self.schema, rest).filter(|_| self.is_alias(step))?;
        Some((span, format!("{text}\n\nOf the event of step `{step}`.")))
    }

    fn is_alias(&self, name: &str) -> bool {
        self.tokens.windows(2).any(|pair| {
            let text = |token: &SpannedToken| token.span.text(self.query) == "as";
            matches!(pair, [word, alias] if text(word) && alias.token == Token::Name(name.to_owned()))
        })
    }

    /// The first and the last token of the dotted name.
    fn chain(&self) -> (usize, usize) {
        let named =
            |index: usize| matches!(self.token(index), Some(Token::Name(_) | Token::QuotedName(_) | Token::Keyword(_)));
        let mut first = self.index;
        while let Some(before) = first.checked_sub(1) {
            let joins = self.is(first, Symbol::Dot) && (named(before) || self.is(before, Symbol::CloseBracket))
                || self.is(before, Symbol::Dot) && named(first);
            if joins {
                first = before;
            } else if self.is(first, Symbol::CloseBracket)
                && let Some(opening) = self.index_start(first)
            {
                first = opening;
            } else {
                break;
            }
        }
        let mut last = self.index;
        loop {
            if self.is(last, Symbol::Dot) && named(last + 1) || named(last) && self.is(last + 1, Symbol::Dot) {
                last += 1;
            } else if named(last) && self.index_start(last + 3) == Some(last) && self.is(last + 4, Symbol::Dot) {
                last += 4;
            } else {
                return (first, last);
            }
        }
    }

    /// The name before `[0]`, given the closing bracket.
    fn index_start(&self, closing: usize) -> Option<usize> {
        let name = closing.checked_sub(3)?;
        let fits = self.is(closing, Symbol::CloseBracket)
            && matches!(self.token(closing - 1), Some(Token::Integer(_)))
            && self.is(closing - 2, Symbol::OpenBracket);
        fits.then_some(name)
    }
}

/// What the schema says about a field or an object.
pub(crate) fn field(schema: &Schema, name: &str) -> Option<String> {
    let below = schema.children(name).count();
    let counted = format!("{below} field{} below it.", if below == 1 { "" } else { "s" });
    let Some(info) = schema.lookup(name) else {
        return (below > 0).then(|| format!("**`{name}`**: object\n\n{counted}"));
    };
    let many = if info.array { ", usually many values" } else { "" };
    let mut text = format!("**`{name}`**: {}{many}", info.field_type.name());
    if let Some(doc) = schema.doc(name).filter(|doc| !doc.is_empty()) {
        text.push_str("\n\n");
        text.push_str(doc);
    }
    if below > 0 {
        text.push_str("\n\n");
        text.push_str(&counted);
    }
    Some(text)
}

/// What an event category is, and which live events it has.
pub(crate) fn category(name: &str) -> String {
    let mut text = format!("**`{name}`** (event category)");
    if !known_categories().contains(&name) {
        text.push_str("\n\nNeither ECS nor Elastic Defend has events of this category.");
    }
    let live = |kind: &&EventKind| kind.live && kind.category.contains(&name);
    for kind in event_kinds().iter().filter(live) {
        text.push_str(if text.contains("\n- ") { "\n" } else { "\n\nLive events on Linux:\n\n" });
        text.push_str(&format!("- `{}`: {}", kind.action, kind.doc));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::FileKind;
    use crate::settings::Settings;

    /// `^` in the text marks the pointer; `expected` must be in the hover, or nothing may be shown if it is empty.
    fn check(marked: &str, over: &str, expected: &str) {
        let offset = marked.find('^').expect("a pointer");
        let text = marked.replace('^', "");
        let analysis = Analysis::new("a.eql", FileKind::Eql, &text, &Settings::default());
        let shown = hover(&analysis, &Schema::ecs(), offset);
        match shown {
            None => assert_eq!(expected, "", "{marked}"),
            Some(shown) => {
                assert!(!expected.is_empty() && shown.markdown.contains(expected), "{marked}: {}", shown.markdown);
                assert_eq!(shown.span.text(&text), over, "{marked}");
            }
        }
    }

    #[test]
    fn a_field_tells_its_type_and_what_it_holds() {
        let query = |place: &str| format!("process where {place} == \"x\"");
        check(&query("process.na^me"), "process.name", "**`process.name`**: keyword\n\n");
        check(&query("pro^cess.name"), "process.name", "keyword");
        check(&query("process^.name"), "process.name", "keyword");
        check(&query("?process.parent.args^"), "process.parent.args", "usually many values");
        check(&query("`process`.na^me"), "`process`.name", "keyword");
        check(&query("process.par^ent"), "process.parent", "object");
        check("process where process.na^me", "process.name", "keyword");
    }

    #[test]
    fn a_field_of_another_step_is_known_as_such() {
        let query = "---\ndialect = \"endpoint\"\n---\nsequence [process where true] as e0 [network where e0.process.na^me == \"x\"]";
        check(query, "e0.process.name", "Of the event of step `e0`");
    }

    #[test]
    fn words_tell_their_meaning() {
        check("process where len^gth(process.name) > 3", "length", "length(text)");
        check("process where ends^With~(process.name, \"x\")", "endsWith~", "endsWith(source, part)");
        check("process where a li^ke~ \"x\"", "like~", "case does not count");
        check("process where process.name ^: \"x\"", ":", "any run of characters");
        check("pro^cess where true", "process", "event category");
        check("process where true | he^ad 5", "head", "The first results");
        check("process where desc^endant of [process where true]", "descendant", "ancestor");
        check("sequence ^![process where true] [network where true]", "![", "missing event");
    }

    #[test]
    fn a_mistake_shows_its_page() {
        check("process where process.nm^ae == 1", "process.nmae", "**E0201: unknown field**");
    }

    #[test]
    fn there_is_nothing_to_say_about_strings_blanks_and_comments() {
        check("process where process.name == \"ba^sh\"", "", "");
        check("process where true  ^  // tail", "", "");
        check("process where true // process.na^me", "", "");
        check("^", "", "**E");
    }
}
