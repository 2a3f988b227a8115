//! Rules that were judged, summed up by what they need and by what they lack.

use std::collections::BTreeMap;

use kestrel_schema::event_kinds;

use super::Judged;

/// How far a rule is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// All that it asks for is collected.
    Whole,
    /// It can match, but not in every way that it is written for.
    Part,
    /// It cannot match.
    No,
}

impl Served {
    pub(super) fn word(self) -> &'static str {
        match self {
            Served::Whole => "yes",
            Served::Part => "in part",
            Served::No => "no",
        }
    }
}

/// All that was judged.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) rules: Vec<Judged>,
    /// Rules in another language.
    pub(super) skipped: usize,
    /// Rules for other systems.
    pub(super) elsewhere: usize,
    /// Rules with mistakes.
    pub(super) failed: usize,
}

/// What many rules have in common: a kind or a field.
pub(super) struct Sum {
    pub(super) name: String,
    /// Whether a source of this build collects it.
    pub(super) live: bool,
    /// The rules that need it.
    pub(super) needed: usize,
    /// The rules that lack nothing else.
    pub(super) alone: usize,
}

impl Tally {
    pub(super) fn served(&self) -> usize {
        self.rules.iter().filter(|rule| rule.served == Served::Whole).count()
    }

    pub(super) fn in_part(&self) -> usize {
        self.rules.iter().filter(|rule| rule.served == Served::Part).count()
    }

    pub(super) fn planned(&self) -> usize {
        self.rules.iter().filter(|rule| rule.planned).count()
    }

    /// A number of rules in percent of all; of no rules everything is served.
    pub(super) fn share(&self, rules: usize) -> f64 {
        if self.rules.is_empty() { 100.0 } else { 100.0 * rules as f64 / self.rules.len() as f64 }
    }

    /// The kinds that any rule needs: first those that are not live, by how many rules they alone would serve.
    pub(super) fn kinds(&self) -> Vec<Sum> {
        let sum = |kind: &kestrel_schema::EventKind| Sum {
            name: kind.name.to_owned(),
            live: kind.live,
            needed: self.rules.iter().filter(|rule| rule.kinds.contains(&kind.name)).count(),
            alone: self
                .rules
                .iter()
                .filter(|rule| rule.missing_fields.is_empty() && rule.missing_kinds == [kind.name])
                .count(),
        };
        sorted(event_kinds().iter().map(sum).collect())
    }

    /// The fields that any rule lacks, by how many rules each alone would serve if all kinds were live.
    pub(super) fn fields(&self) -> Vec<Sum> {
        let mut sums: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for rule in &self.rules {
            for field in &rule.missing_fields {
                let sum = sums.entry(field).or_default();
                sum.0 += 1;
                sum.1 += usize::from(rule.missing_fields.len() == 1);
            }
        }
        let sum = |(name, (needed, alone)): (&str, _)| Sum { name: name.to_owned(), live: false, needed, alone };
        sorted(sums.into_iter().map(sum).collect())
    }
}

fn sorted(mut sums: Vec<Sum>) -> Vec<Sum> {
    sums.retain(|sum| sum.needed > 0);
    sums.sort_by(|left, right| {
        let rank = |sum: &Sum| (sum.live, std::cmp::Reverse((sum.alone, sum.needed)));
        rank(left).cmp(&rank(right))
    });
    sums
}
