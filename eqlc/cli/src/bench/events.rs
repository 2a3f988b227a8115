//! The events of a measurement: read, laid out as frames, dispatched.
//!
//! In: a pack and files. Out: for each event its frame, the candidates that dispatch picks and the lineage that its matcher
//! would know. All of it is in memory, up to a limit; events beyond it are told and left out.

use std::path::{Path, PathBuf};

use kestrel_core::atoms::Atoms;
use kestrel_core::dispatch::Dispatch;
use kestrel_core::evidence::Evidence;
use kestrel_core::lineage::Lineage;
use kestrel_core::matcher::MatcherOptions;
use kestrel_engine::input::Item;
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::session::{NamedPack, Session, SessionOptions};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::{Frame, FrameBuilder};
use kestrel_ir::interp::{Context, Interpreter};
use kestrel_ir::model::{AtomId, PredicateId};

use crate::report::tell;

/// The most bytes of frames that are kept.
const MAX_FRAMES: usize = 1 << 30;
/// How many invalid documents are told in full.
const NAMED_INVALID: u64 = 3;

/// Events, ready to be asked about.
pub struct Events {
    /// The fields that the events have.
    pub table: FieldTable,
    /// The events as they were decoded.
    pub events: Vec<Event>,
    /// The frame of each event.
    pub frames: Vec<Evidence>,
    /// The candidates of each event, ascending.
    pub candidates: Vec<Box<[PredicateId]>>,
    /// The lineage atoms that hold for each event.
    pub lineage: Vec<Box<[AtomId]>>,
    /// Documents that were no events.
    pub invalid: u64,
}

/// What an event's matcher would know.
struct Asked {
    frame: Evidence,
    candidates: Box<[PredicateId]>,
    lineage: Box<[AtomId]>,
}

/// What finds out about events what their matcher would know.
struct Asker {
    dispatch: Dispatch,
    lineage: Option<Lineage>,
    interpreter: Interpreter,
    atoms: Atoms,
}

impl Events {
    /// Reads the files as one stream.
    pub fn read(named: &NamedPack, paths: &[PathBuf]) -> anyhow::Result<Events> {
        let options = SessionOptions { runtime: RuntimeKind::Interp, ..SessionOptions::default() };
        let session = Session::over_documents(std::slice::from_ref(named), options)?;
        let ir = named.pack.ir();
        let decoder = Decoder::new(session.table(), session.event_fields());
        let mut builder = FrameBuilder::new(&ir.layout, session.table());
        let mut asker = Asker {
            dispatch: Dispatch::new(ir, session.table()),
            lineage: Lineage::new(ir, session.table(), MatcherOptions::default().max_processes),
            interpreter: Interpreter::new(ir)?,
            atoms: Atoms::new(ir)?,
        };
        let mut events = Events {
            table: session.table().clone(),
            events: Vec::new(),
            frames: Vec::new(),
            candidates: Vec::new(),
            lineage: Vec::new(),
            invalid: 0,
        };
        let mut size = 0;
        for path in paths {
            if !events.read_file(path, &decoder, &mut size, &mut |event| asker.ask(event, builder.build(event)))? {
                break;
            }
        }
        Ok(events)
    }

    /// Whether there is room for more.
    fn read_file(
        &mut self,
        path: &Path,
        decoder: &Decoder,
        size: &mut usize,
        ask: &mut dyn FnMut(&Event) -> Asked,
    ) -> anyhow::Result<bool> {
        let mut input = kestrel_engine::input::open(path)?;
        let name = path.display();
        let mut event = Event::new();
        while let Some(item) = input.next_item()? {
            let document = match item {
                Item::Document(document) => document,
                Item::Invalid { line, reason } => {
                    self.count_invalid(&format!("{name}, line {line}: {reason}"));
                    continue;
                }
                Item::Damaged { message } => {
                    tell!("{name}: {message}");
                    continue;
                }
            };
            if let Err(error) = decoder.decode(document.bytes, &mut event) {
                self.count_invalid(&format!("{name}, line {}: {error}", document.line));
                continue;
            }
            if let Some(record) = document.record {
                event.timestamp = record.timestamp;
                event.tiebreaker = record.tiebreaker;
                event.flags.insert(record.flags);
            }
            event.ordinal = self.frames.len() as u64;
            let asked = ask(&event);
            *size += asked.frame.size();
            self.events.push(event.clone());
            self.frames.push(asked.frame);
            self.candidates.push(asked.candidates);
            self.lineage.push(asked.lineage);
            if *size > MAX_FRAMES {
                tell!(
                    "measured with the first {} events: the frames of more do not fit into memory",
                    self.frames.len()
                );
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn count_invalid(&mut self, message: &str) {
        self.invalid += 1;
        if self.invalid <= NAMED_INVALID {
            tell!("{message}");
        }
    }
}

impl Asker {
    /// What the matcher does before it has the candidates evaluated, with the interpreter for lineage.
    fn ask(&mut self, event: &Event, frame: Frame<'_>) -> Asked {
        let (mut candidates, mut holding) = (Vec::new(), Vec::new());
        self.dispatch.candidates(event, &mut candidates);
        if self.dispatch.wants_observation() {
            self.dispatch.observe(event, frame, &self.atoms, &mut self.atoms.cache());
        }
        if let Some(lineage) = &mut self.lineage {
            lineage.begin(event);
            for (number, question) in lineage.questions().clone().iter().enumerate() {
                if candidates.binary_search(&question.predicate).is_ok() {
                    let context = Context { lineage: &holding, ..Context::default() };
                    if self.interpreter.predicate_with(question.predicate, frame, context) {
                        lineage.mark(number);
                    }
                }
                for &(atom, relation) in &question.atoms {
                    if lineage.holds(number, relation) {
                        holding.push(atom);
                    }
                }
            }
            lineage.end();
        }
        Asked { frame: Evidence::of(frame), candidates: candidates.into(), lineage: holding.into() }
    }
}
