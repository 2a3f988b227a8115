//! `cargo xtask agree`: random packs, events and streams on every runtime, in release mode on all cores. `docs/agreement.md`
//! says what is compared.

use anyhow::Result;
use clap::Args;

use crate::packages::{cargo, ensure_build_tools, succeed, workspace};

/// The budget, the seed, and what becomes of findings.
#[derive(Debug, Args)]
pub struct Agree {
    /// How many (predicate, event) pairs at least.
    #[arg(long)]
    pairs: Option<u64>,
    /// How many streams at least.
    #[arg(long)]
    streams: Option<u64>,
    /// The seed of everything; with `--minutes` a fresh one when left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Goes on for so long, whatever the budgets are.
    #[arg(long)]
    minutes: Option<u64>,
    /// How many threads; one for each core when left out.
    #[arg(long)]
    threads: Option<u64>,
    /// Only pack number N of the pairs.
    #[arg(long, value_name = "N", conflicts_with = "stream_pack")]
    pack: Option<u64>,
    /// Only pack number N of the streams.
    #[arg(long, value_name = "N")]
    stream_pack: Option<u64>,
    /// Keeps what is found in conformance/found/cases.toml, for the tests to run from then on.
    #[arg(long)]
    save: bool,
}

/// Builds and starts it; an error when somebody differs.
pub fn run(options: &Agree) -> Result<()> {
    ensure_build_tools()?;
    let mut command = cargo();
    command.current_dir(workspace()?);
    command.args(["run", "--release", "--package", "kestrel-conformance", "--bin", "agree", "--"]);
    for (name, number) in [
        ("--pairs", options.pairs),
        ("--streams", options.streams),
        ("--seed", options.seed),
        ("--minutes", options.minutes),
        ("--threads", options.threads),
        ("--pack", options.pack),
        ("--stream-pack", options.stream_pack),
    ] {
        if let Some(number) = number {
            command.args([name.to_owned(), number.to_string()]);
        }
    }
    if options.save {
        command.arg("--save");
    }
    succeed(&mut command)
}
