//! The text form: what is printed parses back to an equal IR, mistakes are told with their place, and rules print readably.

use kestrel_ir::model::{Ir, PredicateId, RuleIndex, RuleKind};
use kestrel_ir::text::{parse, predicate_expression, print, print_rule};
use kestrel_ir::verify::verify;

mod generate;

const SAMPLE: &str = include_str!("data/sample.ir");

#[test]
fn the_sample_of_every_entry_prints_as_it_is_written() {
    let ir = parse(SAMPLE).expect("the sample parses");
    assert_eq!(print(&ir), SAMPLE);
}

#[test]
fn an_empty_ir_prints_and_parses() {
    assert_eq!(parse(&print(&Ir::default())), Ok(Ir::default()));
    assert_eq!(parse(""), Ok(Ir::default()));
}

#[test]
fn generated_irs_print_and_parse_back() {
    for seed in 0..300 {
        let ir = generate::ir(&mut generate::Random::new(seed));
        let text = print(&ir);
        assert_eq!(parse(&text).as_ref(), Ok(&ir), "seed {seed}\n{text}");
    }
}

#[test]
fn spans_print_in_the_unit_that_fits() {
    for (nanoseconds, text) in
        [(0_i64, "0ns"), (1, "1ns"), (-7, "-7ns"), (90_000_000_000, "90s"), (86_400_000_000_000, "1d")]
    {
        let source = format!("rule \"r\" = sequence maxspan {text} {{\n}}\n");
        let ir = parse(&source).expect("a rule");
        assert!(print(&ir).ends_with(&source), "{text}");
        let RuleKind::Sequence(sequence) = &ir.rules[0].kind else { panic!("no sequence") };
        assert_eq!(sequence.maxspan, Some(nanoseconds));
    }
}

#[test]
fn mistakes_have_a_place() {
    for (text, line, column, message) in [
        (
            "fild f0 a : long",
            1,
            1,
            "expected `field`, `lineage`, `atom`, `value`, `node`, `predicate`, `program` or `rule`",
        ),
        ("field f1 a : long", 1, 7, "expected `f0`"),
        ("field f0 a : lon", 1, 14, "expected a type"),
        ("field f0 a : long\nfield f1 a : long", 2, 14, "`a` is f0 already"),
        ("\n\natom a1 = f0 present", 3, 6, "expected `a0`"),
        ("atom a0 = f0 absent", 1, 14, "expected a test"),
        ("atom a0 = f0 exact [\"a\"", 1, 24, "expected `,` or `]`"),
        ("atom a0 = f0 exact [a]", 1, 21, "expected a string"),
        ("atom a0 = f0 exact [\"a\\q\"]", 1, 24, "there is no escape `\\q`"),
        ("atom a0 = f0 exact [\"a", 1, 23, "this string is not closed"),
        ("atom a0 = f0 == 5", 1, 17, "equality with a string or an integer is written `exact [...]` or `in [...]`"),
        ("atom a0 = f0 in [99999999999999999999]", 1, 18, "expected a number"),
        ("atom a0 = f0 cidr [10.0.0.0/33]", 1, 20, "expected a block of addresses such as `10.0.0.0/8`"),
        ("value v0 = call lenght v0", 1, 17, "expected a function"),
        ("node n0 = xor n1", 1, 11, "expected an atom, `true`, `false`, `not`, `and` or `or`"),
        ("node n0 = and n1 a2", 1, 18, "expected the end of the line"),
        ("predicate p0 = any n0", 1, 20, "expected `where`"),
        ("program g0 = c \"a.c\"", 1, 14, "expected `wasm` or `lua`"),
        ("program g0 = lua \"a\" fields [] capabilities [fly]", 1, 46, "expected a capability"),
        ("rule \"r\" = sequence {\n  step p0\n", 2, 1, "rule \"r\" is not closed"),
        ("rule \"r\" = sample {\n  until p0\n}", 2, 9, "`until` ends a sequence, once"),
        ("rule \"r\" = sequence maxspan 5 {\n}", 1, 29, "expected a span such as `5m`"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!((error.line, error.column, error.message.as_str()), (line, column, message), "{text}");
    }
}

#[test]
fn no_text_makes_the_parser_panic() {
    let characters: Vec<char> = SAMPLE.chars().collect();
    let mut random = generate::Random::new(7);
    for _ in 0..2_000 {
        let mut text = characters.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(text.len());
            let other = text[random.below(text.len())];
            match random.below(3) {
                0 => text[at] = other,
                1 => text.insert(at, other),
                _ => drop(text.drain(at..(at + random.below(40)).min(text.len()))),
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(ir) = parse(&text) {
            assert_eq!(parse(&print(&ir)), Ok(ir.clone()), "{text}");
            let _ = verify(&ir);
            (0..ir.rules.len()).for_each(|rule| drop(print_rule(&ir, RuleIndex(rule as u32))));
        }
    }
}

#[test]
fn a_rule_prints_with_all_that_it_uses() {
    let ir = parse(SAMPLE).expect("the sample parses");
    let expected = r#"rule "sequence": sequence with maxspan=5m
  [0] category of event.category exact ["process"]
      all of
        process.name exact~ ["bash", "sh"]
        event.action exact ["exec"]
      by process.entity_id, ?process.name
  [1] missing any category
      any call_stack where
        call_stack.symbol wildcard ["*Alloc*"]
      by process.entity_id, ?(unknown to the schema)
  [2] category of event.category exact ["network"]
      any of
        all of
          process.name exact~ ["bash", "sh"]
          event.action exact ["exec"]
        not process.name exact~ ["bash", "sh"]
        true
      joined to earlier steps by
        ((process.args_count + 3) - (-(process.args_count + 3))) > (process.args_count + 3)
      by process.entity_id, ?process.name
  until any category
      any call_stack where
        call_stack.symbol wildcard ["*Alloc*"]
      by process.entity_id, process.name
| tail 1
| head 2
"#;
    let index = |id: &str| ir.rules.iter().position(|rule| rule.id == id).expect(id) as u32;
    assert_eq!(print_rule(&ir, RuleIndex(index("sequence"))), expected);
    let expected = r#"rule "wasm": event
  any category
    any call_stack where
      call_stack.symbol wildcard ["*Alloc*"]
  program "a \"b\".wasm"
"#;
    assert_eq!(print_rule(&ir, RuleIndex(index("wasm"))), expected);
    assert_eq!(print_rule(&ir, RuleIndex(99)), "");
}

#[test]
fn what_is_shared_a_thousandfold_prints_bounded() {
    let mut text = String::from("field f0 a : keyword\natom a0 = f0 present\nnode n0 = a0\n");
    for node in 1..60 {
        text += &format!("node n{node} = or n{0} n{0} n{0}\n", node - 1);
    }
    let ir = parse(&(text + "predicate p0 = any where n59\n")).expect("a chain of nodes");
    let printed = predicate_expression(&ir, PredicateId(0));
    assert!(printed.len() < 2 << 20, "{} bytes", printed.len());
    assert!(printed.contains('…'));
}
