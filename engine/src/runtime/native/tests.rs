//! Machine code against the interpreter, and what may go wrong at its borders: frames, caches, panics, stacks, threads.

use kestrel_ir::event::{Event, FieldNumber, FieldTable};
use kestrel_ir::frame::{FrameBuilder, slot_offset};
use kestrel_ir::interp::Interpreter;
use kestrel_ir::model::{Atom, Comparison, Node, NodeId, Order, Predicate};
use kestrel_ir::verify::MAX_DEPTH;
use kestrel_schema::FieldType;

use super::*;

const INTEGERS: [i64; 9] = [i64::MIN, i64::MIN + 1, -1, 0, 1, 7, 443, i64::MAX - 1, i64::MAX];
const FLOATS: [f64; 9] = [f64::NAN, f64::NEG_INFINITY, -1.5, -0.0, 0.0, f64::MIN_POSITIVE, 0.5, 1e300, f64::INFINITY];
const ORDERS: [Order; 4] = [Order::Less, Order::LessEqual, Order::Greater, Order::GreaterEqual];

/// Fields of each type that is tested inline, one that is not, and atoms of every inline kind over them.
struct World {
    ir: Ir,
    table: FieldTable,
}

const PORT: &str = "destination.port";
const START: &str = "process.start";
const SCORE: &str = "score";
const ELEVATED: &str = "elevated";
const NAME: &str = "process.name";

impl World {
    fn new() -> World {
        let mut ir = Ir::default();
        let [port, start, score, elevated, name] = [
            (PORT, FieldType::Long),
            (START, FieldType::Date),
            (SCORE, FieldType::Double),
            (ELEVATED, FieldType::Boolean),
            (NAME, FieldType::Keyword),
        ]
        .map(|(name, field_type)| ir.layout.intern(name, field_type));
        for field in [port, start, score, elevated, name] {
            ir.atoms.push(Atom::Present { field });
        }
        for field in [port, start] {
            for value in INTEGERS {
                ir.atoms.push(Atom::Integers { field, values: vec![value] });
                ir.atoms.extend(ORDERS.map(|order| Atom::IntegerOrder { field, order, value }));
            }
            ir.atoms.push(Atom::Integers { field, values: vec![-1, 443] });
            ir.atoms.push(Atom::Integers { field, values: INTEGERS.to_vec() });
            ir.atoms.push(Atom::Integers { field, values: (0..17).collect() });
            ir.atoms.push(Atom::FloatOrder { field, comparison: Comparison::NotEqual, value: 0.5 });
        }
        for value in FLOATS {
            for comparison in
                ORDERS.map(Comparison::Ordered).into_iter().chain([Comparison::Equal, Comparison::NotEqual])
            {
                ir.atoms.push(Atom::FloatOrder { field: score, comparison, value });
            }
        }
        ir.atoms.extend([true, false].map(|value| Atom::Boolean { field: elevated, value }));
        ir.atoms.push(Atom::StringOrder { field: name, order: Order::Less, value: "m".to_owned() });
        for atom in 0..ir.atoms.len() as u32 {
            ir.nodes.push(Node::Atom(AtomId(atom)));
            ir.predicates.push(Predicate { category: None, root: NodeId(atom) });
        }
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&ir.layout, &mut table);
        World { ir, table }
    }

    fn number(&self, name: &str) -> FieldNumber {
        self.table.lookup(name).expect("a field of the world")
    }

    /// A frame that `fill` has given its values.
    fn frame(&self, fill: impl FnOnce(&mut Event)) -> Vec<u8> {
        let mut event = Event::new();
        fill(&mut event);
        FrameBuilder::new(&self.ir.layout, &self.table).build(&event).bytes().to_vec()
    }

    /// Every combination of 0, 1 and 3 values of each field, over all values.
    fn frames(&self) -> Vec<Vec<u8>> {
        let mut frames = vec![self.frame(|_| {})];
        for count in [1, 3] {
            for index in 0..FLOATS.len() {
                frames.push(self.frame(|event| {
                    for more in 0..count {
                        let place = (index + more * 2) % FLOATS.len();
                        event.push_integer(self.number(PORT), INTEGERS[place]);
                        event.push_integer(self.number(START), INTEGERS[place]);
                        event.push_float(self.number(SCORE), FLOATS[place]);
                        event.push_boolean(self.number(ELEVATED), place.is_multiple_of(3));
                        event.push_text(self.number(NAME), ["a", "z", "m"][place % 3]);
                    }
                }));
            }
        }
        frames
    }

    /// Replaces the predicates by one for each of `roots`.
    fn with_roots(mut self, roots: impl IntoIterator<Item = NodeId>) -> World {
        self.ir.predicates = roots.into_iter().map(|root| Predicate { category: None, root }).collect();
        self
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.ir.nodes.push(node);
        NodeId(self.ir.nodes.len() as u32 - 1)
    }
}

/// Code, what it is judged by, and what it needs.
struct Judge {
    runtime: NativeRuntime,
    interpreter: Interpreter,
    atoms: Atoms,
    candidates: Vec<PredicateId>,
}

impl Judge {
    fn new(ir: &Ir, options: NativeOptions) -> Judge {
        let code = NativeCode::compile(ir, options).expect("it compiles");
        Judge {
            runtime: NativeRuntime::new(&code),
            interpreter: Interpreter::new(ir).expect("valid tables"),
            atoms: Atoms::new(ir).expect("valid tables"),
            candidates: (0..ir.predicates.len() as u32).map(PredicateId).collect(),
        }
    }

    fn evaluate(&mut self, frame: Frame<'_>, cache: &mut AtomCache) -> Result<Vec<PredicateId>, RuntimeError> {
        let mut hits = Vec::new();
        self.runtime.evaluate(frame, &self.atoms, cache, &self.candidates, &mut hits)?;
        Ok(hits)
    }

    /// Compares code and interpreter, with a fresh cache and with one that knows all; gives the number of hits.
    fn check(&mut self, bytes: &[u8]) -> usize {
        let frame = Frame::new(bytes).expect("a frame");
        let holds = |id: &PredicateId| self.interpreter.predicate(*id, frame);
        let expected: Vec<PredicateId> = self.candidates.iter().copied().filter(holds).collect();
        let mut cache = self.atoms.cache();
        for _ in 0..2 {
            assert_eq!(self.evaluate(frame, &mut cache).expect("it runs"), expected);
        }
        expected.len()
    }
}

#[test]
fn inline_atoms_agree_with_the_interpreter_however_the_code_is_made() {
    let world = World::new();
    for (optimize, threads) in [(false, 1), (false, 3), (true, 2)] {
        let mut judge = Judge::new(&world.ir, NativeOptions { optimize, threads });
        let hits: usize = world.frames().iter().map(|frame| judge.check(frame)).sum();
        assert!(hits > 500, "{hits}");
    }
}

#[test]
fn a_category_is_tested_before_the_root() {
    let mut world = World::new();
    let [missing, always] = [world.push(Node::Constant(false)), world.push(Node::Constant(true))];
    for category in [None, Some(AtomId(0)), Some(AtomId(4))] {
        for root in [missing, always, NodeId(1)] {
            world.ir.predicates.push(Predicate { category, root });
        }
    }
    let mut judge = Judge::new(&world.ir, NativeOptions::default());
    world.frames().iter().for_each(|frame| _ = judge.check(frame));
}

#[test]
fn wide_and_deep_conditions_agree_and_fit_a_small_stack() {
    let mut world = World::new();
    let leaves = world.ir.atoms.len();
    let leaf = |number: usize| NodeId((number % leaves) as u32);
    let mut roots = Vec::new();
    for wide in [1, 97, 5_000] {
        for junction in [Node::And, Node::Or] {
            let node = world.push(junction((0..wide).map(leaf).collect()));
            roots.push(node);
            // Shared, negated, and decided by the last operand.
            let not = world.push(Node::Not(node));
            let constant = world.push(Node::Constant(true));
            let constants = world.push(Node::And([constant].repeat(wide)));
            roots.push(world.push(Node::And(vec![constants, not])));
        }
    }
    // As deep as the verifier lets a condition be, and each level is a function: it is used twice.
    let mut node = leaf(3);
    for level in 0..MAX_DEPTH as usize - 2 {
        let (left, right) = (leaf(level * 7), leaf(level * 3 + 1));
        let operands = vec![left, right, node];
        node = world.push(if level % 2 == 0 { Node::And(operands) } else { Node::Or(operands) });
        roots.push(node);
    }
    let world = world.with_roots(roots);
    let mut judge = Judge::new(&world.ir, NativeOptions::default());
    let run = move || world.frames().iter().step_by(4).map(|frame| judge.check(frame)).sum::<usize>();
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run).expect("a thread");
    assert!(thread.join().expect("it does not overflow") > 0);
}

#[test]
fn what_would_overflow_a_stack_is_refused() {
    let mut world = World::new();
    let mut node = NodeId(0);
    for _ in 0..1_000_000 {
        node = world.push(Node::Not(node));
    }
    let world = world.with_roots([node]);
    let error = NativeCode::compile(&world.ir, NativeOptions::default()).expect_err("too deep");
    assert!(error.to_string().contains("calls deep"), "{error}");
}

#[test]
fn ids_that_do_not_fit_are_refused() {
    let mut world = World::new();
    let node = world.push(Node::Atom(AtomId(9_999)));
    let world = world.with_roots([node]);
    let error = NativeCode::compile(&world.ir, NativeOptions::default()).expect_err("no such atom");
    assert!(matches!(error, RuntimeError::Load { runtime: "native", .. }), "{error}");
}

#[test]
fn what_is_known_is_not_asked_and_what_was_asked_is_known() {
    let world = World::new();
    let mut judge = Judge::new(&world.ir, NativeOptions::default());
    let text = AtomId(world.ir.atoms.len() as u32 - 1);
    let bytes = world.frame(|event| event.push_text(world.number(NAME), "z"));
    let frame = Frame::new(&bytes).expect("a frame");
    let mut cache = judge.atoms.cache();
    // An answer that no test would give shows who was asked.
    cache.remember(text, true);
    let hits = judge.evaluate(frame, &mut cache).expect("it runs");
    assert!(hits.contains(&PredicateId(text.0)));
    for _ in 0..300 {
        cache.reset();
        assert_eq!(cache.known(text), None);
        let hits = judge.evaluate(frame, &mut cache).expect("it runs");
        assert!(!hits.contains(&PredicateId(text.0)));
        assert_eq!(cache.known(text), Some(false));
    }
}

#[test]
fn an_empty_cache_grows_and_atoms_of_another_pack_are_refused() {
    let world = World::new();
    let mut judge = Judge::new(&world.ir, NativeOptions::default());
    let frames = world.frames();
    let frame = Frame::new(&frames[5]).expect("a frame");
    let expected = judge.evaluate(frame, &mut judge.atoms.cache()).expect("it runs");
    let mut cache = AtomCache::default();
    assert_eq!(judge.evaluate(frame, &mut cache).expect("it runs"), expected);
    let smaller = Ir { layout: world.ir.layout.clone(), atoms: world.ir.atoms[..3].to_vec(), ..Ir::default() };
    judge.atoms = Atoms::new(&smaller).expect("valid tables");
    let error = judge.evaluate(frame, &mut judge.atoms.cache()).expect_err("another pack");
    assert!(error.to_string().contains("another pack"), "{error}");
}

#[test]
fn foreign_frames_and_predicates_are_refused_and_leave_no_hits() {
    let world = World::new();
    let judge = Judge::new(&world.ir, NativeOptions::default());
    let mut runtime = judge.runtime;
    let frames = world.frames();
    let mut cache = judge.atoms.cache();
    let mut hits = vec![PredicateId(77)];
    let mut evaluate = |bytes: &[u8], candidates: &[u32]| {
        let frame = Frame::new(bytes).expect("a frame");
        let candidates: Vec<PredicateId> = candidates.iter().copied().map(PredicateId).collect();
        let outcome = runtime.evaluate(frame, &judge.atoms, &mut cache, &candidates, &mut hits);
        (outcome, hits.clone())
    };
    let (outcome, hits) = evaluate(&frames[5], &[0, 9_999]);
    assert!(matches!(outcome, Err(RuntimeError::UnknownPredicate { predicate: 9_999, .. })), "{outcome:?}");
    assert_eq!(hits, [PredicateId(77)]);
    let mut other = World::new();
    other.ir.layout.intern("one.more", FieldType::Long);
    let (outcome, hits) = evaluate(&other.frame(|_| {}), &[0]);
    assert!(matches!(outcome, Err(RuntimeError::ForeignFrame)), "{outcome:?}");
    assert_eq!(hits, [PredicateId(77)]);
    let mut short = frames[5][..60].to_vec();
    short[4..8].copy_from_slice(&60u32.to_le_bytes());
    assert!(matches!(evaluate(&short, &[0]).0, Err(RuntimeError::ForeignFrame)));
    assert!(evaluate(&short, &[]).0.is_ok());
}

/// A page of memory on x86-64.
const PAGE: usize = 4096;

/// Bytes that end where readable memory ends: a read behind them ends the process.
struct AtTheEdge {
    start: *mut u8,
    pages: usize,
    length: usize,
}

impl AtTheEdge {
    fn new(bytes: &[u8]) -> AtTheEdge {
        use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
        let pages = bytes.len().next_multiple_of(PAGE);
        #[expect(unsafe_code, reason = "lays bytes before a page that cannot be read")]
        // SAFETY: the mapping is new, the bytes fit into its pages but the last, and the last alone is protected.
        let start = unsafe {
            let rights = ProtFlags::READ | ProtFlags::WRITE;
            let start = mmap_anonymous(std::ptr::null_mut(), pages + PAGE, rights, MapFlags::PRIVATE).expect("memory");
            let start = start.cast::<u8>();
            start.add(pages - bytes.len()).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            mprotect(start.add(pages).cast(), PAGE, MprotectFlags::empty()).expect("a page that cannot be read");
            start
        };
        AtTheEdge { start, pages, length: bytes.len() }
    }

    fn bytes(&self) -> &[u8] {
        #[expect(unsafe_code, reason = "the bytes as `new` has written them")]
        // SAFETY: they lie in a mapping that lives as long as this value, and nobody writes them any more.
        unsafe {
            std::slice::from_raw_parts(self.start.add(self.pages - self.length), self.length)
        }
    }
}

impl Drop for AtTheEdge {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "gives the pages back")]
        // SAFETY: the whole mapping, which nobody uses any more.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), self.pages + PAGE) };
    }
}

#[test]
fn broken_frames_agree_and_are_not_read_beyond_their_end() {
    let world = World::new();
    let mut judge = Judge::new(&world.ir, NativeOptions::default());
    let slots = world.ir.layout.top_level_slots();
    for bytes in world.frames().iter().step_by(3) {
        let length = bytes.len() as u32;
        // The word of a count, and the word of where an array lies.
        let counts = [0, 1, 2, 3, 1_000, u32::MAX / 8, u32::MAX - 1, u32::MAX];
        let arrays =
            [0, 1, length - 24, length - 17, length - 16, length - 15, length - 8, length - 7, length, u32::MAX];
        for slot in 0..slots {
            let place = slot_offset(slots, slot);
            for count in counts {
                for array in arrays {
                    let mut broken = bytes.clone();
                    broken[place..place + 4].copy_from_slice(&count.to_le_bytes());
                    broken[place + 4..place + 8].copy_from_slice(&array.to_le_bytes());
                    judge.check(AtTheEdge::new(&broken).bytes());
                }
            }
        }
    }
}

#[test]
fn a_panic_of_the_host_fails_the_event_and_not_the_next_one() {
    #[expect(unsafe_code, reason = "stands in for the host")]
    unsafe extern "C" fn panics(context: *mut Context<'_>, _atom: u32) -> u32 {
        // SAFETY: as in `ask`.
        unsafe { &mut *context }.guarded(|_| panic!("the host is broken"))
    }
    let world = World::new();
    let mut judge = Judge::new(&world.ir, NativeOptions::default());
    let bytes = world.frame(|event| event.push_text(world.number(NAME), "a"));
    let frame = Frame::new(&bytes).expect("a frame");
    judge.runtime.ask = panics;
    let error = judge.evaluate(frame, &mut judge.atoms.cache()).expect_err("the host panics");
    let told = matches!(&error, RuntimeError::Failed { first: 0, reason, .. } if reason.contains("the host is broken"));
    assert!(told, "{error}");
    let mut batch = Batch::default();
    batch.push(frame, || judge.atoms.cache());
    batch.ask(&judge.candidates);
    judge.runtime.evaluate_batch(&judge.atoms, &mut batch);
    assert!(matches!(batch.take_failures().as_slice(), [(0, RuntimeError::Failed { .. })]));
    judge.runtime.ask = ask;
    judge.check(&bytes);
}

#[test]
fn a_batch_gives_the_answers_of_its_events() {
    let world = World::new();
    let mut judge = Judge::new(&world.ir, NativeOptions::default());
    let frames = world.frames();
    let mut batch = Batch::default();
    for _ in 0..2 {
        batch.clear();
        for (number, bytes) in frames.iter().enumerate() {
            batch.push(Frame::new(bytes).expect("a frame"), || judge.atoms.cache());
            batch.ask(&judge.candidates[number..]);
        }
        judge.runtime.evaluate_batch(&judge.atoms, &mut batch);
        assert!(batch.take_failures().is_empty());
        for (number, bytes) in frames.iter().enumerate() {
            let expected =
                judge.evaluate(Frame::new(bytes).expect("a frame"), &mut judge.atoms.cache()).expect("it runs");
            let held = judge.candidates[number..].iter().zip(batch.held(number));
            let held: Vec<PredicateId> = held.filter(|(_, held)| **held).map(|(candidate, _)| *candidate).collect();
            let expected: Vec<PredicateId> = expected.into_iter().filter(|id| id.index() >= number).collect();
            assert_eq!(held, expected);
        }
    }
}

#[test]
fn code_lives_as_long_as_its_last_runtime_and_moves_between_threads() {
    let world = World::new();
    let code = NativeCode::compile(&world.ir, NativeOptions::default()).expect("it compiles");
    let memory = Arc::downgrade(&code.machine);
    let frames = world.frames();
    let judges: Vec<Judge> = (0..3)
        .map(|_| Judge {
            runtime: NativeRuntime::new(&code.clone()),
            ..Judge::new(&world.ir, NativeOptions::default())
        })
        .collect();
    drop(code);
    std::thread::scope(|scope| {
        for mut judge in judges {
            let frames = &frames;
            scope.spawn(move || frames.iter().for_each(|frame| _ = judge.check(frame)));
        }
    });
    assert!(memory.upgrade().is_none(), "the code is gone with its last runtime");
}

#[test]
fn no_memory_of_the_process_is_writable_and_executable() {
    let world = World::new();
    let judge = Judge::new(&world.ir, NativeOptions::default());
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the system tells");
    let both = maps.lines().find(|line| line.split(' ').nth(1).is_some_and(|rights| rights.contains("wx")));
    assert_eq!(both, None);
    drop(judge);
}

#[test]
fn an_empty_pack_compiles() {
    let mut judge = Judge::new(&Ir::default(), NativeOptions::default());
    let bytes = FrameBuilder::new(&Ir::default().layout, &FieldTable::new()).build(&Event::new()).bytes().to_vec();
    assert_eq!(judge.check(&bytes), 0);
}
