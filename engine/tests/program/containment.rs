//! Endless loops, memory hogs, traps, foreign memory, wrong contracts: each is contained, counted and told, and after the
//! third failure the predicate is quarantined.

use kestrel_core::program::Decision;
use kestrel_engine::runtime::profile::Profile;

use super::{ALL, Case, oracle};

const LOG: &str = "(import \"kestrel\" \"log\" (func $log (param i32 i32) (result i32)))";
const GET: &str = "(import \"kestrel\" \"event_get_text\" (func $get (param i32 i32 i32 i32) (result i32)))";

/// The predicate fails at each event with this reason, is quarantined, and does no harm to the next one's host.
fn fails(case: Case<'_>, reason: &str, overrun: bool) {
    let text = String::from_utf8_lossy(&case.code).into_owned();
    for profile in [Profile::Strict, Profile::Trusted] {
        let outcome = Case { profile, events: 5, ..case.clone() }.run();
        let report = &outcome.report;
        assert_eq!(outcome.decisions, vec![Decision::DoesNotHold; 5], "{text}");
        let first = report.first_failure.as_deref().unwrap_or_default();
        assert!(first.contains(reason), "{text}\n  found:    {first}\n  expected: {reason}");
        assert_eq!((report.failures, report.calls), (3, 3), "{text}");
        assert_eq!(report.overruns, if overrun { 3 } else { 0 }, "{text}: {first}");
        assert!(report.quarantined, "{text}");
        let warnings: Vec<&String> = outcome.notes.iter().filter(|note| note.starts_with("warning: ")).collect();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("warning: the predicate of rule `r` failed: "), "{warnings:?}");
        let quarantine = "failed 3 times and is quarantined: the rule no longer matches; at last ";
        assert!(warnings[1].contains(quarantine), "{warnings:?}");
    }
}

fn wasm_fails(eval: &str, reason: &str, overrun: bool) {
    let body = format!(
        "{LOG} {GET} (memory (export \"memory\") 1) (table 1 funcref) (global $depth (mut i32) (i32.const 0))
         (func $down (call $down) (call $down))
         (func (export \"pred_eval\") (result i32) {eval})"
    );
    fails(Case::wat(&body), reason, overrun);
}

fn lua_fails(eval: &str, reason: &str, overrun: bool) {
    fails(Case::lua(&format!("pred_abi = 1\nfunction pred_eval()\n{eval}\nend\n")), reason, overrun);
}

#[test]
fn wasm_that_never_ends_is_ended() {
    wasm_fails("(loop $l (br $l)) (i32.const 1)", "it used up its instructions", true);
    wasm_fails("(call $down) (i32.const 1)", "it used up its", true);
    wasm_fails(
        "(loop $l (drop (call $log (i32.const 0) (i32.const 0))) (br $l)) (i32.const 1)",
        "it used up its",
        true,
    );
    // Few instructions, much work for the host.
    wasm_fails(
        "(loop $l (drop (call $log (i32.const 0) (i32.const 65536))) (br $l)) (i32.const 1)",
        "it used up its calls of the host",
        true,
    );
}

#[test]
fn wasm_that_traps_or_answers_nonsense_fails() {
    wasm_fails("unreachable", "wasm `unreachable` instruction executed", false);
    wasm_fails("(i32.div_s (i32.const 1) (i32.const 0))", "integer divide by zero", false);
    wasm_fails("(i32.load (i32.const 65535))", "out of bounds memory access", false);
    wasm_fails("(call_indirect (result i32) (i32.const 0))", "uninitialized element", false);
    wasm_fails("(i32.const 2)", "`pred_eval` answered 2, expected 0 or 1", false);
    wasm_fails("(i32.const -1)", "`pred_eval` answered -1, expected 0 or 1", false);
}

#[test]
fn memory_that_a_module_does_not_have_ends_the_call() {
    let foreign = "it passes memory to `log` that it does not have";
    for (address, length) in [(65536, 1), (0, 65537), (-1, 1), (-1, -1), (1, -1), (65535, 2), (i32::MIN, i32::MIN)] {
        wasm_fails(&format!("(call $log (i32.const {address}) (i32.const {length}))"), foreign, false);
    }
    let buffer = "(call $get (i32.const 0) (i32.const 0) (i32.const 65530) (i32.const 7))";
    wasm_fails(buffer, "it passes memory to `event_get_text` that it does not have", false);
}

#[test]
fn memory_and_tables_do_not_grow_beyond_the_limit() {
    let body = "(memory (export \"memory\") 1) (table $t 1 funcref)
        (func (export \"pred_eval\") (result i32)
          (loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
          (if (i32.gt_u (memory.size) (i32.const 32)) (then unreachable))
          (if (i32.ne (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1)) (then unreachable))
          (i32.const 1))";
    let outcome = Case::wat(body).run();
    assert_eq!(outcome.decisions, [Decision::Holds(None)], "{:?}", outcome.notes);
    let refused = Case::wat("(memory (export \"memory\") 40) (func (export \"pred_eval\") (result i32) (i32.const 1))");
    let expected = "the predicate of rule `r` is refused: it does not start: ";
    assert!(refused.refusal().starts_with(expected), "{}", refused.refusal());
    let lowered = Case { limits: "memory 65536", ..refused.clone() };
    let trusted = Case { profile: Profile::Trusted, ..refused };
    assert_eq!(trusted.run().report.failures, 0);
    assert!(Case { profile: Profile::Trusted, ..lowered }.refusal().starts_with(expected));
}

#[test]
fn a_rule_lowers_limits_and_does_not_raise_them() {
    let loops = "(memory (export \"memory\") 1) (func (export \"pred_eval\") (result i32) (local $i i32)
        (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (i32.const 100000)))) (i32.const 1))";
    assert_eq!(Case::wat(loops).run().report.failures, 0);
    assert_eq!(Case { limits: "instructions 1000", ..Case::wat(loops) }.run().report.overruns, 1);
    let forever = loops.replace("i32.const 100000", "i32.const -1");
    let raised = Case { limits: "instructions 9999999999999", ..Case::wat(&forever) };
    assert_eq!(raised.run().report.overruns, 1);
    let lua = "pred_abi = 1\nfunction pred_eval() for i = 1, 10000 do end return true end";
    assert_eq!(Case::lua(lua).run().report.failures, 0);
    assert_eq!(Case { limits: "instructions 5000", ..Case::lua(lua) }.run().report.overruns, 1);
}

#[test]
fn modules_that_break_the_contract_are_refused() {
    let memory = "(memory (export \"memory\") 1)";
    let eval = "(func (export \"pred_eval\") (result i32) (i32.const 1))";
    let case = |body: &str| Case::wat(&format!("{body} {memory} {eval}"));
    for (case, expected) in [
        (Case { language: "wasm", code: b"no module".to_vec(), ..Case::lua("") }, "it is no Wasm module: "),
        (Case { language: "wasm", code: b"(module)".to_vec(), ..Case::lua("") }, "it is no Wasm module: "),
        (
            Case { language: "wasm", code: vec![0; (1 << 20) + 1], ..Case::lua("") },
            "it has 1048577 bytes, the strict profile allows 1048576",
        ),
        (
            case(&format!("(func {} {})", "block ".repeat(600), "end ".repeat(600))),
            "it is no Wasm module: a function nests more than 512 blocks",
        ),
        (
            case(&format!("(func {})", "nop ".repeat(140_000))),
            "it is no Wasm module: a function has 140002 bytes, at most 131072 are allowed",
        ),
        (Case::wat(eval), "it exports no memory of the name `memory`"),
        (Case::wat(memory), "it exports no function `pred_eval`"),
        (Case::module(&format!("(module {memory} {eval})")), "it exports no function `pred_abi`"),
        (
            Case::module(&format!("(module {memory} {eval} (func (export \"pred_abi\") (result i32) (i32.const 7)))")),
            "it does not start: it is written for version 7 of the host API, this engine has 1",
        ),
        (case("(import \"env\" \"exit\" (func))"), "it imports `env.exit`, which the host API does not have"),
        (
            case("(import \"wasi_snapshot_preview1\" \"fd_write\" (func))"),
            "it imports `wasi_snapshot_preview1.fd_write`, which",
        ),
        (case("(import \"kestrel\" \"memory\" (memory 1))"), "it is no Wasm module: "),
        (
            case("(import \"kestrel\" \"log\" (func))"),
            "it has `log` with the type () -> (), expected (i32, i32) -> i32",
        ),
        (
            case("(func (export \"pred_init\") (result i32) (i32.const 3))"),
            "it does not start: `pred_init` answered 3, expected 0",
        ),
        (
            case("(func (export \"pred_init\") (result i32) unreachable)"),
            "it does not start: wasm `unreachable` instruction executed",
        ),
        (
            case("(func (export \"pred_init\") (param i32))"),
            "it has `pred_init` with the type (i32) -> (), expected () -> i32",
        ),
        (case("(func $s (loop $l (br $l))) (start $s)"), "it does not start: it used up its instructions"),
        (case("(func $s unreachable) (start $s)"), "it does not start: wasm `unreachable` instruction executed"),
        (case("(table 20000 funcref)"), "it does not start: "),
        (case("(data (i32.const 65530) \"too long for it\")"), "it does not start: "),
    ] {
        let refusal = case.refusal();
        let expected = format!("the predicate of rule `r` is refused: {expected}");
        assert!(refusal.starts_with(&expected), "found:    {refusal}\nexpected: {expected}");
    }
}

#[test]
fn capabilities_are_enforced_when_the_code_is_loaded() {
    let refused = "the predicate of rule `r` is refused: it uses `log`, which needs the capability `log`, and the rule does not declare that";
    let body = format!("{LOG} (memory (export \"memory\") 1) (func (export \"pred_eval\") (result i32) (i32.const 1))");
    let fields = Case { capabilities: "fields", ..Case::wat(&body) };
    assert_eq!(fields.refusal(), refused);
    assert_eq!(Case { capabilities: "log", ..fields }.run().report.failures, 0);
    let lua = Case {
        capabilities: "fields",
        ..Case::lua("pred_abi = 1 function pred_eval() kestrel.log('x') return true end")
    };
    assert_eq!(lua.refusal(), refused);
    assert_eq!(Case { capabilities: "log", ..lua }.run().report.failures, 0);
    // A name that is not spelled out is found when it is called.
    let hidden = "pred_abi = 1 function pred_eval() kestrel['l' .. 'og']('x') return true end";
    let outcome = Case { capabilities: "fields", ..Case::lua(hidden) }.run();
    let failure = outcome.report.first_failure.expect("it failed");
    assert!(failure.contains("`log` needs the capability `log`, and the rule does not declare that"), "{failure}");
}

#[test]
fn sources_that_break_the_contract_are_refused() {
    for (source, expected) in [
        ("", "it does not start: its `pred_abi` is none, this engine has version 1 of the host API"),
        ("pred_abi = 2 function pred_eval() return true end", "it does not start: its `pred_abi` is 2, this engine"),
        ("pred_abi = 1", "it does not start: it defines no function `pred_eval`"),
        ("pred_abi = ", "it does not start: syntax error: predicate:1: unexpected symbol near '<eof>'"),
        ("\u{1b}LJ\u{2}", "it is no Lua source: it is bytecode"),
        ("while true do end", "it does not start: it used up its instructions"),
        (
            "pred_abi = 1 function pred_init() error('no') end function pred_eval() end",
            "it does not start: predicate:1: no",
        ),
        ("pred_abi = 1 function pred_eval() return kestrel.exec('x') end", "it names `kestrel.exec` in line 1, which"),
        ("return io.open('/etc/passwd')", "it does not start: predicate:1: attempt to index global 'io'"),
    ] {
        let refusal = Case::lua(source).refusal();
        let expected = format!("the predicate of rule `r` is refused: {expected}");
        assert!(refusal.starts_with(&expected), "found:    {refusal}\nexpected: {expected}");
    }
    let invalid = Case { code: b"x = '\xff'".to_vec(), ..Case::lua("") };
    assert!(invalid.refusal().ends_with("it is no Lua source: it is not UTF-8"));
}

#[test]
fn lua_that_never_ends_is_ended() {
    let instructions = "it used up its instructions";
    lua_fails("while true do end", instructions, true);
    lua_fails("local function f() return f() end return f()", instructions, true);
    lua_fails("local function f() return 1 + f() end return f()", "it used up its", true);
    lua_fails("while true do pcall(function() while true do end end) end", instructions, true);
    lua_fails("pcall(function() while true do end end) return true", instructions, true);
    lua_fails(
        "local t = setmetatable({}, { __index = function(t, k) return t[k .. 'x'] end }) return t.a",
        "it used up its",
        true,
    );
    lua_fails(
        "local t = setmetatable({}, { __tostring = function() while true do end end }) return #tostring(t) > 0 and error(t)",
        instructions,
        true,
    );
    lua_fails("table.sort({ 3, 2, 1 }, function() while true do end end)", instructions, true);
    lua_fails("for i = 1, 1e9 do local t = kestrel.hash_xx64('a', 0) end", "it used up its", true);
    lua_fails("while true do pcall(kestrel.hash_xx64, 'a', 0) end", "it used up its", true);
}

#[test]
fn lua_that_wants_memory_does_not_get_it() {
    for eval in [
        "return #string.rep('x', 1e9) > 0",
        "return #('x'):rep(1e9) > 0",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local s = ('x'):rep(100000) while true do local t = s .. 'y' end",
        "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(100) end return table.concat(t)",
        "pcall(function() local s = 'x' while true do s = s .. s end end) while true do end",
    ] {
        lua_fails(eval, "it used up its", true);
    }
}

#[test]
fn lua_has_no_way_out() {
    for eval in [
        "return io.write('x')",
        "return os.time() > 0",
        "return load('return true')()",
        "return loadstring('return true')()",
        "return require('ffi') ~= nil",
        "return debug.getinfo(1) ~= nil",
        "return coroutine.wrap(function() while true do end end)()",
        "return jit.on() == nil",
        "return newproxy(true) ~= nil",
        "return collectgarbage() == 0",
        "return setfenv(1, {}) ~= nil",
        "return math.random() >= 0",
        "return string.dump(pred_eval) ~= nil",
        "getmetatable('').__index.rep = nil",
        "setmetatable('', {})",
        "kestrel = nil return kestrel.log('x')",
        "return getmetatable(kestrel).__index ~= nil",
        "setmetatable(kestrel, {})",
        "return ('x'):find('(x+x+)+y')",
        "return ('x'):gsub('x', 'y') == 'y'",
        "return string.format('%p', {}) ~= nil",
        "return string.format('%1p', 'x') ~= ''",
        "return string.format('%-.0p', 'x') ~= ''",
        "table.insert({}, -2147483647, 1)",
        "table.insert({}, 0/0, 1)",
        "table.insert({}, 5, 1)",
        "return string.format('%s', {}) ~= nil",
        "for key in pairs({ [{}] = 1 }) do end",
        "error(setmetatable({}, { __tostring = error }))",
        "error(nil)",
        "error({})",
        "return nil",
        "return 1",
        "return select(-1)",
        "return (unpack({}, 1, 1e8))",
    ] {
        lua_fails(eval, "", false);
    }
}

#[test]
fn wrong_arguments_of_host_functions_fail_the_call() {
    for (eval, reason) in [
        ("return kestrel.str_eq_ci('a')", "`str_eq_ci` takes a string as `right`, not nil"),
        ("return kestrel.str_eq_ci({}, 'a')", "`str_eq_ci` takes a string as `left`, not table"),
        ("return kestrel.event_get_text(-1, 0)", "`event_get_text` takes a number from 0 as `field`, not"),
        ("return kestrel.event_get_text(0.5, 0)", "`event_get_text` takes a number from 0 as `field`, not"),
        ("return kestrel.event_get_text(99, 0)", "`event_get_text` answers `unknown`"),
        ("return kestrel.schema_resolve('process.name')", "`schema_resolve` answers `wrong_phase`"),
        ("return kestrel.str_eq_ci('\\255', 'a')", "`str_eq_ci` answers `invalid`"),
        ("return kestrel.capture_put_text('a', 'b')", "`capture_put_text` answers `wrong_phase`"),
        ("return kestrel.alert_emit(('x'):rep(2000))", "`alert_emit` answers `too_large`"),
        ("for i = 1, 9 do kestrel.alert_emit('x') end", "`alert_emit` answers `too_large`"),
    ] {
        lua_fails(eval, reason, false);
    }
}

#[test]
fn a_failure_makes_a_predicate_new_and_the_next_event_is_answered() {
    let lua = "pred_abi = 1 local seen = 0 function pred_eval() seen = seen + 1 if seen == 3 then error('third') end return true end";
    let outcome = Case { events: 5, ..Case::lua(lua) }.run();
    let held: Vec<bool> = outcome.decisions.iter().map(|decision| matches!(decision, Decision::Holds(_))).collect();
    assert_eq!(held, [true, true, false, true, true]);
    assert_eq!((outcome.report.failures, outcome.report.quarantined), (1, false));
    let wasm = "(memory (export \"memory\") 1) (global $seen (mut i32) (i32.const 0))
        (func (export \"pred_eval\") (result i32)
          (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
          (if (i32.eq (global.get $seen) (i32.const 3)) (then unreachable)) (i32.const 1))";
    let outcome = Case { events: 5, ..Case::wat(wasm) }.run();
    let held: Vec<bool> = outcome.decisions.iter().map(|decision| matches!(decision, Decision::Holds(_))).collect();
    assert_eq!(held, [true, true, false, true, true]);
}

#[test]
fn without_state_every_event_meets_the_predicate_as_new() {
    let lua = "pred_abi = 1 local seen = 0 total = 0 function pred_eval()
        seen = seen + 1 total = total + 1 string.seen = (string.seen or 0) + 1 return seen == 1 and total == 1 and string.seen == 1 end";
    let wasm = "(memory (export \"memory\") 1) (func (export \"pred_eval\") (result i32)
        (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
        (i32.eq (i32.load (i32.const 8)) (i32.const 1)))";
    for case in [Case::lua(lua), Case::wat(wasm)] {
        let new = Case { capabilities: "fields", events: 3, ..case.clone() }.run();
        assert_eq!(new.report.held, 3, "{:?}", new.notes);
        let kept = Case { capabilities: ALL, events: 3, ..case }.run();
        assert_eq!(kept.report.held, 1, "{:?}", kept.notes);
    }
}

#[test]
fn a_start_that_fails_later_counts_as_well() {
    // It starts once and never again.
    let lua = "pred_abi = 1 function pred_init() kestrel.log('start') end function pred_eval() return nothing.here end";
    let outcome = Case { capabilities: "log", events: 4, ..Case::lua(lua) }.run();
    assert_eq!((outcome.report.failures, outcome.report.quarantined), (3, true));
    assert_eq!(outcome.report.log_lines, 3);
}

/// The examples with some bytes changed, as a fuzz target would have them.
#[test]
fn changed_code_is_refused_or_contained() {
    let seed: u64 = std::env::var("KESTREL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("KESTREL_SEED={seed}");
    let mut state = seed | 1;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % limit
    };
    for name in ["third_failure.wasm", "lookalike.wasm", "entropy.lua"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/handwritten").join(name);
        let code = std::fs::read(path).expect("the example is there");
        for _ in 0..100 {
            let mut changed = code.clone();
            for _ in 0..=below(3) {
                let at = below(changed.len());
                match below(3) {
                    0 => changed[at] = below(256) as u8,
                    1 => changed[at] ^= 1 << below(8),
                    _ => drop(changed.drain(at..(at + 1 + below(4)).min(changed.len()))),
                }
            }
            if name.ends_with(".lua") { oracle::source(&changed) } else { oracle::module(&changed) }
        }
    }
}
