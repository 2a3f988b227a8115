//! Evidence: copies of frames that outlive their events.

use std::sync::Arc;

use kestrel_ir::frame::Frame;

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

    /// Copies a frame's bytes. Bytes that are none give evidence without a frame.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Evidence {
        Evidence(bytes.into())
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
