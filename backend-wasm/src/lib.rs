//! IR to a Wasm module.
//!
//! In: a verified [`Ir`]. Out: the bytes of one module, validated, the same for the same IR: its predicates, called once
//! for a batch of events with the predicates that are asked of each. Numbers and truth values are tested inline, in the
//! frames that the host copied into linear memory; every other atom is asked of the host, once per event.
//!
//! ```text
//! host: events, pairs, frames ──▶ memory    evaluate(first, end) ──call_indirect──▶ predicate 7 ──▶ shared node
//! host: results               ◀── memory         │                                     └──▶ answers ──▶ ask ──▶ host
//!                                                └── loops over the events and their pairs
//! ```
//!
//! [`abi`] says where what lies; `docs/runtime-abi.md` is the written contract. Sequences, keys and computing atoms stay
//! with the host.

pub mod abi;
mod emit;
mod entry;
mod inline;
mod interface;
mod module;
mod print;
mod split;

pub use interface::{ModuleInterface, interface_of};

use kestrel_ir::model::Ir;
use thiserror::Error;

pub use print::print;

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
    /// There are more atoms than a module has room for answers.
    #[error("there are {atoms} atoms, a module has room for {MAX_ATOMS}")]
    TooManyAtoms {
        /// How many there are.
        atoms: usize,
    },
    /// The module came out invalid: a mistake in this crate.
    #[error("the module is not valid: {0}")]
    Invalid(#[from] wasmparser::BinaryReaderError),
    /// The module is valid and has no text: a mistake in this crate or in the printer.
    #[error("the module cannot be printed: {what}")]
    Print {
        /// What the printer says.
        what: String,
    },
}

/// The most atoms of a module: an answer takes a byte of its memory. The limit of packs is lower.
const MAX_ATOMS: usize = 1 << 24;

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
/// When the IR's ids do not fit together, or there are too many atoms.
pub fn compile(ir: &Ir) -> Result<Vec<u8>, WasmError> {
    if ir.atoms.len() > MAX_ATOMS {
        return Err(WasmError::TooManyAtoms { atoms: ir.atoms.len() });
    }
    let split = split::Split::new(ir)?;
    let bytes = module::assemble(ir, &split);
    // What leaves this crate stays within Wasm 1.0, so that any engine takes it.
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::WASM1).validate_all(&bytes)?;
    Ok(bytes)
}
