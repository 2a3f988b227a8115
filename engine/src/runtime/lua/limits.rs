//! How far Lua may go.

use std::time::Duration;

/// The longest frame: room that costs nothing until a frame needs it.
const FRAME: usize = 16 << 20;

/// Limits of a Lua runtime: what it may use while it loads, and for each batch of events.
#[derive(Debug, Clone, Copy)]
pub struct LuaLimits {
    /// Whether LuaJIT compiles; without, it interprets. It compiles nothing where it cannot be
    /// [interrupted](super::interruptible).
    pub jit: bool,
    /// Memory for Lua's heap, in bytes; machine code is not part of it.
    pub memory: usize,
    /// The longest frame, in bytes.
    pub frame: usize,
    /// The longest run.
    pub deadline: Duration,
    /// The most instructions of a run. Counted only where nothing is compiled.
    pub instructions: Option<u64>,
    /// Whether each read of the source from a frame is checked, so that it reaches no other memory.
    pub checked: bool,
}

impl LuaLimits {
    /// For packs of one's own: compiled, with limits that stop accidents.
    pub fn trusted() -> LuaLimits {
        LuaLimits {
            jit: true,
            memory: 256 << 20,
            frame: FRAME,
            deadline: Duration::from_secs(1),
            instructions: None,
            checked: false,
        }
    }

    /// For packs of others: interpreted, with a budget of instructions that gives the same outcome each time, and reads
    /// that are checked. The deadline stands behind the budget for instructions that take long.
    pub fn strict() -> LuaLimits {
        LuaLimits {
            jit: false,
            memory: 32 << 20,
            frame: FRAME,
            deadline: Duration::from_secs(2),
            instructions: Some(20_000_000),
            checked: true,
        }
    }
}

impl Default for LuaLimits {
    fn default() -> LuaLimits {
        LuaLimits::trusted()
    }
}
