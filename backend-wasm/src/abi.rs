//! Where host and module meet, version 2. The host reads all of this from the module's exports and checks it; the
//! constants here are what this compiler writes.
//!
//! ```text
//! 0x0000  progress: the number of the event under evaluation    written by the module
//! 0x0010  nothing
//! 0x1000  events: 16 bytes each, at most 128                     written by the host
//!           u32 address of its frame | u32 first pair | u32 end of its pairs | u32 nothing
//! 0x1800  pairs: u32 predicate ids, at most 4096, event by event  written by the host
//! 0x5800  results: one bit for each pair, bit i % 8 of byte i / 8  cleared by the host, set by the module
//! 0x6000  answers: one byte for each atom                        the module's own
//!   …     reads: one byte for each predicate, see [`Reads`]       the module's own, from its start
//!   …     frames: 8-aligned, `kestrel_ir::frame`, version 1      written by the host, last, so that they may grow
//! ```

/// The version of this contract, as the export [`VERSION_EXPORT`] tells it.
pub const ABI_VERSION: u32 = 2;
/// Address of the number of the event under evaluation.
pub const PROGRESS_ADDRESS: u32 = 0;
/// Address of the events.
pub const EVENTS_ADDRESS: u32 = 0x1000;
/// How many events one call takes.
pub const EVENTS_CAPACITY: u32 = 128;
/// The bytes of one event.
pub const EVENT_SIZE: u32 = 16;
/// Address of the pairs.
pub const PAIRS_ADDRESS: u32 = EVENTS_ADDRESS + EVENTS_CAPACITY * EVENT_SIZE;
/// How many pairs one call takes; the host calls again for the rest.
pub const PAIRS_CAPACITY: u32 = 4096;
/// Address of the results.
pub const RESULTS_ADDRESS: u32 = PAIRS_ADDRESS + PAIRS_CAPACITY * 4;
/// Address of the answers.
pub const ANSWERS_ADDRESS: u32 = 0x6000;
/// How many bytes of frames fit before the host has to grow the memory, at least.
pub const FRAMES_AT_START: u32 = 96 * 1024;

/// How much of the frame a predicate reads by itself, beside what it asks the host; a byte of the module's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reads {
    /// Nothing: no frame needs to be there.
    Nothing = 0,
    /// The head, as far as the presence bits.
    Head = 1,
    /// Slots and values too.
    All = 2,
}

/// Address of what predicates read, in a module with so many atoms.
pub const fn reads_address(atoms: u32) -> u32 {
    ANSWERS_ADDRESS + atoms.next_multiple_of(8)
}

/// Address of the frames of a module with so many atoms and predicates.
pub const fn frames_address(atoms: u32, predicates: u32) -> u32 {
    reads_address(atoms) + predicates.next_multiple_of(8)
}

/// The module of the one imported function.
pub const IMPORT_MODULE: &str = "kestrel";
/// The one imported function: `atom(event: i32, id: i32) -> i32`, 1 or 0.
pub const IMPORT_ATOM: &str = "atom";
/// The exported memory.
pub const MEMORY_EXPORT: &str = "memory";
/// The exported function `evaluate(first: i32, end: i32)`.
pub const EVALUATE_EXPORT: &str = "evaluate";
/// The exported `i32` global that holds [`ABI_VERSION`].
pub const VERSION_EXPORT: &str = "abi_version";
/// The exported `i32` global that holds [`PROGRESS_ADDRESS`].
pub const PROGRESS_ADDRESS_EXPORT: &str = "progress_address";
/// The exported `i32` global that holds [`EVENTS_ADDRESS`].
pub const EVENTS_ADDRESS_EXPORT: &str = "events_address";
/// The exported `i32` global that holds [`EVENTS_CAPACITY`].
pub const EVENTS_CAPACITY_EXPORT: &str = "events_capacity";
/// The exported `i32` global that holds [`PAIRS_ADDRESS`].
pub const PAIRS_ADDRESS_EXPORT: &str = "pairs_address";
/// The exported `i32` global that holds [`PAIRS_CAPACITY`].
pub const PAIRS_CAPACITY_EXPORT: &str = "pairs_capacity";
/// The exported `i32` global that holds [`RESULTS_ADDRESS`].
pub const RESULTS_ADDRESS_EXPORT: &str = "results_address";
/// The exported `i32` global that holds [`reads_address`].
pub const READS_ADDRESS_EXPORT: &str = "reads_address";
/// The exported `i32` global that holds [`frames_address`].
pub const FRAMES_ADDRESS_EXPORT: &str = "frames_address";
/// The exported `i32` global that holds the number of predicates.
pub const PREDICATES_EXPORT: &str = "predicates";
/// The exported `i32` global that holds the number of top-level slots of the frames that the module reads.
pub const SLOTS_EXPORT: &str = "slots";
