//! Evidence: copies of frames that outlive their events, shared between the partial matches that hold them.

use std::sync::Arc;

use kestrel_ir::frame::Frame;
use kestrel_ir::model::AtomId;

/// A point in the order of events: timestamp, tiebreaker, arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventOrder {
    /// Nanoseconds since 1970.
    pub timestamp: i64,
    /// The source's own tiebreaker.
    pub tiebreaker: i64,
    /// Arrival number.
    pub ordinal: u64,
}

impl EventOrder {
    /// Where a frame's event stands.
    pub fn of(frame: Frame<'_>) -> EventOrder {
        EventOrder { timestamp: frame.timestamp(), tiebreaker: frame.tiebreaker(), ordinal: frame.ordinal() }
    }
}

/// A kept frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence(Arc<[u8]>);

impl Evidence {
    /// Copies a frame.
    pub fn of(frame: Frame<'_>) -> Evidence {
        Evidence(frame.bytes().into())
    }

    /// The frame, to be read with the layout that it was built for.
    pub fn frame(&self) -> Option<Frame<'_>> {
        Frame::new(&self.0)
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// The event that is being matched: its frame, copied at most once and only when a match wants to keep it.
#[derive(Debug)]
pub struct CurrentEvent<'f> {
    /// The frame, read in place.
    pub frame: Frame<'f>,
    /// Where the event stands.
    pub order: EventOrder,
    /// The lineage atoms that hold for it.
    pub lineage: &'f [AtomId],
    kept: Option<Evidence>,
}

impl<'f> CurrentEvent<'f> {
    /// An event of which nothing is kept yet.
    pub fn new(frame: Frame<'f>, lineage: &'f [AtomId]) -> CurrentEvent<'f> {
        CurrentEvent { frame, order: EventOrder::of(frame), lineage, kept: None }
    }

    /// A copy of the frame, shared by all who ask.
    pub fn evidence(&mut self) -> Evidence {
        self.kept.get_or_insert_with(|| Evidence::of(self.frame)).clone()
    }
}
