//! Guards: what they say of small predicates, and that they never let too little through.

use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::guards::{
    Guard, analyze, analyze_all, describe, kinds, predicate_kinds, required_fields, required_kinds,
};
use kestrel_ir::interp::Interpreter;
use kestrel_ir::model::PredicateId;
use kestrel_ir::text::{parse, print};
use kestrel_ir::verify::verify;
use kestrel_schema::{EventKind, event_kinds};

mod generate;

const TABLES: &str = r#"
field f0 event.category : keyword
field f1 event.action : keyword
field f2 process.name : keyword
field f3 user.name : keyword
field f4 host.os.type : keyword
field f5 process.pid : long
field f6 file.path : keyword
field f7 event.type : keyword
atom a0 = f0 exact ["process"]
atom a1 = f1 exact ["exec"]
atom a2 = f2 exact~ ["bash", "sh"]
atom a3 = f3 exact ["root"]
atom a4 = f4 exact ["linux"]
atom a5 = f5 > 5
atom a6 = f6 wildcard ["/tmp/*"]
atom a7 = f2 present
atom a8 = f4 exact ["windows"]
atom a9 = f1 exact ["fork"]
atom a10 = f1 wildcard ["f*"]
atom a11 = f7 regex ["st.*"]
atom a12 = f0 exact ["file"]
node n0 = a0
node n1 = a1
node n2 = a2
node n3 = a3
node n4 = a4
node n5 = a5
node n6 = a6
node n7 = a7
node n8 = a8
node n9 = a9
node n10 = true
node n11 = false
node n12 = a10
node n13 = a11
node n14 = a12
"#;

/// The guard of a predicate whose nodes are written from n15 on; the last is the root.
fn check(category: &str, nodes: &[&str], expected: &str) {
    let (text, _) = table_text(category, nodes);
    let ir = parse(&text).expect("a table");
    verify(&ir).expect("a valid table");
    let guard = analyze(&ir, PredicateId(0));
    assert_eq!(describe(&ir, &guard), expected, "{category} where {nodes:?}");
}

fn table_text(category: &str, nodes: &[&str]) -> (String, usize) {
    let mut text = TABLES.to_owned();
    for (index, node) in nodes.iter().enumerate() {
        text += &format!("node n{} = {node}\n", 15 + index);
    }
    let root = 14 + nodes.len();
    (text + &format!("predicate p0 = {category} where n{root}\n"), root)
}

#[test]
fn guards_say_what_a_predicate_needs() {
    check("any", &["a2"], "key equality process.name exact~ [\"bash\", \"sh\"]\n");
    check("any", &["not n2"], "always\n");
    check("any", &["not n2", "not n15"], "key equality process.name exact~ [\"bash\", \"sh\"]\n");
    check("any", &["true"], "always\n");
    check("any", &["and n2 n11"], "never\n");
    check("any", &["not n10"], "never\n");
    check("any", &["or n2 n11"], "key equality process.name exact~ [\"bash\", \"sh\"]\n");
    check("any", &["or n2 n10"], "always\n");
    check("any", &["or n11 n11"], "never\n");
    check("a0", &["true"], "worthless    event.category exact [\"process\"]\n");
    check("a0", &["false"], "never\n");
    check(
        "a0",
        &["and n4 n7 n6 n5 n3 n2"],
        "key equality process.name exact~ [\"bash\", \"sh\"]\n\
         equality     user.name exact [\"root\"]\n\
         affix        file.path wildcard [\"/tmp/*\"]\n\
         test         process.pid > 5\n\
         presence     process.name present\n\
         worthless    event.category exact [\"process\"]\n\
         worthless    host.os.type exact [\"linux\"]\n",
    );
}

#[test]
fn a_disjunction_takes_the_best_of_each_branch() {
    check("any", &["or n2 n3"], "equality     process.name exact~ [\"bash\", \"sh\"] or user.name exact [\"root\"]\n");
    // (name and pid) or (root and pid): both need pid.
    check(
        "any",
        &["and n2 n5", "and n3 n5", "or n15 n16"],
        "equality     process.name exact~ [\"bash\", \"sh\"] or user.name exact [\"root\"]\n\
         test         process.pid > 5\n",
    );
    // De Morgan: not (not name or not root).
    check(
        "any",
        &["not n2", "not n3", "or n15 n16", "not n17"],
        "key equality process.name exact~ [\"bash\", \"sh\"]\n\
         equality     user.name exact [\"root\"]\n",
    );
    // The names are best for the index, the actions for the kernel's filter: both stay.
    check(
        "any",
        &["and n1 n2", "and n9 n3", "or n15 n16"],
        "key equality event.action exact [\"exec\"] or event.action exact [\"fork\"]\n",
    );
    check(
        "any",
        &["and n4 n2", "and n8 n3", "or n15 n16"],
        "equality     process.name exact~ [\"bash\", \"sh\"] or user.name exact [\"root\"]\n\
         worthless    host.os.type exact [\"linux\"] or host.os.type exact [\"windows\"]\n",
    );
    // What a single test implies is not said again.
    check("any", &["or n2 n3", "and n2 n15"], "key equality process.name exact~ [\"bash\", \"sh\"]\n");
}

#[test]
fn long_disjunctions_are_left_out_and_stay_necessary() {
    let mut text = String::from("field f0 process.name : keyword\n");
    for index in 0..600 {
        text += &format!("atom a{index} = f0 exact [\"{index}\"]\nnode n{index} = a{index}\n");
    }
    let all: String = (0..600).map(|index| format!(" n{index}")).collect();
    text += &format!("node n600 = or{all}\nnode n601 = and{all}\n");
    text += "predicate p0 = any where n600\npredicate p1 = any where n601\n";
    let ir = parse(&text).expect("a table");
    assert_eq!(analyze(&ir, PredicateId(0)), Guard::always());
    assert_eq!(analyze(&ir, PredicateId(1)).clauses.len(), kestrel_ir::guards::MAX_CLAUSES);
}

const KINDS: [EventKind; 3] = [
    kind(1, "exec", &["process"], &["start"], "exec"),
    kind(2, "fork", &["process"], &["start"], "fork"),
    kind(3, "create", &["file"], &["creation"], "creation"),
];

const fn kind(
    id: u16,
    name: &'static str,
    category: &'static [&'static str],
    event_type: &'static [&'static str],
    action: &'static str,
) -> EventKind {
    EventKind { id, name, category, event_type, action, live: true, fields: &[], doc: "" }
}

#[test]
fn kinds_follow_from_constant_fields() {
    // Nodes, the kinds by the guard, the kinds by the whole predicate.
    for (category, nodes, by_guard, by_predicate) in [
        ("any", &["true"][..], &[1, 2, 3][..], &[1, 2, 3][..]),
        ("any", &["false"], &[], &[]),
        ("a0", &["true"], &[1, 2], &[1, 2]),
        ("a12", &["a2"], &[3], &[3]),
        ("a0", &["a1"], &[1], &[1]),
        ("a12", &["a1"], &[], &[]),
        ("a0", &["a10"], &[2], &[2]),
        ("any", &["a11"], &[1, 2], &[1, 2]),
        ("any", &["a4"], &[1, 2, 3], &[1, 2, 3]),
        ("any", &["a8"], &[], &[]),
        ("any", &["not n1"], &[1, 2, 3], &[2, 3]),
        ("a0", &["not n1"], &[1, 2], &[2]),
        ("any", &["or n1 n9"], &[1, 2], &[1, 2]),
        ("any", &["or n1 n2"], &[1, 2, 3], &[1, 2, 3]),
        ("any", &["and n1 n2", "and n9 n3", "or n15 n16"], &[1, 2], &[1, 2]),
        ("any", &["and n1 n9"], &[], &[]),
        ("any", &["not n1", "not n9", "and n15 n16 n2"], &[1, 2, 3], &[3]),
    ] {
        let ir = parse(&table_text(category, nodes).0).expect("a table");
        let guard = analyze(&ir, PredicateId(0));
        assert_eq!(kinds(&ir, &guard, &KINDS), by_guard, "by guard: {category} where {nodes:?}");
        assert_eq!(predicate_kinds(&ir, &KINDS), [by_predicate], "by predicate: {category} where {nodes:?}");
    }
}

#[test]
fn a_pack_requires_what_its_rules_read() {
    let mut text = table_text("a0", &["a1"]).0;
    text += "predicate p1 = a12 where n2\nrule \"r\" = event p0\n";
    let ir = parse(&text).expect("a table");
    // No rule uses p1.
    assert_eq!(required_kinds(&ir, &KINDS), [1]);
    let fields = required_fields(&ir);
    assert_eq!(fields.len(), 8);
    assert!(fields.is_sorted());
}

#[test]
fn whenever_a_predicate_is_true_its_guard_holds() {
    let kinds_known = event_kinds();
    let (mut held, mut refused) = (0, 0);
    for seed in 0..1_500 {
        let mut random = generate::Random::new(seed);
        let ir = generate::ir(&mut random);
        verify(&ir).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", print(&ir)));
        let guards = analyze_all(&ir);
        let by_predicate = predicate_kinds(&ir, kinds_known);
        let by_guard: Vec<Vec<u16>> = guards.iter().map(|guard| kinds(&ir, guard, kinds_known)).collect();
        let interpreter = Interpreter::new(&ir).expect("a verified IR");
        let table = generate::table(&ir);
        let mut builder = FrameBuilder::new(&ir.layout, &table);
        for number in 0..24 {
            let kind = &kinds_known[random.below(kinds_known.len())];
            let kind = (number % 2 == 0).then_some(kind);
            let event = generate::event(&mut random, &table, kind);
            let frame = builder.build(&event);
            for (index, guard) in guards.iter().enumerate() {
                let predicate = PredicateId(index as u32);
                let through = guard.holds(|atom| interpreter.atom(atom, frame));
                if !interpreter.predicate(predicate, frame) {
                    refused += usize::from(!through);
                    continue;
                }
                held += 1;
                assert!(through, "seed {seed}, p{index}\n{}\n{}", describe(&ir, guard), print(&ir));
                if let Some(kind) = kind {
                    assert!(by_guard[index].contains(&kind.id), "seed {seed}, p{index}, kind {}", kind.name);
                    assert!(by_predicate[index].contains(&kind.id), "seed {seed}, p{index}, kind {}", kind.name);
                }
            }
        }
    }
    // The property would be empty if nothing ever held, and guards useless if they never refused.
    assert!(held > 1_000 && refused > 1_000, "{held} held, {refused} refused");
}
