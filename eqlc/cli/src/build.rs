//! `eqlc build` and `eqlc check`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use eqlc::compile::{Compilation, CompileOptions, PackOptions, PackTargets, build_pack, compile_rules, program_files};
use eqlc::diagnostics::Severity;
use eqlc::rules::{RuleSet, files};
use kestrel_engine::program::{PreparedPrograms, ProgramError, ProgramOptions, ProgramParts};
use kestrel_ir::pack::PackFile;

use crate::pack_file::{hash_text, read_private_key, write_whole};
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
    /// Which parts go into the pack, of `wasm`, `lua` and `bpf`, separated by commas; all unless said otherwise. `interp` and
    /// `native` need the rules alone, which are always there.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "wasm,lua,bpf")]
    target: Vec<Target>,
    /// Signs the pack with this private key; may be given again for more signatures.
    #[arg(long, value_name = "KEY")]
    sign: Vec<PathBuf>,
    #[command(flatten)]
    dialect: DialectArgument,
    #[command(flatten)]
    schema: SchemaArgument,
}

/// What `--target` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// `module.wasm`.
    Wasm,
    /// `predicates.lua`.
    Lua,
    /// The kernel's filter maps.
    Bpf,
    /// The rules alone, for the interpreter.
    Interp,
    /// The rules alone, of which native code is made when a pack is loaded.
    Native,
}

fn targets(asked: &[Target]) -> PackTargets {
    if asked.is_empty() {
        return PackTargets::default();
    }
    let has = |target| asked.contains(&target);
    PackTargets { wasm: has(Target::Wasm), lua: has(Target::Lua), bpf: has(Target::Bpf) }
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
    /// Whether a hand-written predicate does not start, so that no engine would take a pack with it.
    refused: bool,
}

fn compile(
    paths: &[PathBuf],
    dialect: &DialectArgument,
    schema: &SchemaArgument,
    format: MessageFormat,
) -> anyhow::Result<Checked> {
    let options = CompileOptions { schema: schema.load()?, dialect: dialect.dialect() };
    let mut sources = files::read(paths)?;
    // The order of the paths on the command line, and where they are looked at from, is no part of the rules.
    sources.sort_by_cached_key(|(path, _)| place_of(path));
    let mut set = files::load_sources(sources);
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
    if let Err(error) = start_predicates(&compilation, &options) {
        tell!("error: {error}: an engine would refuse the pack");
        failed.push((error.rule().to_owned(), error.to_string()));
        return Ok(Checked { set, compilation, options, failed, warnings, refused: true });
    }
    Ok(Checked { set, compilation, options, failed, warnings, refused: false })
}

/// Starts the hand-written predicates as an engine does when it loads the pack.
fn start_predicates(compilation: &Compilation, options: &CompileOptions) -> Result<(), ProgramError> {
    let ir = compilation.verified.ir();
    let code = program_files(compilation.built.iter().map(|rule| &rule.source), ir);
    let parts = ProgramParts { ir, code: &code, category: &options.schema.event().category };
    PreparedPrograms::new(&parts, ProgramOptions::default())?.instantiate().map(drop)
}

/// A file's place on the disk, by whatever path it was found: the same for all paths to the same folder.
fn place_of(path: &str) -> PathBuf {
    let path = Path::new(path);
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_path_buf(),
    }
}

/// Builds the pack.
pub fn build(arguments: &BuildArguments, format: MessageFormat) -> anyhow::Result<Outcome> {
    let keys = arguments.sign.iter().map(|path| read_private_key(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut checked = compile(&arguments.paths, &arguments.dialect, &arguments.schema, format)?;
    let (built, skipped, failed) = (checked.compilation.built.len(), checked.set.skipped.len(), checked.failed.len());
    if failed > 0 {
        tell!("{} that failed:", plural(failed, "rule"));
        checked.failed.iter().for_each(|(path, reason)| tell!("  {path}: {reason}"));
        if !arguments.keep_going && !checked.refused {
            tell!("no pack was written; `--keep-going` leaves these rules out and builds the rest");
            return Ok(Outcome::Found);
        }
    }
    if checked.refused {
        tell!("no pack was written: an engine refuses a pack whole when one predicate does not start");
        return Ok(Outcome::Found);
    }
    if built == 0 {
        let disabled = switched_off(checked.compilation.disabled.len());
        tell!("no pack was written: there is no EQL rule to build ({disabled}{skipped} skipped, {failed} failed)");
        return Ok(Outcome::Found);
    }
    let disabled = checked.compilation.disabled.len();
    let options = pack_options(arguments, &checked)?;
    for rule in &mut checked.compilation.built {
        rule.source.path = place_of(&rule.source.path).display().to_string();
    }
    let mut pack =
        build_pack(&checked.compilation, &checked.options.schema, options).context("cannot build the pack")?;
    let mut signed = String::new();
    for key in &keys {
        pack = pack.sign(key).context("cannot sign the pack")?;
        signed.push_str(&format!(", signed by key {}", key.id()));
    }
    let bytes = pack.bytes();
    write_whole(&arguments.output, bytes).with_context(|| format!("cannot write `{}`", arguments.output.display()))?;
    say!(
        "built {built}, skipped {skipped} (not EQL), failed {failed}, {}{} bytes, sha256 {}{signed}",
        switched_off(disabled),
        bytes.len(),
        hash_text(&pack),
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
    Ok(PackOptions {
        name: arguments.name.clone(),
        tests,
        targets: targets(&arguments.target),
        ..PackOptions::default()
    })
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
        // A rule whose predicate does not start was built, and failed.
        plural(checked.compilation.built.len() + failed - usize::from(checked.refused), "rule"),
        checked.set.skipped.len(),
        switched_off(checked.compilation.disabled.len()),
        plural(checked.warnings, "warning"),
    );
    let denied = arguments.deny == Some(Denied::Warnings) && checked.warnings > 0;
    Ok(if failed > 0 || denied { Outcome::Found } else { Outcome::Done })
}

pub fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
