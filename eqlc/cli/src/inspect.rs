//! `eqlc inspect`: what a pack holds.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kestrel_ir::model::RuleKind;
use kestrel_ir::pack::Pack;
use kestrel_schema::event_kind_by_id;

use crate::Outcome;

/// `eqlc inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The pack.
    pack: PathBuf,
    /// Prints the manifest as JSON instead.
    #[arg(long)]
    json: bool,
}

/// Prints what the pack holds.
pub fn inspect(arguments: &InspectArguments) -> anyhow::Result<Outcome> {
    let path = arguments.pack.display();
    let bytes = std::fs::read(&arguments.pack).with_context(|| format!("cannot read `{path}`"))?;
    let pack = Pack::read(&bytes).with_context(|| format!("`{path}` is refused"))?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(pack.manifest())?)?;
        return Ok(Outcome::Done);
    }
    let hash: String = pack.content_hash().iter().map(|byte| format!("{byte:02x}")).collect();
    let ir = pack.ir();
    writeln!(out, "{path}: {} bytes, sha256 {hash}", bytes.len())?;
    writeln!(out, "schema {}, built by {}", pack.manifest().schema_name, pack.manifest().compiler.version)?;
    writeln!(
        out,
        "{} rules, {} predicates, {} nodes, {} atoms, {} fields",
        ir.rules.len(),
        ir.predicates.len(),
        ir.nodes.len(),
        ir.atoms.len(),
        ir.layout.len()
    )?;
    let kinds: Vec<&str> =
        pack.manifest().required_kinds.iter().filter_map(|&id| Some(event_kind_by_id(id)?.name)).collect();
    writeln!(out, "event kinds wanted from the kernel: {}", kinds.join(", "))?;
    writeln!(out, "sections:")?;
    for section in pack.sections() {
        let name = section.id.name().unwrap_or("(unknown, skipped)");
        writeln!(out, "  {name:24} {:>10} bytes", section.range().len())?;
    }
    writeln!(out, "rules:")?;
    for (rule, info) in ir.rules.iter().zip(&pack.manifest().rules) {
        let kind = match &rule.kind {
            RuleKind::Event { .. } => "event".to_owned(),
            RuleKind::Sequence(sequence) => format!("sequence of {}", sequence.steps.len()),
            RuleKind::Sample { terms } => format!("sample of {}", terms.len()),
        };
        writeln!(out, "  {:40} {kind:16} {}", info.id, info.name)?;
    }
    if !ir.programs.is_empty() {
        writeln!(out, "hand-written predicates, which may use {}:", pack.manifest().capabilities.join(", "))?;
    }
    for (info, predicate) in
        pack.manifest().rules.iter().filter_map(|rule| rule.predicate.as_ref().map(|predicate| (rule, predicate)))
    {
        let code = pack.programs().iter().find(|file| file.name == predicate.name);
        let (name, language) = (&predicate.name, &predicate.language);
        writeln!(
            out,
            "  {name:40} {language:16} {} bytes, of rule {}",
            code.map_or(0, |file| file.bytes.len()),
            info.id
        )?;
        writeln!(out, "    capabilities {}; reads {}", predicate.capabilities.join(", "), predicate.fields.join(", "))?;
    }
    Ok(Outcome::Done)
}
