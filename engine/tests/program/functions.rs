//! What the host's functions answer, in Lua and in Wasm, and what reaches the alert.

use kestrel_core::program::{CaptureValue, Decision, Findings};
use kestrel_schema::host_api::{HostFunction, WasmType};

use super::Case;

/// An expression in Lua that must be true, with the handles of all fields at hand.
fn holds(expression: &str) {
    let source = format!(
        "pred_abi = 1
         local command, args, pid, score, interactive, ip, number
         function pred_init()
           command = kestrel.schema_resolve('process.command_line')
           args = kestrel.schema_resolve('process.args')
           pid = kestrel.schema_resolve('process.pid')
           score = kestrel.schema_resolve('file.score')
           interactive = kestrel.schema_resolve('process.interactive')
           ip = kestrel.schema_resolve('source.ip')
           number = kestrel.re_compile('[0-9]+', false)
         end
         function pred_eval() return {expression} end"
    );
    let outcome = Case::lua(&source).run();
    assert_eq!(outcome.decisions, [Decision::Holds(None)], "{expression}: {:?}", outcome.notes);
}

#[test]
fn functions_answer_what_the_reference_says() {
    for expression in [
        "kestrel.event_get_text(command, 0) == 'curl -s http://x.example/é'",
        "kestrel.event_get_text(command, 1) == nil",
        "kestrel.event_get_count(args) == 2 and kestrel.event_get_text(args, 1) == '-s'",
        "kestrel.event_get_integer(pid, 0) == -7 and kestrel.event_get_text(pid, 0) == '-7'",
        "kestrel.event_get_float(score, 0) == 0.5 and kestrel.event_get_float(pid, 0) == -7",
        "kestrel.event_get_boolean(interactive, 0) == true",
        "kestrel.event_get_ip(ip, 0) == '10.1.2.3' and kestrel.event_get_text(ip, 0) == '10.1.2.3'",
        "not pcall(kestrel.event_get_integer, command, 0)",
        "kestrel.event_type() == 'process/start' and kestrel.event_entity() == 'entity-1'",
        "kestrel.event_time() == 1.7e18",
        "kestrel.re_match(number, '0123') and not kestrel.re_match(number, 'a0123')",
        "not pcall(kestrel.re_match, 7, 'x') and not pcall(kestrel.re_compile, '(', false)",
        "kestrel.glob_match('c*L -?', 'curl -s', true) and not kestrel.glob_match('c*L', 'curl')",
        "kestrel.str_eq_ci('STRASSE', 'strasse') and kestrel.str_eq_ci('É', 'é')",
        "kestrel.hash_xx64('', 0) == 'ef46db3751d8e999' and kestrel.hash_xx64('a', 1) ~= kestrel.hash_xx64('a', 2)",
        "tostring({}) == 'table' and tostring(print) == 'nil' and tostring(1.5) == '1.5'",
        "('ab'):upper() == 'AB' and ('a.b'):find('.', 1, true) == 2 and #('ab'):rep(3, '-') == 8",
        "(function() local keys = '' for key in pairs({ b = 1, a = 2, [2] = 3, [1] = 4 }) do keys = keys .. key end return keys == '12ab' end)()",
        "select('#', pcall(error, 'x')) == 2 and bit.bxor(5, 1) == 4",
    ] {
        holds(expression);
    }
}

#[test]
fn captures_and_messages_reach_the_decision_in_order() {
    let source = "pred_abi = 1
        function pred_eval() kestrel.alert_emit('first') kestrel.action_block() return true end
        function pred_capture()
          kestrel.capture_put_text('b', 'x')
          kestrel.capture_put_integer('a', -3)
          kestrel.capture_put_float('c', 0.25)
          kestrel.capture_put_boolean('d', true)
          kestrel.capture_put_text('b', 'y')
          kestrel.alert_emit('second')
          kestrel.log('line\\n\\27[31m')
        end";
    let outcome = Case::lua(source).run();
    let capture = |name: &str, value| (name.to_owned(), value);
    let findings = Findings {
        captures: vec![
            capture("b", CaptureValue::Text("y".to_owned())),
            capture("a", CaptureValue::Integer(-3)),
            capture("c", CaptureValue::Float(0.25)),
            capture("d", CaptureValue::Boolean(true)),
        ],
        messages: vec!["first".to_owned(), "second".to_owned()],
        block_requested: true,
    };
    assert_eq!(outcome.decisions, [Decision::Holds(Some(Box::new(findings)))], "{:?}", outcome.notes);
    assert_eq!(outcome.report.blocks_requested, 1);
    assert_eq!(outcome.notes, ["rule `r`: line\\n\\u{1b}[31m"]);
}

#[test]
fn what_is_emitted_without_a_match_is_gone() {
    let source = "pred_abi = 1 local n = 0 function pred_eval()
        n = n + 1 if n == 1 then kestrel.alert_emit('gone') kestrel.action_block() end return n == 2 end";
    let outcome = Case { events: 2, ..Case::lua(source) }.run();
    assert_eq!(outcome.decisions, [Decision::DoesNotHold, Decision::Holds(None)]);
    assert_eq!(outcome.report.blocks_requested, 0);
}

#[test]
fn lines_are_told_up_to_a_number_and_counted_beyond() {
    let source = "pred_abi = 1 function pred_eval() for i = 1, 100 do kestrel.log('x') end return true end";
    let outcome = Case::lua(source).run();
    assert_eq!((outcome.notes.len(), outcome.report.log_lines), (64, 100));
}

#[test]
fn every_function_can_be_imported_with_the_type_of_the_table() {
    let word = |wasm: &WasmType| wasm.to_string();
    let mut imports = String::new();
    for function in HostFunction::ALL {
        let (definition, signature) = (function.definition(), function.definition().signature());
        let parameters: Vec<String> = signature.parameters.iter().map(word).collect();
        let result: Vec<String> = signature.result.iter().map(word).collect();
        imports.push_str(&format!(
            "(import \"kestrel\" \"{}\" (func (param {}) (result {})))\n",
            definition.name,
            parameters.join(" "),
            result.join(" ")
        ));
    }
    let body =
        format!("{imports} (memory (export \"memory\") 1) (func (export \"pred_eval\") (result i32) (i32.const 1))");
    assert_eq!(Case::wat(&body).run().decisions, [Decision::Holds(None)]);
}

#[test]
fn wasm_gets_values_through_its_own_memory() {
    // Handle 0 is the first field of the rule, the command line; 3 is the score; 5 the address.
    let body = r#"
      (import "kestrel" "schema_resolve" (func $resolve (param i32 i32) (result i32)))
      (import "kestrel" "event_get_text" (func $text (param i32 i32 i32 i32) (result i32)))
      (import "kestrel" "event_get_integer" (func $integer (param i32 i32 i32) (result i32)))
      (import "kestrel" "event_get_float" (func $float (param i32 i32 i32) (result i32)))
      (import "kestrel" "event_get_ip" (func $ip (param i32 i32 i32) (result i32)))
      (import "kestrel" "event_time" (func $time (result i64)))
      (import "kestrel" "hash_xx64" (func $hash (param i32 i32 i64) (result i64)))
      (import "kestrel" "capture_put_text" (func $put (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "process.pid")
      (data (i32.const 16) "file.path")
      (global $pid (mut i32) (i32.const -1))
      (func $check (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
      (func (export "pred_init") (result i32)
        (global.set $pid (call $resolve (i32.const 0) (i32.const 11)))
        (call $check (i32.eq (global.get $pid) (i32.const 2)))
        ;; In the layout, but the rule does not list it.
        (call $check (i32.eq (call $resolve (i32.const 16) (i32.const 9)) (i32.const -3)))
        (call $check (i32.eq (call $text (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 8)) (i32.const -4)))
        (i32.const 0))
      (func (export "pred_eval") (result i32)
        ;; The whole length, and as much as there is room for.
        (call $check (i32.eq (call $text (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 4)) (i32.const 27)))
        (call $check (i32.eq (i32.load (i32.const 64)) (i32.const 0x6c727563)))
        (call $check (i32.eqz (i32.load (i32.const 68))))
        (call $check (i32.eqz (call $integer (global.get $pid) (i32.const 0) (i32.const 128))))
        (call $check (i64.eq (i64.load (i32.const 128)) (i64.const -7)))
        (call $check (i32.eq (call $integer (i32.const 0) (i32.const 0) (i32.const 128)) (i32.const -2)))
        (call $check (i32.eq (call $integer (global.get $pid) (i32.const 1) (i32.const 128)) (i32.const -1)))
        (call $check (i32.eqz (call $float (i32.const 3) (i32.const 0) (i32.const 128))))
        (call $check (f64.eq (f64.load (i32.const 128)) (f64.const 0.5)))
        (call $check (i32.eqz (call $ip (i32.const 5) (i32.const 0) (i32.const 144))))
        (call $check (i32.eq (i32.load (i32.const 156)) (i32.const 0x0302010a)))
        (call $check (i64.eq (call $time) (i64.const 1700000000000000000)))
        (call $check (i64.eq (call $hash (i32.const 0) (i32.const 0) (i64.const 0)) (i64.const 0xef46db3751d8e999)))
        (call $check (i32.eq (call $put (i32.const 0) (i32.const 7) (i32.const 0) (i32.const 3)) (i32.const -4)))
        (i32.const 1))
      (func (export "pred_capture")
        (drop (call $put (i32.const 0) (i32.const 7) (i32.const 64) (i32.const 4)))
        ;; Not UTF-8.
        (i32.store8 (i32.const 0) (i32.const 0xff))
        (call $check (i32.eq (call $put (i32.const 0) (i32.const 7) (i32.const 64) (i32.const 4)) (i32.const -5)))
        (call $check (i32.eq (call $put (i32.const 64) (i32.const 4) (i32.const 1000) (i32.const 5000)) (i32.const -6))))"#;
    let outcome = Case::wat(body).run();
    let captures = vec![("process".to_owned(), CaptureValue::Text("curl".to_owned()))];
    let findings = Findings { captures, ..Findings::default() };
    assert_eq!(outcome.decisions, [Decision::Holds(Some(Box::new(findings)))], "{:?}", outcome.notes);
}
