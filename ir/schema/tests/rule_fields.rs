//! Every field that public EQL rules name is known.
//!
//! Reads `../shared/data/rules` beside the workspace, where it exists; without that folder there is nothing to check, and the test
//! says so. It looks at names only: what rules mean is the compiler's business.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kestrel_schema::{Schema, known_categories};

#[test]
fn fields_of_public_rules_are_known() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/rules");
    if !folder.is_dir() {
        println!("skipped: there are no public rules at {}", folder.display());
        return;
    }
    let schema = Schema::ecs();
    let (mut queries, mut skipped) = (0, 0);
    let mut unknown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in rule_files(&folder) {
        let text = std::fs::read_to_string(&path).expect("a rule file can be read");
        let rule: toml::Table = text.parse().expect("a rule file is TOML");
        let rule = rule.get("rule").and_then(toml::Value::as_table).expect("a rule file has a rule");
        let endpoint = rule.contains_key("id");
        let eql = rule.get("type").and_then(toml::Value::as_str) == Some("eql");
        let Some(query) = rule.get("query").and_then(toml::Value::as_str).filter(|_| endpoint || eql) else {
            skipped += 1;
            continue;
        };
        queries += 1;
        let names = Names::of(query);
        let missing = names.fields.iter().filter(|name| schema.lookup(name).is_none());
        let other =
            names.categories.iter().filter(|name| *name != "any" && !known_categories().contains(&name.as_str()));
        for name in missing.chain(other) {
            unknown.entry(name.clone()).or_default().insert(path.display().to_string());
        }
    }
    println!("{queries} queries, {skipped} rules in other languages");
    assert!(queries > 0, "the folder holds rules");
    assert!(unknown.is_empty(), "unknown: {unknown:#?}");
}

#[test]
fn names_are_told_apart() {
    let names = Names::of(
        "sequence by host.id /* a.b */ [process where ?c.d == \"e.f\" and length(g.h) > 1.5 // i.j\n and \
         _arraysearch(k.l, $v, $v.m == 1)] as event0 [file where `n.o-p` == event0.q.r]",
    );
    let fields: Vec<&str> = names.fields.iter().map(String::as_str).collect();
    assert_eq!(fields, ["c.d", "g.h", "host.id", "k.l", "k.l.m", "n.o-p", "q.r"]);
    let categories: Vec<&str> = names.categories.iter().map(String::as_str).collect();
    assert_eq!(categories, ["file", "process"]);
}

fn rule_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files.extend(rule_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The fields and categories that a query names.
#[derive(Default)]
struct Names {
    fields: BTreeSet<String>,
    categories: BTreeSet<String>,
}

impl Names {
    fn of(query: &str) -> Names {
        let words = words(query);
        let mut names = Names::default();
        let mut aliases = BTreeSet::new();
        let mut variables: BTreeMap<&str, String> = BTreeMap::new();
        for (index, word) in words.iter().enumerate() {
            let next = words.get(index + 1).map_or("", String::as_str);
            let before =
                |back: usize| index.checked_sub(back).and_then(|place| words.get(place)).map_or("", String::as_str);
            if let Some((variable, field)) = word.strip_prefix('$').and_then(|name| name.split_once('.')) {
                let array = variables.get(variable).cloned().unwrap_or_else(|| format!("${variable}"));
                names.fields.insert(format!("{array}.{field}"));
            } else if let Some(variable) = word.strip_prefix('$') {
                // `search(array, $variable, …)` declares it.
                if before(1) == "," && next == "," {
                    variables.insert(variable, before(2).to_owned());
                }
            } else if next == "where" {
                names.categories.insert(word.clone());
            } else if before(1) == "as" {
                aliases.insert(word.clone());
            } else if word.contains('.') && word.starts_with(|first: char| first.is_alphabetic() || first == '_') {
                let field = match word.split_once('.') {
                    Some((alias, field)) if aliases.contains(alias) => field,
                    _ => word,
                };
                names.fields.insert(field.to_owned());
            }
        }
        names
    }
}

/// The words and commas of a query, without strings and comments. A quoted name comes without its quotes.
fn words(query: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(body) = rest.strip_prefix("\"\"\"") {
            let end = body.find("\"\"\"").map_or(body.len(), |end| end + 3);
            3 + end + body[end..].chars().take_while(|&quote| quote == '"').count()
        } else if first == '"' {
            let mut escaped = false;
            let closing = rest.char_indices().skip(1).find(|&(_, character)| {
                let closes = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                closes
            });
            closing.map_or(rest.len(), |(end, _)| end + 1)
        } else if first == '`' {
            let end = rest[1..].find('`').map_or(rest.len(), |end| end + 1);
            words.push(rest[1..end].to_owned());
            end + 1
        } else if first.is_alphabetic() || matches!(first, '_' | '@' | '$') {
            let end = rest[1..].find(|character: char| !character.is_alphanumeric() && !matches!(character, '_' | '.'));
            let end = end.map_or(rest.len(), |end| end + 1);
            words.push(rest[..end].to_owned());
            end
        } else {
            if first == ',' {
                words.push(",".to_owned());
            }
            first.len_utf8()
        };
        rest = rest.get(taken..).unwrap_or("");
    }
    words
}
