//! `cargo xtask`: the chores of the project, each one command. This crate stays small, so that a chore can check and
//! install what a build needs before any heavy crate is compiled.

mod agree;
#[cfg(test)]
mod architecture;
mod bench;
mod bench_live;
mod bpf;
mod coverage;
mod demo;
mod generated;
mod host_api;
mod packages;
mod peers;
mod predicates;
mod schema;
mod soak;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// The main job: build the example rules to a pack, replay the shipped recording, then (as root) run live.
    Demo {
        /// Leave out the live part, even when it could run.
        #[arg(long)]
        replay_only: bool,
    },
    /// All tests of the workspace.
    Test {
        /// Passed on to `cargo test`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Writes what is generated from the schema: Rust tables, C header, documentation.
    Schema {
        /// Only compares, and fails when something is stale.
        #[arg(long)]
        check: bool,
    },
    /// Writes what is generated from the host API's table: bindings, prelude, reference, Rust table.
    HostApi {
        /// Only compares, and fails when something is stale.
        #[arg(long)]
        check: bool,
    },
    /// Builds the example predicates to the modules that are checked in.
    Predicates {
        /// Only compares, and fails when a module is stale.
        #[arg(long)]
        check: bool,
    },
    /// Builds the kernel programs to the object that is checked in.
    Bpf {
        /// Only compares, and fails when the object is stale.
        #[arg(long)]
        check: bool,
    },
    /// Writes the table of docs/coverage.md: the share of public rules whose events a live engine collects.
    Coverage {
        /// Only compares, and fails when the table is stale.
        #[arg(long)]
        check: bool,
    },
    /// Compares all runtimes on random packs, events and streams, in release mode on all cores.
    Agree(agree::Agree),
    /// Benchmarks in release mode: whole commands, then Kestrel beside published engines.
    Bench {
        /// One of them alone.
        #[command(subcommand)]
        only: Option<Benchmark>,
    },
    /// Gigabytes of events through the event log and back, with the writer killed in between; speed and memory.
    Soak(soak::Soak),
    /// Boots other kernels in virtual machines and runs the live ground truth in each; one table of kernels and kinds.
    Vm(vm::Vm),
    /// Records the demonstration's event log anew, live on this host (needs root and eBPF).
    Record,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Whole commands: medians over several runs.
    Commands,
    /// What a live engine costs this host and how soon it tells (needs root).
    Live {
        /// How many rounds of each workload.
        #[arg(long, default_value_t = 7)]
        rounds: usize,
    },
    /// Kestrel beside published engines, on the same events and rules.
    #[command(disable_help_flag = true)]
    Peers {
        /// Passed on to the comparison; `--help` tells them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Demo { replay_only } => demo::run(replay_only),
        Chore::Test { arguments } => test::run(&arguments),
        Chore::Schema { check } => schema::run(check),
        Chore::HostApi { check } => host_api::run(check),
        Chore::Predicates { check } => predicates::run(check),
        Chore::Bpf { check } => bpf::run(check),
        Chore::Coverage { check } => coverage::run(check),
        Chore::Agree(options) => agree::run(&options),
        Chore::Bench { only: None } => bench::run().and_then(|()| peers::run(&[])),
        Chore::Bench { only: Some(Benchmark::Commands) } => bench::run(),
        Chore::Bench { only: Some(Benchmark::Live { rounds }) } => bench_live::run(rounds),
        Chore::Bench { only: Some(Benchmark::Peers { arguments }) } => peers::run(&arguments),
        Chore::Soak(options) => soak::run(&options),
        Chore::Vm(options) => vm::run(&options),
        Chore::Record => demo::record(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
