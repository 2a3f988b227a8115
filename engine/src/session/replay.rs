//! Documents into a session: decodes each, numbers the events, counts what is no event.

use kestrel_ir::event::Event;
use kestrel_ir::event_json::{DecodeError, Decoder};

use super::{Alert, Session};
use crate::input::Document;

/// What a replay did with its documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayCounters {
    /// Documents that were events.
    pub events: u64,
    /// Documents that were not, and what could not even be a document.
    pub invalid: u64,
}

/// Whether a document was an event.
#[derive(Debug)]
pub enum Verdict<'e> {
    /// It was; this is what the rules saw.
    Event(&'e Event),
    /// It was not.
    Invalid(DecodeError),
}

/// Feeds documents to a session made with [`Session::over_documents`].
pub struct Replay {
    decoder: Decoder,
    event: Event,
    counters: ReplayCounters,
}

impl Replay {
    /// A replay for this session.
    pub fn new(session: &Session) -> Replay {
        let decoder = Decoder::new(session.table(), session.event_fields());
        Replay { decoder, event: Event::new(), counters: ReplayCounters::default() }
    }

    /// Decodes a document and, when it is an event, has the session process it. The events of a replay are numbered from
    /// 0. For a record of an event log the log says the order and the doubts, so that a replay sees what the run saw.
    pub fn document(
        &mut self,
        session: &mut Session,
        document: &Document<'_>,
        sink: &mut dyn FnMut(&Alert),
    ) -> Verdict<'_> {
        self.take(session, document, sink, Session::process)
    }

    /// The same with [`Session::queue`]: the alerts may come with a later document's, or with [`Session::flush`].
    pub fn queue(
        &mut self,
        session: &mut Session,
        document: &Document<'_>,
        sink: &mut dyn FnMut(&Alert),
    ) -> Verdict<'_> {
        self.take(session, document, sink, Session::queue)
    }

    fn take(
        &mut self,
        session: &mut Session,
        document: &Document<'_>,
        sink: &mut dyn FnMut(&Alert),
        step: impl Fn(&mut Session, &Event, &mut dyn FnMut(&Alert)),
    ) -> Verdict<'_> {
        if let Err(error) = self.decoder.decode(document.bytes, &mut self.event) {
            self.counters.invalid += 1;
            return Verdict::Invalid(error);
        }
        if let Some(record) = document.record {
            self.event.timestamp = record.timestamp;
            self.event.tiebreaker = record.tiebreaker;
            self.event.flags.insert(record.flags);
        }
        self.event.ordinal = self.counters.events;
        self.counters.events += 1;
        step(session, &self.event, sink);
        Verdict::Event(&self.event)
    }

    /// Counts something that the input could not even give as a document.
    pub fn count_invalid(&mut self) {
        self.counters.invalid += 1;
    }

    /// What the replay did so far.
    pub fn counters(&self) -> ReplayCounters {
        self.counters
    }
}
