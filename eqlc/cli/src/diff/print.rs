//! A difference for people.

use std::io::Write;

use serde_json::Value as Json;

use super::{Change, ChangedRule, Difference, How, Named};
use crate::run::printable;

/// Prints the difference; nothing that is the same is told beyond its number.
pub fn print(difference: &Difference) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if !difference.pack.is_empty() {
        writeln!(out, "pack")?;
        changes(&difference.pack, &mut out)?;
    }
    named("added", &difference.added, &mut out)?;
    named("removed", &difference.removed, &mut out)?;
    for rule in &difference.changed {
        changed(rule, &mut out)?;
    }
    if !difference.tests.is_empty() {
        writeln!(out, "tests")?;
        changes(&difference.tests, &mut out)?;
    }
    if !difference.signatures.is_empty() {
        writeln!(out, "signatures (not part of the content)")?;
        changes(&difference.signatures, &mut out)?;
    }
    if difference.same {
        writeln!(out, "the content is the same, sha256 {}", difference.sha256.1)?;
    } else {
        writeln!(
            out,
            "{} added, {} removed, {} changed, {} as they were; sections that differ: {}",
            difference.added.len(),
            difference.removed.len(),
            difference.changed.len(),
            difference.unchanged,
            difference.sections.join(", ")
        )?;
    }
    Ok(out.flush()?)
}

fn named(word: &str, rules: &[Named], out: &mut impl Write) -> std::io::Result<()> {
    rules.iter().try_for_each(|rule| writeln!(out, "{word:8} {}: {}", printable(&rule.id), printable(&rule.name)))
}

fn changed(rule: &ChangedRule, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "changed  {}: {}", printable(&rule.id), printable(&rule.name))?;
    match (&rule.query, rule.compiled) {
        (Some((old, new)), compiled) => {
            writeln!(out, "  query{}", if compiled { "" } else { " (it means the same)" })?;
            lines(old, new, out)?;
        }
        (None, true) => writeln!(out, "  compiled code, of the same query: another compiler or schema made it")?,
        (None, false) => {}
    }
    changes(&rule.metadata, out)
}

fn changes(changes: &[Change], out: &mut impl Write) -> std::io::Result<()> {
    for Change { what, how } in changes {
        let what = printable(what);
        match how {
            How::Value { old, new } => writeln!(out, "  {what}: {} -> {}", value(old), value(new))?,
            How::Entries { added, removed } => {
                let entries = |sign: char, list: &[String]| -> Vec<String> {
                    list.iter().map(|entry| format!("{sign} {}", printable(entry))).collect()
                };
                writeln!(out, "  {what}: {}", [entries('+', added), entries('-', removed)].concat().join(", "))?;
            }
        }
    }
    Ok(())
}

fn value(value: &Json) -> String {
    match value {
        Json::Null => "(none)".to_owned(),
        // JSON escapes only what it must, and DEL and the C1 controls are not among it.
        other => printable(&other.to_string()),
    }
}

/// The lines that differ, without those that both begin or end with.
fn lines(old: &str, new: &str, out: &mut impl Write) -> std::io::Result<()> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let front = old.iter().zip(&new).take_while(|(left, right)| left == right).count();
    let rest = |lines: &[&str]| lines.len() - front;
    let shorter = rest(&old).min(rest(&new));
    let back = old.iter().rev().zip(new.iter().rev()).take(shorter).take_while(|(left, right)| left == right).count();
    for (sign, lines) in [('-', &old), ('+', &new)] {
        for line in lines.get(front..lines.len() - back).unwrap_or_default() {
            writeln!(out, "    {sign} {}", printable(line))?;
        }
    }
    Ok(())
}
