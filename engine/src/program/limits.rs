//! What hand-written predicates may use. All of it is counted in work, never in time, so that a replay decides as the
//! live run did, on any machine.

use kestrel_ir::model::{Program, ProgramLanguage};

use crate::runtime::profile::Profile;

/// The most captures of one alert.
pub const MAX_CAPTURES: usize = 32;
/// The longest name of a capture, in bytes.
pub const MAX_NAME: usize = 128;
/// The longest captured text, in bytes.
pub const MAX_VALUE: usize = 4096;
/// The most messages of one alert.
pub const MAX_MESSAGES: usize = 8;
/// The longest message and the longest line, in bytes.
pub const MAX_MESSAGE: usize = 1024;
/// The most lines of one predicate that are told in a run; more are counted.
pub const MAX_LINES: u64 = 64;
/// The most compiled patterns of one predicate.
pub const MAX_PATTERNS: usize = 64;
/// The most different patterns that one predicate has compiled in a run, failed ones too.
pub const MAX_COMPILED: usize = 256;
/// The longest function of a Wasm module, in bytes.
pub const MAX_FUNCTION: usize = 128 << 10;
/// The most blocks within each other in a function of a Wasm module.
pub const MAX_NESTING: usize = 512;
/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 4096;
/// The most memory of one predicate's compiled patterns, in bytes.
pub const MAX_PATTERN_MEMORY: usize = 8 << 20;

/// What one program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Instructions of one call: fuel in Wasm, instructions of the virtual machine in Lua.
    pub instructions: u64,
    /// Memory in bytes.
    pub memory: usize,
    /// Work of the host's functions in one call: one for each, and one more for every 64 bytes that it handles.
    pub host_work: u64,
    /// Stack of a Wasm program in bytes.
    pub stack: usize,
    /// The longest code, in bytes.
    pub code: usize,
}

impl Limits {
    /// The limits of a profile, lowered by those that the program's rule asks for.
    pub fn of(profile: Profile, program: &Program) -> Limits {
        let of_profile = match (profile, program.language) {
            (Profile::Trusted, ProgramLanguage::Wasm) => {
                Limits { instructions: 100_000_000, memory: 16 << 20, ..Limits::TRUSTED }
            }
            (Profile::Trusted, ProgramLanguage::Lua) => Limits::TRUSTED,
            (Profile::Strict, ProgramLanguage::Wasm) => {
                Limits { instructions: 10_000_000, memory: 2 << 20, ..Limits::STRICT }
            }
            (Profile::Strict, ProgramLanguage::Lua) => Limits::STRICT,
        };
        let own = &program.limits;
        let lower = |own: Option<u64>, limit: u64| own.map_or(limit, |own| own.min(limit));
        Limits {
            instructions: lower(own.instructions, of_profile.instructions),
            memory: lower(own.memory, of_profile.memory as u64) as usize,
            host_work: lower(own.host_work, of_profile.host_work),
            ..of_profile
        }
    }

    /// Lua's limits for packs of one's own.
    const TRUSTED: Limits =
        Limits { instructions: 2_000_000, memory: 32 << 20, host_work: 1_000_000, stack: STACK, code: 4 << 20 };
    /// Lua's limits for packs of others.
    const STRICT: Limits =
        Limits { instructions: 500_000, memory: 4 << 20, host_work: 100_000, stack: STACK, code: 1 << 20 };
}

/// The stack of all Wasm programs, in bytes: they share one compiler.
pub(super) const STACK: usize = 256 << 10;
