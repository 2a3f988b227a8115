//! The IR as a lesson: the query, its predicates as trees, then the tables, under the same ids throughout.
//!
//! In: a query and its IR. Out: the text form, which parses back to the same IR; what explains it stands in comments. Of
//! the passes, what each made of the predicates.

use std::fmt::Write;

use kestrel_ir::model::{Ir, RuleKind};
use kestrel_ir::passes::{Pass, Sizes};
use kestrel_ir::text;

use super::tree::Trees;

/// The whole stage.
pub(super) fn lesson(query: &str, ir: &Ir) -> String {
    let mut shown = String::new();
    commented(&rule_heads(ir), &mut shown);
    commented(&indented(query), &mut shown);
    shown.push_str("#\n");
    commented(&Trees::new(ir).all(), &mut shown);
    shown.push_str(
        "#\n# The tables: f fields, a atoms, v values, n nodes, p predicates. They parse back to the same IR.\n#\n",
    );
    shown.push_str(&text::print(ir));
    shown
}

/// What the passes made of a query, one after another.
pub(super) struct PassesLesson {
    shown: String,
    trees: String,
}

impl PassesLesson {
    pub(super) fn new(query: &str, lowered: &Ir) -> PassesLesson {
        let trees = Trees::new(lowered).all();
        let shown = format!("{}{}\nlowered\n  {}\n{trees}", rule_heads(lowered), indented(query), Sizes::of(lowered));
        PassesLesson { shown, trees }
    }

    /// A pass changed something.
    pub(super) fn pass(&mut self, pass: Pass, before: &Ir, after: &Ir) {
        let trees = Trees::new(after).all();
        let _ = writeln!(self.shown, "\n{pass}\n  before {}\n  behind {}", Sizes::of(before), Sizes::of(after));
        match trees == self.trees {
            true => self.shown.push_str("the predicates read as before\n"),
            false => self.shown.push_str(&trees),
        }
        self.trees = trees;
    }

    pub(super) fn finish(self) -> String {
        self.shown
    }
}

fn rule_heads(ir: &Ir) -> String {
    let mut heads = String::new();
    for rule in &ir.rules {
        let kind = match &rule.kind {
            RuleKind::Event { .. } => "single events".to_owned(),
            RuleKind::Sequence(sequence) => format!("a sequence of {} steps", sequence.steps.len()),
            RuleKind::Sample { terms } => format!("a sample of {} terms", terms.len()),
        };
        let _ = writeln!(heads, "rule {:?}: {kind}", rule.id);
    }
    heads
}

fn indented(query: &str) -> String {
    query.trim().lines().map(|line| format!("  {line}\n")).collect()
}

fn commented(text: &str, out: &mut String) {
    for line in text.lines() {
        let _ = writeln!(out, "{}", format!("# {line}").trim_end());
    }
}
