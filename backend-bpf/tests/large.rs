//! Rules that ask for more than the kernel's filter can hold: their packs are built all the same, and nothing that they want is
//! left out by the keys.

use std::collections::BTreeSet;

use kestrel_backend_bpf::compile;
use kestrel_ir::model::{Atom, AtomId, Ir, Node, NodeId, Predicate, PredicateId, Rule, RuleKind, StringMatch};
use kestrel_ir::pack::{FilterKey, FilterTest, Manifest, Pack, PackBuilder, RuleInfo, SectionId};
use kestrel_ir::text::parse;
use kestrel_schema::{event_kind, event_kinds};

const FIRST: &str = r#"
field f0 event.category : keyword
field f1 process.args : keyword
field f2 process.name : keyword
atom a0 = f0 exact ["process"]
atom a1 = f2 exact ["sh"]
node n0 = a1
predicate p0 = a0 where n0
rule "r0" = event p0
"#;

fn names(first: usize, count: usize) -> Vec<String> {
    (first..first + count).map(|number| format!("name-{number:06}")).collect()
}

/// The pack of one rule for processes with one of these names.
fn rules(names: Vec<String>) -> Ir {
    let mut ir = parse(FIRST).expect("the tables");
    let Some(Atom::Strings { strings, .. }) = ir.atoms.get_mut(1) else { panic!("a list of names") };
    *strings = names;
    ir
}

/// One more rule for processes, with a condition made of the nodes of the list and of an argument or name of its own.
fn add(ir: &mut Ir, of_name: bool, text: String, join: fn(Vec<NodeId>) -> Node) {
    let like = ir.atoms.get(1).cloned();
    let Some(Atom::Strings { field: name, .. }) = like else { panic!("a list of names") };
    let field = if of_name { name } else { ir.layout.lookup("process.args").expect("it is there") };
    ir.atoms.push(Atom::Strings { field, matching: StringMatch::Exact, fold: false, strings: vec![text] });
    ir.nodes.push(Node::Atom(AtomId(ir.atoms.len() as u32 - 1)));
    ir.nodes.push(join(vec![NodeId(0), NodeId(ir.nodes.len() as u32 - 1)]));
    ir.predicates.push(Predicate { category: Some(AtomId(0)), root: NodeId(ir.nodes.len() as u32 - 1) });
    let predicate = PredicateId(ir.predicates.len() as u32 - 1);
    let id = format!("r{}", ir.rules.len());
    ir.rules.push(Rule { id, kind: RuleKind::Event { predicate }, ..ir.rules[0].clone() });
}

fn pack(ir: Ir) -> Pack {
    let filter = compile(&ir, event_kinds());
    let rules = ir.rules.iter().map(|rule| RuleInfo { id: rule.id.clone(), ..RuleInfo::default() }).collect();
    let manifest = Manifest { rules, schema_hash: "0".repeat(64), ..Manifest::default() };
    let builder = PackBuilder {
        filters: filter.maps,
        filter_keys: filter.keys,
        predicate_keys: filter.predicate_keys,
        ..PackBuilder::new(manifest, ir)
    };
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

/// What the kernel compares in execs; `None` when all of them pass.
fn keys_of_execs(pack: &Pack) -> Option<&[FilterKey]> {
    let exec = event_kind("exec").expect("a kind").id;
    assert!(pack.filters().wants(exec));
    pack.filter_keys().iter().find(|keys| keys.kind == exec).map(|keys| keys.keys.as_slice())
}

fn has_all(keys: &[FilterKey], names: &[String]) -> bool {
    let texts: BTreeSet<&str> =
        keys.iter().filter(|key| key.test == FilterTest::ProcessName).map(|key| key.text.as_str()).collect();
    names.iter().all(|name| texts.contains(name.as_str()))
}

/// The rules with these numbers alone.
fn only(pack: &Pack, kept: &[u32]) -> Pack {
    let ids: Vec<String> = kept.iter().map(|number| format!("r{number}")).collect();
    pack.clone().with_rules(|_, _, info| ids.contains(&info.id))
}

/// Which predicates the table knows for execs, and which not.
fn known(pack: &Pack) -> (Vec<u32>, Vec<u32>) {
    let exec = event_kind("exec").expect("a kind").id;
    let uses = pack.predicate_keys().uses.iter().filter(|used| used.kinds.contains(&exec));
    let known: BTreeSet<u32> = uses.map(|used| used.predicate).collect();
    (0..pack.ir().predicates.len() as u32).partition(|predicate| known.contains(predicate))
}

#[test]
fn a_list_beyond_the_tables_is_wanted_whole() {
    // More than a pack may have keys.
    let pack = pack(rules(names(0, 300_000)));
    assert_eq!(keys_of_execs(&pack), None);
    assert!(pack.predicate_keys().keys.is_empty());
}

#[test]
fn a_list_that_fits_has_all_its_names() {
    for (count, fits) in [(4_096, true), (4_097, false)] {
        let names = names(0, count);
        let pack = pack(rules(names.clone()));
        assert_eq!(keys_of_execs(&pack).is_some_and(|keys| has_all(keys, &names)), fits, "{count}");
        assert_eq!(known(&pack).0.is_empty(), !fits, "{count}");
    }
}

#[test]
fn a_long_list_that_many_rules_share_is_in_the_table_as_far_as_there_is_room() {
    let names = names(0, 4_000);
    let mut ir = rules(names.clone());
    (1..2_000).for_each(|rule| add(&mut ir, false, format!("argument {rule}"), Node::And));
    let pack = pack(ir);
    assert!(keys_of_execs(&pack).is_some_and(|keys| has_all(keys, &names)));
    assert!(pack.section(SectionId::PREDICATE_KEYS).is_some_and(|bytes| bytes.len() <= 4 << 20));
    let (known, unknown) = known(&pack);
    assert!(known.len() > 100 && unknown.len() > 1_000, "{} and {}", known.len(), unknown.len());
    let chosen = only(&pack, &known[..2]);
    assert!(keys_of_execs(&chosen).is_some_and(|keys| has_all(keys, &names)));
    // What the table does not tell is wanted whole, also beside what it tells.
    assert_eq!(keys_of_execs(&only(&pack, &unknown[..1])), None);
    assert_eq!(keys_of_execs(&only(&pack, &[known[0], unknown[0]])), None);
}

#[test]
fn small_lists_go_before_long_ones() {
    let mut ir = rules(names(0, 4_000));
    (1..1_000).for_each(|rule| add(&mut ir, true, format!("own-{rule}"), Node::And));
    let (known, unknown) = known(&pack(ir));
    assert_eq!((known.len(), unknown), (1_000, vec![]), "of two keys the rarer, of as rare ones the fewer is taken");
}

#[test]
fn lists_that_grow_by_one_name_each_are_bounded_together() {
    let names = names(0, 4_000);
    let mut ir = rules(names.clone());
    (1..500).for_each(|rule| add(&mut ir, true, format!("own-{rule:04}"), Node::Or));
    let pack = pack(ir);
    // 4,000 names and 499 of one rule each.
    assert_eq!(keys_of_execs(&pack), None);
    let (known, unknown) = known(&pack);
    assert!(!known.is_empty() && !unknown.is_empty());
    let last = *known.last().expect("some");
    let mut wanted = names;
    wanted.extend((last > 0).then(|| format!("own-{last:04}")));
    assert!(keys_of_execs(&only(&pack, &[last])).is_some_and(|keys| has_all(keys, &wanted)), "{last}");
    assert_eq!(keys_of_execs(&only(&pack, &unknown[..1])), None);
}

#[test]
fn long_texts_for_many_kinds_leave_room_for_the_rest() {
    // In every kind 4,000 keys of 400 bytes: more than a section may have.
    let names: Vec<String> = names(0, 4_000).into_iter().map(|name| name.repeat(36)).collect();
    let mut ir = rules(names);
    ir.predicates[0].category = None;
    let pack = pack(ir);
    let kinds = pack.filter_keys().len();
    assert!(kinds >= 1 && kinds < event_kinds().len(), "{kinds}");
    assert!(pack.filter_keys().iter().all(|keys| keys.keys.len() == 4_000));
}
