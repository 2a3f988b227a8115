//! What a rule compiles to, apart from the numbers that its parts have in its pack.
//!
//! In: an IR. Out: for each rule a digest that is the same in two packs when the rule's parts are. The numbers of atoms,
//! nodes and values depend on the other rules, so the text form is read line by line and each number is replaced by the
//! digest of what it names. The verifier has made sure that this ends, at most 512 references deep. The order of the
//! branches of `and` and `or`, and how they are nested, mean nothing and are evened out.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use kestrel_ir::model::Ir;
use kestrel_ir::text;

/// Tells whether two rules are compiled alike. Finds mistakes and changes, not forgery.
pub type Digest = u64;

/// The digests of all rules, in their order.
pub fn of_rules(ir: &Ir) -> Vec<Digest> {
    let mut reader = Reader::default();
    for (id, field) in ir.layout.iter() {
        let parent = field.parent.and_then(|parent| reader.known.get(&format!("f{}", parent.0)).copied());
        let digest = digest(&(&field.name, field.field_type.to_string(), parent));
        reader.known.insert(format!("f{}", id.0), digest);
    }
    let text = text::print(ir);
    let mut rules = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let tokens = tokens(line);
        match tokens.as_slice() {
            ["lineage", fields @ ..] => reader.lineage = reader.of(fields),
            // The id is not part of what a rule does.
            ["rule", _, rest @ ..] => {
                let mut rule = rest.to_vec();
                if line.ends_with('{') {
                    let steps = lines.by_ref().take_while(|line| !line.starts_with('}'));
                    rule.extend(steps.flat_map(self::tokens));
                }
                rules.push(rule);
            }
            ["atom" | "value" | "node" | "predicate", id, _, rest @ ..] => {
                reader.entries.insert(id, rest.to_vec());
            }
            _ => {}
        }
    }
    rules.iter().map(|rule| reader.of(rule)).collect()
}

#[derive(Default)]
struct Reader<'t> {
    /// The text of each entry by its id, `a7`.
    entries: HashMap<&'t str, Vec<&'t str>>,
    /// The digests of entries, as far as they were asked for.
    known: HashMap<String, Digest>,
    lineage: Digest,
}

impl<'t> Reader<'t> {
    /// The digest of what an id names; `None` when the token is no id.
    fn named(&mut self, id: &str) -> Option<Digest> {
        if let Some(known) = self.known.get(id) {
            return Some(*known);
        }
        let entry = self.entries.get(id)?.clone();
        let digest = match entry.as_slice() {
            [word @ ("and" | "or"), ..] => {
                let mut branches = Vec::new();
                self.branches(word, &entry, &mut branches);
                branches.sort_unstable();
                branches.dedup();
                digest(&(*word, branches))
            }
            // An atom that names a predicate asks about another process, by these fields.
            [.., last] if id.starts_with('a') && last.starts_with('p') && self.entries.contains_key(last) => {
                digest(&(self.of(&entry), self.lineage))
            }
            _ => self.of(&entry),
        };
        self.known.insert(id.to_owned(), digest);
        Some(digest)
    }

    /// The branches of an `and` or `or`, with those of branches that are the same word.
    fn branches(&mut self, word: &str, entry: &[&'t str], out: &mut Vec<Digest>) {
        for branch in entry.iter().skip(1) {
            match self.entries.get(branch).filter(|inner| inner.first() == Some(&word)).cloned() {
                Some(inner) => self.branches(word, &inner, out),
                None => out.extend(self.named(branch)),
            }
        }
    }

    fn of(&mut self, tokens: &[&str]) -> Digest {
        let mut hasher = DefaultHasher::new();
        for token in tokens {
            let name = token.trim_end_matches([',', '?']);
            match self.named(name) {
                Some(known) => (known, &token[name.len()..]).hash(&mut hasher),
                None => token.hash(&mut hasher),
            }
        }
        hasher.finish()
    }
}

fn digest(parts: &impl Hash) -> Digest {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// The parts of a line between blanks; a text in quotes is one part, and what follows `#` outside of quotes is none.
fn tokens(line: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let (mut start, mut quoted, mut escaped) = (None, false, false);
    for (at, character) in line.char_indices() {
        if quoted {
            quoted = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        if character == '#' && start.is_none() {
            return tokens;
        }
        if character.is_whitespace() {
            tokens.extend(start.take().and_then(|start| line.get(start..at)));
            continue;
        }
        quoted = character == '"';
        start.get_or_insert(at);
    }
    tokens.extend(start.and_then(|start| line.get(start..)));
    tokens
}

#[cfg(test)]
mod tests {
    use kestrel_ir::text::parse;

    use super::*;

    const FIELDS: &str = "field f0 a.b : keyword\nfield f1 c : long\n";

    fn check(left: &str, right: &str, same: bool) {
        let digests = |text: &str| of_rules(&parse(&format!("{FIELDS}{text}")).expect("an IR"));
        assert_eq!(digests(left).last() == digests(right).last(), same, "{left}\n{right}");
    }

    #[test]
    fn numbers_of_entries_mean_nothing_and_what_they_name_does() {
        let one = "atom a0 = f0 exact [\"x\"]\nnode n0 = a0\npredicate p0 = any where n0\nrule \"r\" = event p0\n";
        let second = "atom a0 = f1 in [7]\natom a1 = f0 exact [\"x\"]\nnode n0 = a0\nnode n1 = a1\n\
                      predicate p0 = any where n0\npredicate p1 = any where n1\nrule \"q\" = event p0\nrule \"r\" = event p1\n";
        check(one, second, true);
        check(one, &second.replace("[\"x\"]", "[\"y\"]"), false);
        check(one, &second.replace("[\"x\"]", "[\"x # a0\"]"), false);
        check(one, &second.replace("event p1", "event p0"), false);
        check(one, &second.replace("\"r\"", "\"another id\""), true);
    }

    #[test]
    fn the_order_and_nesting_of_branches_mean_nothing() {
        let atoms =
            "atom a0 = f1 in [1]\natom a1 = f1 in [2]\natom a2 = f1 in [3]\nnode n0 = a0\nnode n1 = a1\nnode n2 = a2\n";
        let end = "predicate p0 = any where n4\nrule \"r\" = event p0\n";
        let flat = format!("{atoms}node n3 = not n0\nnode n4 = and n0 n1 n2\n{end}");
        check(&flat, &format!("{atoms}node n3 = and n2 n0\nnode n4 = and n3 n1\n{end}"), true);
        check(&flat, &format!("{atoms}node n3 = or n2 n0\nnode n4 = and n3 n1\n{end}"), false);
        check(&flat, &format!("{atoms}node n3 = not n0\nnode n4 = and n3 n1 n2\n{end}"), false);
    }

    #[test]
    fn steps_and_their_spans_count() {
        let rule = |span: &str, key: &str| {
            format!(
                "atom a0 = f1 in [1]\nnode n0 = a0\npredicate p0 = any where n0\n\
                 rule \"r\" = sequence maxspan {span} {{\n  step p0 by {key}\n  step p0 by {key}\n}}\n"
            )
        };
        check(&rule("5m", "f0"), &rule("5m", "f0"), true);
        check(&rule("5m", "f0"), &rule("6m", "f0"), false);
        check(&rule("5m", "f0"), &rule("5m", "f1"), false);
        check(&rule("5m", "f0"), &rule("5m", "f0?"), false);
    }
}
