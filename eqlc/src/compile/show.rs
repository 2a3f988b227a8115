//! Each stage of one query as text, for `eqlc show`.

use std::fmt;
use std::fmt::Write;
use std::str::FromStr;

use kestrel_ir::guards;
use kestrel_ir::model::{Ir, PredicateId};
use kestrel_ir::text;
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
    /// The module's bytes, in hexadecimal digits.
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
    if stage == Stage::Tokens {
        let lines = tokens(text).0.iter().map(|token| format!("{token:?}\n")).collect();
        return (Some(lines), Vec::new());
    }
    let parsed = Parsed::new(text, dialect);
    let tree = format!("{:#?}\n", parsed.query());
    let (typed, mut diagnostics) = parsed.check(CheckOptions { schema, dialect, live: false });
    if stage == Stage::Ast {
        return (Some(tree), diagnostics);
    }
    let Some(typed) = typed else { return (None, diagnostics) };
    let shown = Lowered::new(schema, [(QUERY_ID, &typed)])
        .optimise()
        .verify()
        .and_then(|verified| show_ir(stage, verified.ir()));
    match shown {
        Ok(text) => (Some(text), diagnostics),
        Err(refused) => {
            diagnostics.push(refused.into());
            debug_assert!(has_errors(&diagnostics));
            (None, diagnostics)
        }
    }
}

fn show_ir(stage: Stage, ir: &Ir) -> Result<String, PackRefused> {
    let refused = |stage, message| PackRefused { span: Span::default(), stage, message };
    match stage {
        Stage::Tokens | Stage::Ast | Stage::Ir => Ok(text::print(ir)),
        Stage::Guards => Ok(guards_of(ir)),
        Stage::Wasm => match kestrel_backend_wasm::compile(ir) {
            Ok(module) => Ok(hexadecimal(&module)),
            Err(error) => Err(refused("Wasm module", error.to_string())),
        },
        Stage::Lua => kestrel_backend_lua::compile(ir).map_err(|error| refused("Lua source", error.to_string())),
        Stage::Bpf => Ok(filters_of(ir)),
    }
}

fn guards_of(ir: &Ir) -> String {
    let mut shown = String::new();
    for (index, guard) in guards::analyze_all(ir).iter().enumerate() {
        let predicate = text::predicate_expression(ir, PredicateId(index as u32));
        // Writing to a string never fails.
        let _ = writeln!(shown, "p{index} = {predicate}\n  needs {}", guards::describe(ir, guard));
    }
    shown
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(shown, "{:08x}  {}", row * 16, digits.join(" "));
    }
    shown
}

fn filters_of(ir: &Ir) -> String {
    let kinds = kestrel_schema::event_kinds();
    let filter = kestrel_backend_bpf::compile(ir, kinds);
    let mut shown = String::new();
    for kind in kinds {
        let _ = writeln!(shown, "{} {}", if filter.maps.wants(kind.id) { "keep" } else { "drop" }, kind.name);
    }
    for explanation in &filter.explanations {
        let _ = writeln!(shown, "{}: {}", explanation.step, explanation.why);
    }
    shown
}
