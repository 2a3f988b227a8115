//! Documents into a session: decodes each, numbers the events, counts what is no event.

use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::{DecodeError, Decoder};
use kestrel_schema::EventFields;

use super::parallel::Chunk;
use super::{Alert, Session};
use crate::input::Document;
use crate::klog::TimeRange;

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
        if let Err(error) = decode(&self.decoder, document, &mut self.event) {
            self.counters.invalid += 1;
            return Verdict::Invalid(error);
        }
        self.event.ordinal = self.counters.events;
        self.counters.events += 1;
        step(session, &self.event, sink);
        Verdict::Event(&self.event)
    }

    /// Takes a chunk that a [`Worker`](super::parallel::Worker) of this session has answered: the same alerts as if its
    /// documents were queued one after the other. Chunks come in order.
    pub fn take_chunk(&mut self, session: &mut Session, chunk: &mut Chunk, sink: &mut dyn FnMut(&Alert)) {
        self.counters.invalid += chunk.invalid();
        self.counters.events += chunk.number_from(self.counters.events);
        session.take_chunk(chunk, sink);
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

/// Reads a document; of a record of an event log, what the log says of it goes before what the document says.
pub(super) fn decode(decoder: &Decoder, document: &Document<'_>, event: &mut Event) -> Result<(), DecodeError> {
    decoder.decode(document.bytes, event)?;
    if let Some(record) = document.record {
        event.timestamp = record.timestamp;
        event.tiebreaker = record.tiebreaker;
        event.flags.insert(record.flags);
    }
    Ok(())
}

/// Chooses documents by their times, for whoever wants only some of them.
pub struct TimeFilter {
    range: TimeRange,
    /// There is none where all are wanted.
    decoder: Option<Decoder>,
    event: Event,
}

impl TimeFilter {
    /// A filter for documents whose times stand in these fields.
    pub fn new(fields: &EventFields, range: TimeRange) -> TimeFilter {
        // No field is wanted but the time.
        let decoder = || Decoder::new(&FieldTable::new(), fields);
        TimeFilter { range, decoder: (!range.is_all()).then(decoder), event: Event::new() }
    }

    /// Whether a document is wanted. What is no event is: it is to be told and counted.
    pub fn passes(&mut self, document: &Document<'_>) -> bool {
        let Some(decoder) = &self.decoder else { return true };
        match document.record {
            Some(record) => self.range.contains(record.timestamp),
            None => {
                decoder.decode(document.bytes, &mut self.event).is_err() || self.range.contains(self.event.timestamp)
            }
        }
    }
}
