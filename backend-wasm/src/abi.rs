//! Where host and module meet, version 1. The host reads all of this from the module's exports and checks it; the
//! constants here are what this compiler writes.
//!
//! ```text
//! 0x0000  nothing: a stray null pointer meets zeros
//! 0x1000  candidates: u32 predicate ids, at most 4096          written by the host
//! 0x5000  results: one bit per candidate, in their order       written by the module, bit i % 32 of word i / 32
//! 0x6000  frame: the bytes of `kestrel_ir::frame`, version 1   written by the host, last, so that it may grow
//! ```

/// The version of this contract, as the export [`VERSION_EXPORT`] tells it.
pub const ABI_VERSION: u32 = 1;
/// Address of the candidates.
pub const CANDIDATES_ADDRESS: u32 = 0x1000;
/// How many candidates one call takes; the host calls again for the rest.
pub const CANDIDATES_CAPACITY: u32 = 4096;
/// Address of the results.
pub const RESULTS_ADDRESS: u32 = 0x5000;
/// Address of the frame.
pub const FRAME_ADDRESS: u32 = 0x6000;
/// Pages of memory at the start, of 64 KiB: frames up to some 100 KiB. The host grows the memory for longer ones.
pub const INITIAL_PAGES: u64 = 2;

/// The module of the one imported function.
pub const IMPORT_MODULE: &str = "kestrel";
/// The one imported function: `atom(id: i32) -> i32`, 1 or 0.
pub const IMPORT_ATOM: &str = "atom";
/// The exported memory.
pub const MEMORY_EXPORT: &str = "memory";
/// The exported function `evaluate(count: i32)`.
pub const EVALUATE_EXPORT: &str = "evaluate";
/// The exported `i32` global that holds [`ABI_VERSION`].
pub const VERSION_EXPORT: &str = "abi_version";
/// The exported `i32` global that holds [`CANDIDATES_ADDRESS`].
pub const CANDIDATES_ADDRESS_EXPORT: &str = "candidates_address";
/// The exported `i32` global that holds [`CANDIDATES_CAPACITY`].
pub const CANDIDATES_CAPACITY_EXPORT: &str = "candidates_capacity";
/// The exported `i32` global that holds [`RESULTS_ADDRESS`].
pub const RESULTS_ADDRESS_EXPORT: &str = "results_address";
/// The exported `i32` global that holds [`FRAME_ADDRESS`].
pub const FRAME_ADDRESS_EXPORT: &str = "frame_address";
/// The exported `i32` global that holds the number of predicates.
pub const PREDICATES_EXPORT: &str = "predicates";
/// The exported `i32` global that holds the number of top-level slots of the frames that the module reads.
pub const SLOTS_EXPORT: &str = "slots";
