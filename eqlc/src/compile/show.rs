//! Each stage of one query as text, for `eqlc show`.
//!
//! In: a stage and the text of a query. Out: text to learn from: ids stay the same from one part to the next, and what
//! a backend needs is said in words beside it. Nothing here is read back by a program, the tables of the IR aside.

mod guards;
mod ir;
mod tree;

use std::fmt;
use std::fmt::Write;
use std::str::FromStr;

use kestrel_ir::model::Ir;
use kestrel_schema::Schema;

use super::QUERY_ID;
use super::stages::{Lowered, Parsed};
use crate::diagnostics::{Diagnostic, has_errors};
use crate::syntax::{Dialect, Span, tokens};
use crate::types::CheckOptions;
use crate::types::limit_errors::PackRefused;

/// A stage that can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The words of the text.
    Tokens,
    /// The syntax tree.
    Ast,
    /// The tables of the IR.
    Ir,
    /// What each predicate needs at least.
    Guards,
    /// The module's text.
    Wasm,
    /// The source for LuaJIT.
    Lua,
    /// What the kernel may drop.
    Bpf,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 7] =
        [Stage::Tokens, Stage::Ast, Stage::Ir, Stage::Guards, Stage::Wasm, Stage::Lua, Stage::Bpf];

    /// The name that commands use.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Tokens => "tokens",
            Stage::Ast => "ast",
            Stage::Ir => "ir",
            Stage::Guards => "guards",
            Stage::Wasm => "wasm",
            Stage::Lua => "lua",
            Stage::Bpf => "bpf",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The text names no stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown stage, expected `tokens`, `ast`, `ir`, `guards`, `wasm`, `lua` or `bpf`")]
pub struct UnknownStage;

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|stage| stage.name() == text).ok_or(UnknownStage)
    }
}

/// Prints a stage of a query. There is no text where the query's mistakes keep it from reaching that stage.
pub fn show(stage: Stage, text: &str, schema: &Schema, dialect: Dialect) -> (Option<String>, Vec<Diagnostic>) {
    show_rule(stage, QUERY_ID, text, schema, dialect)
}

/// The same of a rule with an id.
pub fn show_rule(
    stage: Stage,
    id: &str,
    text: &str,
    schema: &Schema,
    dialect: Dialect,
) -> (Option<String>, Vec<Diagnostic>) {
    if stage == Stage::Tokens {
        let lines = tokens(text).0.iter().map(|token| format!("{token:?}\n")).collect();
        return (Some(lines), Vec::new());
    }
    let parsed = Parsed::new(text, dialect);
    let tree = format!("{:#?}\n", parsed.query());
    let (typed, diagnostics) = parsed.check(CheckOptions { schema, dialect, live: false });
    if stage == Stage::Ast {
        return (Some(tree), diagnostics);
    }
    let Some(typed) = typed else { return (None, diagnostics) };
    let verified = Lowered::new(schema, [(id, &typed)]).optimise().verify();
    shown(verified.and_then(|verified| show_ir(stage, text, verified.ir())), diagnostics)
}

/// Prints what each pass that changes something makes of a rule's predicates, then the IR that results.
pub fn show_passes(id: &str, text: &str, schema: &Schema, dialect: Dialect) -> (Option<String>, Vec<Diagnostic>) {
    let options = CheckOptions { schema, dialect, live: false };
    let (typed, diagnostics) = Parsed::new(text, dialect).check(options);
    let Some(typed) = typed else { return (None, diagnostics) };
    let lowered = Lowered::new(schema, [(id, &typed)]);
    let mut lesson = ir::PassesLesson::new(text, lowered.ir());
    let verified = lowered.optimise_watched(|pass, before, after| lesson.pass(pass, before, after)).verify();
    shown(verified.map(|_| lesson.finish()), diagnostics)
}

fn shown(made: Result<String, PackRefused>, mut diagnostics: Vec<Diagnostic>) -> (Option<String>, Vec<Diagnostic>) {
    match made {
        Ok(text) => (Some(text), diagnostics),
        Err(refused) => {
            diagnostics.push(refused.into());
            debug_assert!(has_errors(&diagnostics));
            (None, diagnostics)
        }
    }
}

fn show_ir(stage: Stage, query: &str, ir: &Ir) -> Result<String, PackRefused> {
    let refused = |stage, message| PackRefused { span: Span::default(), stage, message };
    match stage {
        Stage::Tokens | Stage::Ast | Stage::Ir => Ok(ir::lesson(query, ir)),
        Stage::Guards => Ok(guards::lesson(ir)),
        Stage::Wasm => kestrel_backend_wasm::print(ir).map_err(|error| refused("Wasm module", error.to_string())),
        Stage::Lua => kestrel_backend_lua::compile(ir).map_err(|error| refused("Lua source", error.to_string())),
        Stage::Bpf => Ok(filters_of(ir)),
    }
}

fn filters_of(ir: &Ir) -> String {
    let kinds = kestrel_schema::event_kinds();
    let filter = kestrel_backend_bpf::compile(ir, kinds);
    let mut shown = String::new();
    for kind in kinds {
        let _ = write!(shown, "{} {}", if filter.maps.wants(kind.id) { "keep" } else { "drop" }, kind.name);
        let keys = filter.keys.iter().find(|keys| keys.kind == kind.id);
        if keys.is_some_and(|keys| keys.keys.is_empty()) {
            shown.push_str(" with nothing: it has no field that is asked for");
        }
        for (number, key) in keys.into_iter().flat_map(|keys| &keys.keys).enumerate() {
            let before = if number == 0 { " with" } else { " or" };
            let _ = write!(shown, "{before} {} {:?}", key.test.name(), key.text);
        }
        shown.push('\n');
    }
    for explanation in &filter.explanations {
        let _ = writeln!(shown, "{}: {}", explanation.step, explanation.why);
    }
    shown
}
