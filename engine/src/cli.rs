//! The command line of `kestrel-engine`: what one can ask for, and what comes back as exit status.
//!
//! In: arguments. Out: 0 done, 1 it was tried and failed (alerts cannot be written, no live source, a damaged log), 2 it
//! was not tried (usage, a file that cannot be read, a pack that is refused). Results go to standard output, everything
//! else to standard error.

mod ctl;
mod live;
mod log;
mod options;
mod replay;
mod report;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use kestrel_engine::config::MAX_TRACED_ENDINGS;
use kestrel_engine::doctor;
use kestrel_engine::klog::SyncPolicy;
use kestrel_engine::live::SourceChoice;
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::runtime::profile::Profile;
use kestrel_engine::session::System;
use kestrel_engine::sinks::AlertTarget;

use options::{CacheTarget, Mode, RunOptions, StatsFormat};
use report::{print, say};

/// Runs detection packs on this host, live, or over recorded events.
#[derive(Debug, Parser)]
#[command(name = "kestrel-engine", version, args_conflicts_with_subcommands = true, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    run: RunArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What a run can be told.
#[derive(Debug, Args)]
struct RunArguments {
    /// The packs to run, as `eqlc build` makes them.
    #[arg(long, value_name = "PACK", num_args = 1..)]
    pack: Vec<PathBuf>,
    /// Runs only packs with a valid signature by this public key, as `eqlc keygen` makes it; may be given again, and one of
    /// the keys is enough.
    #[arg(long, value_name = "PUBKEYFILE")]
    require_signature: Vec<PathBuf>,
    /// Runs over these files instead of live: NDJSON, a JSON array, `.zst` or `.gz` of either, or `.klog`; `-` is
    /// standard input.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    replay: Vec<PathBuf>,
    /// Runs over standard input instead of live.
    #[arg(long, conflicts_with = "replay")]
    stdin: bool,
    /// What evaluates predicates: `wasm`, `lua`, `native` (trusted packs only) or `interp`. The alerts are the same. [default: wasm]
    #[arg(long, value_parser = options::runtime)]
    runtime: Option<RuntimeKind>,
    /// Runs only the rules for this operating system: `linux`, `windows`, `macos`; `any` runs all. A rule that names no system
    /// runs, unless its conditions ask for another one. [default: linux live, any over recorded events]
    #[arg(long, value_name = "SYSTEM", value_parser = System::from_str)]
    os: Option<System>,
    /// How far the packs' code is trusted: `trusted` or `strict`, which has smaller limits. [default: trusted]
    #[arg(long, value_name = "trusted|strict")]
    profile: Option<Profile>,
    /// Where alerts go: `-` (standard output), a file, `unix:PATH` (a socket somebody listens on), `syslog`,
    /// `syslog:unix:PATH`, `syslog:udp:HOST:PORT`, `syslog:tcp:HOST:PORT`, `journald`, `http(s)://…` (NDJSON), or
    /// `bulk+http(s)://HOST/_bulk?index=NAME`. May be given again, and each gets every alert. A live run adds to a file, a
    /// replay replaces it. [default: -]
    #[arg(long, value_name = "TARGET")]
    alerts: Vec<AlertTarget>,
    /// Where alerts wait until a server takes them. [default: /var/lib/kestrel/spool for root, else
    /// ~/.local/state/kestrel/spool]
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Goes on with a replay that was killed: the file of `--alerts` holds the beginning of its alerts, and the rest is
    /// added.
    #[arg(long, conflicts_with = "stdin")]
    resume: bool,
    #[command(flatten)]
    range: log::RangeArguments,
    /// Writes the events to this event log too; adds to one that is there.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// When the event log is also put on the disk: `never`, whenever events are written (`flush`), or after each block
    /// (`block`). [default: never]
    #[arg(long, value_name = "never|flush|block", value_parser = SyncPolicy::from_str)]
    record_sync: Option<SyncPolicy>,
    /// Where compiled code is kept, so that a pack that ran before is ready at once; `off` keeps none.
    /// [default: /var/cache/kestrel for root, else ~/.cache/kestrel]
    #[arg(long, value_name = "DIR|off")]
    code_cache: Option<CacheTarget>,
    /// Prints all counters and the loss ledger on standard error at the end: `text` or `json`.
    #[arg(long, value_name = "text|json")]
    stats: Option<StatsFormat>,
    /// Listens on this socket for `kestrel-engine ctl`, which asks a run for its state.
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Keeps this many of each rule's last endings of partial matches, for `ctl explain`. [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..=i64::from(MAX_TRACED_ENDINGS)))]
    trace_endings: Option<u16>,
    /// Where a live run gets its events: the kernel programs (`ebpf`), execs from the audit subsystem (`audit`), files from
    /// `fanotify`, or several of them with commas. [default: ebpf, and without it audit and fanotify]
    #[arg(long, value_name = "SOURCE", value_delimiter = ',', conflicts_with_all = ["replay", "stdin"])]
    source: Vec<SourceChoice>,
    /// Ends a live run after so many seconds.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["replay", "stdin"], value_parser = options::seconds)]
    duration: Option<std::time::Duration>,
    /// Reads options from a TOML file; those given here win.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What matches lead to; in this version `detect`, which is alerts.
    #[arg(long, value_name = "detect")]
    mode: Option<Mode>,
    /// How many threads a replay of files has to decode events and evaluate predicates, 1 to 64; the alerts are the same.
    /// Live runs and standard input have 1. [default: the number of processors, at most 8; 1 for small files]
    #[arg(long, value_name = "N", value_parser = options::threads)]
    threads: Option<usize>,
    /// Has events wait until event time has passed theirs by so much (`500ms`, `5s`, `1m`), and takes them in the order of
    /// their times; 0 takes them as they come. [default: 0]
    #[arg(long, value_name = "DURATION", value_parser = options::reorder)]
    reorder: Option<i64>,
    /// What the kernel drops by itself in a live run: `keys`, what has none of the names, paths or users that rules ask
    /// for, or `kinds`, only kinds of events that no rule wants. With `--record` it is `kinds`. [default: keys]
    #[arg(long, value_name = "keys|kinds", conflicts_with_all = ["replay", "stdin"])]
    pushdown: Option<options::Pushdown>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what works on this host and why the rest does not.
    Doctor {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Asks a running engine, over the socket of its `--control`.
    Ctl(ctl::CtlArguments),
    /// Reads, makes and checks event logs.
    #[command(subcommand)]
    Log(log::LogCommand),
}

/// A run that did not end well: what to say and which status to end with.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    error: anyhow::Error,
}

impl Failure {
    /// It was not tried: usage, or something that cannot be read.
    fn usage(error: impl Into<anyhow::Error>) -> Failure {
        Failure { status: 2, error: error.into() }
    }

    /// It was tried and failed.
    fn failed(error: impl Into<anyhow::Error>) -> Failure {
        Failure { status: 1, error: error.into() }
    }

    /// Says it; the status to end with.
    fn tell(self) -> u8 {
        say(&format!("error: {:#}", self.error));
        self.status
    }
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        Some(Command::Doctor { json }) => diagnose(json),
        Some(Command::Ctl(arguments)) => ctl::run(arguments),
        Some(Command::Log(command)) => log::run(&command),
        None => RunOptions::new(cli.run).and_then(|options| run::run(&options)),
    };
    ExitCode::from(ended.unwrap_or_else(Failure::tell))
}

fn diagnose(json: bool) -> Result<u8, Failure> {
    let diagnosis = doctor::diagnose();
    let text = if json { format!("{}\n", diagnosis.json()) } else { diagnosis.text() };
    print(&text).map_err(Failure::failed)?;
    Ok(u8::from(!diagnosis.live))
}
