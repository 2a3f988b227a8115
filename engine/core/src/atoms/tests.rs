//! Every kind of atom against the interpreter, and the list shapes against the plain wildcard matcher.

use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{Arithmetic, Constant, StringMatch, Value, ValueId};
use kestrel_ir::pattern::wildcard_matches;

use super::*;

fn strings(strings: &[&str]) -> Vec<String> {
    strings.iter().map(|&string| string.to_owned()).collect()
}

#[test]
fn wildcard_shapes_match_as_the_pattern_says() {
    let patterns = [
        "", "*", "**", "a", "a*", "*a", "*a*", "a*b", "ab*ba", "*a*b*", "a*b*c", "a**c", "?", "a?c*", "*?b", "aba*aba",
        "ä*", "*ä", "*ä*", "*ab*ab*", "b*", "?*", "?a*", "??", "??b*", "?*b", "?b?a", "??????a*", "?ä",
    ];
    let texts = [
        "", "a", "b", "ab", "ba", "aba", "abba", "abaaba", "abc", "a\nc", "axbxc", "ä", "aä", "äa", "abab", "cab", "x",
    ];
    for pattern in patterns {
        let test = StringTest::list(StringMatch::Wildcard, &strings(&[pattern]));
        for text in texts {
            assert_eq!(test.matches(text), wildcard_matches(pattern, text), "`{pattern}` over `{text}`");
        }
    }
    let long = format!("{}needle{}äb", "x".repeat(70), "y".repeat(70));
    for pattern in ["*needle*", "x*needle*b", "*needle*ä*", "*needle*needle*", "*yä*", "*xn*", "*zz*"] {
        let test = StringTest::list(StringMatch::Wildcard, &strings(&[pattern]));
        assert_eq!(test.matches(&long), wildcard_matches(pattern, &long), "`{pattern}` over a long text");
    }
    for window in patterns.windows(5) {
        let test = StringTest::list(StringMatch::Wildcard, &strings(window));
        for text in texts {
            let expected = window.iter().any(|pattern| wildcard_matches(pattern, text));
            assert_eq!(test.matches(text), expected, "{window:?} over `{text}`");
        }
    }
}

#[test]
fn every_kind_of_atom_agrees_with_the_interpreter() {
    let mut layout = Layout::new();
    let name = layout.intern("process.name", "keyword".parse().expect("a type"));
    let size = layout.intern("file.size", "long".parse().expect("a type"));
    let score = layout.intern("score", "double".parse().expect("a type"));
    let elevated = layout.intern("elevated", "boolean".parse().expect("a type"));
    let address = layout.intern("source.ip", "ip".parse().expect("a type"));
    let version = layout.intern("version", "version".parse().expect("a type"));
    let values = vec![
        Value::Field(size),
        Value::Constant(Constant::Integer(1)),
        Value::Arithmetic { operation: Arithmetic::Add, left: ValueId(0), right: ValueId(1) },
        Value::Constant(Constant::Integer(11)),
        Value::Compare { comparison: Comparison::Equal, left: ValueId(2), right: ValueId(3) },
    ];
    let list =
        |matching, fold, patterns: &[&str]| Atom::Strings { field: name, matching, fold, strings: strings(patterns) };
    let mut atoms = vec![
        Atom::Boolean { field: elevated, value: true },
        Atom::Boolean { field: elevated, value: false },
        list(StringMatch::Exact, false, &["CMD.exe", "sh"]),
        list(StringMatch::Exact, true, &["cmd.exe", "σ"]),
        list(StringMatch::Wildcard, true, &["*.exe", "s?"]),
        list(StringMatch::Regex, true, &["c.*E", "s"]),
        list(StringMatch::Regex, false, &["c.*e"]),
        Atom::StringOrder { field: name, order: Order::Greater, value: "d".to_owned() },
        Atom::Integers { field: size, values: vec![-1, 10, i64::MAX] },
        Atom::IntegerOrder { field: size, order: Order::Less, value: 10 },
        Atom::FloatOrder { field: size, comparison: Comparison::Ordered(Order::GreaterEqual), value: 9.5 },
        Atom::FloatOrder { field: score, comparison: Comparison::NotEqual, value: 0.5 },
        Atom::FloatOrder { field: score, comparison: Comparison::Equal, value: 0.5 },
        Atom::Cidr { field: address, blocks: vec![Cidr::parse("10.0.0.0/8").expect("a block")] },
        Atom::VersionOrder { field: version, comparison: Comparison::Ordered(Order::Less), value: "1.10".to_owned() },
        Atom::Compute { value: ValueId(4) },
    ];
    atoms.extend([name, size, score, elevated, address, version].map(|field| Atom::Present { field }));
    let ir = Ir { layout, atoms, values, ..Ir::default() };
    let atoms = Atoms::new(&ir).expect("valid tables");
    let interpreter = Interpreter::new(&ir).expect("valid tables");
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&ir.layout, &mut table);
    let number = |name: &str| table.lookup(name).expect("interned");
    let mut builder = FrameBuilder::new(&ir.layout, &table);
    let (mut cache, mut trues) = (atoms.cache(), 0);
    for case in 0u32..256 {
        let mut event = Event::new();
        let names = ["CMD.exe", "cmd.EXE", "sh", "Σ", "CASE", "zed", ""];
        for index in 0..case % 3 {
            event.push_text(number("process.name"), names[(case / 3 + index) as usize % names.len()]);
            event.push_integer(number("file.size"), [10, -1, 9, i64::MAX, i64::MIN][(case / 2 + index) as usize % 5]);
        }
        if case % 5 > 0 {
            event.push_float(number("score"), f64::from(case % 5) / 4.0);
            event.push_boolean(number("elevated"), case % 2 == 0);
            event.push_text(number("version"), ["1.9", "v2.0", "odd"][case as usize % 3]);
            let address = ["10.1.2.3", "11.0.0.1", "::1"][case as usize % 3];
            event.push_ip(number("source.ip"), address.parse().expect("an address"));
        }
        let frame = builder.build(&event);
        cache.reset();
        for (index, atom) in ir.atoms.iter().enumerate() {
            let id = AtomId(index as u32);
            let expected = interpreter.atom(id, frame);
            trues += u32::from(expected);
            assert_eq!(atoms.test(id, frame, &mut cache), expected, "case {case}: {atom:?}");
            assert_eq!(atoms.test(id, frame, &mut cache), expected, "case {case}, remembered: {atom:?}");
        }
    }
    assert!(trues > 500, "the cases exercise both answers, {trues} were true");
    assert!(!atoms.test(AtomId(9999), builder.frame(), &mut cache));
}
