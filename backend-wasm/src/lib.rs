//! IR to a Wasm module.
//!
//! In: a verified [`Ir`]. Out: the bytes of one module, validated, the same for the same IR: its predicates, called once
//! per event with a list of candidates. Numbers and truth values are tested inline, in the frame that the host copied
//! into linear memory; every other atom is asked of the host, which answers each once per event.
//!
//! ```text
//! host: candidates, frame ──▶ memory    evaluate(count) ──call_indirect──▶ predicate 7 ──▶ shared node
//! host: results           ◀── memory         │                                 └──▶ kestrel.atom(3) (host)
//!                                            └── loop over the candidates
//! ```
//!
//! [`abi`] says where what lies; `docs/host-api.md` is the written contract. Sequences, keys and computing atoms stay
//! with the host.

pub mod abi;
mod emit;
mod inline;
mod interface;
mod module;
mod split;

pub use interface::{ModuleInterface, interface_of};

use kestrel_ir::model::Ir;
use thiserror::Error;

/// Why an IR has no module.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WasmError {
    /// The tables are inconsistent; the verifier lets none such through.
    #[error("the IR was not verified: {what}")]
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// The module came out invalid: a mistake in this crate.
    #[error("the module is not valid: {0}")]
    Invalid(#[from] wasmparser::BinaryReaderError),
}

/// Translates the predicates of `ir`.
///
/// ```
/// let ir = kestrel_ir::model::Ir::default();
/// let module = kestrel_backend_wasm::compile(&ir)?;
/// assert!(module.starts_with(b"\0asm"));
/// # Ok::<(), kestrel_backend_wasm::WasmError>(())
/// ```
///
/// # Errors
/// When the IR's ids do not fit together.
pub fn compile(ir: &Ir) -> Result<Vec<u8>, WasmError> {
    let split = split::Split::new(ir)?;
    let bytes = module::assemble(ir, &split);
    // What leaves this crate stays within Wasm 1.0, so that any engine takes it.
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::WASM1).validate_all(&bytes)?;
    Ok(bytes)
}
