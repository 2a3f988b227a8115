//! Reads `host_api.toml` and checks it.
//!
//! In: a TOML text. Out: a [`HostApiSource`], or the first thing that is wrong: names used twice, unknown capabilities,
//! types and phases, a buffer without a text to put in it, sentences without an end.

use std::collections::HashSet;

use serde::Deserialize;

/// The host API as it is written down, checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostApiSource {
    pub(super) version: u32,
    pub(super) module: String,
    pub(super) capability: Vec<Named>,
    pub(super) error: Vec<ErrorEntry>,
    pub(super) export: Vec<Export>,
    pub(super) function: Vec<Function>,
}

/// What is wrong with `host_api.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host_api.toml: {0}")]
pub struct HostApiError(String);

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) doc: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorEntry {
    pub(super) name: String,
    pub(super) code: i32,
    pub(super) doc: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    pub(super) name: String,
    pub(super) result: String,
    pub(super) required: bool,
    pub(super) doc: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) capability: Option<String>,
    pub(super) phases: Vec<String>,
    /// Pairs of name and type.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) result: String,
    #[serde(default)]
    pub(super) plain: bool,
    pub(super) doc: String,
}

const PARAMETER_TYPES: [&str; 8] = ["text", "bytes", "buffer", "handle", "count", "flag", "integer", "float"];
const RESULT_TYPES: [&str; 9] = ["none", "status", "flag", "handle", "count", "text", "integer", "float", "address"];
const PHASES: [&str; 3] = ["init", "eval", "capture"];

impl HostApiSource {
    /// The table in this crate's own `host_api.toml`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn built_in() -> Result<HostApiSource, HostApiError> {
        HostApiSource::parse(include_str!("../../../host_api.toml"))
    }

    /// Reads and checks the text.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<HostApiSource, HostApiError> {
        let source: HostApiSource = toml::from_str(text).map_err(|error| HostApiError(error.to_string()))?;
        source.check().map_err(HostApiError)?;
        Ok(source)
    }

    /// How many functions the host has.
    pub fn function_count(&self) -> usize {
        self.function.len()
    }

    fn check(&self) -> Result<(), String> {
        let mut names = HashSet::new();
        let functions = self.function.iter().map(|function| (&function.name, &function.doc));
        let exports = self.export.iter().map(|export| (&export.name, &export.doc));
        for (name, doc) in functions.chain(exports) {
            if !names.insert(name) {
                return Err(format!("`{name}` is there twice"));
            }
            if !doc.ends_with('.') {
                return Err(format!("`{name}` is described by sentences, which end with a period"));
            }
        }
        for (error, expected) in self.error.iter().zip(1..) {
            if error.code != -expected {
                return Err(format!("error `{}` has the code {}, expected {}", error.name, error.code, -expected));
            }
        }
        for export in &self.export {
            known("result", &export.name, &export.result, &RESULT_TYPES)?;
        }
        self.function.iter().try_for_each(|function| self.check_function(function))
    }

    fn check_function(&self, function: &Function) -> Result<(), String> {
        let name = &function.name;
        if let Some(capability) = &function.capability
            && !self.capability.iter().any(|known| known.name == *capability)
        {
            return Err(format!("`{name}` needs the unknown capability `{capability}`"));
        }
        known("result", name, &function.result, &RESULT_TYPES)?;
        for phase in &function.phases {
            known("phase", name, phase, &PHASES)?;
        }
        for (_, parameter_type) in &function.parameters {
            known("parameter", name, parameter_type, &PARAMETER_TYPES)?;
        }
        let buffers = function.parameters.iter().filter(|(_, parameter_type)| parameter_type == "buffer").count();
        if buffers != usize::from(function.result == "text") {
            return Err(format!("`{name}` has {buffers} buffers; there is one where the result is a text"));
        }
        Ok(())
    }
}

impl Function {
    /// The parameters that an author in a language with texts of its own passes.
    pub(super) fn own_parameters(&self) -> impl Iterator<Item = &(String, String)> {
        self.parameters.iter().filter(|(_, parameter_type)| parameter_type != "buffer")
    }
}

fn known(what: &str, name: &str, word: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&word) { Ok(()) } else { Err(format!("`{name}` has the unknown {what} `{word}`")) }
}
