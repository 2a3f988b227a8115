//! `eqlc run`: a query over files of events.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use eqlc::compile::{compile_query, compile_rule, lua_source, program_files, wasm_module};
use eqlc::diagnostics::{SourceFile, has_errors};
use eqlc::rules::files::read_predicate;
use eqlc::rules::{Loaded, load_file};
use eqlc::syntax::Dialect;
use kestrel_core::program::Programs;
use kestrel_engine::program::{PreparedPrograms, ProgramOptions, ProgramParts};
use kestrel_engine::query::{self, QueryMatch, QueryResult, typing::define_from_data};
use kestrel_engine::runtime::profile::Profile;
use kestrel_engine::runtime::{RuntimeKind, RuntimeParts, create};
use kestrel_ir::model::Ir;
use kestrel_ir::pack::ProgramFile;
use kestrel_ir::time::format_rfc3339;
use kestrel_schema::Schema;
use serde_json::{Value as Json, json};

use crate::report::{MessageFormat, report, tell};
use crate::{DialectArgument, Outcome, SchemaArgument};

/// `eqlc run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The query; left out with `--rule`.
    #[arg(conflicts_with = "rule")]
    query: Option<String>,
    /// A rule file whose query is run.
    #[arg(long, value_name = "FILE")]
    rule: Option<PathBuf>,
    /// Files of events: NDJSON, a JSON array, `.zst` or `.gz` of either, or `.klog`.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    events: Vec<PathBuf>,
    /// What evaluates the predicates.
    #[arg(long, default_value = "interp", value_name = "interp|wasm|lua|native")]
    runtime: RuntimeKind,
    /// How far a rule's hand-written predicate is trusted.
    #[arg(long, default_value = "trusted", value_name = "trusted|strict")]
    profile: Profile,
    /// How matches are printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    dialect: DialectArgument,
    #[command(flatten)]
    schema: SchemaArgument,
}

impl RunArguments {
    /// The files, and the query: what stands last behind `--events` is the query when there is no other.
    fn files_and_query(&self) -> anyhow::Result<(&[PathBuf], &str)> {
        match (&self.query, &self.rule, self.events.split_last()) {
            (Some(query), _, _) => Ok((&self.events, query)),
            (None, Some(_), _) => Ok((&self.events, "")),
            (None, None, Some((query, files @ [_, ..]))) => {
                let query = query.to_str().context("the query is not UTF-8")?;
                Ok((files, query))
            }
            _ => bail!("expected a query, or `--rule FILE`; see `eqlc run --help`"),
        }
    }
}

/// How matches are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table for people.
    Table,
    /// One JSON object a match.
    Json,
    /// Their number.
    Count,
}

/// Runs the query.
pub fn run(arguments: &RunArguments, format: MessageFormat) -> anyhow::Result<Outcome> {
    let mut schema = arguments.schema.load()?;
    let mut documents = Vec::new();
    let (files, query) = arguments.files_and_query()?;
    for path in files {
        read_documents(path, &mut documents)?;
    }
    if schema.dynamic() {
        define_from_data(&mut schema, &documents);
    }
    let Some((ir, code)) = compile(arguments, query, &schema, format)? else { return Ok(Outcome::Found) };
    let programs = programs(&ir, &code, arguments.profile, &schema)?;
    let result = evaluate(&ir, arguments.runtime, programs, &schema, &documents)?;
    result.notes.iter().for_each(|note| tell!("{note}"));
    for (number, error) in result.invalid.iter().take(10) {
        tell!("event {number} is left out: {error}");
    }
    if result.invalid.len() > 10 {
        tell!("{} more events are left out", result.invalid.len() - 10);
    }
    print(arguments.output, &schema, &documents, &result)?;
    Ok(Outcome::Done)
}

/// Appends the documents of a file.
pub fn read_documents(path: &Path, documents: &mut Vec<Vec<u8>>) -> anyhow::Result<()> {
    let mut reader = kestrel_engine::input::open(path)?;
    while let Some(document) = reader.next_document()? {
        documents.push(document.bytes.to_vec());
    }
    for warning in reader.warnings() {
        tell!("{}: {warning}", path.display());
    }
    Ok(())
}

/// The hand-written predicates of an IR, started; nothing where there are none.
pub fn programs(
    ir: &Ir,
    code: &[ProgramFile],
    profile: Profile,
    schema: &Schema,
) -> anyhow::Result<Option<Box<dyn Programs>>> {
    let parts = ProgramParts { ir, code, category: &schema.event().category };
    let options = ProgramOptions { profile, ..ProgramOptions::default() };
    Ok(PreparedPrograms::new(&parts, options)?.instantiate()?)
}

/// Runs an IR's first rule with code compiled on the spot.
pub fn evaluate(
    ir: &Ir,
    kind: RuntimeKind,
    programs: Option<Box<dyn Programs>>,
    schema: &Schema,
    documents: &[Vec<u8>],
) -> anyhow::Result<QueryResult> {
    let wasm = match kind {
        RuntimeKind::Wasm => Some(wasm_module(ir)?),
        _ => None,
    };
    let lua = match kind {
        RuntimeKind::Lua => Some(lua_source(ir)?),
        _ => None,
    };
    let runtime = create(kind, &RuntimeParts { ir, wasm: wasm.as_deref(), lua: lua.as_deref() })?;
    let result = query::run(ir, runtime, programs, schema, documents)?;
    if let Some(error) = &result.runtime_error {
        bail!("the {} runtime failed: {error}", kind.name());
    }
    Ok(result)
}

fn compile(
    arguments: &RunArguments,
    query: &str,
    schema: &Schema,
    format: MessageFormat,
) -> anyhow::Result<Option<(Ir, Vec<ProgramFile>)>> {
    let asked = arguments.dialect.dialect();
    if let Some(path) = &arguments.rule {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{name}`"))?;
        let file = load_file(&name, &text);
        report(format, &file.source, &file.diagnostics);
        return match file.loaded {
            // What is wrong around the query may be its predicate, without which it would match too much.
            Loaded::Rule(_) if has_errors(&file.diagnostics) => Ok(None),
            Loaded::Rule(mut rule) => {
                if let Err(diagnostic) = read_predicate(&mut rule) {
                    report(format, &rule.source, &[*diagnostic]);
                    return Ok(None);
                }
                let (ir, diagnostics) = compile_rule(&rule, schema, rule.dialect_or(asked));
                report(format, &rule.source, &diagnostics);
                Ok(ir.map(|ir| {
                    let code = program_files([&*rule], &ir);
                    (ir, code)
                }))
            }
            Loaded::Skipped { reason } => bail!("`{name}` holds no EQL rule: {reason}"),
            Loaded::Failed => Ok(None),
        };
    }
    let text = query;
    let (ir, diagnostics) = compile_query(text, schema, asked.unwrap_or(Dialect::Elastic));
    report(format, &SourceFile::new("query", text), &diagnostics);
    Ok(ir.map(|ir| (ir, Vec::new())))
}

/// Prints what was found.
///
/// # Errors
/// Standard output cannot be written.
pub fn print(output: Output, schema: &Schema, documents: &[Vec<u8>], result: &QueryResult) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if let Some(counts) = &result.counts {
        for (key, count) in counts {
            let key: Vec<Json> = key.iter().map(|part| part.to_json()).collect();
            match output {
                Output::Json => writeln!(out, "{}", json!({ "key": key, "count": count }))?,
                _ => {
                    writeln!(out, "{count:>10}  {}", printable(&key.iter().map(plain).collect::<Vec<_>>().join("  ")))?
                }
            }
        }
        out.flush()?;
        return Ok(());
    }
    match output {
        Output::Count => writeln!(out, "{}", result.matches.len())?,
        Output::Json => {
            for found in &result.matches {
                let events: Vec<Json> = (0..found.documents.len())
                    .map(|term| match shown(schema, documents, found, term) {
                        Some(event) => json!({"id": event.id, "timestamp": event.timestamp, "source": event.source}),
                        None => Json::Null,
                    })
                    .collect();
                let join_keys: Vec<Json> = found.key.iter().map(|part| part.to_json()).collect();
                let mut line = json!({ "events": events, "join_keys": join_keys });
                if let Some(count) = found.count {
                    line["count"] = count.into();
                }
                writeln!(out, "{line}")?;
            }
        }
        Output::Table => {
            for (number, found) in result.matches.iter().enumerate() {
                let keys: Vec<String> = found.key.iter().map(|part| part.to_json().to_string()).collect();
                match keys.is_empty() {
                    true if found.documents.len() == 1 => {}
                    true => writeln!(out, "match {}", number + 1)?,
                    false => writeln!(out, "match {}, {}", number + 1, keys.join(", "))?,
                }
                for term in 0..found.documents.len() {
                    match shown(schema, documents, found, term) {
                        Some(event) => {
                            let times = found.count.map(|count| format!("  ({count} times)")).unwrap_or_default();
                            let text = summary(schema, &event.source);
                            writeln!(
                                out,
                                "{:30} {:>10}  {text}{times}",
                                event.timestamp,
                                printable(&plain(&event.id))
                            )?;
                        }
                        None => writeln!(out, "{:30} {:>10}  (missing, as it must be)", "", "")?,
                    }
                }
            }
            drop(out);
            let matches = result.matches.len();
            tell!("{matches} match{} in {} events", if matches == 1 { "" } else { "es" }, result.events);
            return Ok(());
        }
    }
    out.flush()?;
    Ok(())
}

struct Shown {
    id: Json,
    timestamp: String,
    source: Json,
}

/// Text for a terminal: control characters, which an event may hold, are shown and not sent.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = (!character.is_control()).then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// The event of a term: its id field, or its number in the input where it has none.
fn shown(schema: &Schema, documents: &[Vec<u8>], found: &QueryMatch, term: usize) -> Option<Shown> {
    let number = (*found.documents.get(term)?)?;
    // A document nested too deep for a tree was an event all the same; it is shown as its text.
    let document = documents.get(number)?;
    let source: Json =
        serde_json::from_slice(document).unwrap_or_else(|_| Json::from(String::from_utf8_lossy(document).into_owned()));
    let id = schema.event().id.as_deref().and_then(|name| member(&source, name)).cloned();
    let timestamp = format_rfc3339(found.timestamps.get(term).copied().flatten()?);
    Some(Shown { id: id.unwrap_or_else(|| Json::from(number)), timestamp, source })
}

/// A member by its dotted name, nested or not.
fn member<'j>(json: &'j Json, name: &str) -> Option<&'j Json> {
    if let Some(found) = json.get(name) {
        return Some(found);
    }
    name.match_indices('.').find_map(|(dot, _)| member(json.get(&name[..dot])?, &name[dot + 1..]))
}

fn plain(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The category and the members that tell people most, in one line.
fn summary(schema: &Schema, source: &Json) -> String {
    const TELLING: [&str; 12] = [
        "event.action",
        "process.name",
        "process_name",
        "process.command_line",
        "command_line",
        "file.path",
        "file_path",
        "registry.path",
        "registry_path",
        "destination.ip",
        "dns.question.name",
        "user.name",
    ];
    let mut parts: Vec<String> = Vec::new();
    for name in [schema.event().category.as_str()].into_iter().chain(TELLING) {
        if let Some(found) = member(source, name).filter(|found| !found.is_null()) {
            let text = match found {
                Json::Array(elements) => elements.iter().map(plain).collect::<Vec<_>>().join(","),
                other => plain(other),
            };
            parts.push(printable(&text.chars().take(100).collect::<String>()));
        }
    }
    parts.join("  ")
}
