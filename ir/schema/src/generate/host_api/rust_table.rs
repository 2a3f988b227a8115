//! Writes the table that compiler and engine check by.

use std::fmt::Write;

use super::pascal;
use super::source::HostApiSource;

const HEAD: &str = "\
//! The host API as static tables. Written by `cargo xtask host-api` from host_api.toml: do not edit.

use super::{ExportDef, FunctionDef, Parameter, ParameterType, Phase, ResultType};
use serde::{Deserialize, Serialize};
";

/// The text of `ir/schema/src/host_api/generated.rs`.
pub fn generate_rust_table(source: &HostApiSource) -> String {
    let mut text = HEAD.to_owned();
    let _ = write!(
        text,
        "\n/// The version of the host API.\npub const VERSION: u32 = {};\n/// The module that its functions are imported from.\n\
         pub const MODULE: &str = {:?};\n",
        source.version, source.module
    );
    capabilities(source, &mut text);
    errors(source, &mut text);
    functions(source, &mut text);
    let _ = write!(
        text,
        "\n/// What predicates export.\n#[rustfmt::skip]\npub const EXPORTS: [ExportDef; {}] = [\n",
        source.export.len()
    );
    for export in &source.export {
        let (name, result) = (&export.name, pascal(&export.result));
        let _ = writeln!(
            text,
            "    ExportDef {{ name: {name:?}, result: ResultType::{result}, required: {} }},",
            export.required
        );
    }
    text.push_str("];\n");
    text
}

fn capabilities(source: &HostApiSource, text: &mut String) {
    text.push_str(
        "\n/// What a rule declares that its predicate may do.\n\
         #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]\n\
         pub enum Capability {\n",
    );
    for capability in &source.capability {
        let _ = writeln!(text, "    /// {}\n    {},", capability.doc, pascal(&capability.name));
    }
    let all: Vec<String> =
        source.capability.iter().map(|known| format!("        Capability::{},\n", pascal(&known.name))).collect();
    let _ = write!(
        text,
        "}}\n\n#[rustfmt::skip]\nimpl Capability {{\n    /// All of them.\n    pub const ALL: [Capability; {}] = [\n{}    ];\n\n\
         \x20   /// The word of a rule.\n    pub fn name(self) -> &'static str {{\n        match self {{\n",
        all.len(),
        all.concat()
    );
    for capability in &source.capability {
        let _ = writeln!(text, "            Capability::{} => {:?},", pascal(&capability.name), capability.name);
    }
    text.push_str("        }\n    }\n}\n");
}

fn errors(source: &HostApiSource, text: &mut String) {
    text.push_str(
        "\n/// What a function answers when it has no result.\n#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\n\
         pub enum HostError {\n",
    );
    for error in &source.error {
        let _ = writeln!(text, "    /// {}\n    {},", error.doc, pascal(&error.name));
    }
    text.push_str(
        "}\n\n#[rustfmt::skip]\nimpl HostError {\n    /// The number that Wasm sees.\n    pub fn code(self) -> i32 {\n        match self {\n",
    );
    for error in &source.error {
        let _ = writeln!(text, "            HostError::{} => {},", pascal(&error.name), error.code);
    }
    text.push_str(
        "        }\n    }\n\n    /// Its name.\n    pub fn name(self) -> &'static str {\n        match self {\n",
    );
    for error in &source.error {
        let _ = writeln!(text, "            HostError::{} => {:?},", pascal(&error.name), error.name);
    }
    text.push_str("        }\n    }\n}\n");
}

fn functions(source: &HostApiSource, text: &mut String) {
    text.push_str(
        "\n/// The host's functions.\n#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\npub enum HostFunction {\n",
    );
    for function in &source.function {
        let _ = writeln!(text, "    /// {}\n    {},", function.doc, pascal(&function.name));
    }
    let all: Vec<String> =
        source.function.iter().map(|known| format!("        HostFunction::{},\n", pascal(&known.name))).collect();
    let _ = write!(
        text,
        "}}\n\n#[rustfmt::skip]\nimpl HostFunction {{\n    /// All of them.\n    pub const ALL: [HostFunction; {}] = [\n{}    ];\n\n\
         \x20   /// Its entry in the table.\n    pub fn definition(self) -> &'static FunctionDef {{\n        match self {{\n",
        all.len(),
        all.concat()
    );
    for function in &source.function {
        let capability = match &function.capability {
            Some(capability) => format!("Some(Capability::{})", pascal(capability)),
            None => "None".to_owned(),
        };
        let phases: Vec<String> = function.phases.iter().map(|phase| format!("Phase::{}", pascal(phase))).collect();
        let parameters: Vec<String> = function
            .parameters
            .iter()
            .map(|(name, kind)| {
                format!("Parameter {{ name: {name:?}, parameter_type: ParameterType::{} }}", pascal(kind))
            })
            .collect();
        let result = if function.plain { "PlainInteger".to_owned() } else { pascal(&function.result) };
        let _ = writeln!(
            text,
            "            HostFunction::{} => &FunctionDef {{\n                name: {:?},\n                capability: {capability},\n\
             \x20               phases: &[{}],\n                parameters: &[{}],\n                result: ResultType::{result},\n            }},",
            pascal(&function.name),
            function.name,
            phases.join(", "),
            parameters.join(", "),
        );
    }
    text.push_str("        }\n    }\n}\n");
}
