//! What the built-in schema answers: types, neighbours, kinds, suggestions, and a hash that follows the meaning.

use kestrel_schema::{
    Family, FieldType, Schema, ecs_fields, event_kind, event_kind_by_id, event_kinds, known_categories,
};

#[test]
fn table_is_sorted_and_described() {
    for pair in ecs_fields().windows(2) {
        assert!(pair[0].name < pair[1].name, "`{}` stands before `{}`", pair[0].name, pair[1].name);
    }
    for field in ecs_fields() {
        assert!(field.doc.ends_with('.') && field.doc.len() > 4, "`{}` has no description", field.name);
    }
}

#[test]
fn lookup_finds_types() {
    let schema = Schema::ecs();
    let cases = [
        ("@timestamp", Some("date")),
        ("message", Some("keyword")),
        ("tags", Some("keyword[]")),
        ("agent.version", Some("version")),
        ("event.category", Some("keyword[]")),
        ("event.sequence", Some("long")),
        ("process.name", Some("keyword")),
        ("process.args", Some("keyword[]")),
        ("process.args_count", Some("long")),
        ("process.interactive", Some("boolean")),
        ("process.start", Some("date")),
        ("process.parent.hash.sha256", Some("keyword")),
        ("process.parent.Ext.real.pid", Some("long")),
        ("process.parent.thread.Ext.call_stack_summary", Some("keyword")),
        ("process.entry_leader.entry_meta.type", Some("keyword")),
        ("process.entry_leader.entry_meta.source.ip", Some("ip")),
        ("process.Ext.relative_file_creation_time", Some("double")),
        ("process.Ext.code_signature", Some("object[]")),
        ("process.Ext.effective_parent.code_signature.trusted", Some("boolean")),
        // What lies below an array of objects has many values itself.
        ("process.Ext.code_signature.trusted", Some("boolean[]")),
        ("process.thread.Ext.call_stack", Some("object[]")),
        ("process.thread.Ext.call_stack.symbol_info", Some("keyword[]")),
        ("process.thread.Ext.call_stack.memory_section.protection", Some("keyword[]")),
        ("process.Ext.memfd.name", Some("keyword")),
        ("Target.process.Ext.token.integrity_level_name", Some("keyword")),
        ("Effective_process.executable", Some("keyword")),
        ("file.Ext.entropy", Some("double")),
        ("source.ip", Some("ip")),
        ("destination.geo.country_iso_code", Some("keyword")),
        ("dns.resolved_ip", Some("ip[]")),
        ("kubernetes.audit.user.extra.authentication.kubernetes.io/pod-name", Some("keyword[]")),
        ("winlog.event_data.TargetUserName", Some("keyword")),
        // A name with fields below it is no field, and names are case-sensitive.
        ("process", None),
        ("process.parent", None),
        ("Process.name", None),
        ("process.name.", None),
        ("", None),
        ("zzz", None),
    ];
    for (name, expected) in cases {
        let found = schema.lookup(name).map(|field| field.to_string());
        assert_eq!(found.as_deref(), expected, "`{name}`");
    }
}

#[test]
fn every_field_is_found_by_its_name() {
    let schema = Schema::ecs();
    for field in ecs_fields() {
        assert_eq!(schema.lookup(field.name), Some(field.info()), "`{}`", field.name);
        assert_eq!(schema.doc(field.name), Some(field.doc));
    }
    assert_eq!(schema.fields().count(), ecs_fields().len());
}

#[test]
fn families_group_types() {
    let cases = [
        (FieldType::Keyword, Family::Text),
        (FieldType::Long, Family::Number),
        (FieldType::Double, Family::Number),
        (FieldType::Boolean, Family::Boolean),
        (FieldType::Ip, Family::Ip),
        (FieldType::Date, Family::Date),
        (FieldType::Version, Family::Version),
        (FieldType::Object, Family::Object),
    ];
    for (field_type, family) in cases {
        assert_eq!(field_type.family(), family);
        assert_eq!(field_type.name().parse(), Ok(field_type));
    }
    assert!("int".parse::<FieldType>().is_err());
}

#[test]
fn define_overrides_and_keeps_order() {
    let mut schema = Schema::ecs();
    schema.define("aaa", FieldType::Long);
    schema.define("process.exit_code", FieldType::Keyword);
    schema.define("process.parent.zzz", FieldType::Ip);
    schema.define("zzz.last", FieldType::Double);
    assert_eq!(schema.lookup("process.exit_code").map(|field| field.field_type), Some(FieldType::Keyword));
    assert_eq!(schema.doc("process.exit_code"), None, "the built-in sentence may not fit the new type");
    assert_eq!(schema.fields().count(), ecs_fields().len() + 3);
    let names: Vec<&str> = schema.fields().map(|(name, _)| name).collect();
    assert!(names.is_sorted());
    assert_eq!((names[1], names[names.len() - 1]), ("Effective_process.code_signature.digest_algorithm", "zzz.last"));
    let exit_code = schema.fields().find(|(name, _)| *name == "process.exit_code").map(|(_, field)| field.field_type);
    assert_eq!(exit_code, Some(FieldType::Keyword));
    let below: Vec<&str> = schema.children("process.parent").map(|(name, _)| name).collect();
    assert!(below.contains(&"process.parent.zzz") && below.contains(&"process.parent.name"));
    assert!(below.iter().all(|name| name.starts_with("process.parent.")));
}

#[test]
fn children_are_what_lies_below() {
    let schema = Schema::ecs();
    let cases: &[(&str, &[&str])] = &[
        ("data_stream", &["data_stream.dataset", "data_stream.namespace", "data_stream.type"]),
        ("data", &[]),
        ("process.name", &[]),
        ("nothing", &[]),
    ];
    for (object, expected) in cases {
        let found: Vec<&str> = schema.children(object).map(|(name, _)| name).collect();
        assert_eq!(found, *expected, "`{object}`");
    }
}

#[test]
fn nearest_names_what_was_meant() {
    let schema = Schema::ecs();
    // The first suggestion, for each way in which people miss.
    let cases = [
        ("process.nmae", "process.name"),
        ("proces.name", "process.name"),
        ("proccess.executable", "process.executable"),
        ("process.commandline", "process.command_line"),
        ("process.CommandLine", "process.command_line"),
        ("process.cmdline", "process.command_line"),
        ("process.exe", "process.executable"),
        ("process.arg", "process.args"),
        ("process_name", "process.name"),
        ("process.parents.name", "process.parent.name"),
        ("parent.process.name", "process.parent.name"),
        ("CommandLine", "process.command_line"),
        ("ParentImage", "process.parent.executable"),
        ("process.parent.ppidd", "process.parent.ppid"),
        ("ppid", "process.parent.pid"),
        ("file.ext", "file.extension"),
        ("file.pth", "file.path"),
        ("destination.addr", "destination.address"),
        ("dest.port", "destination.port"),
        ("dst.port", "destination.port"),
        ("dns.name", "dns.question.name"),
        ("dns.query", "dns.question.name"),
        ("timestamp", "@timestamp"),
        ("event.typ", "event.type"),
        ("host.os.typ", "host.os.type"),
        ("process.thread.Ext.callstack", "process.thread.Ext.call_stack"),
        ("process.ext.memfd.name", "process.Ext.memfd.name"),
        ("user.uid", "user.id"),
    ];
    let mut wrong = Vec::new();
    for (name, expected) in cases {
        let found = schema.nearest(name, 3);
        if found.first().map(String::as_str) != Some(expected) {
            wrong.push(format!("{name}: expected {expected}, found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let elsewhere = schema.nearest("process.extension", 3);
    assert!(elsewhere.iter().any(|name| name == "file.extension"), "{elsewhere:?}");
    assert!(schema.nearest("qqqqqqqqqqqqqq", 3).is_empty(), "nothing is near to nonsense");
    assert_eq!(schema.nearest("process.nam", 2).len(), 2);
    assert!(schema.nearest("process.nam", 0).is_empty());
}

#[test]
fn kinds_are_settled() {
    // Numbers are part of the record ABI: this list only grows at its end.
    let expected = [
        "exec",
        "fork",
        "exit",
        "uid_change",
        "gid_change",
        "session_id_change",
        "ptrace",
        "kill",
        "memfd_create",
        "load_module",
        "mmap",
        "mprotect",
        "bpf",
        "file_create",
        "file_open",
        "file_modify",
        "file_rename",
        "file_delete",
        "file_chmod",
        "file_chown",
        "file_link",
        "connection_attempted",
        "connection_accepted",
        "bind",
        "listen",
        "disconnect_received",
        "lookup_requested",
        "lookup_result",
    ];
    let found: Vec<&str> = event_kinds().iter().map(|kind| kind.name).collect();
    assert_eq!(found, expected);
    let schema = Schema::ecs();
    for (kind, id) in event_kinds().iter().zip(1..) {
        assert_eq!(kind.id, id);
        assert_eq!(event_kind(kind.name), Some(kind));
        assert_eq!(event_kind_by_id(id), Some(kind));
        assert!(kind.fields.is_sorted());
        for field in kind.fields {
            assert!(schema.lookup(field).is_some(), "kind `{}` fills the unknown `{field}`", kind.name);
        }
        for category in kind.category {
            assert!(known_categories().contains(category));
        }
    }
    let live = |name| event_kind(name).is_some_and(|kind| kind.live);
    assert!(live("exec") && live("fork") && live("exit"), "the process table's kinds");
    let shape = |name| event_kind(name).map(|kind| (kind.category, kind.event_type, kind.action));
    assert_eq!(shape("exec"), Some((&["process"][..], &["start"][..], "exec")));
    assert_eq!(shape("exit"), Some((&["process"][..], &["end"][..], "end")));
    assert_eq!(event_kind("nothing"), None);
    assert_eq!((event_kind_by_id(0), event_kind_by_id(u16::MAX)), (None, None));
    assert!(known_categories().is_sorted());
}

#[test]
fn hash_follows_meaning() {
    let ecs = Schema::ecs();
    assert_eq!(ecs.hash(), Schema::ecs().hash());
    let mut typed = Schema::ecs();
    typed.define("process.pid", FieldType::Long);
    assert_eq!(typed.hash(), ecs.hash(), "the same type again changes nothing");
    typed.define("process.pid", FieldType::Keyword);
    assert_ne!(typed.hash(), ecs.hash());
    let from = |text| Schema::from_toml(text).expect("the schema file is right").hash();
    assert_eq!(from("extends = 'ecs'\nname = 'other'"), ecs.hash(), "a name has no meaning");
    assert_ne!(from("extends = 'ecs'\ndynamic = true"), ecs.hash());
    assert_ne!(from("extends = 'ecs'\n[event]\nid = 'event.hash'"), ecs.hash());
    assert_ne!(from("[fields]\na = 'long'"), from("[fields]\na = 'long[]'"));
}
