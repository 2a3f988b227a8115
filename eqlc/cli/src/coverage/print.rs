//! The coverage of rules, for people and for programs.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::tally::{Served, Sum, Tally};
use crate::build::plural;
use crate::run::printable;

/// Tables: the sums, what the kinds add, which fields are missing.
pub(super) fn text(tally: &Tally, list: bool, out: &mut impl Write) -> io::Result<()> {
    let rules = tally.rules.len();
    writeln!(
        out,
        "{} for Linux; {} for other systems, {} not EQL, {} failed",
        plural(rules, "rule"),
        tally.elsewhere,
        tally.skipped,
        tally.failed
    )?;
    let mut line = |name: &str, count: usize| writeln!(out, "  {name:<28} {count:>5}  {:>5.1} %", tally.share(count));
    line("served", tally.served())?;
    line("served in part", tally.in_part())?;
    line("not served", rules - tally.served() - tally.in_part())?;
    line("served if all kinds were live", tally.planned())?;
    let kinds = tally.kinds();
    if !kinds.is_empty() {
        writeln!(out, "\n{:<34} {:>6} {:>6} {:>18}", "kind", "live", "rules", "alone would serve")?;
    }
    for Sum { name, live, needed, alone } in &kinds {
        let live_word = if *live { "yes" } else { "no" };
        let alone = if *live { String::new() } else { alone.to_string() };
        writeln!(out, "{name:<34} {live_word:>6} {needed:>6} {alone:>18}")?;
    }
    let fields = tally.fields();
    if !fields.is_empty() {
        writeln!(out, "\n{:<41} {:>6} {:>18}", "field that no such kind has", "rules", "alone would serve")?;
    }
    for Sum { name, needed, alone, .. } in &fields {
        writeln!(out, "{:<41} {needed:>6} {alone:>18}", printable(name))?;
    }
    if list {
        writeln!(out, "\nnot served:")?;
    }
    for rule in tally.rules.iter().filter(|rule| list && rule.served != Served::Whole) {
        let part = if rule.served == Served::Part { " (in part)" } else { "" };
        let lacks = rule.missing_kinds.iter().copied().chain(rule.missing_fields.iter().map(String::as_str));
        let mut lacks = lacks.collect::<Vec<_>>().join(", ");
        if lacks.is_empty() {
            lacks = "no kind of events can match".to_owned();
        }
        writeln!(out, "  {}{part}: {}", printable(&rule.name), printable(&lacks))?;
    }
    out.flush()
}

/// One object with the same sums, and every rule.
pub(super) fn json(tally: &Tally, out: &mut impl Write) -> io::Result<()> {
    let sums = |sums: Vec<Sum>| -> Vec<Json> {
        sums.into_iter()
            .map(|sum| json!({"name": sum.name, "live": sum.live, "rules": sum.needed, "alone": sum.alone}))
            .collect()
    };
    let rules: Vec<Json> = tally
        .rules
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "name": rule.name,
                "path": rule.path,
                "served": rule.served.word(),
                "served_if_all_live": rule.planned,
                "kinds": rule.kinds,
                "missing_kinds": rule.missing_kinds,
                "missing_fields": rule.missing_fields,
            })
        })
        .collect();
    let document = json!({
        "linux": tally.rules.len(),
        "other_systems": tally.elsewhere,
        "not_eql": tally.skipped,
        "failed": tally.failed,
        "served": tally.served(),
        "in_part": tally.in_part(),
        "served_if_all_live": tally.planned(),
        "share": tally.share(tally.served()),
        "kinds": sums(tally.kinds()),
        "fields": sums(tally.fields()),
        "rules": rules,
    });
    writeln!(out, "{document}")?;
    out.flush()
}
