//! How runtimes are asked: who takes part, and the ways in which each is asked about all events of a pack.
//!
//! In: tables, frames, the runtimes. Out: [`Answers`], one bit for each predicate and event. Each runtime must give the
//! interpreter's in each of [`WAYS`]; a new way of asking a runtime is one more line there.

use anyhow::{Context as _, Result};
use kestrel_core::atoms::Atoms;
use kestrel_core::batch::{Batch, MAX_BATCH_EVENTS};
use kestrel_core::dispatch::Dispatch;
use kestrel_core::runtime::Runtime;
use kestrel_engine::runtime::lua::{LuaLimits, LuaRuntime};
use kestrel_engine::runtime::{RuntimeKind, RuntimeParts, create};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::{Frame, FrameBuilder};
use kestrel_ir::interp::Context;
use kestrel_ir::model::{AtomId, Ir, PredicateId};

/// One that is compared with the interpreter.
pub struct Contender {
    /// What it is called in reports.
    pub name: String,
    /// The runtime.
    pub runtime: Box<dyn Runtime>,
}

/// Makes the contenders for a pack. Tests put a broken one in.
pub type Contenders = dyn Fn(&Ir) -> Result<Vec<Contender>> + Sync;

/// Every runtime of this build, and LuaJIT without its compiler.
///
/// # Errors
/// When a backend refuses the tables or a runtime the code.
pub fn every_runtime(ir: &Ir) -> Result<Vec<Contender>> {
    let wasm = kestrel_backend_wasm::compile(ir).context("compiling to Wasm")?;
    let lua = kestrel_backend_lua::compile(ir).context("compiling to Lua")?;
    let parts = RuntimeParts { ir, wasm: Some(&wasm), lua: Some(&lua) };
    let mut contenders = Vec::new();
    for kind in RuntimeKind::ALL {
        let runtime = create(kind, &parts).with_context(|| format!("making the {kind} runtime"))?;
        contenders.push(Contender { name: kind.name().to_owned(), runtime });
    }
    let limits = LuaLimits { jit: false, ..LuaLimits::default() };
    let plain = LuaRuntime::new(&lua, ir.layout.top_level_slots(), limits).context("making Lua without its JIT")?;
    contenders.push(Contender { name: "lua without JIT".to_owned(), runtime: Box::new(plain) });
    Ok(contenders)
}

/// Tables and frames, ready to be asked about.
pub struct Material {
    atoms: Atoms,
    frames: Vec<Vec<u8>>,
    lineage: Vec<Vec<AtomId>>,
    everything: Vec<PredicateId>,
    candidates: Vec<Vec<PredicateId>>,
}

/// One bit for each predicate of each event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    predicates: usize,
    held: Vec<bool>,
}

impl Answers {
    fn new(events: usize, predicates: usize) -> Answers {
        Answers { predicates, held: vec![false; events * predicates] }
    }

    fn set(&mut self, event: usize, holding: &[PredicateId]) {
        for predicate in holding {
            if let Some(bit) = self.held.get_mut(event * self.predicates + predicate.index()) {
                *bit = true;
            }
        }
    }

    /// Whether a predicate held for an event.
    pub fn holds(&self, event: usize, predicate: PredicateId) -> bool {
        self.held.get(event * self.predicates + predicate.index()).copied().unwrap_or(false)
    }

    /// How many held.
    pub fn count(&self) -> usize {
        self.held.iter().filter(|held| **held).count()
    }

    /// How many there are.
    pub fn pairs(&self) -> usize {
        self.held.len()
    }

    /// Where two of the same shape differ first: the event and the predicate.
    pub fn first_difference(&self, other: &Answers) -> Option<(usize, PredicateId)> {
        let position = self.held.iter().zip(&other.held).position(|(left, right)| left != right)?;
        Some((position / self.predicates, PredicateId((position % self.predicates) as u32)))
    }
}

/// A runtime that gave up, and the event that it gave up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The event's number.
    pub event: usize,
    /// What it said.
    pub message: String,
}

/// A way of asking a runtime about everything.
pub struct Way {
    /// What it is called in reports.
    pub name: &'static str,
    ask: fn(&Material, &mut dyn Runtime) -> Result<Answers, Refusal>,
}

/// All ways.
pub const WAYS: [Way; 5] = [
    Way { name: "all predicates at once", ask: at_once },
    Way { name: "in groups, the last predicates first", ask: in_groups },
    Way { name: "what dispatch picks", ask: as_dispatched },
    Way { name: "all predicates, events in batches", ask: in_batches },
    Way { name: "what dispatch picks, events in batches", ask: in_dispatched_batches },
];

impl Way {
    /// Asks a runtime in this way.
    ///
    /// # Errors
    /// When the runtime fails on an event.
    pub fn ask(&self, material: &Material, runtime: &mut dyn Runtime) -> Result<Answers, Refusal> {
        (self.ask)(material, runtime)
    }
}

impl Material {
    /// Lays out the events for a pack. `lineage` says for each event which lineage atoms are to hold.
    ///
    /// # Errors
    /// When the atoms do not compile.
    pub fn new(ir: &Ir, table: &FieldTable, events: &[Event], lineage: &[Vec<AtomId>]) -> Result<Material> {
        let atoms = Atoms::new(ir).context("compiling the atoms")?;
        let mut builder = FrameBuilder::new(&ir.layout, table);
        let mut dispatch = Dispatch::new(ir, table);
        let (mut frames, mut candidates) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
        for event in events {
            let frame = builder.build(event);
            let mut picked = Vec::new();
            dispatch.candidates(event, &mut picked);
            if dispatch.wants_observation() {
                dispatch.observe(event, frame, &atoms, &mut atoms.cache());
            }
            candidates.push(picked);
            frames.push(frame.bytes().to_vec());
        }
        let everything = (0..ir.predicates.len() as u32).map(PredicateId).collect();
        Ok(Material { atoms, frames, lineage: lineage.to_vec(), everything, candidates })
    }

    /// The atoms, and the interpreter behind them.
    pub fn atoms(&self) -> &Atoms {
        &self.atoms
    }

    /// The frame of an event.
    pub fn frame(&self, event: usize) -> Option<Frame<'_>> {
        self.frames.get(event).and_then(|bytes| Frame::new(bytes))
    }

    /// What an event is evaluated beside.
    pub fn context(&self, event: usize) -> Context<'_> {
        Context { lineage: self.lineage.get(event).map_or(&[], Vec::as_slice), ..Context::default() }
    }

    /// How many events there are.
    pub fn events(&self) -> usize {
        self.frames.len()
    }

    /// How many pairs dispatch leaves to the runtimes.
    pub fn dispatched(&self) -> usize {
        self.candidates.iter().map(Vec::len).sum()
    }

    /// The interpreter's answers: those that are right.
    pub fn truth(&self) -> Answers {
        let interpreter = self.atoms.interpreter();
        let mut answers = Answers::new(self.events(), self.everything.len());
        let mut holding = Vec::new();
        for event in 0..self.events() {
            let Some(frame) = self.frame(event) else { continue };
            let context = self.context(event);
            holding.clear();
            holding.extend(self.everything.iter().filter(|&&id| interpreter.predicate_with(id, frame, context)));
            answers.set(event, &holding);
        }
        answers
    }

    /// Asks about the candidates of each event, in lists as `lists` cuts them.
    fn each<'m>(
        &'m self,
        runtime: &mut dyn Runtime,
        mut lists: impl FnMut(usize) -> Vec<&'m [PredicateId]>,
    ) -> Result<Answers, Refusal> {
        let mut cache = self.atoms.cache();
        let mut answers = Answers::new(self.events(), self.everything.len());
        let mut hits = Vec::new();
        for event in 0..self.events() {
            let refusal = |message: String| Refusal { event, message };
            let frame = self.frame(event).ok_or_else(|| refusal("its frame does not read back".to_owned()))?;
            cache.reset();
            self.context(event).lineage.iter().for_each(|&atom| cache.add_lineage(atom));
            hits.clear();
            for candidates in lists(event) {
                let known = hits.len();
                runtime
                    .evaluate(frame, &self.atoms, &mut cache, candidates, &mut hits)
                    .map_err(|error| refusal(error.to_string()))?;
                let mut order = candidates.iter();
                if !hits[known..].iter().all(|hit| order.any(|candidate| candidate == hit)) {
                    return Err(refusal("the hits are not among the candidates in their order".to_owned()));
                }
            }
            answers.set(event, &hits);
        }
        Ok(answers)
    }
}

impl Material {
    /// Asks about many events at a time, as the matcher does: batches of changing size over one [`Batch`], so that what
    /// one leaves behind would show in the next.
    fn batches<'m>(
        &'m self,
        runtime: &mut dyn Runtime,
        candidates: impl Fn(usize) -> &'m [PredicateId],
    ) -> Result<Answers, Refusal> {
        let mut answers = Answers::new(self.events(), self.everything.len());
        let mut batch = Batch::default();
        let mut first = 0;
        for size in [MAX_BATCH_EVENTS, 1, 7, 33].into_iter().cycle() {
            let end = self.events().min(first + size);
            if first == end {
                break;
            }
            batch.clear();
            for event in first..end {
                let refusal = |message: &str| Refusal { event, message: message.to_owned() };
                let frame = self.frame(event).ok_or_else(|| refusal("its frame does not read back"))?;
                let number = batch.push(frame, || self.atoms.cache());
                if let Some(item) = batch.item(number) {
                    self.context(event).lineage.iter().for_each(|&atom| item.cache.add_lineage(atom));
                }
                batch.ask(candidates(event));
            }
            runtime.evaluate_batch(&self.atoms, &mut batch);
            if let Some((number, error)) = batch.take_failures().into_iter().next() {
                return Err(Refusal { event: first + number, message: error.to_string() });
            }
            for event in first..end {
                let asked = batch.candidates(event - first).iter().zip(batch.held(event - first));
                let holding: Vec<PredicateId> = asked.filter(|(_, held)| **held).map(|(id, _)| *id).collect();
                answers.set(event, &holding);
            }
            first = end;
        }
        Ok(answers)
    }
}

fn in_batches(material: &Material, runtime: &mut dyn Runtime) -> Result<Answers, Refusal> {
    material.batches(runtime, |_| &material.everything)
}

fn in_dispatched_batches(material: &Material, runtime: &mut dyn Runtime) -> Result<Answers, Refusal> {
    material.batches(runtime, |event| material.candidates.get(event).map_or(&[], Vec::as_slice))
}

fn at_once(material: &Material, runtime: &mut dyn Runtime) -> Result<Answers, Refusal> {
    material.each(runtime, |_| vec![&material.everything])
}

fn in_groups(material: &Material, runtime: &mut dyn Runtime) -> Result<Answers, Refusal> {
    // Sizes that no power of two divides, one of each kind a runtime may treat on its own: one, few, many.
    material.each(runtime, |event| {
        let size = [1, 7, 33][event % 3];
        material.everything.chunks(size).rev().collect()
    })
}

/// What dispatch leaves out is false: it must not leave out what holds.
fn as_dispatched(material: &Material, runtime: &mut dyn Runtime) -> Result<Answers, Refusal> {
    material.each(runtime, |event| vec![material.candidates[event].as_slice()])
}
