//! The events of one call, as they lie in a module's memory.
//!
//! In: frames and candidates. Out: bytes in the areas that the module told, and the results read from there. An event
//! with more candidates than there is room for goes into several groups; so does a batch with many or long events.

use std::ops::Range;

use kestrel_ir::frame::slot_offset;
use kestrel_ir::model::PredicateId;

use super::places::{EVENT_SIZE, PAIR_SIZE, Places};

const PAGE: usize = 64 * 1024;
/// A group with so many bytes of frames takes no more events.
const MAX_FRAMES: usize = 512 << 10;
/// The number of an event that is in no batch.
pub(super) const SINGLE: usize = usize::MAX;

/// What one call evaluates.
#[derive(Debug, Default)]
pub(super) struct Group {
    places: Places,
    /// How much of the frame each predicate reads, as [`Places::reads`] gives it.
    reads: Vec<u8>,
    rows: Vec<Row>,
    pairs: usize,
    /// The end of the last frame.
    end: usize,
}

/// One event of a group.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Its number in the batch.
    pub(super) event: usize,
    /// Which of its candidates are asked.
    pub(super) candidates: Range<usize>,
    /// The first of its pairs.
    first: usize,
    /// Where its frame lies.
    pub(super) frame: Range<usize>,
}

/// What became of an event that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// So many of its candidates are in.
    Pairs(usize),
    /// There is no room: the group is to be evaluated first.
    Full,
    /// The memory is to grow by so many pages first.
    Grow(u64),
    /// The areas that the module told are not in its memory.
    Outside,
}

impl Group {
    pub(super) fn new(places: Places, reads: Vec<u8>) -> Group {
        Group { places, reads, end: places.frames, ..Group::default() }
    }

    /// How many bytes of the frame the module reads by itself to answer `candidates`.
    fn bytes_read(&self, candidates: &[PredicateId], length: usize) -> usize {
        let reads = candidates.iter().map(|candidate| self.reads.get(candidate.index()).copied().unwrap_or(2)).max();
        match reads {
            None | Some(0) => 0,
            Some(1) => slot_offset(self.places.slots, 0).min(length),
            Some(_) => length,
        }
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self, rows: Range<usize>) -> &[Row] {
        self.rows.get(rows).unwrap_or(&[])
    }

    /// The event of this number in the call.
    pub(super) fn row(&self, number: u32) -> Option<&Row> {
        self.rows.get(number as usize)
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.pairs = 0;
        self.end = self.places.frames;
    }

    /// Adds an event with its candidates from `from` on, as many as there is room for. The frame is copied as far as
    /// the module reads it, and whole for an event that is in no batch: about that the host too looks into the copy.
    pub(super) fn add(
        &mut self,
        memory: &mut [u8],
        event: usize,
        from: usize,
        frame: &[u8],
        candidates: &[PredicateId],
    ) -> Added {
        let Places { events, events_capacity, pairs, pairs_capacity, .. } = self.places;
        let asked = candidates.get(from..).unwrap_or(&[]);
        let asked = &asked[..asked.len().min(pairs_capacity.saturating_sub(self.pairs))];
        let copied = if event == SINGLE { frame.len() } else { self.bytes_read(asked, frame.len()) };
        let frame = frame.get(..copied).unwrap_or(frame);
        let start = self.end.next_multiple_of(8);
        let end = start.saturating_add(frame.len());
        let crowded = !self.rows.is_empty() && end - self.places.frames > MAX_FRAMES;
        if self.rows.len() >= events_capacity || self.pairs >= pairs_capacity || crowded {
            return Added::Full;
        }
        if end > memory.len() {
            return Added::Grow((end - memory.len()).div_ceil(PAGE) as u64);
        }
        memory[start..end].copy_from_slice(frame);
        let row = [start, self.pairs, self.pairs + asked.len(), 0].map(|word| (word as u32).to_le_bytes());
        let place = events + self.rows.len() * EVENT_SIZE;
        // Both areas lie before the frames, so they are inside once a frame is.
        let Some(bytes) = memory.get_mut(place..place + EVENT_SIZE) else { return Added::Outside };
        bytes.copy_from_slice(row.as_flattened());
        let place = pairs + self.pairs * PAIR_SIZE;
        let Some(bytes) = memory.get_mut(place..place + asked.len() * PAIR_SIZE) else { return Added::Outside };
        for (bytes, candidate) in bytes.chunks_exact_mut(PAIR_SIZE).zip(asked) {
            bytes.copy_from_slice(&candidate.0.to_le_bytes());
        }
        let candidates = from..from + asked.len();
        self.rows.push(Row { event, candidates, first: self.pairs, frame: start..end });
        self.pairs += asked.len();
        self.end = end;
        Added::Pairs(asked.len())
    }

    /// Clears the bits that the module is to set. `false` when they are not in its memory.
    pub(super) fn clear_results(&self, memory: &mut [u8]) -> bool {
        let results = self.places.results;
        match memory.get_mut(results..results + self.pairs.div_ceil(8)) {
            Some(bytes) => {
                bytes.fill(0);
                true
            }
            None => false,
        }
    }

    /// Tells which candidates of a row hold, by their place among those asked.
    pub(super) fn read(&self, memory: &[u8], row: &Row, mut hold: impl FnMut(usize)) {
        for index in 0..row.candidates.len() {
            let pair = row.first + index;
            let byte = memory.get(self.places.results + pair / 8).copied().unwrap_or(0);
            if byte >> (pair % 8) & 1 == 1 {
                hold(index);
            }
        }
    }
}
