//! What may be written at a place: fields, functions, categories, keywords, pipes.
//!
//! In: an analysis, the schema and a byte of the file. Out: [`Completions`]. The token before the word decides what fits;
//! nothing is offered inside strings and comments. It does not judge: a field of another type is offered too.

use eqlc::syntax::token::{Keyword, SpannedToken, Symbol, Token};
use eqlc::syntax::{Dialect, ENDPOINT_FUNCTIONS, PIPES, Span, tokens};
use eqlc::types::functions::{names, signature};
use kestrel_schema::{Schema, known_categories};

use crate::analysis::Analysis;
use crate::{hover, words};

/// How many candidates are sent at once; the editor asks again when more is typed.
const MOST: usize = 200;

/// What a candidate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateKind {
    /// A field.
    Field,
    /// A name with fields below it.
    Object,
    /// A function.
    Function,
    /// A keyword, or a word that acts as one.
    Keyword,
    /// An event category.
    Category,
    /// A pipe.
    Pipe,
}

/// Something that may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What is written.
    pub text: String,
    /// What it is.
    pub kind: CandidateKind,
    /// A few words: a type, a signature.
    pub detail: String,
    /// Markdown.
    pub documentation: Option<String>,
}

/// All that may be written at a place, best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completions {
    /// The word that they replace, a range of the file.
    pub span: Span,
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// Whether there are more.
    pub cut: bool,
}

/// What fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Query,
    Category,
    Where,
    Operand,
    Field,
    Operator,
    BehindTerm,
    BehindSequence,
    BehindWith,
    Pipe,
    Nothing,
}

/// What may be written at a byte of the file.
pub fn complete(analysis: &Analysis, schema: &Schema, offset: usize) -> Completions {
    let Some((rule, offset)) = analysis.rule.as_ref().zip(analysis.offset_in_query(offset)) else {
        return Completions::default();
    };
    let (tokens, comments) = tokens(&rule.query);
    let in_comment = comments.iter().any(|comment| {
        comment.span.start < offset
            && if comment.block { offset < comment.span.end } else { offset <= comment.span.end }
    });
    let in_string = tokens.iter().any(|token| {
        let text = matches!(token.token, Token::String(_) | Token::RawString(_));
        text && token.span.start < offset && offset < token.span.end
    });
    if in_comment || in_string {
        return Completions::default();
    }
    let before = rule.query.get(..offset).unwrap_or("");
    let word = before.rsplit(|character: char| !is_part_of_name(character)).next().unwrap_or("");
    let start = offset - word.len();
    let count = tokens.partition_point(|token| token.span.end <= start && token.span.start < start);
    let wanted = wanted(tokens.get(..count).unwrap_or(&[]));
    let mut list = List { dialect: analysis.dialect, schema, word, found: Vec::new(), cut: false };
    list.fill(wanted);
    let span = analysis.span_in_file(Span::new(start, offset));
    Completions { span, candidates: list.found, cut: list.cut }
}

fn is_part_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '@' | '.' | '`')
}

fn wanted(before: &[SpannedToken]) -> Wanted {
    let token =
        |back: usize| before.len().checked_sub(back).and_then(|index| before.get(index)).map(|token| &token.token);
    let Some(last) = token(1) else { return Wanted::Query };
    let opens = |token: Option<&Token>| {
        token.is_none_or(|token| token.is(Symbol::OpenBracket) || token.is(Symbol::OpenMissing))
    };
    match last {
        Token::Symbol(Symbol::OpenBracket | Symbol::OpenMissing) => Wanted::Category,
        Token::Symbol(Symbol::CloseBracket) => Wanted::BehindTerm,
        Token::Symbol(Symbol::Bar) => Wanted::Pipe,
        Token::Symbol(Symbol::Assign | Symbol::Dot) => Wanted::Nothing,
        Token::Symbol(Symbol::Question) => Wanted::Field,
        Token::Keyword(Keyword::Any) => Wanted::Where,
        Token::Name(_) | Token::String(_) if opens(token(2)) => Wanted::Where,
        Token::Keyword(Keyword::By) => Wanted::Field,
        Token::Keyword(Keyword::Sequence | Keyword::Sample) => Wanted::BehindSequence,
        Token::Keyword(Keyword::With) => Wanted::BehindWith,
        Token::Keyword(Keyword::Until | Keyword::Of | Keyword::Maxspan | Keyword::Runs) => Wanted::Nothing,
        other if other.ends_operand() => Wanted::Operator,
        _ => Wanted::Operand,
    }
}

struct List<'a> {
    dialect: Dialect,
    schema: &'a Schema,
    word: &'a str,
    found: Vec<Candidate>,
    cut: bool,
}

impl List<'_> {
    fn fill(&mut self, wanted: Wanted) {
        use Keyword as K;
        match wanted {
            Wanted::Nothing => {}
            _ if self.word.contains('.') => self.fields(),
            Wanted::Query => {
                self.categories();
                self.keywords(&[K::Sequence, K::Sample]);
            }
            Wanted::Category => self.categories(),
            Wanted::Where => self.keywords(&[K::Where]),
            Wanted::Field => self.fields(),
            Wanted::Operand => {
                self.fields();
                self.functions();
                self.keywords(&[K::Not, K::True, K::False, K::Null]);
                self.relations();
            }
            Wanted::Operator => self.keywords(&[
                K::And,
                K::Or,
                K::In,
                K::InFold,
                K::Like,
                K::LikeFold,
                K::Regex,
                K::RegexFold,
                K::Not,
                K::By,
                K::With,
            ]),
            Wanted::BehindTerm => self.keywords(&[K::By, K::With, K::Until]),
            Wanted::BehindSequence => self.keywords(&[K::By, K::With]),
            Wanted::BehindWith => self.keywords(&[K::Maxspan, K::Runs]),
            Wanted::Pipe => self.pipes(),
        }
    }

    fn fits(&self, name: &str) -> bool {
        name.get(..self.word.len()).is_some_and(|start| start.eq_ignore_ascii_case(self.word))
    }

    fn add(&mut self, text: &str, kind: CandidateKind, detail: String, documentation: Option<String>) {
        if !self.fits(text) {
            return;
        }
        if self.found.len() >= MOST {
            self.cut = true;
        } else {
            self.found.push(Candidate { text: text.to_owned(), kind, detail, documentation });
        }
    }

    /// With nothing typed, what fields start with; else whole names, those with few dots first.
    fn fields(&mut self) {
        if self.word.is_empty() {
            let mut tops: Vec<&str> =
                self.schema.fields().map(|(name, _)| name.split('.').next().unwrap_or(name)).collect();
            tops.dedup();
            for top in tops {
                self.field(top);
            }
            self.cut = true;
            return;
        }
        let mut known: Vec<&str> = self.schema.fields().map(|(name, _)| name).filter(|name| self.fits(name)).collect();
        known.sort_by_key(|name| name.matches('.').count());
        for name in known {
            self.field(name);
        }
    }

    fn field(&mut self, name: &str) {
        let documentation = hover::field(self.schema, name);
        match self.schema.lookup(name) {
            Some(info) => self.add(name, CandidateKind::Field, info.field_type.name().to_owned(), documentation),
            None => self.add(name, CandidateKind::Object, "object".to_owned(), documentation),
        }
    }

    fn functions(&mut self) {
        for name in names() {
            let endpoint = ENDPOINT_FUNCTIONS.contains(&name);
            if !endpoint || self.dialect.includes(Dialect::Endpoint) {
                let detail = signature(name).unwrap_or_default();
                let documentation = words::function(&name.to_lowercase()).map(str::to_owned);
                self.add(name, CandidateKind::Function, detail, documentation);
            }
        }
    }

    fn keywords(&mut self, keywords: &[Keyword]) {
        for keyword in keywords {
            let (meaning, _) = words::keyword(*keyword);
            self.add(keyword.text(), CandidateKind::Keyword, "keyword".to_owned(), Some(meaning.to_owned()));
        }
    }

    fn relations(&mut self) {
        if self.dialect.includes(Dialect::Endpoint) {
            for name in ["child", "descendant", "event"] {
                let documentation = words::relation(name).map(str::to_owned);
                self.add(&format!("{name} of"), CandidateKind::Keyword, "lineage".to_owned(), documentation);
            }
        }
    }

    fn categories(&mut self) {
        self.keywords(&[Keyword::Any]);
        for name in known_categories() {
            self.add(name, CandidateKind::Category, "event category".to_owned(), Some(hover::category(name)));
        }
    }

    fn pipes(&mut self) {
        for name in PIPES {
            if matches!(name, "head" | "tail") || self.dialect.includes(Dialect::Classic) {
                self.add(name, CandidateKind::Pipe, "pipe".to_owned(), words::pipe(name).map(str::to_owned));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::FileKind;
    use crate::settings::Settings;

    /// `^` marks the cursor; all of `offered` and none of `hidden` are proposed for the word `over`.
    fn check(marked: &str, over: &str, offered: &[&str], hidden: &[&str]) {
        let offset = marked.find('^').expect("a cursor");
        let text = marked.replace('^', "");
        let analysis = Analysis::new("a.eql", FileKind::Eql, &text, &Settings::default());
        let found = complete(&analysis, &Schema::ecs(), offset);
        let texts: Vec<&str> = found.candidates.iter().map(|candidate| candidate.text.as_str()).collect();
        assert!(offered.iter().all(|text| texts.contains(text)), "{marked}: {texts:?}");
        assert!(!hidden.iter().any(|text| texts.contains(text)), "{marked}: {texts:?}");
        assert_eq!(found.span.text(&text), over, "{marked}");
        assert!(texts.len() <= MOST);
    }

    #[test]
    fn a_query_starts_with_a_category_or_a_form() {
        check("^", "", &["any", "process", "network", "sequence", "sample"], &["length", "where"]);
        check("pro^", "pro", &["process"], &["network", "sequence"]);
        check("sequence [fi^", "fi", &["file"], &["sequence"]);
        check("process ^", "", &["where"], &["process"]);
    }

    #[test]
    fn an_operand_is_a_field_a_function_or_a_constant() {
        check(
            "process where ^",
            "",
            &["process", "length", "not", "@timestamp"],
            &["process.name", "and", "arrayCount"],
        );
        check("process where process.na^", "process.na", &["process.name"], &["process.pid", "length"]);
        check("process where process.name == \"a\" and PROC^", "PROC", &["process.name"], &["length"]);
        check("process where leng^", "leng", &["length"], &["process.name"]);
        check("sequence by host.i^", "host.i", &["host.id"], &[]);
        check("---\ndialect = \"endpoint\"\n---\nany where desc^", "desc", &["descendant of"], &[]);
    }

    #[test]
    fn behind_an_operand_comes_an_operator() {
        check("process where process.name ^", "", &["and", "like~", "in"], &["process.name", "head"]);
        check("process where true | ^", "", &["head", "tail"], &["sort", "and"]);
        check("sequence [any where true] ^", "", &["by", "with", "until"], &["and"]);
        check("sequence with ^", "", &["maxspan"], &["by"]);
    }

    #[test]
    fn nothing_is_offered_in_strings_and_comments() {
        for text in ["process where a == \"pro^cess\"", "any where true // pro^", "any where /* pro^ */ true"] {
            let cursor = text.find('^').expect("a cursor");
            let analysis = Analysis::new("a.eql", FileKind::Eql, &text.replace('^', ""), &Settings::default());
            assert_eq!(complete(&analysis, &Schema::ecs(), cursor), Completions::default(), "{text}");
        }
    }
}
