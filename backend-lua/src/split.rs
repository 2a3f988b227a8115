//! How the boolean DAG is cut into Lua functions: Lua limits the nesting of expressions (200 levels), and a jump list over
//! too many operands takes quadratic time to compile; a person reads neither. In: an IR. Out: [`Cuts`] as Lua and its
//! readers like them.

use kestrel_ir::cut::{CutError, CutLimits, Cuts};
use kestrel_ir::model::Ir;

use crate::LuaError;

pub(crate) use kestrel_ir::cut::{Cuts as Split, operands};

/// Two screens a function.
const LIMITS: CutLimits = CutLimits { size: 96, height: 16, shared: 3 };

/// Cuts an IR; every atom is one line.
pub(crate) fn split(ir: &Ir) -> Result<Cuts, LuaError> {
    Cuts::new(ir, LIMITS, |_| 1).map_err(|CutError { what }| LuaError::Malformed { what })
}
