//! The kernel programs and the record ABI that kernel and user space share.
//!
//! Goes in: nothing at run time; the kernel programs are C (`programs/`, `include/`) and their object is checked in, so
//! that a build of the workspace needs no clang. Comes out: the object ([`OBJECT`]), and a checked reader of the records
//! its programs send ([`record`]). This crate loads nothing and attaches nothing; that is the engine's work.
//!
//! ```text
//! programs/kestrel.bpf.c ──cargo xtask bpf──▶ kestrel.bpf.o ──OBJECT──▶ engine loads, kernel runs
//! include/kestrel_records.h ═══ the same numbers ═══ src/layout.rs ──▶ record::Record::parse
//! ```

pub mod filter;
pub mod layout;
pub mod record;

/// Gives bytes the alignment that reading an ELF file in place wants.
#[repr(C, align(8))]
struct Aligned<B: ?Sized>(B);

const ALIGNED_OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../kestrel.bpf.o"));

/// The kernel programs: an ELF object with BTF and CO-RE relocations, for Linux 5.17 and later (`bpf_loop`). Licence of
/// the programs: `Dual BSD/GPL`. `cargo xtask bpf` builds it, `cargo xtask bpf --check` proves it fresh.
pub const OBJECT: &[u8] = &ALIGNED_OBJECT.0;

/// Names of the maps in [`OBJECT`], as the loader needs them.
pub mod maps {
    /// The ring buffer of all records.
    pub const RING: &str = "kestrel_ring";
    /// Array of `u32` by kind: 0 drops the kind's events in the kernel.
    pub const KINDS: &str = "kestrel_kinds";
    /// Array of one `[u32; 6]`: the process whose own events are ignored, whether exec records carry the environment,
    /// whether the reader looks by itself and needs no wake-ups, whether records of exec and fork carry the path of the
    /// cgroup, which half of [`FILTERS`] is in use, and a reserved word.
    pub const SETTINGS: &str = "kestrel_settings";
    /// Array of [`crate::filter::FilterTable`]s, two for each of [`crate::layout::KINDS`] kinds: half 0, then half 1.
    pub const FILTERS: &str = "kestrel_filters";
    /// Hash map from process number to `[u64; 2]`: start in ticks and [`crate::filter::name_hash`] of the process's name.
    pub const ACTORS: &str = "kestrel_actors";
    /// Per-CPU array of `[u64; 8]` by kind; see [`crate::record::KernelCounters`].
    pub const COUNTERS: &str = "kestrel_counters";
    /// Array in which records are put together; needs [`SCRATCH_SLOTS`] elements for each possible CPU.
    pub const SCRATCH: &str = "kestrel_scratch";
    /// See [`SCRATCH`].
    pub const SCRATCH_SLOTS: u32 = 4;
    /// Array by CPU number in which exec records are put together; needs an element for each possible CPU.
    pub const EXEC_SCRATCH: &str = "kestrel_exec_scratch";
    /// Hash map from the address of a socket to whose it is, 160 bytes.
    pub const OWNERS: &str = "kestrel_owners";
    /// Per-CPU array of one `[u64; 2]`: owners of sockets that were not remembered for want of room, and events by a
    /// packet on a socket whose owner is not known.
    pub const NETWORK_COUNTERS: &str = "kestrel_network_counters";
}

#[cfg(test)]
mod tests {
    use super::OBJECT;

    #[test]
    fn the_object_is_an_aligned_bpf_elf() {
        assert_eq!(OBJECT.as_ptr() as usize % 8, 0);
        assert_eq!(OBJECT.get(..4), Some(b"\x7fELF".as_slice()));
        // e_machine of an ELF header: EM_BPF is 247.
        assert_eq!(OBJECT.get(18..20), Some([247, 0].as_slice()));
    }
}
