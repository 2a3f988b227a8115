//! The front of stage two: says for each event which rules and keys it concerns, and whose work that is.
//!
//! In: events in order, with the predicates that hold. Out: a [`RoutedBatch`], work for each of [`SHARDS`] shards:
//!
//! ```text
//! event ─▶ terms of sequences and samples ─▶ their join keys ─▶ (rule, key): terms in order ─▶ hash ─▶ shard 0 … 15
//! ```
//!
//! A (rule, key) belongs to one shard for ever, by a hash that is the same in every run. Shards know nothing of each other,
//! so that any number of threads may own them and the matches are the same. A batch holds copies of all that shards need,
//! in memory that it keeps: it can be handed to other threads, and routing allocates nothing once a stream has settled.

use std::ops::Range;
use std::sync::Arc;

use kestrel_ir::frame::Frame;
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{AtomId, PredicateId};
use xxhash_rust::xxh3::xxh3_64;

use crate::batch::MAX_BATCH_EVENTS;
use crate::key::KeyEncoder;
use crate::plan::{Plan, Role, TermUse};

/// Into how many shards the state of sequences and samples is divided. Fixed: limits are divided among shards, so that
/// another number would evict other keys.
pub const SHARDS: usize = 16;

/// Memory for keys beyond so many bytes is given back behind its batch.
const KEPT_KEY_BYTES: usize = 1 << 20;

/// Events of a batch and the work that they are.
#[derive(Debug, Default)]
pub struct RoutedBatch {
    events: Vec<RoutedEvent>,
    frames: Vec<u8>,
    lineage: Vec<AtomId>,
    keys: Vec<u8>,
    uses: Vec<RoutedUse>,
    items: [Vec<Routed>; SHARDS],
}

/// An event as shards see it. Those that concern no key only tell the time.
#[derive(Debug, Clone)]
pub(crate) struct RoutedEvent {
    /// The latest time seen, this event included.
    pub(crate) now: i64,
    /// Its number in the order in which events were taken.
    pub(crate) serial: u64,
    /// Its own ordinal.
    pub(crate) ordinal: u64,
    frame: Range<usize>,
    lineage: Range<usize>,
}

/// What an event is to one key of one rule.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    /// The event's number in the batch.
    pub(crate) event: u32,
    pub(crate) machine: u32,
    pub(crate) hash: u64,
    key: Range<usize>,
    uses: Range<usize>,
}

/// A term that the event matches, and which of the term's keys this is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoutedUse {
    pub(crate) role: Role,
    pub(crate) position: u32,
}

impl RoutedBatch {
    /// Forgets all events.
    pub fn clear(&mut self) {
        self.events.clear();
        self.frames.clear();
        self.lineage.clear();
        self.keys.clear();
        self.keys.shrink_to(KEPT_KEY_BYTES);
        self.uses.clear();
        self.items.iter_mut().for_each(Vec::clear);
    }

    /// Makes room for a batch whose events all go to one shard: how they spread must not decide about allocations.
    pub(crate) fn reserve(&mut self) {
        self.items.iter_mut().for_each(|items| items.reserve(MAX_BATCH_EVENTS));
    }

    /// Adds an event without work: that time goes on is all that it says.
    pub(crate) fn begin(&mut self, (now, serial): (i64, u64), ordinal: u64) {
        let frame = self.frames.len()..self.frames.len();
        let lineage = self.lineage.len()..self.lineage.len();
        self.events.push(RoutedEvent { now, serial, ordinal, frame, lineage });
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How much work there is for a shard.
    pub fn work(&self, shard: usize) -> usize {
        self.items.get(shard).map_or(0, Vec::len)
    }

    pub(crate) fn events(&self) -> &[RoutedEvent] {
        &self.events
    }

    pub(crate) fn items(&self, shard: usize) -> &[Routed] {
        self.items.get(shard).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn frame(&self, event: &RoutedEvent) -> Option<Frame<'_>> {
        self.frames.get(event.frame.clone()).and_then(Frame::new)
    }

    pub(crate) fn lineage(&self, event: &RoutedEvent) -> &[AtomId] {
        self.lineage.get(event.lineage.clone()).unwrap_or(&[])
    }

    pub(crate) fn key(&self, item: &Routed) -> &[u8] {
        self.keys.get(item.key.clone()).unwrap_or(&[])
    }

    pub(crate) fn uses(&self, item: &Routed) -> &[RoutedUse] {
        self.uses.get(item.uses.clone()).unwrap_or(&[])
    }
}

/// Makes work of events.
#[derive(Debug)]
pub(crate) struct Router {
    plan: Arc<Plan>,
    layout: Layout,
    encoder: KeyEncoder,
    /// For each list of key fields the keys of the current event, if its event is the current one.
    known: Vec<KnownKeys>,
    /// The number of the current event.
    current: u64,
    /// The keys of the current event.
    places: Vec<Place>,
    ranges: Vec<Range<usize>>,
    uses: Vec<TermUse>,
    /// Keys of a rule whose terms have different key fields, to be brought together.
    pairs: Vec<(u64, Place, RoutedUse)>,
    /// For each machine how often keys were left out.
    cut: Vec<u64>,
}

#[derive(Debug, Clone, Default)]
struct KnownKeys {
    event: u64,
    places: Range<usize>,
    cut: bool,
}

/// Where a key's bytes lie in the batch.
#[derive(Debug, Clone)]
struct Place {
    bytes: Range<usize>,
    hash: u64,
}

impl Router {
    pub(crate) fn new(plan: &Arc<Plan>, layout: &Layout) -> Router {
        Router {
            layout: layout.clone(),
            encoder: KeyEncoder::default(),
            known: vec![KnownKeys::default(); plan.key_lists.len()],
            current: 0,
            places: Vec::new(),
            ranges: Vec::new(),
            uses: Vec::new(),
            pairs: Vec::new(),
            cut: vec![0; plan.machines.len()],
            plan: Arc::clone(plan),
        }
    }

    /// Whether the pack has sequences or samples.
    pub(crate) fn has_work(&self) -> bool {
        !self.plan.machines.is_empty()
    }

    /// How often keys of a machine's terms were left out because an event had too many.
    pub(crate) fn cut(&self, machine: usize) -> u64 {
        self.cut.get(machine).copied().unwrap_or(0)
    }

    /// Adds to the event that was begun last the work that the predicates that hold make of it.
    pub(crate) fn route(
        &mut self,
        frame: Frame<'_>,
        lineage: &[AtomId],
        hits: &[PredicateId],
        batch: &mut RoutedBatch,
    ) {
        self.uses.clear();
        hits.iter().for_each(|hit| self.uses.extend_from_slice(self.plan.uses(*hit)));
        if self.uses.is_empty() || batch.events.is_empty() {
            return;
        }
        let number = batch.events.len() as u32 - 1;
        self.current += 1;
        self.places.clear();
        self.uses.sort_unstable();
        let before: usize = batch.uses.len();
        let uses = std::mem::take(&mut self.uses);
        for uses in uses.chunk_by(|left, right| left.machine == right.machine) {
            self.route_machine(number, frame, uses, batch);
        }
        self.uses = uses;
        if batch.uses.len() > before
            && let Some(event) = batch.events.last_mut()
        {
            batch.frames.extend_from_slice(frame.bytes());
            batch.lineage.extend_from_slice(lineage);
            event.frame.end = batch.frames.len();
            event.lineage.end = batch.lineage.len();
        }
    }

    /// What an event is to the keys of one rule.
    fn route_machine(&mut self, event: u32, frame: Frame<'_>, uses: &[TermUse], batch: &mut RoutedBatch) {
        let Some(&TermUse { machine, keys, .. }) = uses.first() else { return };
        if uses.iter().all(|other| other.keys == keys) {
            for (position, place) in self.keys(machine, uses.len(), keys, frame, batch).enumerate() {
                let Some(place) = self.places.get(place).cloned() else { continue };
                let start = batch.uses.len();
                let position = position as u32;
                batch.uses.extend(uses.iter().map(|found| RoutedUse { role: found.role, position }));
                push(event, machine, place, start, batch);
            }
            return;
        }
        let mut pairs = std::mem::take(&mut self.pairs);
        pairs.clear();
        for found in uses {
            for (position, place) in self.keys(machine, 1, found.keys, frame, batch).enumerate() {
                let Some(place) = self.places.get(place).cloned() else { continue };
                pairs.push((pairs.len() as u64, place, RoutedUse { role: found.role, position: position as u32 }));
            }
        }
        let bytes = |place: &Place| batch.keys.get(place.bytes.clone()).unwrap_or(&[]);
        pairs.sort_unstable_by(|(left_order, left, _), (right_order, right, _)| {
            let by_key = || bytes(left).cmp(bytes(right));
            left.hash.cmp(&right.hash).then_with(by_key).then(left_order.cmp(right_order))
        });
        let mut rest = pairs.as_slice();
        while let Some((_, place, _)) = rest.first() {
            let key = batch.keys.get(place.bytes.clone()).unwrap_or(&[]);
            let is_other = |(_, other, _): &(u64, Place, RoutedUse)| batch.keys.get(other.bytes.clone()) != Some(key);
            let (same, others) = rest.split_at(rest.iter().position(is_other).unwrap_or(rest.len()));
            let start = batch.uses.len();
            batch.uses.extend(same.iter().map(|(_, _, found)| *found));
            push(event, machine, place.clone(), start, batch);
            rest = others;
        }
        self.pairs = pairs;
    }

    /// The current event's keys for a list of key fields, which `terms` terms of the machine ask for.
    fn keys(
        &mut self,
        machine: u32,
        terms: usize,
        list: u32,
        frame: Frame<'_>,
        batch: &mut RoutedBatch,
    ) -> Range<usize> {
        let (Some(known), Some(keys)) = (self.known.get_mut(list as usize), self.plan.key_lists.get(list as usize))
        else {
            return 0..0;
        };
        if known.event != self.current {
            self.ranges.clear();
            let cut = self.encoder.encode(&self.layout, keys, frame, &mut batch.keys, &mut self.ranges);
            let start = self.places.len();
            self.places.extend(self.ranges.iter().map(|bytes| Place {
                hash: xxh3_64(batch.keys.get(bytes.clone()).unwrap_or(&[])),
                bytes: bytes.clone(),
            }));
            *known = KnownKeys { event: self.current, places: start..self.places.len(), cut };
        }
        if known.cut
            && let Some(cut) = self.cut.get_mut(machine as usize)
        {
            *cut += terms as u64;
        }
        known.places.clone()
    }
}

fn push(event: u32, machine: u32, place: Place, start: usize, batch: &mut RoutedBatch) {
    let hash = hash_of(machine, place.hash);
    let item = Routed { event, machine, hash, key: place.bytes, uses: start..batch.uses.len() };
    if let Some(items) = batch.items.get_mut(shard_of(hash)) {
        items.push(item);
    }
}

/// The hash of a rule's key, made of the key's own.
fn hash_of(machine: u32, key: u64) -> u64 {
    let mixed = (key ^ u64::from(machine).wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ mixed >> 32
}

fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

/// The hash of a rule's key, and the shard that has its state.
pub(crate) fn locate(machine: u32, key: &[u8]) -> (u64, usize) {
    let hash = hash_of(machine, xxh3_64(key));
    (hash, shard_of(hash))
}
