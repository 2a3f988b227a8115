//! Schema files: what a right one means, and what is said of a wrong one.

use kestrel_schema::{FieldType, Schema, TimestampFormat};

#[test]
fn file_replaces_the_built_in_schema() {
    let schema = Schema::from_toml(
        "name = 'mine'\ndynamic = true\n[event]\ncategory = 'event_type'\ntimestamp = 'timestamp'\n\
         timestamp_format = 'filetime'\ntiebreaker = 'serial'\nid = 'serial'\n[fields]\nserial = 'long'\nargs = 'keyword[]'\n",
    )
    .expect("the schema file is right");
    assert_eq!((schema.name(), schema.dynamic()), ("mine", true));
    let event = schema.event();
    assert_eq!((event.category.as_str(), event.timestamp.as_str()), ("event_type", "timestamp"));
    assert_eq!(event.timestamp_format, TimestampFormat::Filetime);
    assert_eq!((event.tiebreaker.as_deref(), event.id.as_deref()), (Some("serial"), Some("serial")));
    let fields: Vec<String> = schema.fields().map(|(name, field)| format!("{name} {field}")).collect();
    assert_eq!(fields, ["args keyword[]", "serial long"], "a dynamic schema leaves the rest to the data");
}

#[test]
fn file_extends_ecs() {
    let schema = Schema::from_toml(
        "name = 'more'\nextends = 'ecs'\n[fields]\nmine.level = 'long'\n'mine.address' = 'ip[]'\nprocess.exit_code = 'keyword'\n",
    )
    .expect("the schema file is right");
    assert!(!schema.dynamic());
    assert_eq!(schema.event(), Schema::ecs().event());
    let field = |name: &str| schema.lookup(name).map(|field| field.to_string());
    assert_eq!(field("mine.level").as_deref(), Some("long"));
    assert_eq!(field("mine.address").as_deref(), Some("ip[]"));
    assert_eq!(field("process.exit_code").as_deref(), Some("keyword"), "the file's type counts");
    assert_eq!(field("process.name").as_deref(), Some("keyword"));
    assert_eq!(schema.nearest("mine.levle", 1), ["mine.level"]);
}

#[test]
fn event_fields_of_a_closed_schema_are_known() {
    let text =
        "[event]\ncategory = 'kind'\ntimestamp = 'time'\ntiebreaker = 'n'\nid = 'n'\n[fields]\na.b = 'boolean'\n";
    let schema = Schema::from_toml(text).expect("the schema file is right");
    let fields: Vec<String> = schema.fields().map(|(name, field)| format!("{name} {field}")).collect();
    assert_eq!(fields, ["a.b boolean", "kind keyword[]", "n long", "time date"]);
}

#[test]
fn empty_file_knows_category_and_time_only() {
    let schema = Schema::from_toml("").expect("an empty file is right");
    let fields: Vec<&str> = schema.fields().map(|(name, _)| name).collect();
    assert_eq!(fields, ["@timestamp", "event.category"]);
    assert_eq!((schema.event().tiebreaker.as_deref(), schema.event().id.as_deref()), (None, None));
}

#[test]
fn every_timestamp_format_is_read() {
    for format in TimestampFormat::ALL {
        let schema =
            Schema::from_toml(&format!("[event]\ntimestamp_format = '{format}'")).expect("the format is known");
        assert_eq!(schema.event().timestamp_format, format);
    }
}

#[test]
fn wrong_files_are_explained() {
    let cases = [
        ("nam = 'x'", "line 1, column 1: unknown key `nam` in a schema file; did you mean `name`?"),
        (
            "\ncolour = 'x'",
            "line 2, column 1: unknown key `colour` in a schema file; expected name, extends, dynamic, event, fields",
        ),
        ("name = 5", "line 1, column 8: `name` is integer, expected a string"),
        ("extends = 'esc'", "line 1, column 11: unknown schema `esc` in `extends`, expected `ecs`"),
        ("dynamic = 'yes'", "line 1, column 11: `dynamic` is string, expected true or false"),
        ("event = 'x'", "line 1, column 9: `event` is string, expected a table"),
        (
            "[event]\ntime = 'x'",
            "line 2, column 1: unknown key `time` in `[event]`; expected category, timestamp, timestamp_format, tiebreaker, id",
        ),
        ("[event]\nid = ''", "line 2, column 6: `id` names no field; leave the line out instead"),
        (
            "[event]\ntimestamp_format = 'ms'",
            "line 2, column 20: unknown timestamp format `ms`, expected auto, rfc3339, epoch_s, epoch_ms, epoch_ns, filetime",
        ),
        (
            "[fields]\na = 'string'",
            "line 2, column 5: field `a`: unknown field type `string`, expected keyword, long, double, boolean, ip, date, version, \
             object; did you mean `keyword`?",
        ),
        (
            "[fields]\na = 'qqqqqq[]'",
            "line 2, column 5: field `a`: unknown field type `qqqqqq`, expected keyword, long, double, boolean, ip, date, version, object",
        ),
        ("[fields]\na.b = 5", "line 2, column 7: `a.b` is integer, expected a type in quotes, such as \"keyword\""),
        ("[fields]\n'a..b' = 'long'", "line 2, column 1: `a..b` is not a field name: empty part, or white space"),
        ("[fields]\n'a b' = 'long'", "line 2, column 1: `a b` is not a field name: empty part, or white space"),
        ("[fields]\n'a.b' = 'long'\na.b = 'long'", "line 3, column 3: field `a.b` is listed twice"),
    ];
    for (text, expected) in cases {
        let error = Schema::from_toml(text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn every_problem_is_listed_in_order() {
    let text = "nam = 'x'\n[event]\nidd = 'x'\n[fields]\na = 'int'\nb = 'lung'\n";
    let error = Schema::from_toml(text).expect_err("four things are wrong");
    let lines: Vec<usize> = error.problems().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 3, 5, 6]);
}

#[test]
fn broken_toml_has_a_place() {
    let error = Schema::from_toml("name = 'x'\n[fields\n").expect_err("a bracket is missing");
    assert_eq!(error.problems().len(), 1);
    assert_eq!(error.problems()[0].line, 2);
    let error = Schema::from_toml("a = 1\na = 2\n").expect_err("a key stands twice");
    assert_eq!(error.problems()[0].line, 2);
}

#[test]
fn schema_is_cheap_to_copy_and_change() {
    let schema = Schema::from_toml("dynamic = true").expect("the schema file is right");
    let mut copy = schema.clone();
    copy.define("pid", FieldType::Long);
    assert!(schema.lookup("pid").is_none());
    assert!(copy.lookup("pid").is_some());
}
