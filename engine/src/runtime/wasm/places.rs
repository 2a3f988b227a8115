//! Where a module says that its areas lie.
//!
//! In: the globals that a module exports. Out: addresses and counts, checked to lie in order. Memory is read and written
//! at them with a check each time, because a module's memory is its own.

use kestrel_core::runtime::RuntimeError;
use wasmtime::{Instance, Store};

use super::load_error;

/// The version of the contract that this host speaks.
const ABI_VERSION: u32 = 2;
/// The bytes of one event.
pub(super) const EVENT_SIZE: usize = 16;
/// The bytes of one pair.
pub(super) const PAIR_SIZE: usize = 4;

/// The addresses and counts that a module exports.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Places {
    progress: usize,
    pub(super) events: usize,
    pub(super) events_capacity: usize,
    pub(super) pairs: usize,
    pub(super) pairs_capacity: usize,
    pub(super) results: usize,
    pub(super) frames: usize,
    pub(super) predicates: usize,
    pub(super) slots: usize,
    /// Where the module says how much of the frame each predicate reads, if it does.
    reads: Option<usize>,
}

impl Places {
    pub(super) fn read<T>(instance: &Instance, store: &mut Store<T>) -> Result<Places, RuntimeError> {
        let mut optional = |name: &str| {
            let value = instance.get_global(&mut *store, name).map(|global| global.get(&mut *store));
            value.and_then(|value| value.i32()).map(|value| value as u32)
        };
        let reads = optional("reads_address").map(|address| address as usize);
        let mut global =
            |name: &str| optional(name).ok_or_else(|| load_error(format!("it exports no i32 global `{name}`")));
        let version = global("abi_version")?;
        if version != ABI_VERSION {
            return Err(load_error(format!("it speaks ABI version {version}, this engine version {ABI_VERSION}")));
        }
        let places = Places {
            progress: global("progress_address")? as usize,
            events: global("events_address")? as usize,
            events_capacity: global("events_capacity")? as usize,
            pairs: global("pairs_address")? as usize,
            pairs_capacity: global("pairs_capacity")? as usize,
            results: global("results_address")? as usize,
            frames: global("frames_address")? as usize,
            predicates: global("predicates")? as usize,
            slots: global("slots")? as usize,
            reads,
        };
        // Bounds are checked with each access. Here only: that areas which overlap are told at once.
        let areas = [
            (places.progress, 4),
            (places.events, places.events_capacity.saturating_mul(EVENT_SIZE)),
            (places.pairs, places.pairs_capacity.saturating_mul(PAIR_SIZE)),
            (places.results, places.pairs_capacity.div_ceil(8)),
            (places.frames, 0),
        ];
        let in_order = areas.windows(2).all(|pair| pair[0].0.saturating_add(pair[0].1) <= pair[1].0);
        if places.events_capacity == 0 || places.pairs_capacity == 0 || !in_order {
            return Err(load_error(format!("its areas overlap or hold nothing: {places:?}")));
        }
        if !places.frames.is_multiple_of(8) {
            return Err(load_error(format!("its frames begin at {}, which is no multiple of 8", places.frames)));
        }
        Ok(places)
    }

    /// How much of the frame each predicate reads, as the module says: nothing, the head, or (2, and whatever is not told) all.
    pub(super) fn reads(&self, memory: &[u8]) -> Vec<u8> {
        let told = self.reads.and_then(|start| memory.get(start..start.checked_add(self.predicates)?));
        told.map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// The number of the event that the module says it has begun last.
    pub(super) fn progress(&self, memory: &[u8]) -> Option<usize> {
        let bytes = memory.get(self.progress..self.progress.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    }

    /// Writes a number that no event has where the module tells its progress.
    pub(super) fn forget_progress(&self, memory: &mut [u8]) {
        let end = self.progress.checked_add(4);
        if let Some(place) = end.and_then(|end| memory.get_mut(self.progress..end)) {
            place.copy_from_slice(&u32::MAX.to_le_bytes());
        }
    }
}
