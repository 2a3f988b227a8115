//! Writes the schema as a document for people.
//!
//! In: the schema's source. Out: the text of `docs/event-schema.md`: what live sources produce, then every field set once, with the
//! places where it is found.

use std::fmt::Write;

use super::Source;
use super::source::{Kind, Set};
use crate::field::FieldType;

/// How many places a set lists one by one.
const MANY_PLACES: usize = 12;

/// The text of `docs/event-schema.md`.
pub fn generate_docs(source: &Source) -> String {
    let mut text = String::new();
    head(&mut text, source);
    kinds(&mut text, source);
    categories(&mut text, source);
    types(&mut text);
    sets(&mut text, source);
    text
}

fn head(text: &mut String, source: &Source) {
    let live = source.kinds.iter().filter(|kind| kind.live).count();
    let _ = write!(
        text,
        "<!-- Written by `cargo xtask schema` from ir/schema/fields.toml and ir/schema/kinds.toml: do not edit. -->\n\
         # The event schema\n\n\
         The names and types that rules are checked against: the Elastic Common Schema, with the host fields of Elastic Defend, and a \
         few of our own below `process.Ext` for what only a kernel source sees. A schema file (`--schema FILE`) replaces or extends \
         it; `eqlc fields PATTERN` searches it.\n\n\
         {} fields in {} sets; {} event kinds, of which this build's live source produces {live}.\n\n\
         | what an event is | field |\n|---|---|\n\
         | its category: the word before `where` | `event.category` |\n\
         | its time | `@timestamp` |\n\
         | its order among events of one time | `event.sequence` |\n\
         | its name in results | `event.id` |\n\n",
        source.fields.len(),
        source.sets.len(),
        source.kinds.len(),
    );
}

fn kinds(text: &mut String, source: &Source) {
    text.push_str(
        "## Event kinds\n\n\
         What live sources produce. A kind that is not live yet has its number, name and fields settled, and a rule that asks for it \
         compiles and replays; the live engine just never sees one. Events that are replayed from a file may be of any category, type \
         and action.\n\n\
         | number | kind | `event.category` | `event.type` | `event.action` | live | what happened |\n\
         |---:|---|---|---|---|---|---|\n",
    );
    for kind in &source.kinds {
        let live = if kind.live { "**yes**" } else { "not yet" };
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {} | `{}` | {live} | {} |",
            kind.id,
            kind.name,
            codes(&kind.category),
            codes(&kind.event_type),
            kind.action,
            kind.doc,
        );
    }
    text.push_str("\n### Fields of each kind\n\nThe lists, which most kinds share:\n\n| list | fields |\n|---|---|\n");
    for (name, fields) in &source.lists {
        let _ = writeln!(text, "| {name} | {} |", codes(fields));
    }
    text.push_str("\n| kind | lists | and |\n|---|---|---|\n");
    for kind in &source.kinds {
        let (lists, own): (Vec<&String>, Vec<&String>) = kind.written.iter().partition(|name| is_list(source, name));
        let lists: Vec<&str> = lists.into_iter().map(|name| name.trim_start_matches('@')).collect();
        let _ = writeln!(text, "| `{}` | {} | {} |", kind.name, lists.join(", "), codes(&own));
    }
    text.push('\n');
}

fn is_list(source: &Source, name: &str) -> bool {
    name.strip_prefix('@').is_some_and(|list| source.lists.contains_key(list))
}

fn categories(text: &mut String, source: &Source) {
    let live: Vec<&String> =
        source.kinds.iter().filter(|kind| kind.live).flat_map(|kind: &Kind| &kind.category).collect();
    text.push_str(
        "## Categories\n\nAny identifier may stand before `where`. These are the known ones; those in bold are produced live. `any` \
         asks for all.\n\n",
    );
    let words: Vec<String> = source
        .categories
        .iter()
        .map(|category| if live.contains(&category) { format!("**`{category}`**") } else { format!("`{category}`") })
        .collect();
    let _ = writeln!(text, "{}\n", words.join(" "));
}

fn types(text: &mut String) {
    text.push_str("## Types\n\n| type | holds | compares with |\n|---|---|---|\n");
    for field_type in FieldType::ALL {
        let (holds, compares) = match field_type {
            FieldType::Keyword => {
                ("text; also what Elasticsearch calls `text`, `wildcard`, `constant_keyword`", "text")
            }
            FieldType::Long => ("whole numbers of 64 bits; also all shorter ones", "numbers"),
            FieldType::Double => ("floating point numbers of 64 bits", "numbers"),
            FieldType::Boolean => ("`true` or `false`", "booleans"),
            FieldType::Ip => ("IPv4 and IPv6 addresses", "addresses in text; `cidrMatch`"),
            FieldType::Date => ("moments", "ISO 8601 text, or milliseconds since 1970"),
            FieldType::Version => ("software versions", "versions in text, in semantic order"),
            FieldType::Object => ("structures with fields below them", "`null` only"),
        };
        let _ = writeln!(text, "| `{field_type}` | {holds} | {compares} |");
    }
    text.push_str(
        "\n`[]` says that many values are usual. It only informs: every field may hold one value, many, or none.\n\n",
    );
}

fn sets(text: &mut String, source: &Source) {
    text.push_str(
        "## Fields\n\nA field set is described once and found wherever it is included. In a set with several places, `…` stands for \
         each of them.\n\n| set | what |\n|---|---|\n",
    );
    for set in &source.sets {
        let _ = writeln!(text, "| [{}](#{}) | {} |", set.name, set.name, set.title);
    }
    for set in &source.sets {
        one_set(text, set);
    }
}

fn one_set(text: &mut String, set: &Set) {
    let _ = write!(text, "\n### {}\n\n{}.", set.name, set.title);
    let places: Vec<&str> = set.places.iter().map(String::as_str).filter(|place| !place.is_empty()).collect();
    let prefix = match places.as_slice() {
        [] => String::new(),
        [place] => format!("{place}."),
        _ => "….".to_owned(),
    };
    if places.len() > 1 {
        let more = places.len().saturating_sub(MANY_PLACES);
        let named: Vec<&str> = places.iter().copied().take(MANY_PLACES).collect();
        let rest = if more > 0 { format!(", and {more} more places") } else { String::new() };
        let _ = write!(text, " Found at {}{rest}.", codes(&named).replace("` `", "`, `"));
    }
    text.push_str("\n\n");
    if !set.fields.is_empty() {
        text.push_str("| field | type | what it holds |\n|---|---|---|\n");
        for (name, field) in &set.fields {
            let _ = writeln!(text, "| `{prefix}{name}` | {} | {} |", field.info, field.doc);
        }
        text.push('\n');
    }
    if !set.include.is_empty() {
        text.push_str("Includes ");
        let parts: Vec<String> = set
            .include
            .iter()
            .map(|(below, name)| match below.as_str() {
                "" => format!("all of [{name}](#{name})"),
                below => format!("`{prefix}{below}` ([{name}](#{name}))"),
            })
            .collect();
        let _ = writeln!(text, "{}.", parts.join(", "));
    }
}

fn codes<T: AsRef<str>>(words: &[T]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(" ")
}
