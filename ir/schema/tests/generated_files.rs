//! The generated files say what `fields.toml` and `kinds.toml` say, and a wrong source is refused with its reason.
//!
//! `BLESS=1` writes the files, like `cargo xtask schema`.

use std::path::Path;

use kestrel_schema::generate::{GENERATED, Source};
use kestrel_schema::{Schema, ecs_fields, event_kinds};

#[test]
fn generated_files_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let source = Source::built_in().expect("the built-in source is right");
    for (name, generate) in GENERATED {
        let wanted = generate(&source);
        let path = root.join(name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder can be made");
            std::fs::write(&path, wanted).expect("the file can be written");
            continue;
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == wanted, "{name} is stale: run `cargo xtask schema`");
    }
}

#[test]
fn source_and_tables_agree() {
    let source = Source::built_in().expect("the built-in source is right");
    assert_eq!(source.field_count(), ecs_fields().len());
    assert_eq!(source.kind_count(), event_kinds().len());
    assert_eq!(source.hash(), Schema::ecs().hash());
}

const FIELDS: &str = "[[set]]\nname = 's'\ntitle = 'S'\nat = ['s']\n[set.fields]\na = 'long: A.'\n[synonyms]\n";
const KINDS: &str = "categories = ['process']\n[lists]\n[[kind]]\nid = 1\nname = 'exec'\ncategory = ['process']\ntype = ['start']\n\
    action = 'exec'\nlive = true\ndoc = 'D.'\nfields = ['s.a']\n";

#[test]
fn wrong_source_is_refused() {
    let cases: &[(&str, &str, &str, &str)] = &[
        ("fields", "a = 'long: A.'", "a = 'long: A'", "must be one line that ends with a period"),
        ("fields", "a = 'long: A.'", "a = 'int: A.'", "unknown field type `int`"),
        ("fields", "a = 'long: A.'", "a = 'long'", "expected `type: sentence.`"),
        ("fields", "at = ['s']", "at = ['s', 's']", "field `s.a` is defined twice"),
        ("fields", "at = ['s']\n", "", "set `s` is used nowhere"),
        ("fields", "[synonyms]", "[set.include]\nt = 's'\n[synonyms]", "set `s` lies in itself"),
        ("fields", "[synonyms]", "[set.include]\nt = 't'\n[synonyms]", "set `s` includes the unknown set `t`"),
        ("fields", "[synonyms]", "[synonyms]\nx = 's.b'", "synonym `x` leads to the unknown field `s.b`"),
        ("fields", "title", "heading", "unknown field `heading`"),
        ("kinds", "id = 1", "id = 2", "has number 2, expected 1"),
        ("kinds", "'s.a'", "'s.b'", "fills the unknown field `s.b`"),
        ("kinds", "'s.a'", "'@l'", "uses the unknown list `@l`"),
        ("kinds", "category = ['process']", "category = ['file']", "has the unknown category `file`"),
    ];
    assert!(Source::parse(FIELDS, KINDS).is_ok());
    for (file, from, to, expected) in cases {
        let (fields, kinds) = match *file {
            "fields" => (FIELDS.replacen(from, to, 1), KINDS.to_owned()),
            _ => (FIELDS.to_owned(), KINDS.replacen(from, to, 1)),
        };
        let message = Source::parse(&fields, &kinds).expect_err("the source is wrong").to_string();
        assert!(message.contains(expected), "{from} -> {to}\n  found:    {message}\n  expected: {expected}");
        assert!(message.starts_with(&format!("{file}.toml: ")), "{message}");
    }
}
