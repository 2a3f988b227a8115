//! `kestrel-truth`: performs known acts on this host and compares what the live engine says with what was done.
//!
//! ```text
//! run       opens the live source, starts the workload, compares, prints the table   (needs root)
//! workload  performs the acts and prints what they must cause, one line of JSON each
//! init      the same as `run`, as the first process of a virtual machine
//! ```
//!
//! Exit status: 0 everything that the engine collects was seen and right; 1 something was not; 2 it could not be tried; 77 this
//! host does not allow live events, with the reason.

mod attached;
mod bench;
mod compare;
mod expect;
mod guest;
mod observe;
mod reloads;
mod report;
mod snapshot;
mod soak;
mod sys;
mod workload;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use kestrel_engine::live::{Demand, KindSet, LiveError, LiveOptions, LiveSource};
use reloads::Plan;

/// Known acts, and a comparison of what the live engine says about them with what was done.
#[derive(Debug, Parser)]
#[command(name = "kestrel-truth", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the workload under the live engine and compares (needs root).
    Run {
        /// Only these roles of the workload; all unless said otherwise.
        only: Vec<String>,
        /// Prints one JSON object instead of the table.
        #[arg(long)]
        json: bool,
    },
    /// Performs the acts, and prints what each must cause.
    Workload {
        /// Only these roles.
        only: Vec<String>,
    },
    /// Load, reloads and killed engines for a while; the ledger must balance and nothing stay attached (needs root).
    Soak {
        /// For so many seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// The seed of what happens when.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Bursts of load a second, each of 20 forks, 20 files and a program, in each of two processes; 0 for as many as there
        /// can be.
        #[arg(long, default_value_t = 5)]
        rate: u32,
        /// This `kestrel-engine` runs too, and is told to reload the packs in turn.
        #[arg(long, requires = "pack")]
        engine: Option<PathBuf>,
        /// Packs for it.
        #[arg(long)]
        pack: Vec<PathBuf>,
    },
    /// Starts engines and kills them at random moments; nothing may stay attached (needs root).
    Kill {
        /// So many.
        #[arg(long, default_value_t = 20)]
        rounds: u32,
        /// The seed of the moments.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// What a running engine costs the host and how soon it tells (needs root); `cargo xtask bench live` runs it.
    Bench(bench::Bench),
    /// Makes load, until its parent is gone.
    #[command(hide = true)]
    Load {
        /// Bursts a second.
        #[arg(long, default_value_t = 0)]
        rate: u32,
    },
    /// Reads live events, until it is killed.
    #[command(hide = true)]
    Read,
    /// What `kestrel-engine doctor --json` prints.
    Doctor,
    /// The first process of a virtual machine: mounts what is needed, runs, prints the results and powers off.
    Init,
}

/// As other test programs say that they could not run.
const SKIPPED: u8 = 77;

fn main() -> ExitCode {
    // A role decides before the arguments are looked at: they are part of the act.
    if std::env::var_os(workload::ROLE).is_some() {
        return match workload::run(&[]) {
            Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(255)),
            Err(error) => told(&error),
        };
    }
    let result = match Arguments::parse().command {
        Command::Run { only, json } => run(&only, json),
        Command::Workload { only } => workload::run(&only).map(|_| 0),
        Command::Soak { seconds, seed, rate, engine, pack } => {
            let told = engine.map(|engine| Plan { engine, packs: pack, seed });
            alive(|| soak::soak(Duration::from_secs(seconds), seed, rate, told))
        }
        Command::Kill { rounds, seed } => alive(|| soak::kill(rounds, seed)),
        Command::Bench(bench) => alive(|| bench::run(&bench)),
        Command::Load { rate } => soak::load(rate).map(|()| 0),
        Command::Read => soak::read().map(|()| 0),
        Command::Doctor => doctor(),
        Command::Init => guest::init(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => told(&error),
    }
}

/// Does something that needs live events, where they can be had.
fn alive(act: impl FnOnce() -> Result<()>) -> Result<u8> {
    match LiveSource::open(LiveOptions::default()) {
        Ok(source) => drop(source),
        Err(error @ (LiveError::Capabilities { .. } | LiveError::NoBtf { .. })) => {
            eprintln!("skipped: {error}");
            return Ok(SKIPPED);
        }
        Err(error) => return Err(error.into()),
    }
    act().map(|()| 0)
}

fn doctor() -> Result<u8> {
    writeln!(std::io::stdout(), "{}", kestrel_engine::doctor::diagnose().json())?;
    Ok(0)
}

fn told(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "kestrel-truth: {error:#}");
    ExitCode::from(2)
}

fn run(only: &[String], json: bool) -> Result<u8> {
    // Everything is watched here but this process itself.
    let options = LiveOptions {
        kinds: KindSet::all(),
        demand: Demand::of_fields(["container.id"]),
        ring_bytes: 32 << 20,
        ..LiveOptions::default()
    };
    let source = match LiveSource::open(options) {
        Ok(source) => source,
        Err(error @ (LiveError::Capabilities { .. } | LiveError::NoBtf { .. })) => {
            eprintln!("skipped: {error}");
            return Ok(SKIPPED);
        }
        Err(error) => return Err(error.into()),
    };
    let watched = observe::watch(source, only)?;
    let comparison = compare::compare(&watched);
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", report::json(&comparison, &watched))?;
    } else {
        report::text(&comparison, &watched, &mut out)?;
    }
    Ok(u8::from(!report::passed(&comparison, &watched)))
}
