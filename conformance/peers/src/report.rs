//! The tables, as Markdown and as JSON.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::measure::Row;
use crate::rules::Shape;
use crate::scaled::Scaled;

/// Everything that a run has to say.
#[derive(Debug)]
pub struct Report {
    /// Engines on the rules of one shape.
    pub rows: Vec<Row>,
    /// Engines that could not run, and why.
    pub skipped: Vec<(String, String)>,
    /// Kestrel on real rules.
    pub scaled: Vec<Scaled>,
    /// How many passes the medians are of.
    pub passes: usize,
}

impl Report {
    /// For people.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let mut tables: Vec<(Shape, usize)> = self.rows.iter().map(|row| (row.shape, row.rules)).collect();
        tables.dedup();
        for (shape, size) in tables {
            let rows = || self.rows.iter().filter(move |row| (row.shape, row.rules) == (shape, size));
            let base = rows().find_map(|row| row.cost.as_ref().ok()).map(|cost| cost.median);
            let _ = write!(
                text,
                "{} rules, {}; one thread, medians of {} passes, engines in turn\n\n\
                 | engine | given | events/s | ns an event (spread) | cost against the first row | ready in, ms | events a pass |\n\
                 |---|---|---|---|---|---|---|\n",
                thousands(size as f64),
                shape.name(),
                self.passes
            );
            for row in rows() {
                let (engine, from, load, events) = (&row.engine, row.from, row.load.as_millis(), row.events);
                let _ = match &row.cost {
                    Ok(cost) => writeln!(
                        text,
                        "| {engine} | {from} | {} | {} ({} to {}) | {:.2} | {load} | {} |",
                        thousands(cost.rate()),
                        thousands(cost.median),
                        thousands(cost.least),
                        thousands(cost.most),
                        cost.median / base.unwrap_or(f64::NAN),
                        thousands(events as f64),
                    ),
                    Err(differs) => writeln!(text, "| {engine} | {from} | none: {differs} | | | | |"),
                };
            }
            text.push('\n');
        }
        for (engine, reason) in &self.skipped {
            let _ = writeln!(text, "skipped: {engine}: {reason}\n");
        }
        self.write_scaled(&mut text);
        text
    }

    fn write_scaled(&self, text: &mut String) {
        let Some(last) = self.scaled.iter().map(|row| row.rules).max() else { return };
        let _ = write!(
            text,
            "real rules and copies of them with other constants; decoded values to matches\n\n\
             | rules from | events | runtime | rules | atoms | ns an event (spread) | candidates an event | against the fewest rules |\n\
             |---|---|---|---|---|---|---|---|\n"
        );
        for row in &self.scaled {
            let fewest = self
                .scaled
                .iter()
                .filter(|other| other.recording == row.recording && other.runtime == row.runtime)
                .min_by_key(|other| other.rules)
                .map_or(f64::NAN, |first| first.cost.median);
            let mark = if row.rules == last { "**" } else { "" };
            let _ = writeln!(
                text,
                "| {} | {} ({}) | {} | {} | {} | {} ({} to {}) | {:.1} | {mark}{:.2}{mark} |",
                row.from,
                row.recording,
                thousands(row.events as f64),
                row.runtime,
                thousands(row.rules as f64),
                thousands(row.atoms as f64),
                thousands(row.cost.median),
                thousands(row.cost.least),
                thousands(row.cost.most),
                row.candidates,
                row.cost.median / fewest,
            );
        }
    }

    /// For programs.
    pub fn json(&self) -> Json {
        let peers = self.rows.iter().map(|row| {
            let mut value = json!({
                "shape": row.shape.name(), "engine": row.engine, "given": row.from, "rules": row.rules,
                "load_seconds": row.load.as_secs_f64(), "events": row.events,
            });
            match &row.cost {
                Ok(cost) => {
                    value["events_per_second"] = json!(cost.rate());
                    value["ns_per_event"] = json!([cost.least, cost.median, cost.most]);
                }
                Err(differs) => value["differs"] = json!(differs),
            }
            value
        });
        let scaled = self.scaled.iter().map(|row| {
            json!({
                "from": row.from, "recording": row.recording, "events": row.events, "runtime": row.runtime,
                "rules": row.rules, "atoms": row.atoms, "candidates_per_event": row.candidates,
                "ns_per_event": [row.cost.least, row.cost.median, row.cost.most],
            })
        });
        let skipped = self.skipped.iter().map(|(engine, reason)| json!({ "engine": engine, "reason": reason }));
        json!({
            "passes": self.passes,
            "peers": peers.collect::<Vec<_>>(),
            "skipped": skipped.collect::<Vec<_>>(),
            "real_rules": scaled.collect::<Vec<_>>(),
        })
    }
}

/// A number with commas between its thousands.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
