//! Filter maps and explanations of small packs, as tables.

use kestrel_backend_bpf::{NAMED_RULES, RuleStep, compile};
use kestrel_ir::guards::{analyze, kinds, required_kinds};
use kestrel_ir::model::PredicateId;
use kestrel_ir::pack::{FilterKey, FilterTest, KindKeys, Manifest, PackBuilder, RuleInfo};
use kestrel_ir::text::parse;
use kestrel_ir::verify::verify;
use kestrel_schema::{EventKind, event_kinds};

const KINDS: [EventKind; 4] = [
    kind(1, "exec", &["process"], &["start"], "exec", true),
    kind(2, "fork", &["process"], &["start"], "fork", true),
    kind(3, "exit", &["process"], &["end"], "end", true),
    kind(9, "file_create", &["file"], &["creation"], "creation", false),
];

const fn kind(
    id: u16,
    name: &'static str,
    category: &'static [&'static str],
    event_type: &'static [&'static str],
    action: &'static str,
    live: bool,
) -> EventKind {
    EventKind { id, name, category, event_type, action, live, fields: &[], doc: "" }
}

const TABLES: &str = r#"
field f0 event.category : keyword
field f1 event.action : keyword
field f2 event.type : keyword
field f3 process.name : keyword
field f4 process.args : keyword
atom a0 = f0 exact ["process"]
atom a1 = f0 exact ["file"]
atom a2 = f1 exact ["exec"]
atom a3 = f2 exact ["start"]
atom a4 = f3 exact~ ["sh"]
atom a5 = value v2
value v0 = f4
value v1 = call length v0
value v2 = v1 == v1
node n0 = true
node n1 = a2
node n2 = a3
node n3 = a4
node n4 = a5
node n5 = false
"#;

const NAME_STAYS: &str =
    "; the kernel compares `process.name` by 1 key (name of the process); in user space: tests of `process.name`";

/// `category where node`, with more nodes from n6 on; the kinds that pass and the explanation.
fn check(category: &str, nodes: &[&str], expected: &[u16], why: &str) {
    let mut text = TABLES.to_owned();
    for (index, node) in nodes.iter().enumerate() {
        text += &format!("node n{} = {node}\n", 6 + index);
    }
    text += &format!("predicate p0 = {category} where n{}\nrule \"r\" = event p0\n", 5 + nodes.len());
    let ir = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(&ir).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let filter = compile(&ir, &KINDS);
    assert_eq!(filter.maps.kinds, expected, "{nodes:?}");
    assert_eq!(filter.maps.known, [1, 2, 3, 9]);
    assert_eq!(filter.maps.kinds, required_kinds(&ir, &KINDS));
    let [explanation] = filter.explanations.as_slice() else { panic!("one explanation") };
    assert_eq!(explanation.kinds, expected);
    assert_eq!(explanation.why, why, "{nodes:?}");
    // The guard alone may let more through, never less.
    let by_guard = kinds(&ir, &analyze(&ir, PredicateId(0)), &KINDS);
    assert!(expected.iter().all(|kind| by_guard.contains(kind)), "{nodes:?}: {by_guard:?}");
}

#[test]
fn kinds_are_pushed_down_with_their_reason() {
    check(
        "any",
        &["true"],
        &[1, 2, 3, 9],
        "events of every kind can satisfy it; the kind of an event decides all of it",
    );
    check("any", &["a4"], &[1, 2, 3, 9], &format!("events of every kind can satisfy it{NAME_STAYS}"));
    check("any", &["false"], &[], "it is never true, so no event passes for it");
    check(
        "a0",
        &["true"],
        &[1, 2, 3],
        "pushed down: 3 of 4 kinds pass (exec, fork, exit), by event.category exact [\"process\"]; \
         the kind of an event decides all of it",
    );
    check(
        "a0",
        &["and n1 n3"],
        &[1],
        &format!(
            "pushed down: 1 of 4 kinds pass (exec), by event.action exact [\"exec\"], event.category exact [\"process\"]{NAME_STAYS}"
        ),
    );
    check(
        "a1",
        &["a2"],
        &[],
        "no kind of event can satisfy it, by event.action exact [\"exec\"], event.category exact [\"file\"]; nothing passes for it",
    );
    check(
        "any",
        &["not n2", "and n3 n6"],
        &[3, 9],
        &format!("pushed down: 2 of 4 kinds pass (exit, file_create), by what it excludes{NAME_STAYS}"),
    );
    check(
        "a1",
        &["a5"],
        &[9],
        "pushed down: 1 of 4 kinds pass (file_create), by event.category exact [\"file\"]; of these the kernel can compare \
         nothing, so that all events of these kinds pass; in user space: tests of `process.args`",
    );
}

#[test]
fn every_term_counts_and_says_what_it_needs() {
    let text = format!(
        "{TABLES}value v3 = step 0 f3\nvalue v4 = f3\nvalue v5 = v3 == v4\natom a6 = value v5\nnode n6 = a6\n\
         predicate p0 = a0 where n1\npredicate p1 = a1 where n0\npredicate p2 = a0 where n2\n\
         rule \"s\" = sequence maxspan 1m {{\n  step p0\n  missing p1\n  step p2 joined n6\n  until p1\n}}\n"
    );
    let ir = parse(&text).expect("the tables");
    verify(&ir).expect("valid tables");
    let filter = compile(&ir, &KINDS);
    assert_eq!(filter.maps.kinds, [1, 2, 9]);
    let steps: Vec<(RuleStep, &[u16])> =
        filter.explanations.iter().map(|explanation| (explanation.step, explanation.kinds.as_slice())).collect();
    let expected: [(RuleStep, &[u16]); 4] =
        [(RuleStep::Term(0), &[1]), (RuleStep::Term(1), &[9]), (RuleStep::Term(2), &[1, 2]), (RuleStep::Until, &[9])];
    assert_eq!(steps, expected);
    let ends: [&str; 2] = [
        "; a missing term needs its events in user space too, to know that there were none",
        "; the comparison with earlier steps needs their events, which the kernel does not keep",
    ];
    assert!(filter.explanations[1].why.ends_with(ends[0]), "{}", filter.explanations[1].why);
    assert!(filter.explanations[2].why.ends_with(ends[1]), "{}", filter.explanations[2].why);
}

#[test]
fn reasons_name_the_first_rules_and_count_the_rest() {
    let mut text = format!("{TABLES}predicate p0 = a0 where n1\n");
    for index in 0..NAMED_RULES + 3 {
        text += &format!("rule \"r{index}\" = event p0\n");
    }
    let filter = compile(&parse(&text).expect("the tables"), &KINDS);
    let [reason] = filter.maps.reasons.as_slice() else { panic!("one kind") };
    assert_eq!((reason.kind, reason.rules.len(), reason.more), (1, NAMED_RULES, 3));
}

#[test]
fn a_kind_that_the_compiler_did_not_know_passes() {
    let text = format!("{TABLES}predicate p0 = a0 where n1\nrule \"r\" = event p0\n");
    let maps = compile(&parse(&text).expect("the tables"), &KINDS).maps;
    assert!(maps.wants(1) && !maps.wants(2) && maps.wants(4711));
}

#[test]
fn the_maps_fit_into_a_pack() {
    let text = format!("{TABLES}predicate p0 = a0 where n1\nrule \"r\" = event p0\n");
    let ir = parse(&text).expect("the tables");
    let rules = vec![RuleInfo { id: "r".to_owned(), ..RuleInfo::default() }];
    let manifest = Manifest { rules, schema_hash: "0".repeat(64), ..Manifest::default() };
    let filters = compile(&ir, event_kinds()).maps;
    let pack =
        PackBuilder { filters: filters.clone(), ..PackBuilder::new(manifest, ir) }.build().expect("a valid pack");
    assert_eq!(pack.filters(), &filters);
    assert_eq!(pack.manifest().required_kinds, filters.kinds);
}

#[test]
fn a_kind_has_keys_when_all_that_can_want_it_have_some() {
    let file = |nodes: &str| {
        let fields = "field f5 file.path : keyword
atom a6 = f5 wildcard~ [\"*/.ssh/authorized_keys\", \"/etc/cron.d/*\"]\nnode n6 = a6\n";
        let ir = parse(&format!("{TABLES}{fields}{nodes}")).expect("the tables");
        verify(&ir).expect("valid tables");
        compile(&ir, &KINDS).keys
    };
    let one = file("predicate p0 = a1 where n6\nrule \"r\" = event p0\n");
    let key = |test, text: &str| FilterKey { test, text: text.to_owned() };
    let expected = vec![key(FilterTest::FileName, "authorized_keys"), key(FilterTest::PathPrefix, "etc/cron.d")];
    assert_eq!(one, [KindKeys { kind: 9, keys: expected.clone() }]);
    let both =
        file("predicate p0 = a1 where n6\npredicate p1 = a1 where n3\nrule \"r\" = event p0\nrule \"s\" = event p1\n");
    let mut expected = expected;
    expected.push(key(FilterTest::ProcessName, "sh"));
    assert_eq!(both, [KindKeys { kind: 9, keys: expected }]);
    let unnamed =
        file("predicate p0 = a1 where n6\npredicate p1 = a1 where n4\nrule \"r\" = event p0\nrule \"s\" = event p1\n");
    assert_eq!(unnamed, []);
}

#[test]
fn what_lineage_asks_of_the_past_is_wanted_too() {
    let lineage = "field f5 process.entity_id : keyword\nfield f6 process.parent.entity_id : keyword\n\
                   field f7 process.Ext.ancestry : keyword\nlineage entity f5 parent f6 ancestry f7 type f2\n\
                   atom a6 = descendant of p0\nnode n6 = a6\n";
    let rule = "predicate p0 = a0 where n1\npredicate p1 = a1 where n6\nrule \"r\" = event p1\n";
    let ir = parse(&format!("{TABLES}{lineage}{rule}")).expect("the tables");
    let maps = compile(&ir, &KINDS).maps;
    // The execs that it is about, the ends of processes, and the rule's own files.
    assert_eq!(maps.kinds, [1, 3, 9]);
    assert_eq!(maps.kinds, required_kinds(&ir, &KINDS));
    assert!(maps.reasons.iter().map(|reason| reason.kind).eq(maps.kinds.iter().copied()));
}
