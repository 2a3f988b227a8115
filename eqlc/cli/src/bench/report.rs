//! The numbers of a measurement as a table or as JSON.

use std::io::Write;

use kestrel_ir::pack::Pack;
use serde_json::{Map, Value as Json, json};

use super::events::Events;
use super::measure::{RuntimeCost, events_of_predicates};
use crate::build::plural;
use crate::run::printable;

/// The widest id that the table shows in full.
const ID_WIDTH: usize = 44;

/// Everything that was measured.
pub struct Report<'m> {
    name: &'m str,
    events: usize,
    invalid: u64,
    dispatched: usize,
    predicates: usize,
    dispatch: f64,
    costs: &'m [RuntimeCost],
    rules: Vec<RuleCost<'m>>,
}

/// What one rule costs.
struct RuleCost<'m> {
    id: &'m str,
    /// How often a predicate of the rule was evaluated.
    evaluations: u64,
    /// How often one held.
    hits: u64,
    /// Nanoseconds over all events, by runtime.
    nanoseconds: Vec<f64>,
}

impl<'m> Report<'m> {
    /// Adds up the predicates' costs by rule, the most expensive rule first.
    pub fn new(name: &'m str, pack: &'m Pack, events: &Events, dispatch: f64, costs: &'m [RuntimeCost]) -> Report<'m> {
        let ir = pack.ir();
        let asked: Vec<u64> = events_of_predicates(ir, events).iter().map(|events| events.len() as u64).collect();
        let of_rule: Vec<Vec<usize>> = ir
            .rules
            .iter()
            .map(|rule| {
                let mut predicates: Vec<usize> = rule.predicates().into_iter().map(|id| id.index()).collect();
                predicates.sort_unstable();
                predicates.dedup();
                predicates
            })
            .collect();
        let mut users = vec![0_u32; ir.predicates.len()];
        of_rule.iter().flatten().for_each(|&predicate| users[predicate] += 1);
        let hits = costs.first().map(|cost| cost.hits.as_slice()).unwrap_or_default();
        let rule = |(rule, predicates): (&'m kestrel_ir::model::Rule, &Vec<usize>)| {
            let sum = |of: &[u64]| predicates.iter().filter_map(|&predicate| of.get(predicate)).sum();
            let time = |cost: &RuntimeCost| {
                predicates.iter().map(|&predicate| cost.predicates[predicate] / f64::from(users[predicate])).sum()
            };
            RuleCost {
                id: &rule.id,
                evaluations: sum(&asked),
                hits: sum(hits),
                nanoseconds: costs.iter().map(time).collect(),
            }
        };
        let mut rules: Vec<RuleCost<'m>> = ir.rules.iter().zip(&of_rule).map(rule).collect();
        rules.sort_by(|left, right| {
            let (slow, slower) = (left.nanoseconds.first(), right.nanoseconds.first());
            slower.partial_cmp(&slow).unwrap_or(std::cmp::Ordering::Equal).then(left.id.cmp(right.id))
        });
        Report {
            name,
            events: events.frames.len(),
            invalid: events.invalid,
            dispatched: events.candidates.iter().filter(|candidates| !candidates.is_empty()).count(),
            predicates: ir.predicates.len(),
            dispatch,
            costs,
            rules,
        }
    }

    /// All predicates' time by a runtime; what rules' shares are parts of.
    fn total(&self, runtime: usize) -> f64 {
        self.costs.get(runtime).map_or(0.0, |cost| cost.predicates.iter().sum())
    }

    fn share(&self, rule: &RuleCost<'_>, runtime: usize) -> f64 {
        let total = self.total(runtime);
        rule.nanoseconds.get(runtime).filter(|_| total > 0.0).map_or(0.0, |time| time / total)
    }

    /// Prints one JSON object.
    pub fn json(&self) -> anyhow::Result<()> {
        let events = self.events as f64;
        let runtimes: Vec<Json> = self
            .costs
            .iter()
            .map(|cost| {
                json!({
                    "runtime": cost.kind.name(),
                    "load_ns": cost.load.as_nanos() as u64,
                    "stage_one_ns_per_event": (self.dispatch + cost.all) / events,
                    "evaluate_ns_per_event": cost.all / events,
                    "failure": cost.failure,
                })
            })
            .collect();
        let rules: Vec<Json> = self
            .rules
            .iter()
            .map(|rule| {
                let cost: Map<String, Json> = self
                    .costs
                    .iter()
                    .zip(&rule.nanoseconds)
                    .enumerate()
                    .map(|(number, (cost, time))| {
                        let share = self.share(rule, number);
                        (cost.kind.name().to_owned(), json!({ "ns_per_event": time / events, "share": share }))
                    })
                    .collect();
                json!({ "id": rule.id, "evaluations": rule.evaluations, "hits": rule.hits, "cost": cost })
            })
            .collect();
        crate::report::say!(
            "{}",
            json!({
                "pack": self.name,
                "events": self.events,
                "invalid": self.invalid,
                "dispatched": self.dispatched,
                "dispatch_ns_per_event": self.dispatch / events,
                "runtimes": runtimes,
                "rules": rules,
            })
        );
        Ok(())
    }

    /// Prints tables; of the rules the `top` most expensive, or all for 0.
    pub fn text(&self, top: usize) -> anyhow::Result<()> {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let events = self.events as f64;
        writeln!(
            out,
            "{}: {}, {}; {}, {} invalid, {} with candidates\n",
            self.name,
            plural(self.rules.len(), "rule"),
            plural(self.predicates, "predicate"),
            plural(self.events, "event"),
            self.invalid,
            self.dispatched
        )?;
        writeln!(out, "{:8} {:>12} {:>14} {:>14} {:>14}", "runtime", "load", "stage one", "dispatch", "evaluation")?;
        for cost in self.costs {
            writeln!(
                out,
                "{:8} {:>9.2} ms {:>8.1} ns/ev {:>8.1} ns/ev {:>8.1} ns/ev",
                cost.kind.name(),
                cost.load.as_secs_f64() * 1e3,
                (self.dispatch + cost.all) / events,
                self.dispatch / events,
                cost.all / events
            )?;
        }
        let shown = if top == 0 { self.rules.len() } else { top.min(self.rules.len()) };
        let id = |rule: &RuleCost<'_>| -> String { printable(rule.id).chars().take(ID_WIDTH).collect() };
        let width = self.rules.iter().take(shown).map(|rule| id(rule).chars().count()).max().unwrap_or(4).max(4);
        write!(out, "\n{:width$} {:>12} {:>9}", "rule", "evaluations", "hits")?;
        for cost in self.costs {
            write!(out, " {:>18}", cost.kind.name())?;
        }
        writeln!(out)?;
        for rule in self.rules.iter().take(shown) {
            write!(out, "{:width$} {:>12} {:>9}", id(rule), rule.evaluations, rule.hits)?;
            for (number, time) in rule.nanoseconds.iter().enumerate() {
                write!(out, " {:>8.1} ns {:>4.1} %", time / events, self.share(rule, number) * 100.0)?;
            }
            writeln!(out)?;
        }
        let rest = self.rules.get(shown..).unwrap_or_default();
        if !rest.is_empty() {
            let share: f64 = rest.iter().map(|rule| self.share(rule, 0)).sum();
            writeln!(
                out,
                "{} more, {:.1} % of the time (`--top 0` shows them)",
                plural(rest.len(), "rule"),
                share * 100.0
            )?;
        }
        Ok(out.flush()?)
    }
}
