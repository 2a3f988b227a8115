//! Whether a predicate keeps to the host API: what a Wasm module imports and exports, what a Lua source names.
//!
//! In: names and types, or a source. Out: everything that is wrong. A Lua source is looked at word by word, so that
//! `kestrel.log` is found and `kestrel["l" .. "og"]` is not; the engine refuses the latter when it is called.

use thiserror::Error;

use super::{Capability, EXPORTS, HostFunction, MODULE, Signature};

/// Something that a module imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WasmImport {
    /// The module it is imported from.
    pub module: String,
    /// Its name.
    pub name: String,
    /// Its type, when it is a function of number types.
    pub signature: Option<Signature>,
}

/// Something that a module exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WasmExport {
    /// Its name.
    pub name: String,
    /// Whether it is a memory.
    pub is_memory: bool,
    /// Its type, when it is a function of number types.
    pub signature: Option<Signature>,
}

/// Why a predicate is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InterfaceProblem {
    /// An import that no host has.
    #[error("it imports `{module}.{name}`, which the host API does not have")]
    UnknownImport {
        /// The module it is imported from.
        module: String,
        /// Its name.
        name: String,
    },
    /// A function of a capability that is not declared.
    #[error("it uses `{function}`, which needs the capability `{capability}`, and the rule does not declare that")]
    Undeclared {
        /// The function.
        function: &'static str,
        /// What it needs.
        capability: Capability,
    },
    /// A function of another type than the host's.
    #[error("it has `{name}` with the type {found}, expected {expected}")]
    WrongType {
        /// The function.
        name: String,
        /// Its type there.
        found: String,
        /// Its type here.
        expected: Signature,
    },
    /// A function or the memory is missing.
    #[error("it exports no {what}")]
    MissingExport {
        /// What.
        what: String,
    },
    /// A name of `kestrel` that the host does not have.
    #[error("it names `kestrel.{name}` in line {line}, which the host API does not have")]
    UnknownName {
        /// The name.
        name: String,
        /// The line, from 1.
        line: usize,
    },
}

/// Checks a module's imports and exports against the table and the capabilities that its rule declares.
pub fn check_module(
    imports: &[WasmImport],
    exports: &[WasmExport],
    capabilities: &[Capability],
) -> Vec<InterfaceProblem> {
    let mut problems = Vec::new();
    for WasmImport { module, name, signature } in imports {
        let function = HostFunction::named(name).filter(|_| module == MODULE);
        let Some(definition) = function.map(HostFunction::definition) else {
            problems.push(InterfaceProblem::UnknownImport { module: module.clone(), name: name.clone() });
            continue;
        };
        if let Some(capability) = definition.capability.filter(|wanted| !capabilities.contains(wanted)) {
            problems.push(InterfaceProblem::Undeclared { function: definition.name, capability });
        }
        check_type(name, signature.as_ref(), definition.signature(), &mut problems);
    }
    if !exports.iter().any(|export| export.is_memory && export.name == "memory") {
        problems.push(InterfaceProblem::MissingExport { what: "memory of the name `memory`".to_owned() });
    }
    for definition in EXPORTS {
        match exports.iter().find(|export| export.name == definition.name) {
            Some(export) => {
                check_type(definition.name, export.signature.as_ref(), definition.signature(), &mut problems);
            }
            None if definition.required => {
                problems.push(InterfaceProblem::MissingExport { what: format!("function `{}`", definition.name) });
            }
            None => {}
        }
    }
    problems
}

fn check_type(name: &str, found: Option<&Signature>, expected: Signature, problems: &mut Vec<InterfaceProblem>) {
    if found != Some(&expected) {
        let found = found.map_or_else(|| "of something else".to_owned(), Signature::to_string);
        problems.push(InterfaceProblem::WrongType { name: name.to_owned(), found, expected });
    }
}

/// Checks the names behind `kestrel.` in a Lua source, comments and strings aside.
///
/// ```
/// use kestrel_schema::host_api::{Capability, check_source};
///
/// let source = "pred_abi = 1 -- kestrel.nothing\nfunction pred_eval() kestrel.log('kestrel.x') return true end";
/// assert_eq!(check_source(source, &[Capability::Log]), []);
/// let problem = check_source(source, &[])[0].to_string();
/// assert_eq!(problem, "it uses `log`, which needs the capability `log`, and the rule does not declare that");
/// ```
pub fn check_source(source: &str, capabilities: &[Capability]) -> Vec<InterfaceProblem> {
    let mut problems = Vec::new();
    let mut rest = source;
    let mut previous = ["", "", ""];
    while let Some((word, length)) = next_word(rest) {
        if previous[1] == "kestrel" && previous[2] == "." && !matches!(previous[0], "." | ":") && is_name(word) {
            let problem = match HostFunction::named(word).map(HostFunction::definition) {
                None => {
                    let line = source.len() - rest.len();
                    let line = source.as_bytes().iter().take(line).filter(|byte| **byte == b'\n').count() + 1;
                    Some(InterfaceProblem::UnknownName { name: word.chars().take(60).collect(), line })
                }
                Some(definition) => definition
                    .capability
                    .filter(|wanted| !capabilities.contains(wanted))
                    .map(|capability| InterfaceProblem::Undeclared { function: definition.name, capability }),
            };
            problems.extend(problem.filter(|problem| !problems.contains(problem)));
        }
        if !word.is_empty() {
            previous = [previous[1], previous[2], word];
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    problems
}

fn is_name(word: &str) -> bool {
    word.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

/// The first word, character or literal of a Lua source, empty for space and comments, and its length in bytes.
fn next_word(text: &str) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let first = *bytes.first()?;
    if bytes.starts_with(b"--") {
        let length = long_bracket(&bytes[2..]).map(|length| length + 2);
        let line = || bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        return Some(("", length.unwrap_or_else(line)));
    }
    if let Some(length) = long_bracket(bytes) {
        return Some(("\"", length));
    }
    if matches!(first, b'"' | b'\'') {
        let mut at = 1;
        while let Some(byte) = bytes.get(at) {
            at += match byte {
                b'\\' => 2,
                byte if *byte == first => break,
                _ => 1,
            };
        }
        return Some(("\"", (at + 1).min(bytes.len())));
    }
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let length = bytes.iter().take_while(|byte| is_word(byte)).count();
    if length > 0 {
        return Some((text.get(..length)?, length));
    }
    Some((if first.is_ascii_whitespace() { "" } else { text.get(..1)? }, 1))
}

/// The length of `[[…]]`, `[=[…]=]` and so on, if the bytes begin with one.
fn long_bracket(bytes: &[u8]) -> Option<usize> {
    let level = bytes.strip_prefix(b"[")?.iter().take_while(|byte| **byte == b'=').count();
    if bytes.get(level + 1) != Some(&b'[') {
        return None;
    }
    let closes = |window: &[u8]| {
        window.first() == Some(&b']') && window.last() == Some(&b']') && window[1..=level].iter().all(|b| *b == b'=')
    };
    let inside = bytes.get(level + 2..)?;
    let end = inside.windows(level + 2).position(closes).map_or(inside.len(), |at| at + level + 2);
    Some(level + 2 + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let found: Vec<String> = check_source(source, &[Capability::Fields]).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn names_are_found_where_they_are_code() {
        let undeclared = "it uses `log`, which needs the capability `log`, and the rule does not declare that";
        check("kestrel.event_get_text(f, 0)", &[]);
        check("kestrel.log('x') kestrel.log('y')", &[undeclared]);
        check("local k = kestrel . log", &[undeclared]);
        check("-- kestrel.log\n--[[ kestrel.log\n]] --[==[ ]] kestrel.log ]==]", &[]);
        check("x = 'kestrel.log' .. \"\\\"kestrel.log\" .. [[kestrel.log]] .. [=[ ]] kestrel.log]=]", &[]);
        check("--[[ open kestrel.log", &[]);
        check("'open kestrel.log\\", &[]);
        check("my.kestrel.log()", &[]);
        check("\n\nkestrel.lgo()", &["it names `kestrel.lgo` in line 3, which the host API does not have"]);
        check("é = kestrel.log", &[undeclared]);
        check("[[", &[]);
        check("[=", &[]);
        check("kestrel.", &[]);
    }

    #[test]
    fn modules_are_told_all_that_is_wrong() {
        let import = |module: &str, name: &str, signature| WasmImport {
            module: module.to_owned(),
            name: name.to_owned(),
            signature,
        };
        let log = HostFunction::Log.definition().signature();
        let export = |name: &str, result| WasmExport {
            name: name.to_owned(),
            is_memory: false,
            signature: Some(Signature { parameters: Vec::new(), result }),
        };
        let imports = [
            import("kestrel", "log", Some(log.clone())),
            import("env", "log", Some(log)),
            import("kestrel", "exec", None),
            import("kestrel", "str_eq_ci", None),
        ];
        let exports = [export("pred_abi", Some(super::super::WasmType::I32)), export("pred_eval", None)];
        let found: Vec<String> = check_module(&imports, &exports, &[]).iter().map(ToString::to_string).collect();
        let expected = [
            "it uses `log`, which needs the capability `log`, and the rule does not declare that",
            "it imports `env.log`, which the host API does not have",
            "it imports `kestrel.exec`, which the host API does not have",
            "it has `str_eq_ci` with the type of something else, expected (i32, i32, i32, i32) -> i32",
            "it exports no memory of the name `memory`",
            "it has `pred_eval` with the type () -> (), expected () -> i32",
        ];
        assert_eq!(found, expected);
    }
}
