//! What a module that somebody else wrote imports and exports, for the check of hand-written predicates.
//!
//! In: bytes that may be anything. Out: names and types, once the whole module is valid. Nothing is compiled or run.

use kestrel_schema::host_api::{Signature, WasmExport, WasmImport, WasmType};
use wasmparser::types::Types;
use wasmparser::{
    BinaryReaderError, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType, Validator, WasmFeatures,
};

/// Imports and exports, in the module's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleInterface {
    /// What it imports.
    pub imports: Vec<WasmImport>,
    /// What it exports.
    pub exports: Vec<WasmExport>,
}

/// Validates a module and lists its imports and exports.
///
/// ```
/// let empty = kestrel_backend_wasm::interface_of(b"\0asm\x01\0\0\0")?;
/// assert_eq!(empty, kestrel_backend_wasm::ModuleInterface::default());
/// assert!(kestrel_backend_wasm::interface_of(b"no module").is_err());
/// # Ok::<(), kestrel_backend_wasm::WasmError>(())
/// ```
///
/// # Errors
/// When the bytes are no valid module of Wasm 2.0.
pub fn interface_of(bytes: &[u8]) -> Result<ModuleInterface, crate::WasmError> {
    Ok(read(bytes)?)
}

fn read(bytes: &[u8]) -> Result<ModuleInterface, BinaryReaderError> {
    let features = WasmFeatures::WASM2 | WasmFeatures::TAIL_CALL | WasmFeatures::EXTENDED_CONST;
    let types = Validator::new_with_features(features).validate_all(bytes)?;
    let mut interface = ModuleInterface::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let signature = match import.ty {
                        TypeRef::Func(index) => signature_of_type(&types, index),
                        _ => None,
                    };
                    let (module, name) = (import.module.to_owned(), import.name.to_owned());
                    interface.imports.push(WasmImport { module, name, signature });
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let signature = match export.kind {
                        ExternalKind::Func => {
                            let types = types.as_ref();
                            types.get(types.core_function_at(export.index)).and_then(|entry| {
                                match &entry.composite_type.inner {
                                    wasmparser::CompositeInnerType::Func(function) => signature(function),
                                    _ => None,
                                }
                            })
                        }
                        _ => None,
                    };
                    let is_memory = export.kind == ExternalKind::Memory;
                    interface.exports.push(WasmExport { name: export.name.to_owned(), is_memory, signature });
                }
            }
            _ => {}
        }
    }
    Ok(interface)
}

fn signature_of_type(types: &Types, index: u32) -> Option<Signature> {
    let types = types.as_ref();
    match &types.get(types.core_type_at_in_module(index))?.composite_type.inner {
        wasmparser::CompositeInnerType::Func(function) => signature(function),
        _ => None,
    }
}

fn signature(function: &FuncType) -> Option<Signature> {
    let wasm = |val: &ValType| match val {
        ValType::I32 => Some(WasmType::I32),
        ValType::I64 => Some(WasmType::I64),
        ValType::F64 => Some(WasmType::F64),
        _ => None,
    };
    let parameters = function.params().iter().map(wasm).collect::<Option<Vec<WasmType>>>()?;
    let results = function.results().iter().map(wasm).collect::<Option<Vec<WasmType>>>()?;
    match results.as_slice() {
        [] => Some(Signature { parameters, result: None }),
        [result] => Some(Signature { parameters, result: Some(*result) }),
        _ => None,
    }
}
