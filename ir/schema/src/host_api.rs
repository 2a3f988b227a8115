//! Host API: the functions that hand-written predicates may call and must offer, as a table, and the check of one
//! predicate against it.
//!
//! The table comes from `host_api.toml`. The compiler checks a predicate when it builds a pack, the engine when it loads
//! one, both with [`check_module`] and [`check_source`], and the engine links what the table lists.
//!
//! ```text
//!   host_api.toml ─ generate/host_api ─┬─ host_api/generated.rs, the table here
//!                                      ├─ docs/host-api.wit, the reference in docs/host-api.md
//!                                      ├─ engine/include/kestrel_predicate.{h,rs}
//!                                      └─ engine/src/program/prelude.lua
//! ```

mod check;
mod generated;

pub use check::{InterfaceProblem, WasmExport, WasmImport, check_module, check_source};
pub use generated::{Capability, EXPORTS, HostError, HostFunction, MODULE, VERSION};

use std::fmt;
use std::str::FromStr;

/// When a function may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// While the predicate starts: its own start code and `pred_init`.
    Init,
    /// In `pred_eval`.
    Eval,
    /// In `pred_capture`.
    Capture,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterType {
    /// UTF-8: an address and a length.
    Text,
    /// Bytes: an address and a length.
    Bytes,
    /// Room for the host to write to: an address and a capacity.
    Buffer,
    /// What another function gave.
    Handle,
    /// A number from 0.
    Count,
    /// True or false.
    Flag,
    /// 64 bits, signed.
    Integer,
    /// A decimal of 64 bits.
    Float,
}

/// The type of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResultType {
    /// Nothing.
    None,
    /// 0 or an error.
    Status,
    /// 0, 1 or an error.
    Flag,
    /// A handle or an error.
    Handle,
    /// A number or an error.
    Count,
    /// A text in the buffer, by its length, or an error.
    Text,
    /// An integer behind the last parameter, or an error.
    Integer,
    /// An integer that is returned itself.
    PlainInteger,
    /// A decimal behind the last parameter, or an error.
    Float,
    /// 16 octets behind the last parameter, or an error.
    Address,
}

/// A number type of Wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WasmType {
    /// 32 bits.
    I32,
    /// 64 bits.
    I64,
    /// A decimal of 64 bits.
    F64,
}

/// The type of a function in Wasm.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The parameters.
    pub parameters: Vec<WasmType>,
    /// The result, if there is one.
    pub result: Option<WasmType>,
}

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub parameter_type: ParameterType,
}

/// A function of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionDef {
    /// Its name.
    pub name: &'static str,
    /// What a rule must declare to have it; `None` for what is always there.
    pub capability: Option<Capability>,
    /// When it may be called.
    pub phases: &'static [Phase],
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// Its result.
    pub result: ResultType,
}

/// A function of a predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportDef {
    /// Its name.
    pub name: &'static str,
    /// Its result; it has no parameters.
    pub result: ResultType,
    /// Whether every predicate has it.
    pub required: bool,
}

impl FunctionDef {
    /// Its type in Wasm.
    pub fn signature(&self) -> Signature {
        use ParameterType::{Buffer, Bytes, Count, Flag, Float, Handle, Integer, Text};
        let mut parameters = Vec::new();
        for parameter in self.parameters {
            match parameter.parameter_type {
                Text | Bytes | Buffer => parameters.extend([WasmType::I32, WasmType::I32]),
                Handle | Count | Flag => parameters.push(WasmType::I32),
                Integer => parameters.push(WasmType::I64),
                Float => parameters.push(WasmType::F64),
            }
        }
        if matches!(self.result, ResultType::Integer | ResultType::Float | ResultType::Address) {
            parameters.push(WasmType::I32);
        }
        Signature { parameters, result: self.result.wasm() }
    }
}

impl ExportDef {
    /// Its type in Wasm.
    pub fn signature(&self) -> Signature {
        Signature { parameters: Vec::new(), result: self.result.wasm() }
    }
}

impl ResultType {
    fn wasm(self) -> Option<WasmType> {
        match self {
            ResultType::None => None,
            ResultType::PlainInteger => Some(WasmType::I64),
            _ => Some(WasmType::I32),
        }
    }
}

impl HostFunction {
    /// The function of this name.
    pub fn named(name: &str) -> Option<HostFunction> {
        HostFunction::ALL.into_iter().find(|function| function.definition().name == name)
    }
}

impl fmt::Display for WasmType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            WasmType::I32 => "i32",
            WasmType::I64 => "i64",
            WasmType::F64 => "f64",
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters: Vec<String> = self.parameters.iter().map(WasmType::to_string).collect();
        write!(formatter, "({}) -> ", parameters.join(", "))?;
        match self.result {
            Some(result) => write!(formatter, "{result}"),
            None => formatter.write_str("()"),
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The word names no capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability")]
pub struct UnknownCapability;

impl FromStr for Capability {
    type Err = UnknownCapability;

    /// ```
    /// use kestrel_schema::host_api::Capability;
    /// assert_eq!("regex".parse(), Ok(Capability::Regex));
    /// ```
    fn from_str(word: &str) -> Result<Capability, UnknownCapability> {
        Capability::ALL.into_iter().find(|capability| capability.name() == word).ok_or(UnknownCapability)
    }
}
