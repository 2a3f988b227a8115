//! The verifier: one case for each check, all problems at once, and no harm from hostile tables.

use kestrel_ir::layout::Layout;
use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId, Value, ValueId};
use kestrel_ir::text::parse;
use kestrel_ir::verify::{MAX_DEPTH, MAX_ENTRIES, MAX_PROBLEMS, VerifyError, verify};

mod generate;

const FIELDS: &str = "\
field f0 event.category : keyword
field f1 process.name : keyword
field f2 process.pid : long
field f3 process.flag : boolean
field f4 source.ip : ip
field f5 file.score : double
field f6 package.version : version
field f7 @timestamp : date
field f8 stack : object
field f9 stack.symbol : keyword in f8
field f10 other : object
";

fn problems(result: Result<(), VerifyError>) -> Vec<String> {
    let error = result.expect_err("a problem");
    error.problems().iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect()
}

/// `entries` behind the fields above; the problems they have, one a line.
fn check(entries: &str, expected: &[&str]) {
    let ir = parse(&format!("{FIELDS}{entries}")).unwrap_or_else(|error| panic!("{error}\n{entries}"));
    match expected {
        [] => assert_eq!(verify(&ir), Ok(()), "{entries}"),
        _ => assert_eq!(problems(verify(&ir)), expected, "{entries}"),
    }
}

#[test]
fn atoms_fit_their_fields() {
    check("atom a0 = f1 exact [\"A\", \"b\"]\natom a1 = f6 wildcard~ [\"1.*\"]\natom a2 = f9 exact [\"x\"]", &[]);
    check("atom a0 = f7 in [1]\natom a1 = f2 < 5\natom a2 = f2 < 0.5\natom a3 = f5 == 0.5\natom a4 = f8 present", &[]);
    for (atom, problem) in [
        ("f2 exact [\"a\"]", "`process.pid` is of type long, which this test does not fit"),
        ("f1 in [1]", "`process.name` is of type keyword, which this test does not fit"),
        ("f5 < 5", "`file.score` is of type double, which this test does not fit"),
        ("f7 < 0.5", "`@timestamp` is of type date, which this test does not fit"),
        ("f6 < \"1\"", "`package.version` is of type version, which this test does not fit"),
        ("f1 version < \"1\"", "`process.name` is of type keyword, which this test does not fit"),
        ("f1 is true", "`process.name` is of type keyword, which this test does not fit"),
        ("f1 cidr [::/0]", "`process.name` is of type keyword, which this test does not fit"),
        ("f99 present", "there is no field f99"),
        ("f1 exact []", "no strings"),
        ("f1 regex []", "no strings"),
        ("f2 in []", "no integers"),
        ("f4 cidr []", "no blocks"),
        ("f1 exact [\"b\", \"a\"]", "strings are not sorted, or one is there twice"),
        ("f1 exact [\"a\", \"a\"]", "strings are not sorted, or one is there twice"),
        ("f2 in [2, 1]", "integers are not sorted, or one is there twice"),
        ("f4 cidr [10.0.0.0/8, 10.0.0.0/8]", "blocks are not sorted, or one is there twice"),
        ("f1 exact~ [\"A\"]", "\"A\" is not folded"),
        ("f1 regex [\"a\", \"a\"]", "regular expression \"a\" is there twice"),
        ("f5 < inf", "inf is not a finite number"),
        ("f5 == NaN", "NaN is not a finite number"),
        ("value v0", "there is no v0"),
        ("any f8 where n0", "there is no n0"),
    ] {
        check(&format!("atom a0 = {atom}"), &[&format!("atom a0: {problem}")]);
    }
    let ir = parse(&format!("{FIELDS}atom a0 = f1 regex [\"(\"]")).expect("an IR");
    assert!(problems(verify(&ir))[0].starts_with("atom a0: regular expression \"(\": "));
}

#[test]
fn decoded_blocks_are_canonical() {
    let mut ir = parse(&format!("{FIELDS}atom a0 = f4 cidr [10.0.0.0/8]")).expect("an IR");
    for (prefix, octet) in [(200, 0), (64, 1)] {
        let block =
            serde_json::json!({"network": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, octet], "prefix": prefix});
        let Some(Atom::Cidr { blocks, .. }) = ir.atoms.first_mut() else { panic!("no blocks") };
        *blocks = vec![serde_json::from_value(block).expect("a block")];
        assert_eq!(problems(verify(&ir)), [format!("atom a0: block with a prefix of {prefix} bits is not canonical")]);
    }
}

#[test]
fn values_and_nodes_are_whole() {
    check("value v0 = f2\nvalue v1 = call length v0\nvalue v2 = v0 + v1\nnode n0 = true\nnode n1 = and n0 n0", &[]);
    check("value v0 = call length", &["value v0: Length does not take 0 arguments"]);
    check("value v0 = f77", &["value v0: there is no field f77"]);
    check("value v0 = -inf", &["value v0: -inf is not a finite number"]);
    check("value v0 = negate v1\nvalue v1 = null", &["value v0: refers to v1, which is not an earlier entry"]);
    check("value v0 = step 256 f1", &["value v0: step 256, at most 256 steps are allowed"]);
    check("value v0 = step 0 f9", &["value v0: `stack.symbol` of another step is a child field"]);
    check(
        "value v0 = null\nvalue v1 = v0 regex~ [\"a\", \"a\"]",
        &["value v1: regular expression \"a\" is there twice"],
    );
    check("node n0 = and", &["node n0: 0 branches, at least 2 are needed"]);
    check("node n0 = true\nnode n1 = or n0", &["node n1: 1 branches, at least 2 are needed"]);
    check("node n0 = a5", &["node n0: there is no a5"]);
    check("node n0 = not n0", &["node n0: refers to n0, which is not an earlier entry"]);
}

#[test]
fn cycles_across_tables_are_found() {
    check("atom a0 = value v0\nvalue v0 = when n0\nnode n0 = a0", &["node n0: is in a cycle with atom a0"]);
    check("atom a0 = any f8 where n0\nnode n0 = a0", &["node n0: is in a cycle with atom a0"]);
}

#[test]
fn children_are_read_in_searches_of_their_object_only() {
    let search = "atom a0 = f9 exact [\"x\"]\natom a1 = f1 present\nnode n0 = a0\nnode n1 = a1\nnode n2 = and n0 n1\n";
    check(&format!("{search}atom a2 = any f8 where n2\nnode n3 = a2\npredicate p0 = any where n3"), &[]);
    check(&format!("{search}atom a2 = any f10 where n2"), &["atom a2: its condition reads children of another object"]);
    check(
        &format!("{search}predicate p0 = any where n2"),
        &["predicate p0: reads a child field outside a search of its object"],
    );
    check(
        &format!("{search}predicate p0 = a0 where n1"),
        &["predicate p0: reads a child field outside a search of its object"],
    );
    check(
        "value v0 = f9\natom a0 = value v0\nnode n0 = a0\npredicate p0 = any where n0",
        &["predicate p0: reads a child field outside a search of its object"],
    );
    check(
        "node n0 = true\natom a0 = any f1 where n0",
        &["atom a0: `process.name` is of type keyword, which this test does not fit"],
    );
}

#[test]
fn rules_are_whole() {
    let head = "node n0 = true\npredicate p0 = any where n0\n";
    let check = |rule: &str, expected: &[&str]| check(&format!("{head}{rule}"), expected);
    check("rule \"r\" = sequence maxspan 1s {\nstep p0 by f1, null?\nmissing p0 by f1, f1\n}", &[]);
    check("rule \"r\" = sample {\nstep p0 by f1\nstep p0 by f0\n}", &[]);
    check("rule \"r\" = event p9", &["rule 0 \"r\": there is no p9"]);
    check("rule \"r\" = event p0\nrule \"r\" = event p0", &["rule 1 \"r\": another rule has this id"]);
    check("rule \"\" = event p0", &["rule 0 \"\": an id has 1 to 1024 bytes, not 0"]);
    let pipes = " | head 1".repeat(17);
    check(&format!("rule \"r\" = event p0{pipes}"), &["rule 0 \"r\": 17 pipes, at most 16 are allowed"]);
    for (steps, problem) in [
        ("step p0", "1 terms, 2 to 256 are allowed"),
        (&"step p0\n".repeat(257), "257 terms, 2 to 256 are allowed"),
        ("missing p0\nmissing p0", "no term of the sequence is positive"),
        ("step p0\nstep p0\nuntil missing p0", "`until` can not be a missing term"),
        ("step p0 by f1\nstep p0", "the terms have different numbers of keys"),
        ("step p0\nstep p0\nuntil p0 by f1", "the terms have different numbers of keys"),
        ("step p0 by f1\nstep p0 by f2", "the types of a key differ between terms"),
        ("step p0 by f1\nstep p0 by null", "a key without a field is not optional"),
        ("step p0 by f1\nstep p0 by f9", "a key is an object or a child field"),
        ("step p0 by f8\nstep p0 by f8", "a key is an object or a child field"),
        ("step p0 by f1\nstep p0 by f77", "there is no field f77"),
        ("step p0\nstep p7", "there is no p7"),
        ("step p0\nstep p0 joined n7", "there is no n7"),
    ] {
        let rule = format!("rule \"r\" = sequence maxspan 1s {{\n{steps}\n}}");
        let ir = parse(&format!("{FIELDS}{head}{rule}")).unwrap_or_else(|error| panic!("{error}\n{rule}"));
        assert!(problems(verify(&ir)).contains(&format!("rule 0 \"r\": {problem}")), "{steps}: {:?}", verify(&ir));
    }
    check("rule \"r\" = sequence maxspan 0ns {\nstep p0\nstep p0\n}", &["rule 0 \"r\": maxspan is not positive"]);
    check("rule \"r\" = sequence {\nstep p0\nmissing p0\n}", &["rule 0 \"r\": a missing term needs a maxspan"]);
    check(
        "rule \"r\" = sample {\nmissing p0 by f1\nstep p0 joined n0 by f1\n}",
        &[
            "rule 0 \"r\": a sample can not have a missing term",
            "rule 0 \"r\": a sample can not join its terms' fields",
        ],
    );
}

#[test]
fn joins_read_earlier_positive_terms_only() {
    let head = "value v0 = step 1 f1\nvalue v1 = f1\nvalue v2 = v0 == v1\natom a0 = value v2\nnode n0 = a0\nnode n1 = true\n\
                predicate p0 = any where n1\n";
    let rule = |steps: &str| format!("{head}rule \"r\" = sequence maxspan 1s {{\n{steps}\n}}");
    check(&rule("step p0\nstep p0\nstep p0 joined n0"), &[]);
    check(&rule("step p0\nstep p0\nuntil p0 joined n0"), &[]);
    let late = "rule 0 \"r\": a join reads step 1, which is no earlier positive term";
    check(&rule("step p0\nstep p0 joined n0"), &[late]);
    check(&rule("step p0\nmissing p0\nstep p0 joined n0"), &[late]);
    check(&format!("{head}predicate p1 = any where n0"), &["predicate p1: reads a field of another step"]);
}

#[test]
fn layouts_are_dense_and_two_levels_deep() {
    let field = |name: &str, field_type: &str, parent: Option<u32>, slot: u32| serde_json::json!({"name": name, "field_type": field_type, "parent": parent, "slot": slot});
    let object = field("a", "object", None, 0);
    for (fields, expected) in [
        (vec![object.clone(), field("a.b", "long", Some(0), 0), field("c", "long", None, 1)], None),
        (vec![field("", "long", None, 0)], Some("field f0: a name has 1 to 1024 bytes, not 0")),
        (vec![field("a", "long", None, 1)], Some("field f0: slot 1 where slot 0 is next")),
        (vec![object.clone(), field("b", "long", None, 0)], Some("field f1: slot 0 where slot 1 is next")),
        (vec![object.clone(), field("a", "long", None, 1)], Some("field f1: `a` is already declared")),
        (vec![object.clone(), field("a.b", "long", Some(0), 1)], Some("field f1: slot 1 where slot 0 is next")),
        (vec![object.clone(), field("b", "long", Some(0), 0)], Some("field f1: `b` is not a name below `a`")),
        (
            vec![field("a", "long", None, 0), field("a.b", "long", Some(0), 0)],
            Some("field f1: its parent `a` is no top-level object"),
        ),
        (
            vec![field("a.b", "long", Some(1), 0), object.clone()],
            Some("field f0: its parent f1 is not an earlier field"),
        ),
        (vec![field("a.b", "long", Some(0), 0)], Some("field f0: its parent f0 is not an earlier field")),
        (
            vec![object.clone(), field("a.b", "object", Some(0), 0), field("a.b.c", "long", Some(1), 0)],
            Some("field f2: its parent `a.b` is no top-level object"),
        ),
    ] {
        let layout: Layout = serde_json::from_value(serde_json::json!({ "fields": fields })).expect("a layout");
        let result = verify(&Ir { layout, ..Ir::default() });
        match expected {
            None => assert_eq!(result, Ok(())),
            Some(expected) => assert_eq!(problems(result), [expected]),
        }
    }
}

#[test]
fn hostile_depth_and_width_do_no_harm() {
    let chain = |length: usize| {
        let mut nodes = vec![Node::Constant(true)];
        nodes.extend((1..length).map(|index| Node::Not(NodeId(index as u32 - 1))));
        Ir { nodes, ..Ir::default() }
    };
    assert_eq!(verify(&chain(MAX_DEPTH as usize)), Ok(()));
    let deep = ["node n512: nested deeper than 512 entries"];
    assert_eq!(problems(verify(&chain(MAX_DEPTH as usize + 1))), deep);
    assert_eq!(problems(verify(&chain(500_000)))[0], deep[0]);

    let mut wide = Ir { nodes: vec![Node::Constant(true)], ..Ir::default() };
    wide.nodes.extend((1..200).map(|index| Node::And(vec![NodeId(index - 1); 2])));
    assert_eq!(problems(verify(&wide)), ["node n20: stands for more than 1048576 entries"]);

    let long = Ir { nodes: vec![Node::Constant(true); MAX_ENTRIES + 1], ..Ir::default() };
    assert_eq!(problems(verify(&long)), ["tables: 1048577 nodes, at most 1048576 are allowed"]);
}

#[test]
fn problems_are_counted_beyond_their_limit() {
    let ir = Ir { nodes: vec![Node::Atom(AtomId(9)); 1000], ..Ir::default() };
    let error = verify(&ir).expect_err("a problem");
    assert_eq!((error.problems().len(), error.untold()), (MAX_PROBLEMS, 1000 - MAX_PROBLEMS));
    assert!(error.to_string().ends_with("; and 936 more"));
}

#[test]
fn random_references_never_make_it_panic() {
    for seed in 0..2_000 {
        let mut random = generate::Random::new(seed);
        let mut ir = generate::ir(&mut random);
        for _ in 0..1 + random.below(3) {
            let id = random.below(40) as u32;
            match random.below(4) {
                0 => ir.nodes.push(Node::And(vec![NodeId(id), NodeId(0)])),
                1 => ir.atoms.insert(random.below(ir.atoms.len()), Atom::Compute { value: ValueId(id) }),
                2 => ir.values.insert(0, Value::Condition(NodeId(id))),
                _ => ir.nodes.insert(random.below(ir.nodes.len()), Node::Atom(AtomId(id))),
            }
        }
        let _ = verify(&ir);
        kestrel_ir::guards::analyze_all(&ir);
        kestrel_ir::guards::predicate_kinds(&ir, kestrel_schema::event_kinds());
    }
}

#[test]
fn programs_belong_to_one_rule_of_single_events() {
    let rules = "node n0 = true\npredicate p0 = any where n0\n";
    let one = "rule \"a\" = event p0 program g0\n";
    check(&format!("{rules}program g0 = lua \"a\" fields [f1, f2] capabilities [fields, state] memory 1\n{one}"), &[]);
    for (program, problem) in [
        ("lua \"\" fields [] capabilities []", "a name has 1 to 1024 bytes, not 0"),
        ("lua \"a\" fields [f99] capabilities []", "there is no field f99"),
        ("lua \"a\" fields [f8] capabilities []", "`stack` is an object or a child field"),
        ("lua \"a\" fields [f9] capabilities []", "`stack.symbol` is an object or a child field"),
        ("lua \"a\" fields [f1, f1] capabilities []", "f1 is listed twice"),
        ("lua \"a\" fields [] capabilities [state, fields]", "capabilities are not sorted, or one is there twice"),
        ("lua \"a\" fields [] capabilities [] host_work 0", "a limit is 0"),
    ] {
        check(&format!("{rules}program g0 = {program}\n{one}"), &[&format!("program g0: {problem}")]);
    }
    let program = "program g0 = lua \"a\" fields [] capabilities []\n";
    check(&format!("{rules}{program}"), &["program g0: it is the program of 0 rules, not of one"]);
    let second = "rule \"b\" = event p0 program g0\n";
    check(&format!("{rules}{program}{one}{second}"), &["program g0: it is the program of 2 rules, not of one"]);
    check(&format!("{rules}{one}"), &["rule 0 \"a\": there is no g0"]);
    let same = format!("{program}program g1 = wasm \"a\" fields [] capabilities []\n");
    let both = "rule \"b\" = event p0 program g1\n";
    check(&format!("{rules}{same}{one}{both}"), &["program g1: another program has this name"]);
    let sequence = "rule \"a\" = sequence {\n step p0\n step p0\n} program g0\n";
    check(&format!("{rules}{program}{sequence}"), &["rule 0 \"a\": only a rule of single events can have a program"]);
}
