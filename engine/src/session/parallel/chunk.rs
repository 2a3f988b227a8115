//! Chunks: some documents of one input, and what threads have found out about them.
//!
//! In: items of an input, copied. Out: the same items in the same order, with a verdict on each document, and for each pack
//! the answers of stage one, batch by batch. A chunk keeps its memory when it is filled again.

use std::ops::Range;
use std::sync::Arc;

use kestrel_core::batch::Batch;
use kestrel_ir::event::Event;

use super::Feed;
use crate::input::{Document, Input, InputError, Item};
use crate::klog::RecordHead;

/// Memory beyond so many bytes is given back when a chunk is filled again.
const KEPT_BYTES: usize = 1 << 20;

/// How much a chunk holds. Alerts do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// So many items fill it.
    pub items: usize,
    /// So many bytes of documents fill it; the document that reaches the limit is still in it.
    pub bytes: usize,
}

impl Default for ChunkLimits {
    /// 256 items or 256 KiB: enough work to be worth a hand-over, little enough to keep all threads busy.
    fn default() -> Self {
        ChunkLimits { items: 256, bytes: 256 << 10 }
    }
}

/// Documents of one input, and the answers to them.
#[derive(Default)]
pub struct Chunk {
    source: Arc<Source>,
    items: Vec<Entry>,
    bytes: Vec<u8>,
    failure: Option<InputError>,
    pub(super) events: Vec<Event>,
    pub(super) kept: usize,
    pub(super) packs: Vec<PackAnswers>,
}

/// What messages call an input, and a place in it.
#[derive(Default)]
struct Source {
    name: String,
    unit: &'static str,
}

enum Entry {
    Document(Entered),
    Invalid { line: u64, reason: String },
    Damaged { message: String },
}

/// A document of a chunk.
pub(super) struct Entered {
    line: u64,
    bytes: Range<usize>,
    record: Option<RecordHead>,
    pub(super) verdict: ChunkVerdict,
}

/// What a worker says of a document.
pub(super) enum ChunkVerdict {
    /// It is not one of those that are wanted.
    LeftOut,
    Event(RecordHead),
    Invalid(String),
}

/// What a worker says for one pack.
#[derive(Default)]
pub(super) struct PackAnswers {
    batches: Vec<Batch>,
    used: usize,
    /// How often the runtime did not answer, and what it said first.
    pub(super) failures: (u64, Option<String>),
}

/// An item of a chunk once it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkItem<'c> {
    /// An event, as an event log keeps it.
    Event(RecordHead, &'c [u8]),
    /// Something that is no event.
    Invalid {
        /// The line it begins on, or the number of its record.
        line: u64,
        /// What is wrong with it.
        reason: &'c str,
    },
    /// A part of the input that could not be read.
    Damaged {
        /// Where, and what it costs.
        message: &'c str,
    },
}

impl Chunk {
    fn begin(&mut self, source: &Arc<Source>) {
        self.source = Arc::clone(source);
        self.items.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.failure = None;
        self.clear_answers(0);
    }

    /// Makes room for the answers for so many packs.
    pub(super) fn clear_answers(&mut self, packs: usize) {
        self.kept = 0;
        self.packs.resize_with(packs.max(self.packs.len()), PackAnswers::default);
        self.packs.iter_mut().for_each(PackAnswers::clear);
    }

    fn is_full(&self, limits: ChunkLimits) -> bool {
        self.items.len() >= limits.items || self.bytes.len() >= limits.bytes
    }

    fn push(&mut self, item: Item<'_>) {
        self.items.push(match item {
            Item::Document(Document { line, bytes, record }) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                let bytes = start..self.bytes.len();
                Entry::Document(Entered { line, bytes, record, verdict: ChunkVerdict::LeftOut })
            }
            Item::Invalid { line, reason } => Entry::Invalid { line, reason },
            Item::Damaged { message } => Entry::Damaged { message },
        });
    }

    /// The documents, each with the place for its verdict, and the places for events and answers.
    pub(super) fn documents(
        &mut self,
    ) -> (impl Iterator<Item = (Document<'_>, &mut ChunkVerdict)>, &mut Vec<Event>, &mut usize, &mut Vec<PackAnswers>)
    {
        let Chunk { items, bytes, events, kept, packs, .. } = self;
        let documents = items.iter_mut().filter_map(|entry| match entry {
            Entry::Document(Entered { line, bytes: place, record, verdict }) => {
                let document = Document { line: *line, bytes: bytes.get(place.clone())?, record: *record };
                Some((document, verdict))
            }
            _ => None,
        });
        (documents, events, kept, packs)
    }

    /// What messages call the input.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// What a place in the input is called.
    pub fn unit(&self) -> &'static str {
        self.source.unit
    }

    /// What the chunk holds, in order, without the documents that were left out.
    pub fn items(&self) -> impl Iterator<Item = ChunkItem<'_>> {
        self.items.iter().filter_map(|entry| match entry {
            Entry::Document(Entered { verdict: ChunkVerdict::LeftOut, .. }) => None,
            Entry::Document(Entered { verdict: ChunkVerdict::Event(head), bytes, .. }) => {
                Some(ChunkItem::Event(*head, self.bytes.get(bytes.clone())?))
            }
            Entry::Document(Entered { verdict: ChunkVerdict::Invalid(reason), line, .. })
            | Entry::Invalid { line, reason } => Some(ChunkItem::Invalid { line: *line, reason }),
            Entry::Damaged { message } => Some(ChunkItem::Damaged { message }),
        })
    }

    /// Why there are no more items of the input, if it failed behind those of this chunk.
    pub fn take_failure(&mut self) -> Option<InputError> {
        self.failure.take()
    }

    /// Numbers the events from `first` on; how many there are.
    pub(in crate::session) fn number_from(&mut self, first: u64) -> u64 {
        let mut ordinal = first;
        for entry in &mut self.items {
            if let Entry::Document(Entered { verdict: ChunkVerdict::Event(head), .. }) = entry {
                head.ordinal = ordinal;
                ordinal += 1;
            }
        }
        self.kept_events_mut().iter_mut().zip(first..).for_each(|(event, ordinal)| event.ordinal = ordinal);
        for answers in &mut self.packs {
            let mut next = first;
            for batch in answers.batches_mut() {
                batch.number_from(next);
                next += batch.len() as u64;
            }
        }
        ordinal - first
    }

    /// How many documents were no events.
    pub(in crate::session) fn invalid(&self) -> u64 {
        self.items().filter(|item| matches!(item, ChunkItem::Invalid { .. })).count() as u64
    }

    /// The events, if the session wants to see them itself.
    pub(in crate::session) fn kept_events(&self) -> &[Event] {
        self.events.get(..self.kept).unwrap_or(&[])
    }

    fn kept_events_mut(&mut self) -> &mut [Event] {
        self.events.get_mut(..self.kept).unwrap_or(&mut [])
    }

    /// The answers for a pack.
    pub(in crate::session) fn batches(&self, pack: usize) -> &[Batch] {
        self.packs.get(pack).and_then(|answers| answers.batches.get(..answers.used)).unwrap_or(&[])
    }

    /// How often a pack's runtime did not answer, and what it said first; taken out.
    pub(in crate::session) fn take_failures(&mut self, pack: usize) -> (u64, Option<String>) {
        self.packs.get_mut(pack).map(|answers| std::mem::take(&mut answers.failures)).unwrap_or_default()
    }
}

impl PackAnswers {
    fn clear(&mut self) {
        self.batches.iter_mut().for_each(Batch::clear);
        self.used = 0;
        self.failures = (0, None);
    }

    fn batches_mut(&mut self) -> &mut [Batch] {
        self.batches.get_mut(..self.used).unwrap_or(&mut [])
    }

    /// The next batch, empty.
    pub(super) fn next_batch(&mut self) -> Option<&mut Batch> {
        if self.used == self.batches.len() {
            self.batches.push(Batch::default());
        }
        self.used += 1;
        self.batches.get_mut(self.used - 1)
    }
}

/// Feeds the items of an input until it ends, fails, or nobody wants more. Tells whether more may be fed.
pub fn feed_input(feed: &mut Feed<Chunk>, input: &mut Input, limits: ChunkLimits, stopped: &dyn Fn() -> bool) -> bool {
    let source = Arc::new(Source { name: input.name().to_owned(), unit: input.unit() });
    loop {
        let mut chunk = feed.chunk();
        chunk.begin(&source);
        let mut ended = false;
        while !ended && !chunk.is_full(limits) && !stopped() {
            match input.next_item() {
                Ok(Some(item)) => chunk.push(item),
                Ok(None) => ended = true,
                Err(error) => {
                    chunk.failure = Some(error);
                    feed.send(chunk);
                    return false;
                }
            }
        }
        let stopped = !ended && !chunk.is_full(limits);
        if !feed.send(chunk) || stopped {
            return false;
        }
        if ended {
            return true;
        }
    }
}

/// Feeds that an input cannot even be opened.
pub fn feed_failure(feed: &mut Feed<Chunk>, error: InputError) {
    let mut chunk = feed.chunk();
    chunk.begin(&Arc::default());
    chunk.failure = Some(error);
    feed.send(chunk);
}
