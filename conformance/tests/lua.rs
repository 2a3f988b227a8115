//! Whatever a pack's Lua source does, it ends in answers or in an error that names predicate and reason, and the runtime
//! goes on: with LuaJIT compiling, interpreting, and under the strict limits.
//!
//! Where something must be stopped the deadline is short; no test asserts how long anything took.

use std::time::Duration;

use kestrel_core::atoms::Atoms;
use kestrel_core::batch::Batch;
use kestrel_core::runtime::{Runtime, RuntimeError};
use kestrel_engine::runtime::lua::{LuaLimits, LuaRuntime, interruptible};
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::{FrameBuilder, slot_offset};
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{Atom, Ir, Node, NodeId, Predicate, PredicateId};
use kestrel_schema::FieldType;

/// Process ids of a batch's events.
const PIDS: std::ops::Range<i64> = 0..20;

/// The limits to test under, with a short deadline.
fn limits() -> Vec<(&'static str, LuaLimits)> {
    let deadline = Duration::from_millis(50);
    let trusted = LuaLimits { deadline, memory: 16 << 20, ..LuaLimits::trusted() };
    let strict = LuaLimits { instructions: Some(200_000), memory: 16 << 20, ..LuaLimits::strict() };
    vec![
        ("compiled", trusted),
        ("interpreted", LuaLimits { jit: false, ..trusted }),
        ("strict", strict),
        ("strict, by its deadline", LuaLimits { instructions: None, deadline, ..strict }),
    ]
}

/// One field, `process.pid`, present in each event; one atom, which asks for it.
struct Bench {
    ir: Ir,
    atoms: Atoms,
}

impl Bench {
    fn new() -> Bench {
        let mut layout = Layout::new();
        let field = layout.intern("process.pid", FieldType::Long);
        let ir = Ir {
            layout,
            atoms: vec![Atom::Present { field }],
            nodes: vec![Node::Constant(true)],
            predicates: (0..4).map(|_| Predicate { category: None, root: NodeId(0) }).collect(),
            ..Ir::default()
        };
        Bench { atoms: Atoms::new(&ir).expect("valid tables"), ir }
    }

    /// The word of the field's first value.
    fn word(&self) -> usize {
        slot_offset(self.ir.layout.top_level_slots(), 0) / 4 + 2
    }

    /// A source with these predicates; `pid` is the event's.
    fn source(&self, predicates: &[&str]) -> String {
        let word = self.word();
        let functions = predicates.iter().enumerate().map(|(number, body)| {
            format!("predicates[{number}] = function(e) local pid = host.u32[e + {word}] {body} end\n")
        });
        format!(
            "return function(host)\nlocal predicates = {{}}\n{}return predicates\nend",
            functions.collect::<String>()
        )
    }

    fn load(&self, source: &str, limits: LuaLimits) -> Result<LuaRuntime, RuntimeError> {
        LuaRuntime::new(source, self.ir.layout.top_level_slots(), limits)
    }

    /// Asks all predicates about all events. Gives of each event what held, or why it failed.
    fn run(&self, runtime: &mut LuaRuntime) -> Vec<Result<Vec<u32>, String>> {
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&self.ir.layout, &mut table);
        let mut builder = FrameBuilder::new(&self.ir.layout, &table);
        let mut batch = Batch::default();
        let candidates: Vec<PredicateId> = (0..runtime.predicates() as u32).map(PredicateId).collect();
        for pid in PIDS {
            let mut event = Event::new();
            event.push_integer(table.lookup("process.pid").expect("a field"), pid);
            batch.push(builder.build(&event), || self.atoms.cache());
            batch.ask(&candidates);
        }
        runtime.evaluate_batch(&self.atoms, &mut batch);
        let failures = batch.take_failures();
        let outcome = |event: usize| match failures.iter().find(|(failed, _)| *failed == event) {
            Some((_, error)) => Err(error.to_string()),
            None => {
                let held = candidates.iter().zip(batch.held(event)).filter(|(_, held)| **held);
                Ok(held.map(|(candidate, _)| candidate.0).collect())
            }
        };
        (0..batch.len()).map(outcome).collect()
    }
}

#[test]
fn compiled_code_can_be_interrupted() {
    assert!(
        interruptible(),
        "LuaJIT was built without the flag in .cargo/config.toml: `cargo clean -p mlua-sys` and build"
    );
    let bench = Bench::new();
    let source = bench.source(&["return pid == 3"]);
    assert!(bench.load(&source, LuaLimits::trusted()).expect("a source").compiles());
    assert!(!bench.load(&source, LuaLimits::strict()).expect("a source").compiles());
}

/// A predicate that does not end for process 7, beside one that is fine.
#[test]
fn what_does_not_end_is_stopped_and_not_run_again() {
    let bench = Bench::new();
    for body in [
        "if pid == 7 then while true do end end return false",
        "local x = 0 while pid == 7 do x = x + 1 end return false",
        "while pid == 7 do pcall(function() while true do end end) end return false",
        "while pid == 7 do pcall(pcall, error) end return false",
        "local function again() while pid == 7 do end return again() end return pid == 7 and again()",
        "while pid == 7 do host.atom(e, 0) end return false",
        "while pid == 7 do local t = {} for i = 1, 10 do t[i] = { i } end end return false",
        "if pid == 7 then for i = 1, 1e300 do end end return false",
        "if pid == 7 then repeat table.sort({3, 1, 2}, function(a, b) return a < b end) until false end return false",
    ] {
        for (name, limits) in limits() {
            let mut runtime = bench.load(&bench.source(&[body, "return pid > 4"]), limits).expect("a source");
            // Many times, so that it is compiled before it runs away, too.
            for round in 0..3 {
                for (pid, outcome) in bench.run(&mut runtime).into_iter().enumerate() {
                    let error = outcome.expect_err("the whole group is stopped");
                    let expected = if round == 0 { "used up" } else { "is not run any more" };
                    assert!(error.contains(expected), "{name}, {body}, {pid}: {error}");
                    assert!(error.contains("predicates from 0 to 0"), "{name}, {body}: {error}");
                }
            }
        }
    }
}

#[test]
fn a_predicate_that_was_compiled_long_ago_is_stopped_too() {
    let bench = Bench::new();
    let source = bench
        .source(&["local x = 0 for i = 1, 20 do x = x + i end if bad then while true do x = x + 1 end end \
                                 return pid == 3 and x == 210"]);
    let source = source.replace("local predicates", "local calls, bad = 0, false\nlocal predicates").replace(
        "return predicates",
        "local first = predicates[0]\npredicates[0] = function(e) calls = calls + 1 bad = calls > 5000 return first(e) end\n\
         return predicates",
    );
    for (name, limits) in limits() {
        let mut runtime = bench.load(&source, limits).expect("a source");
        let mut batches = 0;
        while bench.run(&mut runtime).iter().all(Result::is_ok) {
            batches += 1;
        }
        assert_eq!(batches, 250, "{name}");
    }
}

#[test]
fn a_source_that_does_not_end_is_refused() {
    let bench = Bench::new();
    for source in [
        "while true do end",
        "return function(host) while true do end end",
        "return function(host) while true do pcall(function() while true do end end) end end",
        "local function f() return f() end return f()",
        "while true do (' '):rep(100000) end".replace("(' ')", "local x = (' ')").as_str(),
    ] {
        for (name, limits) in limits() {
            let error = bench.load(source, limits).expect_err("it does not end").to_string();
            assert!(error.contains("used up"), "{name}, {source}: {error}");
        }
    }
}

#[test]
fn a_memory_hog_meets_its_limit() {
    let bench = Bench::new();
    let hogs = [
        "if pid == 7 then local t = {} for i = 1, 1e9 do t[i] = i end end return false",
        "if pid == 7 then local s = ('x'):rep(1e9) end return false",
        "if pid == 7 then local s = 'x' while true do s = s .. s end end return false",
    ];
    for body in hogs {
        for (name, limits) in limits() {
            let limits = LuaLimits { deadline: Duration::from_secs(60), ..limits };
            let mut runtime = bench.load(&bench.source(&[body, "return pid > 4"]), limits).expect("a source");
            for outcome in bench.run(&mut runtime) {
                assert!(outcome.is_err(), "{name}, {body}: {outcome:?}");
            }
            assert!(runtime.used_memory() <= limits.memory, "{name}, {body}");
        }
    }
    for source in ["local t = {} for i = 1, 1e9 do t[i] = i end", "local s = ('x'):rep(1e9)"] {
        for (name, limits) in limits() {
            assert!(matches!(bench.load(source, limits), Err(RuntimeError::Load { .. })), "{name}, {source}");
        }
    }
}

#[test]
fn an_error_takes_down_its_own_events_alone() {
    let bench = Bench::new();
    for body in ["if pid % 8 == 5 then error('edited badly') end return false", "return pid % 8 == 5 and nothing.here"]
    {
        for (name, limits) in limits() {
            let mut runtime =
                bench.load(&bench.source(&[body, "return pid > 4", "return true"]), limits).expect("a source");
            for _ in 0..20 {
                for (pid, outcome) in bench.run(&mut runtime).into_iter().enumerate() {
                    match outcome {
                        Ok(held) => {
                            assert_ne!(pid % 8, 5, "{name}");
                            assert_eq!(held, if pid > 4 { vec![1, 2] } else { vec![2] }, "{name}, {pid}");
                        }
                        Err(error) => {
                            assert_eq!(pid % 8, 5, "{name}: {error}");
                            assert!(error.contains("predicates.lua:3"), "{name}: {error}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_source_for_others_is_refused() {
    let bench = Bench::new();
    let huge = format!("return function(host) return {{ {} }} end", "function() end, ".repeat(3_000_000));
    let deep = format!("return {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    for source in [
        "return function(host) assert(host.abi == 1) return {} end",
        "return function(host) assert(host.slots == 99) return {} end",
        "\u{1b}LJ\u{2}",
        "x =",
        "return 1",
        "return function(host) return nil end",
        "return function(host) host.u32[0] = 1 return {} end",
        "return function(host) return { [0] = load } , error(load) end",
        &huge,
        &deep,
    ] {
        for (name, limits) in limits() {
            let limits = LuaLimits { deadline: Duration::from_secs(60), instructions: None, ..limits };
            let start = source.get(..40).unwrap_or(source);
            assert!(matches!(bench.load(source, limits), Err(RuntimeError::Load { .. })), "{name}, {start}");
        }
    }
}

#[test]
fn a_source_gets_no_more_than_it_should() {
    let bench = Bench::new();
    for name in [
        "ffi",
        "jit",
        "io",
        "os",
        "debug",
        "package",
        "require",
        "load",
        "loadstring",
        "loadfile",
        "dofile",
        "setfenv",
        "getfenv",
        "setmetatable",
        "getmetatable",
        "rawset",
        "rawget",
        "coroutine",
        "collectgarbage",
        "newproxy",
        "_G",
        "xpcall",
        "print",
        "bit",
        "string.dump",
        "string.match",
        "string.gmatch",
        "string.gsub",
    ] {
        let source = format!("assert({name} == nil) return function(host) assert({name} == nil) return {{}} end");
        for (limited, limits) in limits() {
            assert!(bench.load(&source, limits).is_ok(), "{limited}: {name}");
        }
    }
    let source = "return function() assert(('a.c'):find('.', 1, true) == 2 and ('abc'):find('.') == nil) return {} end";
    bench.load(source, LuaLimits::trusted()).expect("texts are found as they are");
}

#[test]
fn a_strict_source_reads_frames_alone() {
    let bench = Bench::new();
    for read in [
        "host.u32[-1]",
        "host.u32[1e9]",
        "host.i32[2^52]",
        "host.i32[0/0]",
        "host.u32.x",
        "host.u32 + 1",
        "host.integer_at(e, 1e12)",
        "host.integer_at(-1e12, 0)",
        "host.integer64_at(e, 1e12 + 1)",
        "host.double_at(e, 1e15 + 4)",
        "host.integer64_at(0, 9223372036854775807LL)",
        "host.integer64_at(e, -8ULL)",
        "host.double_at(e, 9223372036854775807LL)",
        "host.present(1e12, 0)",
        "host.any_integer(e, 1e12, host.less, 1)",
        "host.atom(1e12, 0)",
        "host.all(-5, 0)",
    ] {
        let source = bench.source(&[&format!("local x = {read} return true")]);
        let mut runtime = bench.load(&source, LuaLimits::strict()).expect("a source");
        for outcome in bench.run(&mut runtime) {
            assert!(outcome.is_err(), "{read}: {outcome:?}");
        }
    }
    for (body, expected) in
        [("return host.atom(e, 99)", false), ("return host.all(e, 0, 0)", true), ("return host.atom(e, -1)", false)]
    {
        let mut runtime = bench.load(&bench.source(&[body]), LuaLimits::strict()).expect("a source");
        for outcome in bench.run(&mut runtime) {
            assert_eq!(outcome, Ok(if expected { vec![0] } else { vec![] }), "{body}");
        }
    }
}

#[test]
fn what_a_source_does_to_its_tables_changes_nothing_of_what_is_read() {
    let bench = Bench::new();
    let word = bench.word();
    let body = format!(
        "for place = 1, 64 do pcall(table.insert, host.i32, place, 0) pcall(table.insert, host.u32, place, 0) end \
         return host.integer_at(e, 4 * {word}) == pid and host.present(e, {word} - 2)"
    );
    let mut runtime = bench.load(&bench.source(&[&body]), LuaLimits::strict()).expect("a source");
    for (pid, outcome) in bench.run(&mut runtime).into_iter().enumerate() {
        // The source's own view of the frames is its own to break.
        assert!(pid != 0 || outcome == Ok(vec![0]), "{outcome:?}");
    }
}

#[test]
fn what_c_does_without_end_is_refused() {
    let bench = Bench::new();
    for (name, limits) in limits() {
        for body in [
            "table.insert({}, -2147483647, 1)",
            "local long = ('a'):rep(1e6) return string.find(long, long .. 'b') ~= nil",
        ] {
            let limits = LuaLimits { deadline: Duration::from_secs(60), ..limits };
            let mut runtime = bench.load(&bench.source(&[body]), limits).expect("a source");
            for outcome in bench.run(&mut runtime) {
                assert!(outcome.is_err(), "{name}, {body}: {outcome:?}");
            }
        }
    }
}

#[test]
fn a_source_that_overruns_again_and_again_is_given_up() {
    let bench = Bench::new();
    for (name, limits) in limits() {
        let loops = ["while true do end"; 4];
        let mut runtime = bench.load(&bench.source(&loops), limits).expect("a source");
        for _ in 0..3 {
            for outcome in bench.run(&mut runtime) {
                assert!(outcome.is_err(), "{name}: {outcome:?}");
            }
        }
        // Each predicate has been stopped once, and none is run again.
        let last = bench.run(&mut runtime).pop().expect("an event");
        assert!(last.as_ref().is_err_and(|reason| reason.contains("not run any more")), "{name}: {last:?}");
    }
}

#[test]
fn a_recursion_without_end_is_an_error() {
    let bench = Bench::new();
    let body = "local function deep(n) return 1 + deep(n + 1) end return pid == 7 and deep(0) > 0";
    for (name, limits) in limits() {
        let limits = LuaLimits { deadline: Duration::from_secs(60), instructions: None, ..limits };
        let mut runtime = bench.load(&bench.source(&[body]), limits).expect("a source");
        for (pid, outcome) in bench.run(&mut runtime).into_iter().enumerate() {
            assert_eq!(outcome.is_err(), pid == 7, "{name}, {pid}: {outcome:?}");
        }
    }
}
