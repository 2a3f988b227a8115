//! From compiled rules to a pack: the IR, every backend's part, the manifest, the rules' sources.
//!
//! In: a [`Compilation`] and what the pack is to be called. Out: a [`Pack`], checked as an engine would. The same rules
//! give the same bytes: nothing of the machine, the moment or the place of the rules on the disk is in them.

use std::collections::{BTreeSet, HashSet};

use kestrel_ir::pack::{
    ActionInfo, CompilerInfo, EventFieldsInfo, Manifest, Pack, PackBuilder, PackFile, RuleInfo, SuppressionInfo,
    TacticInfo, TechniqueInfo, ThreatInfo,
};
use kestrel_schema::Schema;

use super::rules::{BuiltRule, Compilation};
use crate::rules::{Action, Technique, Threat, ThreatItem};

/// What a pack holds beside its rules.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// The pack's name.
    pub name: String,
    /// What identifies the compiler's build beyond its version, if anything does.
    pub compiler_build: Option<String>,
    /// The rules' tests, with paths below the folder of the rules.
    pub tests: Vec<PackFile>,
    /// Which parts go in.
    pub targets: PackTargets,
}

/// The parts of a pack that can be left out. The rules themselves never can: the interpreter runs them, and native code is
/// made of them when a pack is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackTargets {
    /// `module.wasm`.
    pub wasm: bool,
    /// `predicates.lua`.
    pub lua: bool,
    /// The filter maps. Without them the kernel drops nothing.
    pub bpf: bool,
}

impl Default for PackTargets {
    /// All.
    fn default() -> Self {
        PackTargets { wasm: true, lua: true, bpf: true }
    }
}

/// Why rules that compile make no pack.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BuildError(#[from] Reason);

impl BuildError {
    pub(super) fn from_wasm<T>(made: Result<T, kestrel_backend_wasm::WasmError>) -> Result<T, BuildError> {
        made.map_err(|error| BuildError(error.into()))
    }

    pub(super) fn from_lua<T>(made: Result<T, kestrel_backend_lua::LuaError>) -> Result<T, BuildError> {
        made.map_err(|error| BuildError(error.into()))
    }
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("no Wasm module can be made of the rules: {0}")]
    Wasm(#[from] kestrel_backend_wasm::WasmError),
    #[error("no Lua source can be made of the rules: {0}")]
    Lua(#[from] kestrel_backend_lua::LuaError),
    #[error("the pack cannot be put together: {0}")]
    Pack(#[from] kestrel_ir::pack::PackError),
}

/// Builds a pack of the rules that were built.
///
/// # Errors
/// The rules together are beyond a limit of the pack format, or a backend has made a mistake.
///
/// ```
/// use eqlc::compile::{CompileOptions, PackOptions, build_pack, compile_rules};
///
/// let files = [("shell.eql".to_owned(), "process where process.name == \"sh\"".to_owned())];
/// let options = CompileOptions::default();
/// let compilation = compile_rules(eqlc::rules::load_all(files).rules, &options);
/// let name = "example".to_owned();
/// let pack = build_pack(&compilation, &options.schema, PackOptions { name, ..PackOptions::default() })?;
/// assert_eq!(pack.manifest().rules[0].id, "shell");
/// # Ok::<(), eqlc::compile::BuildError>(())
/// ```
pub fn build_pack(compilation: &Compilation, schema: &Schema, options: PackOptions) -> Result<Pack, BuildError> {
    Ok(build(compilation, schema, options)?)
}

fn build(compilation: &Compilation, schema: &Schema, options: PackOptions) -> Result<Pack, Reason> {
    let ir = compilation.verified.ir().clone();
    let targets = options.targets;
    let module = targets.wasm.then(|| kestrel_backend_wasm::compile(&ir)).transpose()?;
    let predicates = targets.lua.then(|| kestrel_backend_lua::compile(&ir)).transpose()?;
    let filters = targets.bpf.then(|| kestrel_backend_bpf::compile(&ir, kestrel_schema::event_kinds()));
    let paths = pack_paths(&compilation.built);
    let rules = compilation.built.iter().zip(&paths).map(|(rule, path)| rule_info(rule, path)).collect();
    let dialects: BTreeSet<&str> = compilation.built.iter().map(|rule| rule.dialect.name()).collect();
    let manifest = Manifest {
        name: options.name,
        compiler: CompilerInfo {
            name: "eqlc".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: options.compiler_build,
        },
        dialects: dialects.into_iter().map(str::to_owned).collect(),
        schema_name: schema.name().to_owned(),
        schema_hash: schema.hash().iter().map(|byte| format!("{byte:02x}")).collect(),
        event_fields: event_fields(schema),
        rules,
        ..Manifest::default()
    };
    let sources = compilation
        .built
        .iter()
        .zip(&paths)
        .map(|(rule, path)| PackFile { path: path.clone(), text: rule.source.source.text().to_owned() })
        .collect();
    let programs = super::program_files(compilation.built.iter().map(|rule| &rule.source), &ir);
    let mut builder = PackBuilder::new(manifest, ir);
    builder.programs = programs;
    builder.module = module;
    builder.predicates = predicates;
    if let Some(filter) = filters {
        (builder.filters, builder.filter_keys) = (filter.maps, filter.keys);
        builder.predicate_keys = filter.predicate_keys;
    }
    builder.sources = sources;
    builder.tests = options.tests;
    Ok(builder.build()?)
}

fn event_fields(schema: &Schema) -> EventFieldsInfo {
    let fields = schema.event();
    EventFieldsInfo {
        category: fields.category.clone(),
        timestamp: fields.timestamp.clone(),
        timestamp_format: fields.timestamp_format.name().to_owned(),
        tiebreaker: fields.tiebreaker.clone(),
        id: fields.id.clone(),
    }
}

/// The rules' paths in the pack: below the folder that all of them have in common, of plain characters, each once.
fn pack_paths(rules: &[BuiltRule]) -> Vec<String> {
    let split = |path: &str| -> Vec<String> {
        path.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | "..")).map(plain).collect()
    };
    let paths: Vec<Vec<String>> = rules.iter().map(|rule| split(&rule.source.path)).collect();
    let common =
        paths.iter().skip(1).fold(paths.first().map_or(0, |first| first.len().saturating_sub(1)), |common, path| {
            let first = paths.first().map(Vec::as_slice).unwrap_or_default();
            let same = path.iter().zip(first).take_while(|(left, right)| left == right).count();
            common.min(same).min(path.len().saturating_sub(1))
        });
    let mut taken = HashSet::new();
    let mut unique = |parts: Vec<String>| {
        let path = parts.get(common..).unwrap_or_default().join("/");
        let path = if path.is_empty() { "rule".to_owned() } else { path };
        let numbered = (2_u32..).map(|number| format!("{path}-{number}"));
        let free = std::iter::once(path.clone()).chain(numbered).find(|path| !taken.contains(path)).unwrap_or(path);
        taken.insert(free.clone());
        free
    };
    paths.into_iter().map(&mut unique).collect()
}

fn plain(part: &str) -> String {
    part.chars().map(|character| if character.is_control() || character == ':' { '_' } else { character }).collect()
}

fn rule_info(rule: &BuiltRule, path: &str) -> RuleInfo {
    let source = &rule.source;
    RuleInfo {
        id: source.id.clone(),
        name: source.name.clone(),
        description: some(&source.description),
        version: source.version.clone(),
        severity: source.severity.map(|severity| severity.text().to_owned()),
        risk_score: source.risk_score.map(u32::from),
        enabled: source.enabled,
        dialect: rule.dialect.name().to_owned(),
        tags: source.tags.clone(),
        os: source.os.clone(),
        threat: source.threat.iter().map(threat_info).collect(),
        actions: source.actions.iter().map(action_info).collect(),
        references: source.references.clone(),
        predicate: None,
        suppression: source.suppression.as_ref().map(|suppression| SuppressionInfo {
            by: suppression.by.iter().map(|(name, _)| name.clone()).collect(),
            window: suppression.window,
            tell_missing: suppression.tell_missing,
        }),
        file: Some(path.to_owned()),
    }
}

fn threat_info(threat: &Threat) -> ThreatInfo {
    ThreatInfo {
        framework: threat.framework.clone(),
        tactic: threat.tactic.as_ref().map(tactic_info),
        techniques: threat.techniques.iter().map(technique_info).collect(),
    }
}

fn technique_info(technique: &Technique) -> TechniqueInfo {
    TechniqueInfo {
        id: technique.item.id.clone(),
        name: technique.item.name.clone(),
        reference: some(&technique.item.reference),
        subtechniques: technique.subtechniques.iter().map(tactic_info).collect(),
    }
}

fn tactic_info(item: &ThreatItem) -> TacticInfo {
    TacticInfo { id: item.id.clone(), name: item.name.clone(), reference: some(&item.reference) }
}

fn action_info(action: &Action) -> ActionInfo {
    ActionInfo {
        action: action.action.clone(),
        field: action.field.clone(),
        state: Some(action.state),
        tree: action.tree,
        optional: action.optional,
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
