//! Kestrel beside published engines, on the same events and rules: `cargo xtask bench peers`. docs/peers.md has the method.
//!
//! In: nothing but a seed. Out: tables of what an event costs with 100, 1,000 and 3,000 rules, after a check that every
//! engine finds the same; and of what it costs Kestrel with as many real rules.

mod chart;
mod engines;
mod events;
mod measure;
mod report;
mod rules;
mod scaled;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use kestrel_conformance::generate::{Random, derive};
use kestrel_engine::runtime::RuntimeKind;

use engines::{Given, Ready};
use report::Report;
use rules::Shape;

/// How many events show whether an engine finds what the others find.
const CHECKED: usize = 400;
/// The most events that an engine in Python is given to be measured by.
const PYTHON_EVENTS: usize = 5_000;

/// Measures engines beside each other.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench peers")]
struct Arguments {
    /// How many rules, several with commas.
    #[arg(long, value_delimiter = ',', default_value = "100,1000,3000")]
    rules: Vec<usize>,
    /// What kind of rules, several with commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "named,mixed")]
    shapes: Vec<Shape>,
    /// How many events at most; slow engines are measured by fewer, which the table says.
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// How many passes the medians are of.
    #[arg(long, default_value_t = 5)]
    passes: usize,
    /// What rules and events are made of.
    #[arg(long, default_value_t = 20_261_121)]
    seed: u64,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// The folder for charts of the cost per event over the number of rules, as `peers-<shape>.svg`.
    #[arg(long)]
    chart: Option<PathBuf>,
    /// A Python that has the package `eql`.
    #[arg(long)]
    python: Option<String>,
    /// Why there is none.
    #[arg(long, default_value = "no --python was given", hide = true)]
    no_python: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Tables.
    Text,
    /// One JSON document.
    Json,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut report = Report { rows: Vec::new(), skipped: Vec::new(), scaled: Vec::new(), passes: arguments.passes };
    let names = rules::names(&mut Random::new(derive(arguments.seed, 0)));
    for &shape in &arguments.shapes {
        for &size in &arguments.rules {
            one_size(&arguments, &names, (shape, size), &mut report)?;
        }
    }
    report.skipped.sort();
    report.skipped.dedup();
    eprintln!("real rules …");
    report.scaled = scaled::measure(&arguments.rules, arguments.passes)?;
    match arguments.output {
        Output::Text => print!("{}", report.markdown()),
        Output::Json => println!("{}", report.json()),
    }
    if let Some(folder) = &arguments.chart {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        for &shape in &arguments.shapes {
            let path = folder.join(format!("peers-{}.svg", shape.name()));
            let chart = chart::draw(&report.rows, shape).context("a chart needs two numbers of rules or more")?;
            std::fs::write(&path, chart).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}

fn one_size(arguments: &Arguments, names: &[String], (shape, size): (Shape, usize), report: &mut Report) -> Result<()> {
    eprintln!("{size} rules, {} …", shape.name());
    let rules = rules::make(derive(arguments.seed, 1), names, shape, size);
    // What is found is found by rules that every size has, so that hits are as many with every number of rules.
    let planted = arguments.rules.iter().copied().min().unwrap_or(size);
    let measured = events::to_measure(derive(arguments.seed, 2), names, &rules, planted, arguments.events);
    let check = events::to_check(derive(arguments.seed, 3), names, &rules, CHECKED);
    let given = Given { rules: &rules, check: &check, measure: &measured };
    let mut ready: Vec<Ready> = Vec::new();
    for runtime in [RuntimeKind::Wasm, RuntimeKind::Native] {
        ready.extend(engines::kestrel::load(given, runtime)?);
    }
    let python = |given| match &arguments.python {
        Some(python) => engines::python::load(given, python, PYTHON_EVENTS),
        None => Err(anyhow::anyhow!("{}", arguments.no_python)),
    };
    let mut peer = |name: &str, loaded: Result<Ready>| match loaded {
        Ok(loaded) => ready.push(loaded),
        Err(error) => report.skipped.push((name.to_owned(), format!("{error:#}"))),
    };
    peer("rsigma", engines::rsigma::load(given, false));
    peer("rsigma over a structure", engines::rsigma::load(given, true));
    peer("gene", engines::gene::load(given));
    peer("tau-engine", engines::tau::load(given));
    peer("sigma-rust", engines::sigma::load(given));
    peer("python-eql", python(given));
    report.rows.extend(measure::measure(given, shape, ready, arguments.passes)?);
    Ok(())
}
