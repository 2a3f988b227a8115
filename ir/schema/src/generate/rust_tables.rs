//! Writes this crate's static tables as Rust source.
//!
//! In: the schema's source. Out: the text of `generated.rs`. One field a line, so that a change of the schema reads well in a diff;
//! the tables are sorted, because lookups search them.

use std::fmt::Write;

use super::Source;
use crate::field::FieldType;

const HEAD: &str = "\
//! The built-in schema as static tables. Written by `cargo xtask schema` from fields.toml and kinds.toml: do not edit.

use crate::field::{FieldDef, FieldType};
use crate::kind::EventKind;
";

/// The text of `ir/schema/src/generated.rs`.
pub fn generate_rust(source: &Source) -> String {
    let mut text = HEAD.to_owned();
    for field_type in FieldType::ALL {
        let short = short_name(field_type);
        let _ = write!(text, "\nconst {short}: FieldType = FieldType::{field_type:?};");
    }
    text.push('\n');

    let _ = write!(
        text,
        "\n// Sorted by name.\n#[rustfmt::skip]\npub(crate) static FIELDS: [FieldDef; {}] = [\n",
        source.fields.len()
    );
    for (name, field) in &source.fields {
        let short = short_name(field.info.field_type);
        let _ = writeln!(text, "    FieldDef::new({name:?}, {short}, {}, {:?}),", field.info.array, field.doc);
    }
    text.push_str("];\n");

    let _ = write!(
        text,
        "\n// Sorted by number.\n#[rustfmt::skip]\npub(crate) static KINDS: [EventKind; {}] = [\n",
        source.kinds.len()
    );
    for kind in &source.kinds {
        let _ = writeln!(text, "    EventKind {{");
        let _ = writeln!(text, "        id: {},", kind.id);
        let _ = writeln!(text, "        name: {:?},", kind.name);
        let _ = writeln!(text, "        category: &{:?},", kind.category);
        let _ = writeln!(text, "        event_type: &{:?},", kind.event_type);
        let _ = writeln!(text, "        action: {:?},", kind.action);
        let _ = writeln!(text, "        live: {},", kind.live);
        let _ = writeln!(text, "        fields: &[");
        for field in &kind.fields {
            let _ = writeln!(text, "            {field:?},");
        }
        let _ = writeln!(text, "        ],");
        let _ = writeln!(text, "        doc: {:?},", kind.doc);
        let _ = writeln!(text, "    }},");
    }
    text.push_str("];\n");

    let _ = write!(
        text,
        "\n// Sorted.\n#[rustfmt::skip]\npub(crate) static CATEGORIES: [&str; {}] = [\n",
        source.categories.len()
    );
    for category in &source.categories {
        let _ = writeln!(text, "    {category:?},");
    }
    text.push_str("];\n");

    let count = source.synonyms.len();
    let _ = write!(
        text,
        "\n// Another system's name, and ours.\n#[rustfmt::skip]\npub(crate) static SYNONYMS: [(&str, &str); {count}] = [\n"
    );
    for (other, field) in &source.synonyms {
        let _ = writeln!(text, "    ({other:?}, {field:?}),");
    }
    text.push_str("];\n");
    text
}

fn short_name(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::Keyword => "KEYWORD",
        FieldType::Long => "LONG",
        FieldType::Double => "DOUBLE",
        FieldType::Boolean => "BOOLEAN",
        FieldType::Ip => "IP",
        FieldType::Date => "DATE",
        FieldType::Version => "VERSION",
        FieldType::Object => "OBJECT",
    }
}
