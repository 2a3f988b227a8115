//! `cargo xtask vm`: the live ground truth on other kernels, in virtual machines.
//!
//! In: Debian's kernels for cloud machines, by series; fetched once, kept in `target/vm`. Out: a table kernels × kinds, the
//! answers as JSON (`target/vm/results.json`), and with `--write` `docs/capabilities.md`. Each machine has nothing on its disk but the
//! program `kestrel-truth` with the libraries that it needs: it is the first process, runs the live suite with the same kernel
//! object as everywhere, prints what it found on the serial line, and powers off.
//!
//! What is missing (QEMU, cpio, a network for the first time) is told, and installed where this process may. A machine that does
//! not answer in time is ended.

mod capabilities;
mod guest;
mod image;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value as Json, json};

use crate::packages::{cargo, ensure_build_tools, install, is_root, runs, succeed, workspace};

/// Which kernels, and what is written.
#[derive(Debug, Args)]
pub struct Vm {
    /// The series of kernels to boot.
    #[arg(long, value_delimiter = ',', default_value = "6.1,6.12")]
    series: Vec<String>,
    /// Seconds after which a machine is ended.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// Writes docs/capabilities.md from what was found here and in the machines.
    #[arg(long)]
    write: bool,
    /// Where a machine cannot be had, says so and succeeds: for continuous integration.
    #[arg(long)]
    or_skip: bool,
    /// Prints what each machine printed.
    #[arg(long)]
    verbose: bool,
}

/// What one kernel answered.
pub struct Answer {
    /// Its release, `6.1.0-56-cloud-amd64`.
    pub kernel: String,
    /// What `doctor` said.
    pub doctor: Json,
    /// What the ground truth found; null when it found nothing to compare.
    pub truth: Json,
}

/// Boots, collects, prints.
///
/// # Errors
/// When a machine cannot be had or does not answer, or an event there is missing or wrong.
pub fn run(options: &Vm) -> Result<()> {
    if let Err(error) = tools() {
        if options.or_skip {
            println!("vm: skipped: {error:#}");
            return Ok(());
        }
        return Err(error);
    }
    let root = workspace()?;
    ensure_build_tools()?;
    succeed(cargo().current_dir(&root).args(["build", "--package", "kestrel-truth"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let program = target.join("debug/kestrel-truth");
    let folder = target.join("vm");
    std::fs::create_dir_all(&folder)?;

    let mut answers = Vec::new();
    if is_root() {
        answers.push(guest::here(&program).context("on this host")?);
    } else {
        println!("vm: this host itself is left out: the live suite needs root");
    }
    for series in &options.series {
        let kernel = match image::kernel(&folder, series) {
            Ok(kernel) => kernel,
            Err(error) if options.or_skip => {
                println!("vm: {series} skipped: {error:#}");
                continue;
            }
            Err(error) => return Err(error),
        };
        let initial = image::initial(&folder, &kernel, &program)?;
        let time = Duration::from_secs(options.seconds);
        answers.push(guest::boot(&kernel, &initial, time, options.verbose).with_context(|| format!("on {series}"))?);
    }
    let results: Vec<Json> = answers
        .iter()
        .map(|answer| json!({"kernel": answer.kernel, "doctor": answer.doctor, "truth": answer.truth}))
        .collect();
    std::fs::write(folder.join("results.json"), serde_json::to_string_pretty(&results)?)?;
    print!("{}", capabilities::table(&answers));
    if options.write {
        let path = root.join("docs/capabilities.md");
        std::fs::write(&path, capabilities::page(&answers)).context("cannot write docs/capabilities.md")?;
        println!("written: docs/capabilities.md");
    }
    let failed: Vec<&str> =
        answers.iter().filter(|answer| answer.truth["passed"] != true).map(|answer| answer.kernel.as_str()).collect();
    if !failed.is_empty() {
        for answer in &answers {
            print!("{}", capabilities::failures(answer));
        }
        bail!("the ground truth does not hold on {}", failed.join(", "));
    }
    Ok(())
}

fn tools() -> Result<()> {
    let missing: Vec<&str> = [("qemu-system-x86_64", "qemu-system-x86"), ("cpio", "cpio"), ("xz", "xz-utils")]
        .into_iter()
        .filter(|(tool, _)| !runs(tool))
        .map(|(_, package)| package)
        .collect();
    if missing.is_empty() { Ok(()) } else { install(&missing).context("virtual machines need more than is here") }
}
