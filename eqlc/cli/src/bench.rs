//! `eqlc bench`: what each rule of a pack costs, and each runtime, over a file of events.
//!
//! Measured is stage one: dispatch, which picks the predicates that are worth asking, and their evaluation by a runtime.
//! Events are decoded and laid out as frames before the clock starts. Each number is made of medians of several passes, in
//! slices so short that other work on the machine hardly shows (`measure.rs`). A rule's cost is that of its predicates,
//! each measured alone; what rules share is divided among them.
//!
//! ```text
//! events ─ events.rs ─▶ frames, candidates ─ measure.rs ─▶ nanoseconds by predicate and runtime ─ report.rs ─▶ table, JSON
//! ```

mod events;
mod measure;
mod report;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use kestrel_core::atoms::Atoms;
use kestrel_engine::runtime::{RuntimeError, RuntimeKind, RuntimeParts};
use kestrel_engine::session::NamedPack;

use crate::Outcome;
use crate::inspect::Output;
use crate::pack_file::open_pack;
use crate::report::tell;

use events::Events;
use measure::RuntimeCost;
use report::Report;

/// `eqlc bench`.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// The pack.
    pack: PathBuf,
    /// Files of events: NDJSON, a JSON array, `.zst` or `.gz` of either, or `.klog`.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    events: Vec<PathBuf>,
    /// What evaluates the predicates; may be given again. All that the pack has code for, unless said otherwise.
    #[arg(long, value_name = "RUNTIME")]
    runtime: Vec<RuntimeKind>,
    /// How many passes each number is the median of.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    passes: u32,
    /// How many rules the table names, the most expensive first; 0 for all.
    #[arg(long, default_value_t = 20, value_name = "N")]
    top: usize,
    /// How the numbers are printed. JSON has all rules.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Measures the pack.
pub fn bench(arguments: &BenchArguments) -> anyhow::Result<Outcome> {
    let name = arguments.pack.display().to_string();
    let named = NamedPack { name: name.clone(), pack: open_pack(&arguments.pack)? };
    let pack = &named.pack;
    let events = Events::read(&named, &arguments.events)?;
    if events.frames.is_empty() {
        bail!("there are no events to measure with");
    }
    let atoms = Atoms::new(pack.ir()).context("the pack's rules cannot be matched")?;
    let dispatch = measure::dispatch(pack.ir(), &atoms, &events, arguments.passes);
    let parts = RuntimeParts { ir: pack.ir(), wasm: pack.module(), lua: pack.predicates() };
    let asked: &[RuntimeKind] = if arguments.runtime.is_empty() { &RuntimeKind::ALL } else { &arguments.runtime };
    let mut costs: Vec<RuntimeCost> = Vec::new();
    let mut left_out = Vec::new();
    for &kind in asked {
        if costs.iter().any(|cost| cost.kind == kind) {
            continue;
        }
        match measure::runtime(kind, &parts, &atoms, &events, arguments.passes) {
            Ok(cost) => costs.push(cost),
            Err(error @ RuntimeError::NoCode { .. }) if arguments.runtime.is_empty() => {
                left_out.push((kind, error.to_string()));
            }
            Err(error) => return Err(error).with_context(|| format!("`{name}` cannot be measured")),
        }
    }
    for (kind, reason) in &left_out {
        tell!("{kind} is left out: {reason}");
    }
    warn(&costs);
    let report = Report::new(&name, pack, &events, dispatch, &costs);
    match arguments.output {
        Output::Json => report.json()?,
        Output::Text => report.text(arguments.top)?,
    }
    Ok(Outcome::Done)
}

/// A runtime that fails or finds something else is not worth comparing, and that must be seen.
fn warn(costs: &[RuntimeCost]) {
    let Some(first) = costs.first() else { return };
    for cost in costs {
        if cost.hits != first.hits {
            tell!("warning: {} finds other hits than {}; their costs are not of the same work", cost.kind, first.kind);
        }
        if let Some(failure) = &cost.failure {
            tell!("warning: {} failed: {failure}", cost.kind);
        }
    }
}
