//! `eqlc inspect`: what a pack holds, for people and for programs, and the way to take it out.

mod extract;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kestrel_ir::model::{Rule, RuleKind};
use kestrel_ir::pack::{Pack, StateBudget, WorstCase};
use kestrel_ir::text::span_text;
use kestrel_schema::event_kind_by_id;
use serde_json::{Value as Json, json};

use crate::Outcome;
use crate::build::plural;
use crate::pack_file::{hash_text, open_pack};
use crate::run::printable;
use crate::verify::signers;

/// `eqlc inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The pack.
    pack: PathBuf,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Prints the manifest as JSON instead.
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// Takes parts out: `manifest`, `ir`, `module.wasm` or `predicates.lua` to standard output, or everything into a
    /// folder, which must be new or empty.
    #[arg(long, value_name = "SECTION|DIR", conflicts_with_all = ["output", "json"])]
    extract: Option<PathBuf>,
}

/// How a pack or a measurement is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// As one JSON object.
    Json,
}

/// Prints what the pack holds.
pub fn inspect(arguments: &InspectArguments) -> anyhow::Result<Outcome> {
    let pack = open_pack(&arguments.pack)?;
    if let Some(wanted) = &arguments.extract {
        extract::extract(&pack, wanted)?;
        return Ok(Outcome::Done);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match (arguments.json, arguments.output) {
        (true, _) => writeln!(out, "{}", serde_json::to_string_pretty(pack.manifest())?)?,
        (false, Output::Json) => writeln!(out, "{}", as_json(&pack)?)?,
        (false, Output::Text) => as_text(&pack, &arguments.pack.display().to_string(), &mut out)?,
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn as_text(pack: &Pack, path: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let (manifest, ir) = (pack.manifest(), pack.ir());
    writeln!(out, "{path}: {} bytes, format {}, sha256 {}", pack.bytes().len(), version(pack), hash_text(pack))?;
    let compiler = &manifest.compiler;
    let build = compiler.build.as_ref().map(|build| format!(" ({build})")).unwrap_or_default();
    writeln!(
        out,
        "pack {}, dialects {}, schema {}, built by {} {}{}",
        printable(&manifest.name),
        list(manifest.dialects.iter().map(String::as_str)),
        printable(&manifest.schema_name),
        printable(&compiler.name),
        printable(&compiler.version),
        printable(&build)
    )?;
    let signed = match signers(pack.signatures()) {
        Some(signers) => format!("by {signers}, not checked here: `eqlc verify` does"),
        None => "none".to_owned(),
    };
    writeln!(out, "signatures: {signed}")?;
    writeln!(
        out,
        "{}, {}, {}, {}, {}",
        plural(ir.rules.len(), "rule"),
        plural(ir.predicates.len(), "predicate"),
        plural(ir.nodes.len(), "node"),
        plural(ir.atoms.len(), "atom"),
        plural(ir.layout.len(), "field")
    )?;
    writeln!(out, "event kinds wanted from the kernel: {}", list(kind_names(pack).iter().map(String::as_str)))?;
    writeln!(out, "fields: {}", list(manifest.required_fields.iter().map(String::as_str)))?;
    writeln!(out, "hooks that actions need: {}", list(manifest.required_hooks.iter().map(String::as_str)))?;
    writeln!(out, "capabilities: {}", list(manifest.capabilities.iter().map(String::as_str)))?;
    writeln!(out, "state: {}", state(&manifest.state_budget))?;
    if let Some(worst) = &manifest.state_budget.worst_case {
        writeln!(out, "worst case of a key: {}", worst_case(worst))?;
    }
    writeln!(out, "files: {}, {}", plural(pack.sources().len(), "source"), plural(pack.tests().len(), "test"))?;
    writeln!(out, "sections:")?;
    for section in pack.sections() {
        let name = section.id.name().map_or_else(|| format!("{} (unknown, skipped)", section.id), str::to_owned);
        writeln!(out, "  {name:24} {:>10} bytes", section.range().len())?;
    }
    writeln!(out, "rules:")?;
    for (rule, info) in ir.rules.iter().zip(&manifest.rules) {
        let severity = info.severity.as_deref().unwrap_or("-");
        let off = if info.enabled { "" } else { "  (switched off)" };
        writeln!(
            out,
            "  {:40} {:16} {:9} {}{off}",
            printable(&info.id),
            kind(rule),
            printable(severity),
            printable(&info.name)
        )?;
    }
    suppressions(pack, out)?;
    hand_written(pack, out)
}

/// The rules of whose alike alerts only the first is told.
fn suppressions(pack: &Pack, out: &mut impl Write) -> anyhow::Result<()> {
    let rules = pack.manifest().rules.iter();
    let asking: Vec<_> = rules.filter_map(|rule| rule.suppression.as_ref().map(|asked| (rule, asked))).collect();
    if !asking.is_empty() {
        writeln!(out, "suppressed alerts:")?;
    }
    for (rule, asked) in asking {
        let by = list(asked.by.iter().map(String::as_str));
        let missing = if asked.tell_missing { ", told where one is missing" } else { "" };
        writeln!(out, "  {:40} for {}, by {by}{missing}", printable(&rule.id), span_text(asked.window))?;
    }
    Ok(())
}

/// The hand-written predicates, with what they may do and read.
fn hand_written(pack: &Pack, out: &mut impl Write) -> anyhow::Result<()> {
    let rules = pack.manifest().rules.iter();
    let predicates: Vec<_> =
        rules.filter_map(|rule| rule.predicate.as_ref().map(|predicate| (rule, predicate))).collect();
    if predicates.is_empty() {
        return Ok(());
    }
    writeln!(out, "hand-written predicates:")?;
    for (rule, predicate) in predicates {
        let code = pack.programs().iter().find(|file| file.name == predicate.name);
        writeln!(
            out,
            "  {:40} {:16} {} bytes, of rule {}",
            printable(&predicate.name),
            predicate.language,
            code.map_or(0, |file| file.bytes.len()),
            printable(&rule.id)
        )?;
        let capabilities = list(predicate.capabilities.iter().map(String::as_str));
        writeln!(out, "    may use {capabilities}; reads {}", list(predicate.fields.iter().map(String::as_str)))?;
    }
    Ok(())
}

fn as_json(pack: &Pack) -> anyhow::Result<Json> {
    let ir = pack.ir();
    let sections: Vec<Json> = pack
        .sections()
        .iter()
        .map(|section| {
            json!({
                "id": section.id.0,
                "name": section.id.name(),
                "flags": section.flags,
                "offset": section.offset,
                "bytes": section.length,
            })
        })
        .collect();
    let signatures: Vec<Json> =
        pack.signatures().iter().map(|signature| json!({ "key": signature.key.to_string() })).collect();
    let paths = |files: &[kestrel_ir::pack::PackFile]| -> Vec<Json> {
        files.iter().map(|file| json!({ "path": file.path, "bytes": file.text.len() })).collect()
    };
    Ok(json!({
        "bytes": pack.bytes().len(),
        "format": version(pack),
        "sha256": hash_text(pack),
        "signatures": signatures,
        "sections": sections,
        "ir": {
            "rules": ir.rules.len(), "predicates": ir.predicates.len(), "nodes": ir.nodes.len(),
            "values": ir.values.len(), "atoms": ir.atoms.len(), "fields": ir.layout.len(),
        },
        "event_kinds": kind_names(pack),
        "rule_kinds": ir.rules.iter().map(kind).collect::<Vec<_>>(),
        "sources": paths(pack.sources()),
        "tests": paths(pack.tests()),
        "manifest": serde_json::to_value(pack.manifest())?,
    }))
}

/// The format's version, as the file's head has it.
fn version(pack: &Pack) -> String {
    let (major, minor) = pack.format_version();
    format!("{major}.{minor}")
}

/// The names of the event kinds that the rules can want; the number of one that this build does not know.
pub fn kind_names(pack: &Pack) -> Vec<String> {
    let name = |&id: &u16| event_kind_by_id(id).map_or_else(|| id.to_string(), |kind| kind.name.to_owned());
    pack.manifest().required_kinds.iter().map(name).collect()
}

fn kind(rule: &Rule) -> String {
    match &rule.kind {
        RuleKind::Event { .. } => "event".to_owned(),
        RuleKind::Sequence(sequence) => format!("sequence of {}", sequence.steps.len()),
        RuleKind::Sample { terms } => format!("sample of {}", terms.len()),
    }
}

fn state(budget: &StateBudget) -> String {
    if budget.steps == 0 {
        return "none".to_owned();
    }
    let longest = budget.longest_maxspan.map(|span| format!(", kept for {} at most", span_text(span)));
    let without = match budget.without_maxspan {
        0 => String::new(),
        count => format!(", {count} without `maxspan`"),
    };
    format!(
        "{}, {} with {}; at most {} per key{}{without}",
        plural(budget.sequences as usize, "sequence"),
        plural(budget.samples as usize, "sample"),
        plural(budget.steps as usize, "step"),
        plural(budget.partial_matches_per_key as usize, "partial match").replace("matchs", "matches"),
        longest.unwrap_or_default()
    )
}

/// How much one key may hold, in a sentence's words.
pub fn worst_case(worst: &WorstCase) -> String {
    format!(
        "{} held, each {} bytes beside its texts, {} in all if every frame is as long as one can be",
        plural(worst.events_per_key as usize, "event"),
        worst.frame_bytes,
        bytes_text(worst.bytes_per_key)
    )
}

/// A number of bytes in the largest unit that divides it.
fn bytes_text(bytes: u64) -> String {
    match bytes {
        0 => "0 bytes".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ => format!("{bytes} bytes"),
    }
}

fn list<'t>(items: impl Iterator<Item = &'t str>) -> String {
    let items: Vec<String> = items.map(printable).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
