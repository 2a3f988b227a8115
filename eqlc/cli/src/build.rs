//! `eqlc build` and `eqlc check`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use eqlc::compile::{Compilation, CompileOptions, PackOptions, build_pack, compile_rules};
use eqlc::diagnostics::Severity;
use eqlc::rules::{RuleSet, files};
use kestrel_ir::pack::PackFile;

use crate::report::{MessageFormat, count, report, say, tell};
use crate::{DialectArgument, Outcome, SchemaArgument};

/// `eqlc build`.
#[derive(Debug, Args)]
pub struct BuildArguments {
    /// Rule files, and folders that are searched for `.eql` and `.toml` files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The pack to write.
    #[arg(short, long, value_name = "PACK")]
    output: PathBuf,
    /// Leaves out the rules that have errors, lists them, and builds the rest.
    #[arg(long)]
    keep_going: bool,
    /// The pack's name, which its manifest carries.
    #[arg(long, default_value = "rules")]
    name: String,
    #[command(flatten)]
    dialect: DialectArgument,
    #[command(flatten)]
    schema: SchemaArgument,
}

/// `eqlc check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Rule files, and folders that are searched for `.eql` and `.toml` files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Ends with status 1 when there are any of these.
    #[arg(long, value_enum, value_name = "warnings")]
    deny: Option<Denied>,
    #[command(flatten)]
    dialect: DialectArgument,
    #[command(flatten)]
    schema: SchemaArgument,
}

/// What `--deny` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Denied {
    /// Warnings.
    Warnings,
}

/// Rules that were read and compiled, with everything wrong reported.
struct Checked {
    set: RuleSet,
    compilation: Compilation,
    options: CompileOptions,
    /// The path of each rule that was left out, with its first error.
    failed: Vec<(String, String)>,
    warnings: usize,
}

fn compile(
    paths: &[PathBuf],
    dialect: &DialectArgument,
    schema: &SchemaArgument,
    format: MessageFormat,
) -> anyhow::Result<Checked> {
    let options = CompileOptions { schema: schema.load()?, dialect: dialect.dialect() };
    let mut set = files::load(paths)?;
    let compilation = compile_rules(std::mem::take(&mut set.rules), &options);
    let (mut failed, mut warnings) = (Vec::new(), 0);
    let around = set.reported.iter().map(|(source, diagnostics)| (&**source, &diagnostics[..]));
    for (source, diagnostics) in around.chain(compilation.reports()) {
        report(format, source, diagnostics);
        warnings += count(diagnostics).1;
        if let Some(first) = diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error) {
            failed.push((source.name().to_owned(), format!("{}: {}", first.code, first.message)));
        }
    }
    Ok(Checked { set, compilation, options, failed, warnings })
}

/// Builds the pack.
pub fn build(arguments: &BuildArguments, format: MessageFormat) -> anyhow::Result<Outcome> {
    let checked = compile(&arguments.paths, &arguments.dialect, &arguments.schema, format)?;
    let (built, skipped, failed) = (checked.compilation.built.len(), checked.set.skipped.len(), checked.failed.len());
    if failed > 0 {
        tell!("{} that failed:", plural(failed, "rule"));
        checked.failed.iter().for_each(|(path, reason)| tell!("  {path}: {reason}"));
        if !arguments.keep_going {
            tell!("no pack was written; `--keep-going` leaves these rules out and builds the rest");
            return Ok(Outcome::Found);
        }
    }
    if built == 0 {
        let disabled = switched_off(checked.compilation.disabled.len());
        tell!("no pack was written: there is no EQL rule to build ({disabled}{skipped} skipped, {failed} failed)");
        return Ok(Outcome::Found);
    }
    let disabled = checked.compilation.disabled.len();
    let pack = build_pack(&checked.compilation, &checked.options.schema, pack_options(arguments, &checked)?)
        .context("cannot build the pack")?;
    let bytes = pack.bytes();
    write_whole(&arguments.output, bytes).with_context(|| format!("cannot write `{}`", arguments.output.display()))?;
    let hash: String = pack.content_hash().iter().map(|byte| format!("{byte:02x}")).collect();
    say!(
        "built {built}, skipped {skipped} (not EQL), failed {failed}, {}{} bytes, sha256 {hash}",
        switched_off(disabled),
        bytes.len()
    );
    Ok(Outcome::Done)
}

/// The pack's name, and the tests that its rules name: they travel in it.
fn pack_options(arguments: &BuildArguments, checked: &Checked) -> anyhow::Result<PackOptions> {
    let mut tests: Vec<PackFile> = Vec::new();
    for rule in &checked.compilation.built {
        let folder = Path::new(&rule.source.path).parent().unwrap_or(Path::new("."));
        for test in &rule.source.tests {
            let path = folder.join(test);
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if arguments.keep_going => {
                    tell!("`{}`, a test of rule `{}`, is left out: {error}", path.display(), rule.source.id);
                    continue;
                }
                Err(error) => {
                    let what = format!("cannot read `{}`, a test of rule `{}`", path.display(), rule.source.id);
                    return Err(anyhow::Error::new(error).context(what));
                }
            };
            // Rules of different folders may name tests alike.
            let place: String = rule.source.id.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
            let path = format!("{place}/{test}");
            if !tests.iter().any(|known| known.path == path) {
                tests.push(PackFile { path, text });
            }
        }
    }
    Ok(PackOptions { name: arguments.name.clone(), tests, ..PackOptions::default() })
}

/// Writes beside the file and renames: whoever reads the pack finds the old one or the new one, whole. What is no plain
/// file, such as `/dev/stdout`, is written as it is.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if path.exists() && !path.is_file() {
        return std::fs::write(path, bytes);
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

fn switched_off(disabled: usize) -> String {
    if disabled == 0 { String::new() } else { format!("{disabled} switched off (`enabled = false`), ") }
}

/// Checks without building.
pub fn check(arguments: &CheckArguments, format: MessageFormat) -> anyhow::Result<Outcome> {
    let checked = compile(&arguments.paths, &arguments.dialect, &arguments.schema, format)?;
    let failed = checked.failed.len();
    say!(
        "checked {}, skipped {} (not EQL), failed {failed}, {}{}",
        plural(checked.compilation.built.len() + failed, "rule"),
        checked.set.skipped.len(),
        switched_off(checked.compilation.disabled.len()),
        plural(checked.warnings, "warning"),
    );
    let denied = arguments.deny == Some(Denied::Warnings) && checked.warnings > 0;
    Ok(if failed > 0 || denied { Outcome::Found } else { Outcome::Done })
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
