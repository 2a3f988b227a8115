//! Whether the parts of a pack agree with each other, and with a schema.

use super::Pack;
use super::error::{PackError, PackProblem};
use super::manifest::{KeyUse, KindKeys, PackFile, PredicateInfo, state_budget};
use crate::guards;
use crate::model::{Ir, Program};
use kestrel_schema::Schema;

/// The longest path of a file in a pack, in bytes.
const MAX_PATH: usize = 1024;
/// The most hooks that a pack can ask for.
const MAX_HOOKS: usize = 64;
/// The most code of one hand-written predicate, in bytes.
pub const MAX_PROGRAM: usize = 4 << 20;
/// The most fields by which alerts of a rule are suppressed.
pub const MAX_SUPPRESSION_FIELDS: usize = 16;
/// How many fields are named when schemas differ.
const NAMED_FIELDS: usize = 5;

/// The most keys of one kind, and the longest.
const MAX_FILTER_KEYS: usize = 65_536;
const MAX_FILTER_KEY: usize = 1024;

/// The most keys of all predicates together.
pub const MAX_PREDICATE_KEYS: usize = 4 * MAX_FILTER_KEYS;

/// Checks the keys of some kinds, ascending by kind.
pub(super) fn check_filter_keys(kinds: &[KindKeys]) -> Result<(), PackError> {
    if !kinds.is_sorted_by(|left, right| left.kind < right.kind) {
        return inconsistent("the filter keys' kinds are not sorted, or one is there twice");
    }
    for KindKeys { kind, keys } in kinds {
        let fits = keys.iter().all(|key| key.text.len() <= MAX_FILTER_KEY) && keys.len() <= MAX_FILTER_KEYS;
        if !fits || !keys.is_sorted_by(|left, right| left < right) {
            return inconsistent(&format!("the filter keys of kind {kind} are too many, too long or not sorted"));
        }
    }
    Ok(())
}

fn check_predicate_keys(pack: &Pack) -> Result<(), PackError> {
    let (keys, uses) = (&pack.predicate_keys.keys, &pack.predicate_keys.uses);
    let fits = keys.iter().all(|key| key.text.len() <= MAX_FILTER_KEY) && keys.len() <= MAX_PREDICATE_KEYS;
    if !fits || !keys.is_sorted_by(|left, right| left < right) {
        return inconsistent("the predicates' filter keys are too many, too long or not sorted");
    }
    let is_known = |used: &KeyUse| {
        let numbers = used.keys.iter().all(|&key| (key as usize) < keys.len());
        numbers && (used.predicate as usize) < pack.ir.predicates.len()
    };
    if !uses.is_sorted_by_key(|used| used.predicate) || !uses.iter().all(is_known) {
        return inconsistent("the predicates' filter keys are not about their predicates");
    }
    Ok(())
}

/// Checks what no single section can tell.
pub(super) fn check(pack: &Pack) -> Result<(), PackError> {
    let manifest = &pack.manifest;
    let own = manifest.rules.iter().map(|rule| rule.id.as_str());
    if !own.eq(pack.ir.rules.iter().map(|rule| rule.id.as_str())) {
        return inconsistent("the manifest's rules are not those of the IR");
    }
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if manifest.schema_hash.len() != 64 || !manifest.schema_hash.bytes().all(is_hex) {
        return inconsistent("the schema's hash is not 64 hexadecimal digits");
    }
    if manifest.required_fields != guards::required_fields(&pack.ir) {
        return inconsistent("the required fields are not those that the rules read");
    }
    if manifest.required_kinds != pack.filters.kinds {
        return inconsistent("the required event kinds are not those of the filter maps");
    }
    let mut budget = state_budget(&pack.ir);
    if manifest.state_budget.worst_case.is_none() {
        // Packs of earlier compilers do not have it.
        budget.worst_case = None;
    }
    if manifest.state_budget != budget {
        return inconsistent("the state budget is not that of the rules");
    }
    // Which hooks an action needs may change with the builds, and is not asked again.
    let hooks = &manifest.required_hooks;
    if hooks.len() > MAX_HOOKS || !hooks.is_sorted_by(|left, right| left < right) {
        return inconsistent("the required hooks are too many, not sorted, or one is there twice");
    }
    if let Some(hook) = hooks.iter().find(|hook| !is_hook(hook)) {
        return inconsistent(&format!("{:?} is no name of a hook", shortened(hook)));
    }
    let filters = &pack.filters;
    let ascending = |kinds: &[u16]| kinds.is_sorted_by(|left, right| left < right);
    if !ascending(&filters.kinds) || !ascending(&filters.known) {
        return inconsistent("the filter maps' kinds are not sorted, or one is there twice");
    }
    if !filters.kinds.iter().all(|kind| filters.known.binary_search(kind).is_ok()) {
        return inconsistent("the filter maps want a kind that they do not know");
    }
    if !filters.reasons.iter().map(|reason| reason.kind).eq(filters.kinds.iter().copied()) {
        return inconsistent("the filter maps' reasons are not about their kinds");
    }
    check_filter_keys(&pack.filter_keys)?;
    check_predicate_keys(pack)?;
    check_programs(pack)?;
    check_files(&pack.sources, "sources")?;
    check_files(&pack.tests, "tests")?;
    for rule in &manifest.rules {
        let Some(suppression) = &rule.suppression else { continue };
        let known = |name: &String| pack.ir.layout.lookup(name).is_some();
        let few = suppression.by.len() <= MAX_SUPPRESSION_FIELDS;
        if suppression.window <= 0 || !few || !suppression.by.iter().all(known) {
            return inconsistent(&format!("rule {:?} asks for a suppression that cannot be", shortened(&rule.id)));
        }
    }
    for rule in &manifest.rules {
        let Some(file) = &rule.file else { continue };
        if pack.sources.binary_search_by(|source| source.path.cmp(file)).is_err() {
            return inconsistent(&format!("rule {:?} names a source that is not there", shortened(&rule.id)));
        }
    }
    Ok(())
}

/// The code is that of the IR's programs, and the manifest tells of it what the IR says.
fn check_programs(pack: &Pack) -> Result<(), PackError> {
    let ir = &pack.ir;
    if !pack.programs.iter().map(|file| &file.name).eq(ir.programs.iter().map(|program| &program.name)) {
        return inconsistent("the programs are not those of the IR");
    }
    if let Some(file) = pack.programs.iter().find(|file| file.bytes.len() > MAX_PROGRAM) {
        let (name, length) = (shortened(&file.name), file.bytes.len());
        return inconsistent(&format!("program {name:?} has {length} bytes, at most {MAX_PROGRAM} are allowed"));
    }
    if pack.manifest.capabilities != super::capabilities(ir) {
        return inconsistent("the capabilities are not those of the programs");
    }
    for (rule, info) in ir.rules.iter().zip(&pack.manifest.rules) {
        if rule.program.and_then(|program| ir.program(program)).map(|program| predicate_info(ir, program))
            != info.predicate
        {
            return inconsistent(&format!("rule {:?} has another predicate than the IR says", shortened(&info.id)));
        }
    }
    Ok(())
}

/// What the manifest says of a program.
pub(super) fn predicate_info(ir: &Ir, program: &Program) -> PredicateInfo {
    PredicateInfo {
        name: program.name.clone(),
        language: program.language.name().to_owned(),
        fields: program.fields.iter().map(|field| ir.layout.name(*field).to_owned()).collect(),
        capabilities: program.capabilities.iter().map(|capability| capability.name().to_owned()).collect(),
    }
}

/// Checks the types of all fields of the frames against a schema.
pub(super) fn check_schema(pack: &Pack, schema: &Schema) -> Result<(), PackError> {
    let hash: String = schema.hash().iter().map(|byte| format!("{byte:02x}")).collect();
    if hash == pack.manifest.schema_hash {
        return Ok(());
    }
    let mut differences = Vec::new();
    for (_, field) in pack.ir.layout.iter() {
        match schema.lookup(&field.name) {
            Some(info) if info.field_type == field.field_type => {}
            Some(info) => {
                differences.push(format!("`{}` was {} and is {}", field.name, field.field_type, info.field_type));
            }
            None if schema.dynamic() => {}
            None => differences.push(format!("`{}` is unknown", field.name)),
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let untold = differences.len().saturating_sub(NAMED_FIELDS);
    differences.truncate(NAMED_FIELDS);
    let mut message = differences.join(", ");
    if untold > 0 {
        message.push_str(&format!(" and {untold} more"));
    }
    Err(PackProblem::Schema { schema: pack.manifest.schema_name.clone(), message }.into())
}

fn inconsistent(message: &str) -> Result<(), PackError> {
    Err(PackProblem::Inconsistent(message.to_owned()).into())
}

fn check_files(files: &[PackFile], what: &str) -> Result<(), PackError> {
    if !files.is_sorted_by(|left, right| left.path < right.path) {
        return inconsistent(&format!("the {what} are not sorted by path, or one is there twice"));
    }
    match files.iter().find(|file| !is_plain_path(&file.path)) {
        Some(file) => inconsistent(&format!("{:?} is no path inside a pack", shortened(&file.path))),
        None => Ok(()),
    }
}

/// Whether a path stays below the folder that it is taken from, on any system.
fn is_plain_path(path: &str) -> bool {
    let is_odd = |character: char| character.is_control() || matches!(character, '\\' | ':');
    path.len() <= MAX_PATH
        && !path.chars().any(is_odd)
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Whether a text is `mechanism/function`, of plain letters.
fn is_hook(text: &str) -> bool {
    let plain =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    text.len() <= 64 && text.split_once('/').is_some_and(|(mechanism, function)| plain(mechanism) && plain(function))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
