//! `eqlc fmt`: rule files in the one form.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use eqlc::diagnostics::SourceFile;
use eqlc::format::{FormattedFile, format_rule_file};
use eqlc::rules::files;

use crate::report::{MessageFormat, report, say, tell};
use crate::{DialectArgument, Outcome};

/// `eqlc fmt`.
#[derive(Debug, Args)]
pub struct FormatArguments {
    /// Rule files, and folders that are searched for `.eql` and `.toml` files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Writes nothing; lists the files that are not in the one form, and ends with status 1 if there are any.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    dialect: DialectArgument,
}

/// Formats the files, or checks that they are formatted. A file with mistakes is reported and left as it is.
pub fn format(arguments: &FormatArguments, format: MessageFormat) -> anyhow::Result<Outcome> {
    let (mut changed, mut unchanged, mut skipped, mut failed, mut left) = (0, 0, 0, 0, 0);
    for (path, text) in files::read(&arguments.paths)? {
        match format_rule_file(&path, &text, arguments.dialect.dialect()) {
            Ok(FormattedFile::Skipped) => skipped += 1,
            Ok(FormattedFile::Left { quotes }) => {
                left += 1;
                tell!("{path}: left as it is: the formatted query cannot be written between {quotes} and {quotes}");
            }
            Ok(FormattedFile::Text(formatted)) if formatted == text => unchanged += 1,
            Ok(FormattedFile::Text(formatted)) => {
                changed += 1;
                say!("{path}");
                if !arguments.check {
                    std::fs::write(&path, formatted).with_context(|| format!("cannot write `{path}`"))?;
                }
            }
            Err(diagnostics) => {
                failed += 1;
                let source = eqlc::rules::load_file(&path, &text).source;
                let source: &SourceFile = &source;
                report(format, source, &diagnostics);
            }
        }
    }
    let word = if arguments.check { "to be formatted" } else { "formatted" };
    let left = if left == 0 { String::new() } else { format!(", {left} left as they are") };
    tell!("{changed} {word}, {unchanged} in form already, {skipped} skipped (not EQL), {failed} with mistakes{left}");
    Ok(if failed > 0 || (arguments.check && changed > 0) { Outcome::Found } else { Outcome::Done })
}
