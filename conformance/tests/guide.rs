//! The language guide, `docs/language.md`, checked against the compiler and every runtime.
//!
//! In: the fenced blocks of the guide. Out: nothing, or what is not true; with `BLESS=1` the `result` blocks are written
//! anew. The first word behind a fence says what the block is, a dialect or a file name may follow:
//!
//! ```text
//! events             1: process process.name="sh"       number, category, fields as name=JSON; event 1 happens at
//!                    2 at 90s: file file.path="/x"       second 1, event 2 at second 2, unless a time is told
//! eql [dialect]      a query, run over the nearest events above; the next block is its result
//! eql [dialect] warnings     the same, and its result shows the warnings too
//! result             mistakes, then the matches: event numbers, `missing`, and the join key behind `by`
//! values [dialect]   length("abc") = 3                   expressions over the first event and what they are worth
//! eql FILE.eql, toml FILE.toml                           a rule file, which must compile without a mistake
//! ```
//!
//! Blocks of other words are not looked at.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use eqlc::compile::compile_query;
use eqlc::diagnostics::SourceFile;
use eqlc::rules::{Loaded, RuleSource, load_file};
use eqlc::syntax::token::{Keyword, Symbol};
use eqlc::syntax::{Dialect, Limits, PIPES};
use eqlc::types::functions;
use kestrel_conformance::RUNTIMES;
use kestrel_core::key::JoinKey;
use kestrel_engine::query::{self, QueryMatch};
use kestrel_engine::runtime::{RuntimeKind, RuntimeParts, create};
use kestrel_ir::model::Ir;
use kestrel_ir::{functions as ir_functions, interp, regex, verify};
use kestrel_schema::Schema;
use serde_json::{Map, Value as Json};

/// The day on which the events of the guide happen: 2026-01-01, in milliseconds since 1970.
const DAY: u64 = 1_767_225_600_000;

/// How many examples the guide has at least.
const EXAMPLES: usize = 60;

/// The word behind a fence that asks for warnings.
const WARNINGS: &str = "warnings";

/// The symbols that are no operators.
const PUNCTUATION: [Symbol; 10] = [
    Symbol::Assign,
    Symbol::OpenParen,
    Symbol::CloseParen,
    Symbol::OpenBracket,
    Symbol::OpenMissing,
    Symbol::CloseBracket,
    Symbol::Comma,
    Symbol::Dot,
    Symbol::Question,
    Symbol::Bar,
];

/// The keywords that are operators.
const WORD_OPERATORS: [Keyword; 9] = [
    Keyword::And,
    Keyword::Or,
    Keyword::Not,
    Keyword::In,
    Keyword::InFold,
    Keyword::Like,
    Keyword::LikeFold,
    Keyword::Regex,
    Keyword::RegexFold,
];

/// A fenced block: the words behind its fence, its text, and the line on which the text begins, from 0.
struct Block {
    words: Vec<String>,
    lines: Vec<String>,
    start: usize,
}

impl Block {
    fn text(&self) -> String {
        self.lines.join("\n")
    }

    fn kind(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    fn dialect(&self) -> Dialect {
        self.words.iter().skip(1).find(|word| *word != WARNINGS).map_or(Dialect::Elastic, |word| {
            word.parse().unwrap_or_else(|_| panic!("line {}: `{word}` is no dialect", self.start))
        })
    }

    fn shows_warnings(&self) -> bool {
        self.words.iter().any(|word| word == WARNINGS)
    }

    /// The name of the rule file that the block shows.
    fn file(&self) -> Option<&str> {
        self.words.get(1).map(String::as_str).filter(|word| word.contains('.'))
    }
}

fn guide_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/language.md")
}

fn guide() -> String {
    std::fs::read_to_string(guide_path()).expect("the language guide is there")
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(words), None) => {
                let words = words.split_whitespace().map(str::to_owned).collect();
                open = Some(Block { words, lines: Vec::new(), start: number + 1 });
            }
            (None, Some(block)) => block.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last block of the guide is not closed");
    blocks
}

/// One line of an `events` block as a document.
fn document(line: &str, number: usize) -> Vec<u8> {
    let bad = |what: &str| -> ! { panic!("{what}: {line}") };
    let Some((head, rest)) = line.split_once(':') else { bad("expected `number:`") };
    let (told, time) = head.split_once(" at ").map_or((head, None), |(told, time)| (told, Some(time)));
    if told.trim() != number.to_string() {
        bad(&format!("expected the number {number}"));
    }
    let seconds: f64 = match time {
        None => number as f64,
        Some(time) => {
            let digits =
                time.trim().strip_suffix('s').unwrap_or_else(|| bad("expected a time in seconds, as in `2.5s`"));
            digits.parse().unwrap_or_else(|_| bad("expected a time in seconds, as in `2.5s`"))
        }
    };
    let mut members = Map::new();
    members.insert("@timestamp".to_owned(), (DAY + (seconds * 1000.0).round() as u64).into());
    let (category, mut rest) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    members.insert("event.category".to_owned(), category.into());
    while !rest.trim().is_empty() {
        let Some((name, value)) = rest.split_once('=') else { bad("expected `name=value`") };
        let mut values = serde_json::Deserializer::from_str(value).into_iter::<Json>();
        let Some(Ok(json)) = values.next() else { bad("expected a JSON value") };
        members.insert(name.trim().to_owned(), json);
        rest = value.get(values.byte_offset()..).unwrap_or("");
    }
    Json::Object(members).to_string().into_bytes()
}

fn documents(block: &Block) -> Vec<Vec<u8>> {
    block.lines.iter().enumerate().map(|(index, line)| document(line, index + 1)).collect()
}

/// What a query gives: its mistakes and warnings, then its matches, the same on every runtime.
fn outcome(query: &str, dialect: Dialect, documents: &[Vec<u8>]) -> Vec<String> {
    let schema = Schema::ecs();
    let (ir, diagnostics) = compile_query(query, &schema, dialect);
    let source = SourceFile::new("query", query);
    let mut lines: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| {
            let (line, column) = source.line_column(diagnostic.span().start);
            format!("{}[{}] {line}:{column} {}", diagnostic.severity.text(), diagnostic.code, diagnostic.message)
        })
        .collect();
    let Some(ir) = ir else { return lines };
    let mut answers = RUNTIMES.iter().map(|kind| {
        let answer = answer(*kind, &ir, &schema, documents).unwrap_or_else(|error| panic!("{query}: {error:#}"));
        (kind.name(), answer)
    });
    let (reference, matches) = answers.next().unwrap_or_default();
    for (name, found) in answers {
        assert_eq!(found, matches, "{name} and {reference} disagree: {query}");
    }
    lines.extend(matches);
    lines
}

/// What one runtime finds, as the guide shows it.
fn answer(kind: RuntimeKind, ir: &Ir, schema: &Schema, documents: &[Vec<u8>]) -> Result<Vec<String>> {
    let module = kestrel_backend_wasm::compile(ir)?;
    let lua = kestrel_backend_lua::compile(ir)?;
    let runtime = create(kind, &RuntimeParts { ir, wasm: Some(&module), lua: Some(&lua) })?;
    let result = query::run(ir, runtime, None, schema, documents)?;
    ensure!(result.runtime_error.is_none(), "the {} runtime failed: {:?}", kind.name(), result.runtime_error);
    ensure!(result.invalid.is_empty(), "no event: {:?}", result.invalid);
    let mut lines: Vec<String> = result.matches.iter().map(shown).collect();
    for (key, count) in result.counts.iter().flatten() {
        let key = key_text(key);
        lines.push(if key.is_empty() { count.to_string() } else { format!("{key}: {count}") });
    }
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    Ok(lines)
}

fn shown(found: &QueryMatch) -> String {
    let events: Vec<String> = found
        .documents
        .iter()
        .map(|document| document.map_or("missing".to_owned(), |number| (number + 1).to_string()))
        .collect();
    let mut line = events.join(", ");
    if !found.key.is_empty() {
        let _ = write!(line, " by {}", key_text(&found.key));
    }
    if let Some(count) = found.count {
        let _ = write!(line, ", {count} of them");
    }
    line
}

fn key_text(key: &JoinKey) -> String {
    key.iter().map(|part| part.to_json().to_string()).collect::<Vec<_>>().join(", ")
}

/// Why a line of a `values` block is not true.
fn wrong_value(line: &str, dialect: Dialect, documents: &[Vec<u8>]) -> Option<String> {
    let Some((expression, value)) = line.rsplit_once(" = ") else {
        return Some("expected `expression = value`".to_owned());
    };
    let (expression, value) = (expression.trim(), value.trim());
    let queries = match value {
        "null" => vec![(format!("any where ({expression}) == null"), true)],
        "true" => vec![(format!("any where {expression}"), true)],
        "false" => {
            vec![(format!("any where not ({expression})"), true), (format!("any where ({expression}) == null"), false)]
        }
        _ => vec![(format!("any where ({expression}) == {value}"), true)],
    };
    queries.into_iter().find_map(|(query, wanted)| {
        let lines = outcome(&query, dialect, documents);
        let refused = lines.iter().any(|line| line.starts_with("error"));
        let found = lines.last().is_some_and(|line| line == "1");
        (refused || found != wanted).then(|| format!("{query}: {lines:?}"))
    })
}

/// Reads a rule file of the guide and compiles its query.
fn rule_of(name: &str, text: &str) -> std::result::Result<RuleSource, String> {
    let file = load_file(name, text);
    let told: Vec<String> = file.diagnostics.iter().map(|diagnostic| diagnostic.message.clone()).collect();
    let Loaded::Rule(rule) = file.loaded else { return Err(format!("{:?} {told:?}", file.loaded)) };
    let (ir, diagnostics) = compile_query(&rule.query, &Schema::ecs(), rule.dialect_or(None));
    match ir {
        Some(_) if told.is_empty() => Ok(*rule),
        _ => Err(format!("{told:?} {diagnostics:?}")),
    }
}

#[test]
fn every_example_gives_what_the_guide_says() {
    let text = guide();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let bless = std::env::var_os("BLESS").is_some();
    let (mut examples, mut values, mut failures) = (0, 0, Vec::new());
    let mut events: Vec<Vec<u8>> = Vec::new();
    let mut query: Option<Block> = None;
    // From the last to the first replacement, so that the places of those before stay right.
    let mut results: Vec<(usize, usize, Vec<String>)> = Vec::new();
    for block in blocks(&text) {
        let line = block.start;
        match (block.kind(), query.take()) {
            ("result", Some(asked)) => {
                examples += 1;
                let mut found = outcome(&asked.text(), asked.dialect(), &events);
                found.retain(|line| asked.shows_warnings() || !line.starts_with("warning["));
                if found != block.lines && bless {
                    results.push((line, block.lines.len(), found));
                } else if found != block.lines {
                    let told = &block.lines;
                    failures
                        .push(format!("line {line}: {}\n  the guide says {told:?}\n  found {found:?}", asked.text()));
                }
            }
            ("events", asked) => {
                events = documents(&block);
                // A query may stand before the events that it is run over.
                query = asked;
            }
            (kind, Some(asked)) => {
                failures.push(format!("line {}: a query is followed by `{kind}`, not by its result", asked.start))
            }
            ("result", None) => failures.push(format!("line {line}: a result without a query")),
            ("eql" | "toml", None) if block.file().is_some() => {
                if let Err(reason) = rule_of(block.file().unwrap_or(""), &(block.text() + "\n")) {
                    failures.push(format!("line {line}: not a rule: {reason}"));
                }
            }
            ("eql", None) => query = Some(block),
            ("values", None) => {
                let dialect = block.dialect();
                for told in block.lines.iter().filter(|told| !told.trim().is_empty()) {
                    values += 1;
                    failures.extend(
                        wrong_value(told, dialect, &events)
                            .map(|reason| format!("line {line}: `{told}` is not true: {reason}")),
                    );
                }
            }
            _ => {}
        }
    }
    assert!(query.is_none(), "the last query of the guide has no result");
    println!("{examples} examples and {values} values on {} runtimes", RUNTIMES.len());
    if !results.is_empty() {
        for (start, count, found) in results.into_iter().rev() {
            lines.splice(start..start + count, found);
        }
        std::fs::write(guide_path(), lines.join("\n") + "\n").expect("the guide can be written");
    }
    assert!(examples >= EXAMPLES, "the guide has {examples} examples, fewer than {EXAMPLES}");
    assert!(failures.is_empty(), "{} things are not true:\n{}", failures.len(), failures.join("\n"));
}

/// The code spans in the first cells of the table that begins with `header`.
fn first_cells(text: &str, header: &str) -> BTreeSet<String> {
    rows(text, header).iter().flat_map(|row| spans(&row[0])).map(str::to_owned).collect()
}

/// The rows of the table that begins with `header`, cell by cell.
fn rows(text: &str, header: &str) -> Vec<Vec<String>> {
    let rows =
        text.lines().skip_while(|line| !line.starts_with(header)).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

fn spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// An expression with the names that stand for values replaced by them.
fn with(expression: &str, names: &[(char, &str)]) -> String {
    let of_a_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    let characters: Vec<char> = expression.chars().collect();
    let mut text = String::new();
    for (index, &character) in characters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| characters.get(before)).copied();
        let alone = !of_a_word(before) && !of_a_word(characters.get(index + 1).copied());
        match names.iter().find(|(name, _)| *name == character && alone) {
            Some((_, value)) => text.push_str(value),
            None => text.push(character),
        }
    }
    text
}

#[test]
fn the_truth_tables_are_true() {
    let text = guide();
    let mut wrong = Vec::new();
    let fields: Vec<Vec<u8>> =
        [r#"1: process process.name="x""#, r#"1: process process.name="y""#, r#"1: process user.name="z""#]
            .iter()
            .map(|line| document(line, 1))
            .collect();
    let of_a_field = rows(&text, "| condition | `f`");
    for row in &of_a_field {
        for condition in spans(&row[0]) {
            let condition = with(condition, &[('f', "process.name")]);
            for (told, event) in row[1..].iter().zip(&fields) {
                let line = format!("{condition} = {}", told.trim_matches('*'));
                // A test of a missing field is false; the function in it may be null.
                let query = format!("any where {condition}");
                let found = outcome(&query, Dialect::Elastic, std::slice::from_ref(event))
                    .last()
                    .is_some_and(|line| line == "1");
                wrong.extend((found.to_string() != told.trim_matches('*')).then_some(line));
            }
        }
    }
    let connectives = rows(&text, "| `a` | `b` |");
    let header = text.lines().find(|line| line.starts_with("| `a` | `b` |")).unwrap_or("");
    let header: Vec<&str> = spans(header).collect();
    for row in &connectives {
        for (expression, told) in header.iter().zip(row).skip(2) {
            let line = format!("{} = {told}", with(expression, &[('a', &row[0]), ('b', &row[1])]));
            wrong.extend(wrong_value(&line, Dialect::Elastic, &fields[..1]));
        }
    }
    let constants = rows(&text, "| condition | is |");
    for row in &constants {
        for condition in spans(&row[0]) {
            wrong.extend(wrong_value(&format!("{condition} = {}", row[1]), Dialect::Elastic, &fields[..1]));
        }
    }
    assert!(!of_a_field.is_empty() && !connectives.is_empty() && !constants.is_empty(), "a table is missing");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_function_has_its_heading_and_no_other_has() {
    let text = guide();
    let headings: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("#### `")?.strip_suffix('`')).collect();
    let signatures: Vec<String> = functions::names().into_iter().filter_map(functions::signature).collect();
    let expected: BTreeSet<&str> = signatures.iter().map(String::as_str).collect();
    assert_eq!(headings, expected, "the headings of the function reference are the signatures that `eqlc` knows");
    // What stands below a heading shows the function at work.
    for (name, signature) in functions::names().into_iter().zip(&signatures) {
        let section = text.split(&format!("#### `{signature}`")).nth(1).unwrap_or("");
        let section = section.split("\n#").next().unwrap_or("");
        let call = format!("{}(", name.to_lowercase());
        let shown = blocks(section)
            .iter()
            .any(|block| matches!(block.kind(), "values" | "eql") && block.text().to_lowercase().contains(&call));
        assert!(shown, "`{name}` has no example");
        assert!(section.contains("ull"), "`{name}` does not say what null does");
    }
}

#[test]
fn every_operator_keyword_and_pipe_is_told() {
    let text = guide();
    let symbols = Symbol::ALL.iter().filter(|symbol| !PUNCTUATION.contains(symbol)).map(|symbol| symbol.text());
    let expected: BTreeSet<String> =
        symbols.chain(WORD_OPERATORS.iter().map(|word| word.text())).map(str::to_owned).collect();
    assert_eq!(first_cells(&text, "| operator |"), expected, "the table of operators");
    for word in Keyword::ALL {
        assert!(text.contains(&format!("`{}`", word.text())), "the keyword `{}` is not told", word.text());
    }
    let pipes: BTreeSet<String> = PIPES.iter().map(|pipe| (*pipe).to_owned()).collect();
    assert_eq!(first_cells(&text, "| pipe |"), pipes, "the table of pipes");
}

#[test]
fn every_key_of_the_front_matter_is_told_and_no_other_is() {
    let reader = include_str!("../../eqlc/src/rules/front_matter.rs");
    let keys = reader.split_once("const KEYS").and_then(|(_, rest)| rest.split_once("];")).map_or("", |(keys, _)| keys);
    let keys: BTreeSet<String> = keys.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(!keys.is_empty(), "the reader of the front matter lists its keys in `KEYS`");
    assert_eq!(first_cells(&guide(), "| key |"), keys, "the table of keys");
}

#[test]
fn every_limit_is_the_codes() {
    let text = guide();
    let limits = Limits::default();
    for (what, limit) in [
        ("bytes of a query", limits.source),
        ("levels of nesting", limits.nesting),
        ("elements of a list", limits.list),
        ("mistakes told of one query", limits.diagnostics),
        ("steps of a sequence", verify::MAX_STEPS),
        ("join keys of a step", verify::MAX_KEYS),
        ("pipes of a query", verify::MAX_PIPES),
        ("bytes of a regular expression", regex::MAX_PATTERN),
        ("count in `{m,n}`", regex::MAX_REPEAT as usize),
        ("groups within groups", regex::MAX_DEPTH),
        ("operators `~`, `&` and `<m-n>`", regex::MAX_OPERATORS),
        ("bytes of a text that a function makes", ir_functions::MAX_TEXT),
        ("combinations of values that one test tries", interp::MAX_COMBINATIONS),
        ("join keys that one event gives for a step", kestrel_core::key::MAX_KEYS_PER_EVENT),
        ("bytes of these keys together, when there are several", kestrel_core::key::MAX_KEY_BYTES_PER_EVENT),
    ] {
        let row = format!("| {what} | {limit} |");
        assert!(text.contains(&row), "the guide lacks the row `{row}`");
    }
}
