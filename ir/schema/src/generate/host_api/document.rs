//! Writes the reference part of `docs/host-api.md`; what stands above the marker is written by hand and stays.

use std::fmt::Write;

use super::source::{Function, HostApiSource};

/// Where the generated part begins.
const MARKER: &str =
    "<!-- What follows is written by `cargo xtask host-api` from ir/schema/host_api.toml: do not edit. -->\n";

/// The text of `docs/host-api.md`, given the one that is there.
pub fn generate_reference(source: &HostApiSource, existing: &str) -> String {
    let mut text = existing.split(MARKER).next().unwrap_or_default().trim_end().to_owned();
    let _ = write!(text, "\n\n{MARKER}## Reference, version {}\n\n", source.version);
    text.push_str("### What a predicate exports\n\n| name | in Wasm | | |\n|---|---|---|---|\n");
    for export in &source.export {
        let result = if export.result == "none" { "()" } else { "i32" };
        let needed = if export.required { "required" } else { "may be left out" };
        let _ = writeln!(text, "| `{}` | `() -> {result}` | {needed} | {} |", export.name, export.doc);
    }
    text.push_str("\nA Wasm module exports its `memory` as well.\n\n### Capabilities\n\n| name | |\n|---|---|\n");
    for capability in &source.capability {
        let functions: Vec<String> = source
            .function
            .iter()
            .filter(|function| function.capability.as_ref() == Some(&capability.name))
            .map(|function| format!("`{}`", function.name))
            .collect();
        let list = if functions.is_empty() { String::new() } else { format!(" {}", functions.join(", ")) };
        let _ = writeln!(text, "| `{}` | {}{list} |", capability.name, capability.doc);
    }
    text.push_str("\n### Functions\n");
    for function in &source.function {
        let names: Vec<&str> = function.own_parameters().map(|(name, _)| name.as_str()).collect();
        let needs = function.capability.as_ref().map_or("always there".to_owned(), |name| format!("needs `{name}`"));
        let phases: Vec<String> = function.phases.iter().map(|phase| format!("`pred_{phase}`")).collect();
        let _ = write!(
            text,
            "\n#### `{name}`\n{doc}\n\nLua `kestrel.{name}({lua})` · Wasm `{signature}` · {needs} · from {phases}\n",
            name = function.name,
            doc = function.doc,
            lua = names.join(", "),
            signature = signature(function),
            phases = phases.join(", "),
        );
    }
    text.push_str("\n### Errors\n\n| in Wasm | | |\n|---:|---|---|\n");
    for error in &source.error {
        let _ = writeln!(text, "| {} | `{}` | {} |", error.code, error.name, error.doc);
    }
    text.push_str("\nIn Lua `missing` is nil, and any other error is raised.\n");
    text
}

fn signature(function: &Function) -> String {
    let mut parameters: Vec<String> = Vec::new();
    for (name, kind) in &function.parameters {
        match kind.as_str() {
            "text" | "bytes" => parameters.extend([format!("{name}: i32"), format!("{name}_length: i32")]),
            "buffer" => parameters.extend([format!("{name}: i32"), format!("{name}_capacity: i32")]),
            "integer" => parameters.push(format!("{name}: i64")),
            "float" => parameters.push(format!("{name}: f64")),
            _ => parameters.push(format!("{name}: i32")),
        }
    }
    if matches!(function.result.as_str(), "integer" | "float" | "address") && !function.plain {
        parameters.push("result: i32".to_owned());
    }
    let result = if function.plain { "i64" } else { "i32" };
    format!("({}) -> {result}", parameters.join(", "))
}
