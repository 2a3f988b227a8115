//! IR to Lua source for LuaJIT.
//!
//! In: a verified [`Ir`]. Out: the text of one chunk, the same for the same IR, one function per predicate; made to be
//! read and edited by a person. Numbers and truth values are read from the frame; every other atom is asked of the host,
//! which answers each once per event.
//!
//! ```lua
//! return function(host)
//!   …
//!   -- rule "suspicious-shell"
//!   predicates[0] = function(e)
//!     return all(e,
//!         0,                                    -- event.category == "process"
//!         7)                                    -- process.name in~ ("bash", "sh")
//!       and any_integer(e, 12, greater, 1000)   -- process.pid > 1000
//!   end
//!   …
//!   return predicates
//! end
//! ```
//!
//! The host runs the chunk, calls the function it returns with a table of what `docs/runtime-abi.md` lists, and gets the
//! predicates by their numbers. The source never sees the FFI library itself, only pointers that the host made with it.

mod describe;
mod expression;
mod leaf;
mod source;
mod split;

use kestrel_ir::model::Ir;
use thiserror::Error;

/// The version of the contract between source and host, as `host.abi` tells it.
pub const ABI_VERSION: u32 = 2;

/// Why an IR has no Lua source.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LuaError {
    /// The tables are inconsistent; the verifier lets none such through.
    #[error("the IR was not verified: {what}")]
    Malformed {
        /// What is wrong.
        what: String,
    },
}

/// Translates the predicates of `ir`.
///
/// ```
/// let ir = kestrel_ir::model::Ir::default();
/// let source = kestrel_backend_lua::compile(&ir)?;
/// assert!(source.contains("return function(host)"));
/// # Ok::<(), kestrel_backend_lua::LuaError>(())
/// ```
///
/// # Errors
/// When the IR's ids do not fit together.
pub fn compile(ir: &Ir) -> Result<String, LuaError> {
    let split = split::split(ir)?;
    Ok(source::write(ir, &split))
}
