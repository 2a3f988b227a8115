//! What rules need of a source: which kinds of events, and which fields.

use eqlc::compile::compile_query;
use eqlc::syntax::Dialect;
use kestrel_ir::guards::{Needs, rule_needs};
use kestrel_schema::{EventKind, Schema};

const fn kind(
    id: u16,
    name: &'static str,
    of: [&'static [&'static str]; 2],
    action: &'static str,
    fields: &'static [&'static str],
) -> EventKind {
    let [category, event_type] = of;
    EventKind { id, name, category, event_type, action, live: true, fields, doc: "" }
}

const EVENT: [&str; 3] = ["event.action", "event.category", "event.type"];
const WITH_NAME: &[&str] = &[EVENT[0], EVENT[1], EVENT[2], "process.entity_id", "process.name"];

/// Sorted fields, as in the schema.
const KINDS: [EventKind; 6] = [
    kind(
        1,
        "exec",
        [&["process"], &["start"]],
        "exec",
        &[EVENT[0], EVENT[1], EVENT[2], "process.args", "process.entity_id", "process.name"],
    ),
    kind(2, "fork", [&["process"], &["start"]], "fork", WITH_NAME),
    kind(3, "exit", [&["process"], &["end"]], "end", WITH_NAME),
    kind(9, "memfd_create", [&["process"], &["start"]], "memfd_create", WITH_NAME),
    kind(
        14,
        "file_create",
        [&["file"], &["creation"]],
        "creation",
        &[EVENT[0], EVENT[1], EVENT[2], "file.path", "file.size", "process.entity_id"],
    ),
    kind(
        17,
        "file_rename",
        [&["file"], &["change"]],
        "rename",
        &[EVENT[0], EVENT[1], EVENT[2], "file.Ext.original.path", "file.path", "process.entity_id"],
    ),
];

/// One line for each event of the rule: its kinds, then the missing fields with the kinds that lack them.
fn check(query: &str, expected: &[&str]) {
    let (ir, diagnostics) = compile_query(query, &Schema::ecs(), Dialect::Endpoint);
    let ir = ir
        .unwrap_or_else(|| panic!("{query}: {:?}", diagnostics.iter().map(|found| &found.message).collect::<Vec<_>>()));
    let names = |ids: &[u16]| {
        let names = KINDS.iter().filter(|kind| ids.contains(&kind.id)).map(|kind| kind.name);
        names.collect::<Vec<_>>().join(" ")
    };
    let line = |needs: &Needs| {
        let mut line = names(&needs.kinds);
        if needs.possible != needs.kinds {
            line += &format!(" (possible: {})", names(&needs.possible));
        }
        for (field, kinds) in &needs.missing {
            line += &format!("; no {field} in {}", names(kinds));
        }
        line
    };
    let found: Vec<String> = rule_needs(&ir, &ir.rules[0], &KINDS).iter().map(line).collect();
    assert_eq!(found, expected, "{query}");
}

#[test]
fn a_rule_needs_the_kinds_that_it_can_match() {
    check("process where event.type == \"start\" and process.name == \"a\"", &["exec fork"]);
    check("process where event.type != \"start\"", &["exit"]);
    check("file where file.path == \"/a\"", &["file_create file_rename"]);
    check("file where event.action in (\"rename\", \"renamed-by-another\")", &["file_rename"]);
    check("network where true", &[""]);
    check("any where host.os.type == \"windows\" and process.name == \"a\"", &[""]);
}

#[test]
fn a_field_that_a_kind_has_not_leaves_the_kind_out() {
    check("process where event.type == \"start\" and process.args == \"a\"", &["exec"]);
    check("file where file.Ext.original.path == \"/a\"", &["file_rename"]);
    // Each alternative has its own kind.
    check("file where file.size > 1 or file.Ext.original.path == \"/a\"", &["file_create file_rename"]);
}

#[test]
fn kinds_of_few_sources_are_asked_by_name() {
    check("process where process.name == \"a\" and event.action == \"memfd_create\"", &["memfd_create"]);
    check("process where event.action in (\"exec\", \"memfd_create\")", &["exec memfd_create"]);
    check("process where event.action != \"exec\"", &["fork exit"]);
}

#[test]
fn what_is_asked_positively_and_no_kind_has_is_missing() {
    check(
        "process where event.action == \"exec\" and process.env_vars == \"a\"",
        &["exec (possible: ); no process.env_vars in exec"],
    );
    check(
        "process where process.args == \"a\" or process.title == \"a\"",
        &["exec; no process.title in exec fork exit memfd_create"],
    );
    // Together no kind has them, though each is in one.
    check(
        "file where file.size > 1 and file.Ext.original.path == \"/a\"",
        &["file_create file_rename (possible: ); \
        no file.Ext.original.path in file_create; no file.size in file_rename"],
    );
}

#[test]
fn an_exception_needs_nothing() {
    check("process where event.type == \"end\" and not process.title == \"a\"", &["exit"]);
    check("process where event.type == \"end\" and process.title == null", &["exit"]);
    check("process where event.type == \"end\" and not (process.name == \"a\" and process.title == \"a\")", &["exit"]);
    // Twice negated is asked.
    check(
        "process where event.type == \"end\" and not (not process.title == \"a\")",
        &["exit (possible: ); no process.title in exit"],
    );
}

#[test]
fn each_term_of_a_sequence_needs_its_own() {
    check(
        "sequence by process.entity_id with maxspan=5s [process where event.type == \"start\"] ![file where event.type == \"change\"] \
         [process where event.type == \"end\"] until [network where true]",
        &["exec fork", "file_rename", "exit"],
    );
    check(
        "sequence [process where event.type == \"end\"] by process.name [file where true] by file.name",
        &["exit", "file_create file_rename (possible: ); no file.name in file_create file_rename"],
    );
}
