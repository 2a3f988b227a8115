//! A worker: what one thread does with a chunk of documents, without knowing any other.
//!
//! In: chunks. Out: the same chunks, with a verdict on each document and the answers of stage one. For packs whose stage one
//! has to see all events in order, and for a session that reorders events, it only decodes.

use std::thread;

use kestrel_core::stage_one::StageOne;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_schema::EventFields;

use super::chunk::{Chunk, ChunkVerdict, PackAnswers};
use crate::klog::{RecordHead, TimeRange};
use crate::session::replay::{TimeFilter, decode};
use crate::session::{NamedPack, PreparedPacks, Session, SessionError};

/// Decodes documents and evaluates predicates for one thread.
pub struct Worker {
    decoder: Decoder,
    times: TimeFilter,
    /// Stage one of each pack for which it may work here.
    stages: Vec<Option<StageOne>>,
    keeps_events: bool,
    event: Event,
}

/// What a worker has to know of its session.
struct Asked<'s> {
    table: &'s FieldTable,
    fields: &'s EventFields,
    /// For each pack whether the session sees its events itself, in order.
    in_order: Vec<bool>,
    range: TimeRange,
}

impl Worker {
    /// Workers for a session over documents, as many as asked for, for documents of these times. `packs` are those of the
    /// session; whether events are to be reordered is settled before. Each worker is made in a thread of its own, because
    /// that takes time.
    ///
    /// # Errors
    /// When a pack's code does not start once more.
    pub fn many(
        count: usize,
        session: &Session,
        packs: &PreparedPacks<'_>,
        range: TimeRange,
    ) -> Result<Vec<Worker>, SessionError> {
        let failed = |_| SessionError::Thread;
        let asked = Asked {
            table: session.table(),
            fields: session.event_fields(),
            in_order: (0..packs.packs.len()).map(|number| session.sees_in_order(number)).collect(),
            range,
        };
        thread::scope(|scope| {
            let start = |_| scope.spawn(|| Worker::new(&asked, packs));
            let started: Vec<_> = (0..count).map(start).collect();
            started.into_iter().map(|made| made.join().map_err(failed)?).collect()
        })
    }

    fn new(asked: &Asked<'_>, packs: &PreparedPacks<'_>) -> Result<Worker, SessionError> {
        let parts = packs.packs.iter().zip(&packs.runtimes).zip(&asked.in_order);
        let stages = parts.map(|((pack, runtime), in_order)| {
            if *in_order {
                return Ok(None);
            }
            let NamedPack { name, pack } = pack;
            let runtime = runtime.instantiate().map_err(|cause| SessionError::Runtime { name: name.clone(), cause })?;
            let stage = StageOne::new(pack.ir(), asked.table, runtime, packs.options.matcher.max_processes);
            stage.map(Some).map_err(|cause| SessionError::Matcher { name: name.clone(), cause: cause.into() })
        });
        let stages: Vec<Option<StageOne>> = stages.collect::<Result<_, _>>()?;
        Ok(Worker {
            decoder: Decoder::new(asked.table, asked.fields),
            times: TimeFilter::new(asked.fields, asked.range),
            keeps_events: stages.iter().any(Option::is_none),
            stages,
            event: Event::new(),
        })
    }

    /// Answers a chunk.
    pub fn work(&mut self, chunk: &mut Chunk) {
        let Worker { decoder, times, stages, keeps_events, event: scratch } = self;
        chunk.clear_answers(stages.len());
        let (documents, events, kept, packs) = chunk.documents();
        for (document, verdict) in documents {
            if !times.passes(&document) {
                *verdict = ChunkVerdict::LeftOut;
                continue;
            }
            if *keeps_events && *kept == events.len() {
                events.push(Event::new());
            }
            let event = match events.get_mut(*kept) {
                Some(event) if *keeps_events => event,
                _ => &mut *scratch,
            };
            if let Err(error) = decode(decoder, &document, event) {
                *verdict = ChunkVerdict::Invalid(error.to_string());
                continue;
            }
            let Event { timestamp, tiebreaker, ordinal, flags, .. } = *event;
            *verdict = ChunkVerdict::Event(RecordHead { timestamp, tiebreaker, ordinal, flags });
            *kept += usize::from(*keeps_events);
            for (stage, answers) in stages.iter_mut().zip(packs.iter_mut()) {
                if let Some(stage) = stage
                    && stage.queue(event)
                {
                    hand_over(stage, answers);
                }
            }
        }
        for (stage, answers) in stages.iter_mut().zip(packs.iter_mut()) {
            let Some(stage) = stage else { continue };
            if !stage.is_empty() {
                hand_over(stage, answers);
            }
            answers.failures = stage.take_failures();
        }
    }
}

/// Evaluates what is queued and puts it with the answers.
fn hand_over(stage: &mut StageOne, answers: &mut PackAnswers) {
    stage.evaluate();
    if let Some(batch) = answers.next_batch() {
        stage.exchange(batch);
    }
}
