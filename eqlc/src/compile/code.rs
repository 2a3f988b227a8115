//! The code of an IR for one runtime, for those who evaluate rules without a pack: `eqlc run` and `eqlc test`.

use kestrel_ir::model::Ir;

use super::pack::BuildError;

/// The Wasm module of an IR.
///
/// # Errors
/// The rules are beyond a limit of the backend.
pub fn wasm_module(ir: &Ir) -> Result<Vec<u8>, BuildError> {
    BuildError::from_wasm(kestrel_backend_wasm::compile(ir))
}

/// The Lua source of an IR.
///
/// # Errors
/// The rules are beyond a limit of the backend.
pub fn lua_source(ir: &Ir) -> Result<String, BuildError> {
    BuildError::from_lua(kestrel_backend_lua::compile(ir))
}
