//! `eqlc show`, `eqlc explain-error` and `eqlc fields`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use eqlc::compile::{self, Stage};
use eqlc::diagnostics::{codes, explain, has_errors};
use eqlc::rules::{Loaded, load_file};
use eqlc::syntax::Dialect;
use kestrel_ir::pattern::{has_wildcard, wildcard_matches};

use crate::report::{MessageFormat, report, tell};
use crate::{DialectArgument, Outcome, SchemaArgument};

/// `eqlc show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The stage to print: tokens, ast, ir, guards, wasm, lua or bpf.
    #[arg(long)]
    stage: Stage,
    /// With `--stage ir`: what each pass makes of the rule's predicates.
    #[arg(long)]
    passes: bool,
    /// A rule file.
    rule: PathBuf,
    #[command(flatten)]
    dialect: DialectArgument,
    #[command(flatten)]
    schema: SchemaArgument,
}

/// Prints a rule as one stage has it.
pub fn show(arguments: &ShowArguments, format: MessageFormat) -> anyhow::Result<Outcome> {
    let path = arguments.rule.display().to_string();
    let text = std::fs::read_to_string(&arguments.rule).with_context(|| format!("cannot read `{path}`"))?;
    let schema = arguments.schema.load()?;
    let file = load_file(&path, &text);
    report(format, &file.source, &file.diagnostics);
    let rule = match file.loaded {
        Loaded::Rule(rule) => rule,
        Loaded::Skipped { reason } => bail!("`{path}` holds no EQL rule: {reason}"),
        Loaded::Failed => return Ok(Outcome::Found),
    };
    let dialect: Dialect = rule.dialect_or(arguments.dialect.dialect());
    if arguments.passes && arguments.stage != Stage::Ir {
        bail!("`--passes` goes with `--stage ir`, not with `--stage {}`", arguments.stage);
    }
    let (shown, diagnostics) = match arguments.passes {
        true => compile::show_passes(&rule.id, &rule.query, &schema, dialect),
        false => compile::show_rule(arguments.stage, &rule.id, &rule.query, &schema, dialect),
    };
    report(format, &rule.source, &diagnostics);
    if let Some(predicate) = &rule.predicate {
        tell!("the hand-written predicate `{}` is not part of what is shown", predicate.source);
    }
    if let Some(shown) = shown {
        std::io::stdout().lock().write_all(shown.as_bytes())?;
    }
    Ok(if has_errors(&diagnostics) { Outcome::Found } else { Outcome::Done })
}

/// Prints the page of a code.
pub fn explain_error(code: &str) -> anyhow::Result<Outcome> {
    let wanted = code.to_ascii_uppercase();
    match explain(&wanted) {
        Some(page) => {
            std::io::stdout().lock().write_all(page.as_bytes())?;
            Ok(Outcome::Done)
        }
        None => {
            let mut known: Vec<&str> = codes().iter().map(|info| info.code).collect();
            known.sort_unstable();
            bail!("there is no code `{code}`; the codes are {}", known.join(" "));
        }
    }
}

/// Lists fields.
pub fn fields(pattern: Option<&str>, schema: &SchemaArgument) -> anyhow::Result<Outcome> {
    let schema = schema.load()?;
    let wanted = |name: &str| match pattern {
        None => true,
        Some(pattern) if has_wildcard(pattern) => wildcard_matches(pattern, name),
        Some(part) => name.contains(part),
    };
    let mut out = std::io::stdout().lock();
    let mut found = false;
    for (name, info) in schema.fields().filter(|(name, _)| wanted(name)) {
        found = true;
        writeln!(out, "{name:50} {:10} {}", info.to_string(), schema.doc(name).unwrap_or(""))?;
    }
    if found {
        return Ok(Outcome::Done);
    }
    let nearest = pattern.map(|pattern| schema.nearest(pattern, 3)).unwrap_or_default();
    match nearest.is_empty() {
        true => tell!("no field matches"),
        false => tell!("no field matches; near to it are {}", nearest.join(", ")),
    }
    Ok(Outcome::Found)
}
