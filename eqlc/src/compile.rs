//! The compiler as a whole: rules in, a pack out, stage by stage.
//!
//! In: rule files that were read, or the text of a query; a schema; a dialect. Out: one IR, verified, with what became of
//! every rule, and a pack. Stages are types, so that none can be skipped or called out of order; each can be printed with
//! [`show`]. A rule with mistakes is left out and does not disturb the others. Nothing here does IO.
//!
//! ```text
//! text ─ Parsed ─ Typed ─┐
//! text ─ Parsed ─ Typed ─┴─ Lowered ─ Optimised ─ Verified ─ pack
//! ```

mod code;
mod pack;
mod programs;
mod rules;
mod show;
mod stages;
mod suppression;

pub use code::{lua_source, wasm_module};
pub use pack::{BuildError, PackOptions, PackTargets, build_pack};
pub use rules::{BuiltRule, Compilation, CompileOptions, FailedRule, compile_rules};
pub use show::{Stage, UnknownStage, show, show_passes, show_rule};
pub use stages::{Lowered, Optimised, Parsed, Typed, Verified};

use kestrel_ir::model::{Ir, Program};
use kestrel_ir::pack::ProgramFile;
use kestrel_schema::Schema;

use crate::diagnostics::Diagnostic;
use crate::rules::RuleSource;
use crate::syntax::Dialect;
use crate::types::CheckOptions;

/// The id of the one rule that [`compile_query`] makes.
pub const QUERY_ID: &str = "query";

/// Compiles one query, for a run over files. There is an IR when no diagnostic is an error.
///
/// ```
/// use eqlc::compile::compile_query;
/// use eqlc::syntax::Dialect;
/// use kestrel_schema::Schema;
///
/// let schema = Schema::ecs();
/// let (ir, diagnostics) = compile_query("process where process.name : \"bash\"", &schema, Dialect::Elastic);
/// assert!(ir.is_some() && diagnostics.is_empty());
///
/// let (ir, diagnostics) = compile_query("process where process.nmae == 1", &schema, Dialect::Elastic);
/// assert!(ir.is_none() && diagnostics[0].code == "E0201");
/// ```
pub fn compile_query(text: &str, schema: &Schema, dialect: Dialect) -> (Option<Ir>, Vec<Diagnostic>) {
    let options = CheckOptions { schema, dialect, live: false };
    let (typed, diagnostics) = Parsed::new(text, dialect).check(options);
    let Some(typed) = typed else { return (None, diagnostics) };
    lower_alone(QUERY_ID, &typed, schema, diagnostics)
}

/// Compiles one rule with its hand-written predicate, for a run over files: the IR and the code of its programs.
pub fn compile_rule(rule: &RuleSource, schema: &Schema, dialect: Dialect) -> (Option<Ir>, Vec<Diagnostic>) {
    let options = CheckOptions { schema, dialect, live: false };
    let (typed, mut diagnostics) = Parsed::new(&rule.query, dialect).check(options);
    let Some(typed) = typed else { return (None, diagnostics) };
    match programs::check(rule, typed.query(), schema) {
        Ok(program) => lower_alone(&rule.id, &typed.with_program(program), schema, diagnostics),
        Err(found) => {
            diagnostics.extend(found);
            (None, diagnostics)
        }
    }
}

/// The code of the hand-written predicates of these rules, in the order of their IR's programs.
pub fn program_files<'r>(rules: impl IntoIterator<Item = &'r RuleSource>, ir: &Ir) -> Vec<ProgramFile> {
    let code = rules.into_iter().filter_map(|rule| rule.predicate.as_ref()?.code.as_deref());
    let file = |(program, code): (&Program, &[u8])| ProgramFile { name: program.name.clone(), bytes: code.to_vec() };
    ir.programs.iter().zip(code).map(file).collect()
}

fn lower_alone(
    id: &str,
    typed: &Typed,
    schema: &Schema,
    mut diagnostics: Vec<Diagnostic>,
) -> (Option<Ir>, Vec<Diagnostic>) {
    match Lowered::new(schema, [(id, typed)]).optimise().verify() {
        Ok(verified) => (Some(verified.into_ir()), diagnostics),
        Err(refused) => {
            diagnostics.push(refused.into());
            (None, diagnostics)
        }
    }
}
