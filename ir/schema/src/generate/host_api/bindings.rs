//! Writes what authors of predicates include: a WIT package, a C header, Rust declarations, the Lua prelude.

use std::fmt::Write;

use super::source::{Function, HostApiSource};

/// The text of `docs/host-api.wit`: the API in the words of the component model. Predicates are plain modules; how these
/// types are passed to them is what the C header says.
pub fn generate_wit(source: &HostApiSource) -> String {
    let kebab = |name: &str| name.replace('_', "-");
    let mut text = format!(
        "// Written by `cargo xtask host-api` from ir/schema/host_api.toml: do not edit.\npackage kestrel:predicate@{}.0.0;\n\n\
         /// What the host offers.\ninterface host {{\n    /// Why a function has no result.\n    enum error {{\n",
        source.version
    );
    for error in &source.error {
        let _ = writeln!(text, "        /// {}\n        {},", error.doc, kebab(&error.name));
    }
    text.push_str("    }\n");
    for function in &source.function {
        let parameters: Vec<String> =
            function.own_parameters().map(|(name, kind)| format!("{}: {}", kebab(name), wit_type(kind))).collect();
        let result = match function.result.as_str() {
            kind if function.plain => wit_type(kind).to_owned(),
            "status" => "result<_, error>".to_owned(),
            kind => format!("result<{}, error>", wit_type(kind)),
        };
        let _ = write!(text, "\n    /// {}\n", function.doc);
        if let Some(capability) = &function.capability {
            let _ = writeln!(text, "    /// Needs the capability `{capability}`.");
        }
        let _ = writeln!(text, "    {}: func({}) -> {result};", kebab(&function.name), parameters.join(", "));
    }
    text.push_str("}\n\n/// A predicate.\nworld predicate {\n    import host;\n");
    for export in &source.export {
        let result = match export.result.as_str() {
            "none" => String::new(),
            "status" => " -> s32".to_owned(),
            kind => format!(" -> {}", wit_type(kind)),
        };
        let optional = if export.required { "" } else { "    /// May be left out.\n" };
        let _ =
            write!(text, "\n    /// {}\n{optional}    export {}: func(){result};\n", export.doc, kebab(&export.name));
    }
    text.push_str("}\n");
    text
}

fn wit_type(kind: &str) -> &'static str {
    match kind {
        "text" | "buffer" => "string",
        "bytes" => "list<u8>",
        "handle" | "count" => "u32",
        "flag" => "bool",
        "integer" => "s64",
        "float" => "f64",
        "address" => "tuple<u64, u64>",
        _ => "s32",
    }
}

/// The text of `engine/include/kestrel_predicate.h`.
pub fn generate_c_header(source: &HostApiSource) -> String {
    let mut text = format!(
        "/* Written by `cargo xtask host-api` from ir/schema/host_api.toml: do not edit.\n *\n\
         \x20* What a predicate in C or C++ may import and must export; docs/host-api.md is the guide. Needs no C library.\n */\n\
         #ifndef KESTREL_PREDICATE_H\n#define KESTREL_PREDICATE_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n/* What `pred_abi` returns. */\n#define KESTREL_ABI {}\n\n",
        source.version
    );
    for error in &source.error {
        let _ =
            writeln!(text, "/* {} */\n#define KESTREL_{} ({})", error.doc, error.name.to_ascii_uppercase(), error.code);
    }
    let _ = write!(
        text,
        "\n#define KESTREL_IMPORT(name) __attribute__((import_module(\"{}\"), import_name(#name)))\n\
         #define KESTREL_EXPORT(name) __attribute__((export_name(#name)))\n",
        source.module
    );
    for function in &source.function {
        let needs = function.capability.as_ref().map(|name| format!(" Needs `{name}`.")).unwrap_or_default();
        let result = if function.plain { "int64_t" } else { "int32_t" };
        let _ = write!(
            text,
            "\n/* {}{needs} */\nKESTREL_IMPORT({name})\n{result} kestrel_{name}({});\n",
            function.doc,
            c_parameters(function),
            name = function.name,
        );
    }
    for export in &source.export {
        let result = if export.result == "none" { "void" } else { "int32_t" };
        let optional = if export.required { "" } else { " May be left out." };
        let _ = write!(
            text,
            "\n/* {}{optional} */\nKESTREL_EXPORT({name})\n{result} {name}(void);\n",
            export.doc,
            name = export.name
        );
    }
    text.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif /* KESTREL_PREDICATE_H */\n");
    text
}

fn c_parameters(function: &Function) -> String {
    let mut parameters: Vec<String> = Vec::new();
    for (name, kind) in &function.parameters {
        match kind.as_str() {
            "text" => parameters.extend([format!("const char *{name}"), format!("size_t {name}_length")]),
            "bytes" => parameters.extend([format!("const void *{name}"), format!("size_t {name}_length")]),
            "buffer" => parameters.extend([format!("char *{name}"), format!("size_t {name}_capacity")]),
            "integer" => parameters.push(format!("int64_t {name}")),
            "float" => parameters.push(format!("double {name}")),
            _ => parameters.push(format!("int32_t {name}")),
        }
    }
    match function.result.as_str() {
        "integer" if !function.plain => parameters.push("int64_t *result".to_owned()),
        "float" => parameters.push("double *result".to_owned()),
        "address" => parameters.push("uint8_t result[16]".to_owned()),
        _ => {}
    }
    if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") }
}

/// The text of `engine/include/kestrel_predicate.rs`.
pub fn generate_rust_bindings(source: &HostApiSource) -> String {
    let mut text = format!(
        "//! Written by `cargo xtask host-api` from ir/schema/host_api.toml: do not edit.\n//!\n\
         //! What a predicate in Rust may import; docs/host-api.md is the guide. Include it with `#[path]`; it needs no crate, and\n\
         //! no standard library.\n#![allow(dead_code, reason = \"a predicate uses its part\")]\n\n\
         /// What `pred_abi` returns.\npub const ABI: i32 = {};\n",
        source.version
    );
    for error in &source.error {
        let name = error.name.to_ascii_uppercase();
        let _ = writeln!(text, "/// {}\npub const {name}: i32 = {};", error.doc, error.code);
    }
    let _ = write!(text, "\n#[link(wasm_import_module = {:?})]\nunsafe extern \"C\" {{\n", source.module);
    for (index, function) in source.function.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let needs = function.capability.as_ref().map(|name| format!(" Needs `{name}`.")).unwrap_or_default();
        let result = if function.plain { "i64" } else { "i32" };
        let parameters = rust_parameters(function);
        let _ = writeln!(
            text,
            "    /// {}{needs}\n    #[rustfmt::skip]\n    pub fn {}({}) -> {result};",
            function.doc, function.name, parameters
        );
    }
    text.push_str("}\n");
    text
}

fn rust_parameters(function: &Function) -> String {
    let mut parameters: Vec<String> = Vec::new();
    for (name, kind) in &function.parameters {
        match kind.as_str() {
            "text" | "bytes" => parameters.extend([format!("{name}: *const u8"), format!("{name}_length: usize")]),
            "buffer" => parameters.extend([format!("{name}: *mut u8"), format!("{name}_capacity: usize")]),
            "integer" => parameters.push(format!("{name}: i64")),
            "float" => parameters.push(format!("{name}: f64")),
            _ => parameters.push(format!("{name}: i32")),
        }
    }
    match function.result.as_str() {
        "integer" if !function.plain => parameters.push("result: *mut i64".to_owned()),
        "float" => parameters.push("result: *mut f64".to_owned()),
        "address" => parameters.push("result: *mut [u8; 16]".to_owned()),
        _ => {}
    }
    parameters.join(", ")
}

/// The text of `engine/src/program/prelude.lua`.
pub fn generate_lua_prelude(source: &HostApiSource) -> String {
    let mut text = "\
-- Written by `cargo xtask host-api` from ir/schema/host_api.toml: do not edit.
--
-- The table `kestrel` of a predicate in Lua. The engine gives `host` (its functions) and `has` (the capabilities that the
-- rule declares). A function that answers an error raises it; what is missing is nil. Editors read the annotations.

---@meta

local host, has = ...

---@class kestrel
local kestrel = {}
local needs = {}
"
    .to_owned();
    for function in &source.function {
        let names: Vec<&str> = function.own_parameters().map(|(name, _)| name.as_str()).collect();
        let _ = write!(text, "\n--- {}\n", function.doc);
        if let Some(capability) = &function.capability {
            let _ = writeln!(text, "--- Needs the capability `{capability}`.");
        }
        for (name, kind) in function.own_parameters() {
            let _ = writeln!(text, "---@param {name} {}", lua_type(kind));
        }
        let result = match function.result.as_str() {
            "status" => None,
            _ if function.name.starts_with("hash_") => Some("string"),
            kind => Some(lua_type(kind)),
        };
        if let Some(result) = result {
            let optional = if (function.name.starts_with("event_get_") && function.result != "count")
                || function.name == "event_entity"
            {
                "?"
            } else {
                ""
            };
            let _ = writeln!(text, "---@return {result}{optional}");
        }
        let call = format!("function kestrel.{}({}) return host.{0}({1}) end", function.name, names.join(", "));
        match &function.capability {
            Some(capability) => {
                let _ = writeln!(
                    text,
                    "if has.{capability} then\n  {call}\nelse\n  needs.{} = \"{capability}\"\nend",
                    function.name
                );
            }
            None => {
                let _ = writeln!(text, "{call}");
            }
        }
    }
    text.push_str("\nreturn kestrel, needs\n");
    text
}

fn lua_type(kind: &str) -> &'static str {
    match kind {
        "text" | "bytes" | "address" => "string",
        "flag" => "boolean",
        "float" => "number",
        _ => "integer",
    }
}
