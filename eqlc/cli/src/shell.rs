//! `eqlc shell`: queries over files of events, one after another.
//!
//! In: lines, from a terminal or from standard input as a script. Out: what `eqlc run` prints. A line that starts with a
//! colon is a command; everything else is a query, which goes on over the next lines while it is not complete.
//!
//! ```text
//! terminal ─ editor (completion, colours, history) ─┐
//!                                                   ├─ input: complete? ─ session: query or command
//! script ────────────────────────────────── lines ──┘
//! ```

mod editor;
mod input;
mod seen;

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::{Args, ValueEnum};
use eqlc::compile::compile_query;
use eqlc::diagnostics::SourceFile;
use eqlc::rules::{Loaded, load_file};
use eqlc::syntax::Dialect;
use kestrel_engine::query::typing::define_from_data;
use kestrel_engine::runtime::RuntimeKind;
use kestrel_ir::pattern::{has_wildcard, wildcard_matches};
use kestrel_schema::Schema;

use crate::explain::{explain_events, explain_rule};
use crate::report::{MessageFormat, report, tell};
use crate::run::{Output, evaluate, print, read_documents};
use crate::{DialectArgument, Outcome, SchemaArgument};
use seen::Seen;

/// `eqlc shell`.
#[derive(Debug, Args)]
pub struct ShellArguments {
    /// Files of events: NDJSON, a JSON array, `.zst` or `.gz` of either, or `.klog`.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    events: Vec<PathBuf>,
    /// What evaluates the predicates.
    #[arg(long, default_value = "interp", value_name = "interp|wasm|lua|native")]
    runtime: RuntimeKind,
    /// How matches are printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    dialect: DialectArgument,
    #[command(flatten)]
    schema: SchemaArgument,
}

const HELP: &str = "\
A query runs over all events. It may go on over several lines: until its brackets close, and for a sequence of several
lines until an empty one. Tab completes fields, functions, keywords and values that the events have.

  :fields [PATTERN]                 the fields that the events have; with a pattern, those of the schema too
  :explain QUERY                    what a query needs and costs, and how far it comes in the events
  :load FILE                        runs the query of a rule file (.eql, .toml), or adds the events of any other file
  :output [table|json|count]        how matches are printed
  :runtime [interp|wasm|lua|native] what evaluates the predicates
  :dialect [elastic|endpoint|classic]
  :schema [FILE]                    the schema in use, or another one
  :help, :quit
";

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// It worked.
    Done,
    /// It did not, and why was told.
    Failed,
    /// The end.
    Quit,
}

/// What queries run over, and how.
struct Session {
    /// The schema as given: without what the data taught.
    given: Schema,
    schema: Schema,
    documents: Vec<Vec<u8>>,
    seen: Rc<Seen>,
    runtime: RuntimeKind,
    output: Output,
    dialect: Dialect,
    format: MessageFormat,
}

/// Runs the shell. A script in which something failed ends with status 1; a terminal never does.
pub fn shell(arguments: &ShellArguments, format: MessageFormat) -> anyhow::Result<Outcome> {
    let given = arguments.schema.load()?;
    let mut session = Session {
        schema: given.clone(),
        given,
        documents: Vec::new(),
        seen: Rc::new(Seen::default()),
        runtime: arguments.runtime,
        output: arguments.output,
        dialect: arguments.dialect.dialect().unwrap_or(Dialect::Elastic),
        format,
    };
    for path in &arguments.events {
        read_documents(path, &mut session.documents)?;
    }
    session.learn();
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        crate::report::tell!("{} events; :help tells the commands", session.documents.len());
        editor::run(&mut session)?;
        return Ok(Outcome::Done);
    }
    session.script(std::io::stdin().lock())
}

impl Session {
    /// Runs the lines of a script.
    fn script(&mut self, lines: impl BufRead) -> anyhow::Result<Outcome> {
        let mut pending = String::new();
        let mut failed = false;
        for line in lines.lines() {
            let line = line?;
            if !pending.is_empty() {
                pending.push('\n');
            }
            pending.push_str(&line);
            if pending.trim().is_empty() {
                pending.clear();
                continue;
            }
            if input::is_complete(&pending) {
                match self.take(&std::mem::take(&mut pending))? {
                    Next::Done => {}
                    Next::Failed => failed = true,
                    Next::Quit => return Ok(if failed { Outcome::Found } else { Outcome::Done }),
                }
            }
        }
        if !pending.trim().is_empty() {
            failed |= self.take(&pending)? == Next::Failed;
        }
        Ok(if failed { Outcome::Found } else { Outcome::Done })
    }

    /// Takes one complete input. Only a closed standard output ends the shell.
    fn take(&mut self, text: &str) -> anyhow::Result<Next> {
        let text = text.trim();
        let taken = match text.strip_prefix(':') {
            Some(command) => self.command(command),
            None if text.is_empty() => Ok(Next::Done),
            None => self.query(text, "query", self.dialect),
        };
        match taken {
            Err(error) if crate::is_broken_pipe(&error) => Err(error),
            Err(error) => {
                crate::report::tell!("{error:#}");
                Ok(Next::Failed)
            }
            taken => taken,
        }
    }

    fn query(&mut self, text: &str, name: &str, dialect: Dialect) -> anyhow::Result<Next> {
        let (ir, diagnostics) = compile_query(text, &self.schema, dialect);
        report(self.format, &SourceFile::new(name, text), &diagnostics);
        let Some(ir) = ir else { return Ok(Next::Failed) };
        let result = evaluate(&ir, self.runtime, None, &self.schema, &self.documents)?;
        print(self.output, &self.schema, &self.documents, &result)?;
        Ok(Next::Done)
    }

    fn command(&mut self, text: &str) -> anyhow::Result<Next> {
        let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let argument = argument.trim();
        match name {
            "help" | "h" | "?" => std::io::stdout().lock().write_all(HELP.as_bytes())?,
            "quit" | "q" | "exit" => return Ok(Next::Quit),
            "fields" => return self.fields(argument),
            "explain" if argument.is_empty() => anyhow::bail!("expected a query behind `:explain`"),
            "explain" => {
                let (ir, diagnostics) = compile_query(argument, &self.schema, self.dialect);
                report(self.format, &SourceFile::new("query", argument), &diagnostics);
                let Some(ir) = ir else { return Ok(Next::Failed) };
                let mut out = std::io::stdout().lock();
                explain_rule(&mut out, argument, &ir, &self.schema, self.dialect)?;
                if !self.documents.is_empty() {
                    writeln!(out)?;
                    explain_events(&mut out, &ir, &self.schema, &self.documents)?;
                }
            }
            "load" => return self.load(argument),
            "output" => {
                if !argument.is_empty() {
                    self.output = Output::from_str(argument, true).map_err(|_| {
                        anyhow::anyhow!("unknown output `{argument}`, expected `table`, `json` or `count`")
                    })?;
                }
                let output = self.output.to_possible_value();
                let _ = writeln!(std::io::stdout(), "output {}", output.as_ref().map_or("", |value| value.get_name()));
            }
            "runtime" => {
                if !argument.is_empty() {
                    self.runtime = argument.parse()?;
                }
                let _ = writeln!(std::io::stdout(), "runtime {}", self.runtime);
            }
            "dialect" => {
                if !argument.is_empty() {
                    self.dialect = argument.parse()?;
                }
                let _ = writeln!(std::io::stdout(), "dialect {}", self.dialect);
            }
            "schema" => {
                if !argument.is_empty() {
                    let text = std::fs::read_to_string(argument)
                        .map_err(|error| anyhow::anyhow!("cannot read the schema file `{argument}`: {error}"))?;
                    self.given = Schema::from_toml(&text)
                        .map_err(|error| anyhow::anyhow!("the schema file `{argument}`: {error}"))?;
                    self.learn();
                }
                let event = self.schema.event();
                let _ = writeln!(
                    std::io::stdout(),
                    "schema {}: {} fields; category `{}`, timestamp `{}`",
                    self.schema.name(),
                    self.schema.fields().count(),
                    event.category,
                    event.timestamp
                );
            }
            other => anyhow::bail!("unknown command `:{other}`; `:help` tells the commands"),
        }
        Ok(Next::Done)
    }

    /// The fields that the events have; of a pattern, the schema's as well.
    fn fields(&mut self, pattern: &str) -> anyhow::Result<Next> {
        let wanted = |name: &str| match pattern {
            "" => true,
            pattern if has_wildcard(pattern) => wildcard_matches(pattern, name),
            part => name.contains(part),
        };
        let mut out = std::io::stdout().lock();
        let mut found = 0;
        for (name, info) in self.schema.fields().filter(|(name, _)| wanted(name)) {
            let events = self.seen.events(name);
            if events > 0 || !pattern.is_empty() {
                found += 1;
                let events = if events > 0 { format!("{events} events") } else { String::new() };
                writeln!(
                    out,
                    "{name:50} {:10} {events:>14}  {}",
                    info.to_string(),
                    self.schema.doc(name).unwrap_or("")
                )?;
            }
        }
        if found == 0 {
            crate::report::tell!("no field matches");
            return Ok(Next::Failed);
        }
        Ok(Next::Done)
    }

    fn load(&mut self, path: &str) -> anyhow::Result<Next> {
        anyhow::ensure!(!path.is_empty(), "expected a file behind `:load`");
        if path.ends_with(".eql") || path.ends_with(".toml") {
            let text =
                std::fs::read_to_string(path).map_err(|error| anyhow::anyhow!("cannot read `{path}`: {error}"))?;
            let file = load_file(path, &text);
            report(self.format, &file.source, &file.diagnostics);
            return match file.loaded {
                Loaded::Rule(rule) => {
                    let dialect = rule.dialect_or(None);
                    let _ = writeln!(std::io::stdout(), "{}: {}", rule.id, rule.name);
                    if let Some(predicate) = &rule.predicate {
                        tell!(
                            "the query runs without the predicate `{}`; `eqlc run --rule` runs both",
                            predicate.source
                        );
                    }
                    self.query(&rule.query, path, dialect)
                }
                Loaded::Skipped { reason } => anyhow::bail!("`{path}` holds no EQL rule: {reason}"),
                Loaded::Failed => Ok(Next::Failed),
            };
        }
        let before = self.documents.len();
        read_documents(Path::new(path), &mut self.documents)?;
        self.learn();
        let _ = writeln!(
            std::io::stdout(),
            "{} events more, {} in all",
            self.documents.len() - before,
            self.documents.len()
        );
        Ok(Next::Done)
    }

    /// Looks at the events: what fields and values they have.
    fn learn(&mut self) {
        self.schema = self.given.clone();
        if self.schema.dynamic() {
            define_from_data(&mut self.schema, &self.documents);
        }
        self.seen = Rc::new(Seen::of(&self.documents));
    }
}
