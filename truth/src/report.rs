//! The comparison for people and for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value as Json, json};

use crate::compare::{Comparison, KindCount, Source};
use crate::observe::Watched;

/// Whether everything that the engine says it collects was seen and right.
pub fn passed(comparison: &Comparison, watched: &Watched) -> bool {
    watched.balanced && comparison.values().all(is_right)
}

/// Whether a kind is right, or not collected. An event may say that a value could not be read, such as the digest of a file that is too
/// large; what was wanted and is not there is missing all the same.
pub fn is_right(count: &KindCount) -> bool {
    let fields = count.fields.values().all(|field| field.wrong == 0 && field.missing == 0);
    !matches!(count.source, Source::Of(_)) || fields && count.seen == count.expected && count.extra == 0
}

/// One line a kind, then what is wrong with each field.
pub fn text(comparison: &Comparison, watched: &Watched, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<22} {:<8} {:>6} {:>6} {:>6} {:>9} {:>6} {:>8}",
        "kind", "source", "wanted", "seen", "extra", "compared", "wrong", "missing"
    )?;
    for (name, count) in comparison {
        let source = match &count.source {
            Source::Of(source) => source,
            Source::None => {
                writeln!(out, "{name:<22} not collected")?;
                continue;
            }
            Source::Refused(reason) => {
                writeln!(out, "{name:<22} not here: {reason}")?;
                continue;
            }
        };
        let sum = |of: &dyn Fn(&crate::compare::FieldCount) -> u64| count.fields.values().map(of).sum::<u64>();
        writeln!(
            out,
            "{name:<22} {source:<8} {:>6} {:>6} {:>6} {:>9} {:>6} {:>8}",
            count.expected,
            count.seen,
            count.extra,
            sum(&|field| field.compared),
            sum(&|field| field.wrong),
            sum(&|field| field.missing)
        )?;
    }
    for (name, count) in comparison.iter().filter(|(_, count)| matches!(count.source, Source::Of(_))) {
        for lost in &count.lost {
            writeln!(out, "{name}: not seen: {lost}")?;
        }
        if count.unreadable > 0 {
            writeln!(out, "{name}: {} of {} with a value that could not be read", count.unreadable, count.seen)?;
        }
        for extra in &count.extra_examples {
            writeln!(out, "{name}: nobody wanted: {extra}")?;
        }
        for (field, found) in count.fields.iter().filter(|(_, found)| found.wrong + found.missing > 0) {
            writeln!(
                out,
                "{name}: {field}: {} of {} wrong, {} missing; {}",
                found.wrong,
                found.compared,
                found.missing,
                found.example.as_deref().unwrap_or_default()
            )?;
        }
        if !count.not_claimed.is_empty() {
            let names: Vec<&str> = count.not_claimed.iter().map(String::as_str).collect();
            writeln!(out, "{name}: not collected: {}", names.join(", "))?;
        }
    }
    let mut not_compared: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let seen: Vec<_> = comparison.iter().filter(|(_, count)| count.seen > 0).collect();
    for (name, count) in &seen {
        count.not_compared.iter().for_each(|field| not_compared.entry(field).or_default().push(name));
    }
    for (field, kinds) in not_compared {
        let kinds = if kinds.len() == seen.len() { "every kind".to_owned() } else { kinds.join(", ") };
        writeln!(out, "not compared: {field} of {kinds}")?;
    }
    let ledger = if watched.balanced { "balanced" } else { "NOT balanced" };
    writeln!(out, "ledger: {ledger}, {} lost", watched.lost)?;
    if !watched.balanced {
        writeln!(out, "{}", watched.ledger)?;
    }
    out.flush()
}

/// The same as one object.
pub fn json(comparison: &Comparison, watched: &Watched) -> Json {
    let kinds = comparison.iter().map(|(name, count)| {
        let fields = count.fields.iter().map(|(name, field)| {
            json!({"name": name, "compared": field.compared, "wrong": field.wrong, "missing": field.missing, "example": field.example})
        });
        json!({
            "kind": name,
            "source": match &count.source {
                Source::Of(name) => json!(name),
                Source::None | Source::Refused(_) => Json::Null,
            },
            "why_not": match &count.source {
                Source::Refused(reason) => json!(reason),
                Source::None => json!("not collected by this build"),
                Source::Of(_) => Json::Null,
            },
            "right": is_right(count),
            "wanted": count.expected,
            "seen": count.seen,
            "extra": count.extra,
            "extra_examples": count.extra_examples,
            "unreadable": count.unreadable,
            "fields": fields.collect::<Vec<_>>(),
            "not_compared": count.not_compared,
            "not_claimed": count.not_claimed,
            "lost": count.lost,
        })
    });
    json!({
        "passed": passed(comparison, watched),
        "balanced": watched.balanced,
        "events_lost": watched.lost,
        "kinds": kinds.collect::<Vec<_>>(),
    })
}
