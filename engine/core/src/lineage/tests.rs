//! What lineage answers when there is little room.

use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::layout::Layout;
use kestrel_ir::model::{LineageFields, Node, NodeId, Predicate};
use kestrel_schema::FieldType;

use super::*;

/// Lineage of one question, its table, and the fields of an event: process, parent, kind.
fn lineage(capacity: usize) -> (Lineage, [FieldNumber; 3]) {
    let mut layout = Layout::new();
    let names = ["process.entity_id", "process.parent.entity_id", "process.Ext.ancestry", "event.type"];
    let [entity, parent, ancestry, event_type] = names.map(|name| layout.intern(name, FieldType::Keyword));
    let mut table = FieldTable::new();
    FrameBuilder::wanted(&layout, &mut table);
    let ir = Ir {
        layout,
        atoms: vec![Atom::Lineage { relation: Relation::Child, predicate: PredicateId(0) }],
        nodes: vec![Node::Constant(true)],
        predicates: vec![Predicate { category: None, root: NodeId(0) }],
        lineage: Some(LineageFields { entity, parent, ancestry, event_type }),
        ..Ir::default()
    };
    let lineage = Lineage::new(&ir, &table, capacity).expect("a question");
    let number = |name: &str| table.lookup(name).expect("interned");
    (lineage, [number(names[0]), number(names[1]), number(names[3])])
}

#[test]
fn a_process_does_not_become_its_parent_when_its_last_child_has_to_leave() {
    let (mut lineage, [entity, parent, kind]) = lineage(2);
    let event = |process: &str, of: &str, what: &str| {
        let mut event = Event::new();
        event.push_text(entity, process);
        event.push_text(parent, of);
        event.push_text(kind, what);
        event
    };
    lineage.begin(&event("x", "c", "start"));
    lineage.end();
    // `p` pushes out `x`, the last child of `c`, which has just ended.
    lineage.begin(&event("c", "p", "end"));
    lineage.mark(0);
    assert!(lineage.holds(0, Relation::Event));
    assert!(!lineage.holds(0, Relation::Child), "c is no child of itself");
    lineage.end();
    lineage.begin(&event("d", "p", "start"));
    assert!(!lineage.holds(0, Relation::Child), "what c did is not what p did");
    lineage.end();
    assert!(lineage.len() <= 2);
}

#[test]
fn an_id_beyond_all_measure_is_none() {
    let (mut lineage, [entity, parent, _]) = lineage(10);
    let mut event = Event::new();
    event.push_text(entity, &"x".repeat(MAX_ID + 1));
    event.push_text(parent, "p");
    lineage.begin(&event);
    lineage.mark(0);
    assert!(!lineage.holds(0, Relation::Event));
    lineage.end();
    assert!(lineage.is_empty());
}
