//! Events that are evaluated together: their frames, what is asked of each, and the answers.
//!
//! In: frames and candidates, event by event. Out: for each (event, candidate) pair whether it holds, as a runtime says.
//! A batch exists so that a runtime enters its compiled code once for many events; it changes no answer, because
//! predicates know nothing of other events. What depends on the past, lineage, is told to the event's cache beforehand.
//!
//! ```text
//! frames      | frame 0 | frame 1      | frame 2 |        memory for one event each, kept from batch to batch
//! events      | frame, pairs | frame, pairs | …           a number and a range into the others
//! candidates  | p3 p9 | p1 | p3 p4 p9 |                   pairs, event by event
//! held        | 0  1  | 0  | 1  0  0  |
//! ```

use std::ops::Range;

use kestrel_ir::event::Event;
use kestrel_ir::frame::{Frame, FrameBuilder};
use kestrel_ir::model::PredicateId;

use crate::atoms::AtomCache;
use crate::runtime::RuntimeError;

/// The most events of a batch.
pub const MAX_BATCH_EVENTS: usize = 64;
/// A batch with so many bytes of frames takes no more events.
const MAX_BATCH_BYTES: usize = 512 << 10;
/// A frame's memory beyond so many bytes is given back behind its batch.
const KEPT_FRAME_BYTES: usize = 16 << 10;
/// Where a frame holds its event's ordinal (`kestrel_ir::frame`).
const FRAME_ORDINAL: Range<usize> = 24..32;

/// Events that are evaluated together. Keeps its memory when it is cleared.
#[derive(Debug, Default)]
pub struct Batch {
    /// Memory for frames, of which the first `used` are those of events.
    frames: Vec<Vec<u8>>,
    used: usize,
    /// How many bytes the frames have together.
    bytes: usize,
    events: Vec<BatchEvent>,
    candidates: Vec<PredicateId>,
    held: Vec<bool>,
    /// One for each event, kept from batch to batch.
    caches: Vec<AtomCache>,
    failures: Vec<(usize, RuntimeError)>,
    pub(crate) scratch: Vec<PredicateId>,
}

/// Where an event's parts lie.
#[derive(Debug, Clone)]
struct BatchEvent {
    timestamp: i64,
    ordinal: u64,
    /// `None` for an event that nothing is asked about.
    frame: Option<usize>,
    pairs: Range<usize>,
}

/// One event of a batch, to be evaluated.
#[derive(Debug)]
pub struct BatchItem<'b> {
    /// The event.
    pub frame: Frame<'b>,
    /// What is known of it, and its scratch.
    pub cache: &'b mut AtomCache,
    /// What is asked.
    pub candidates: &'b [PredicateId],
    /// The answers, one for each candidate; false at first.
    pub held: &'b mut [bool],
}

impl Batch {
    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether it is time to evaluate.
    pub fn is_full(&self) -> bool {
        self.events.len() >= MAX_BATCH_EVENTS || self.bytes >= MAX_BATCH_BYTES
    }

    /// Forgets all events.
    pub fn clear(&mut self) {
        self.frames.iter_mut().take(self.used).for_each(|frame| {
            frame.clear();
            frame.shrink_to(KEPT_FRAME_BYTES);
        });
        (self.used, self.bytes) = (0, 0);
        self.events.clear();
        self.candidates.clear();
        self.held.clear();
        self.failures.clear();
    }

    /// Adds an event that nothing is asked about yet, and gives its number. `fresh` makes a cache when there are too few.
    pub fn push(&mut self, frame: Frame<'_>, fresh: impl FnOnce() -> AtomCache) -> usize {
        let place = self.next_frame();
        if let Some(bytes) = self.frames.get_mut(place) {
            bytes.extend_from_slice(frame.bytes());
        }
        self.add((frame.timestamp(), frame.ordinal()), Some(place), fresh)
    }

    /// The same of an event whose frame `builder` lays out where it stays.
    pub fn lay_out(&mut self, event: &Event, builder: &mut FrameBuilder, fresh: impl FnOnce() -> AtomCache) -> usize {
        let place = self.next_frame();
        if let Some(bytes) = self.frames.get_mut(place) {
            builder.build_in(event, bytes);
        }
        self.add((event.timestamp, event.ordinal), Some(place), fresh)
    }

    /// Adds an event that nothing will be asked about, without its frame: only that it came counts.
    pub fn pass(&mut self, event: &Event) {
        self.add((event.timestamp, event.ordinal), None, AtomCache::default);
    }

    /// Empty memory for the next frame.
    fn next_frame(&mut self) -> usize {
        if self.used == self.frames.len() {
            self.frames.push(Vec::new());
        }
        self.used += 1;
        self.used - 1
    }

    fn add(
        &mut self,
        (timestamp, ordinal): (i64, u64),
        frame: Option<usize>,
        fresh: impl FnOnce() -> AtomCache,
    ) -> usize {
        let number = self.events.len();
        match self.caches.get_mut(number) {
            Some(cache) => cache.reset(),
            None => self.caches.push(fresh()),
        }
        self.bytes += frame.and_then(|place| self.frames.get(place)).map_or(0, Vec::len);
        let pairs = self.candidates.len()..self.candidates.len();
        self.events.push(BatchEvent { timestamp, ordinal, frame, pairs });
        number
    }

    /// Numbers the events anew, from `first` on in their order: for a batch whose events were not yet counted when it was
    /// made. A passed event has no frame that shows its number.
    pub fn number_from(&mut self, first: u64) {
        let Batch { events, frames, .. } = self;
        for (event, ordinal) in events.iter_mut().zip(first..) {
            event.ordinal = ordinal;
            let frame = event.frame.and_then(|place| frames.get_mut(place));
            if let Some(place) = frame.and_then(|frame| frame.get_mut(FRAME_ORDINAL)) {
                place.copy_from_slice(&ordinal.to_le_bytes());
            }
        }
    }

    /// When an event was and its arrival number.
    pub fn time(&self, event: usize) -> Option<(i64, u64)> {
        self.events.get(event).map(|event| (event.timestamp, event.ordinal))
    }

    /// Asks about the event that was added last.
    pub fn ask(&mut self, candidates: &[PredicateId]) {
        let Some(event) = self.events.last_mut() else { return };
        self.candidates.extend_from_slice(candidates);
        self.held.resize(self.candidates.len(), false);
        event.pairs.end = self.candidates.len();
    }

    /// The frame of an event; `None` for a number that is not in the batch, and for an event that was passed.
    pub fn frame(&self, event: usize) -> Option<Frame<'_>> {
        self.events.get(event).and_then(|event| Frame::new(self.frames.get(event.frame?)?))
    }

    /// What is asked about an event.
    pub fn candidates(&self, event: usize) -> &[PredicateId] {
        self.events.get(event).and_then(|event| self.candidates.get(event.pairs.clone())).unwrap_or(&[])
    }

    /// The answers about an event, in the order of its candidates.
    pub fn held(&self, event: usize) -> &[bool] {
        self.events.get(event).and_then(|event| self.held.get(event.pairs.clone())).unwrap_or(&[])
    }

    /// All questions, event by event, with the number of their event.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, PredicateId)> {
        let of_event = |(number, event): (usize, &BatchEvent)| {
            let candidates = self.candidates.get(event.pairs.clone()).unwrap_or(&[]);
            candidates.iter().map(move |candidate| (number, *candidate))
        };
        self.events.iter().enumerate().flat_map(of_event)
    }

    /// How many questions there are.
    pub fn pair_count(&self) -> usize {
        self.candidates.len()
    }

    /// All answers, in the order of [`Batch::pairs`].
    pub fn answers_mut(&mut self) -> &mut [bool] {
        &mut self.held
    }

    /// What is known of an event.
    pub fn cache(&self, event: usize) -> Option<&AtomCache> {
        self.caches.get(event)
    }

    /// The caches of all events, and behind them some that are not in use.
    pub fn caches_mut(&mut self) -> &mut Vec<AtomCache> {
        &mut self.caches
    }

    /// The answers about an event, to be filled in.
    pub fn held_mut(&mut self, event: usize) -> &mut [bool] {
        let pairs = self.events.get(event).map_or(0..0, |event| event.pairs.clone());
        self.held.get_mut(pairs).unwrap_or(&mut [])
    }

    /// The frame of an event and what is known of it; `None` as [`Batch::frame`].
    #[inline]
    pub fn frame_and_cache(&mut self, event: usize) -> Option<(Frame<'_>, &mut AtomCache)> {
        let place = self.events.get(event)?.frame?;
        Some((Frame::new(self.frames.get(place)?)?, self.caches.get_mut(event)?))
    }

    /// One event with all that belongs to it.
    pub fn item(&mut self, event: usize) -> Option<BatchItem<'_>> {
        let BatchEvent { frame, pairs, .. } = self.events.get(event)?.clone();
        Some(BatchItem {
            frame: Frame::new(self.frames.get(frame?)?)?,
            cache: self.caches.get_mut(event)?,
            candidates: self.candidates.get(pairs.clone())?,
            held: self.held.get_mut(pairs)?,
        })
    }

    /// Tells that an event could not be evaluated: its answers mean nothing.
    pub fn fail(&mut self, event: usize, error: RuntimeError) {
        self.failures.push((event, error));
    }

    /// What could not be evaluated and why, taken out.
    pub fn take_failures(&mut self) -> Vec<(usize, RuntimeError)> {
        std::mem::take(&mut self.failures)
    }
}

#[cfg(test)]
mod tests {
    use kestrel_ir::event::FieldTable;
    use kestrel_ir::frame::FrameBuilder;
    use kestrel_ir::layout::Layout;

    use super::*;

    #[test]
    fn events_are_numbered_in_their_order_and_their_frames_say_so() {
        let mut builder = FrameBuilder::new(&Layout::default(), &FieldTable::new());
        let mut batch = Batch::default();
        for number in 0..3 {
            let mut event = Event::new();
            (event.timestamp, event.ordinal) = (number, 90);
            if number == 1 {
                batch.pass(&event);
            } else {
                batch.push(builder.build(&event), AtomCache::default);
            }
        }
        batch.number_from(7);
        let times: Vec<_> = (0..3).map(|number| batch.time(number)).collect();
        assert_eq!(times, [Some((0, 7)), Some((1, 8)), Some((2, 9))]);
        let frames: Vec<_> = (0..3).map(|number| batch.frame(number).map(|frame| frame.ordinal())).collect();
        assert_eq!(frames, [Some(7), None, Some(9)]);
    }
}
