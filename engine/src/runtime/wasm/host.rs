//! What a module can reach: one function, which tests an atom for an event of the call.
//!
//! In: an event's number and an atom's. Out: 1 or 0. The caller's batch, or the cache of its one event, is swapped in for
//! the call, and the atoms are a clone of the caller's, which costs a comparison of pointers per call and no unsafe code.

use kestrel_core::atoms::{AtomCache, Atoms};
use kestrel_core::batch::Batch;
use kestrel_ir::frame::Frame;
use kestrel_ir::model::AtomId;
use wasmtime::{Caller, Memory, StoreLimits};

use super::group::{Group, SINGLE};

/// What the imported function needs while the module runs.
pub(super) struct Host {
    atoms: Option<Atoms>,
    /// The events of a batch.
    pub(super) batch: Batch,
    /// The cache of an event that is evaluated alone. Its frame is the module's copy.
    pub(super) cache: AtomCache,
    pub(super) group: Group,
    memory: Option<Memory>,
    pub(super) limits: StoreLimits,
}

impl Host {
    pub(super) fn new(limits: StoreLimits) -> Host {
        Host {
            atoms: None,
            batch: Batch::default(),
            cache: AtomCache::default(),
            group: Group::default(),
            memory: None,
            limits,
        }
    }

    /// Tells what is known once the module has an instance.
    pub(super) fn begin(&mut self, memory: Memory, group: Group) {
        self.memory = Some(memory);
        self.group = group;
    }

    pub(super) fn use_atoms(&mut self, atoms: &Atoms) {
        if !self.atoms.as_ref().is_some_and(|known| known.same(atoms)) {
            self.atoms = Some(atoms.clone());
        }
    }
}

/// `kestrel.atom(event, id) -> 1 or 0`.
pub(super) fn answer_atom(mut caller: Caller<'_, Host>, event: u32, id: u32) -> wasmtime::Result<u32> {
    let host = caller.data_mut();
    let (Some(row), Some(atoms)) = (host.group.row(event), &host.atoms) else {
        wasmtime::bail!("it asked about an event that is not in the call")
    };
    if row.event == SINGLE {
        return answer_single(&mut caller, AtomId(id));
    }
    let Some((frame, cache)) = host.batch.frame_and_cache(row.event) else {
        wasmtime::bail!("it asked about an event that is not in the batch")
    };
    Ok(u32::from(atoms.test(AtomId(id), frame, cache)))
}

/// The answer about an event that is evaluated alone. A module that changed the frame gets a trap or a wrong answer,
/// never a read outside its memory.
fn answer_single(caller: &mut Caller<'_, Host>, atom: AtomId) -> wasmtime::Result<u32> {
    if let Some(answer) = caller.data().cache.known(atom) {
        return Ok(u32::from(answer));
    }
    let Some(memory) = caller.data().memory else { wasmtime::bail!("an atom was asked for before any event") };
    let (bytes, host) = memory.data_and_store_mut(caller);
    let frame = host.group.row(0).and_then(|row| bytes.get(row.frame.clone())).and_then(Frame::new);
    let (Some(frame), Some(atoms)) = (frame, &host.atoms) else { wasmtime::bail!("the module overwrote the frame") };
    Ok(u32::from(atoms.test(atom, frame, &mut host.cache)))
}
