//! What a running engine costs the host, and how soon it tells: the real `kestrel-engine` beside real workloads.
//!
//! ```text
//! slowdown   a compile, and a storm of forks, programs, opened and created files: without an engine, with one whose
//!            kernel filter knows kinds alone, with one that compares keys too; in turn, so that a noisy machine is noisy to all
//! share      of the events at the hooks, how many the kernel dropped or sent for the process table alone: the engine's books
//! latency    a program that a rule knows is started, again and again: from the event's time to its alert in a pipe
//! load       a thousand created files a second: the processor time that the engine takes
//! loss       created files as fast as this machine makes them: records a second, and how many were lost
//! ```
//!
//! Prints tables for `docs/benchmarks.md`; asserts nothing about time. Everything that is started ends with it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use kestrel_ir::time;
use serde_json::Value as Json;

/// What is measured with what.
#[derive(Debug, Args)]
pub struct Bench {
    /// The engine.
    #[arg(long)]
    engine: PathBuf,
    /// A pack of the rules that are loaded.
    #[arg(long)]
    pack: PathBuf,
    /// A pack with a rule that tells of programs with an argument `kestrel-bench-marker-…`, whose name has `marker` in it.
    #[arg(long)]
    marker: PathBuf,
    /// A pack with a rule that has every file event given to the rules.
    #[arg(long)]
    files: PathBuf,
    /// How many rounds of each workload.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

/// How an engine runs beside a workload.
const MODES: [(&str, Option<&str>); 3] =
    [("no engine", None), ("kinds alone", Some("kinds")), ("kinds and keys", Some("keys"))];

/// How many C files a compile has, and functions each.
const FILES: usize = 24;
const FUNCTIONS: usize = 60;
/// What a storm is made of.
const PROGRAMS: usize = 1_000;
const OPENED: usize = 60;
const CREATED: usize = 10;
/// How many alerts the latency is of, and how far apart their programs are started.
const ALERTS: usize = 400;
const APART: Duration = Duration::from_millis(10);
/// How long a rate is held.
const HELD: Duration = Duration::from_secs(10);
/// Events a second of the measurement of load.
const RATE: u64 = 1_000;
/// How long an engine may take to be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that runs until it is asked to end.
struct Engine {
    child: Child,
    said: Receiver<String>,
    alerts: Option<Receiver<(SystemTime, String)>>,
}

impl Engine {
    /// Starts one and waits until it says that it is live.
    fn start(bench: &Bench, packs: &[&Path], pushdown: &str) -> Result<Engine> {
        let mut command = Command::new(&bench.engine);
        packs.iter().for_each(|pack| {
            command.arg("--pack").arg(pack);
        });
        command.args(["--pushdown", pushdown, "--stats", "json", "--alerts", "-", "--duration", "600"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {}", bench.engine.display()))?;
        let said = lines(child.stderr.take().context("its standard error")?, |line| line);
        let alerts = lines(child.stdout.take().context("its standard output")?, |line| (SystemTime::now(), line));
        let engine = Engine { child, said, alerts: Some(alerts) };
        loop {
            let line = engine.said.recv_timeout(PATIENCE).context("the engine does not say that it is live")?;
            if line.contains("live on this host") {
                // What it says next are notes; programs are attached by now.
                std::thread::sleep(Duration::from_millis(500));
                return Ok(engine);
            }
            ensure!(!line.contains("error"), "the engine says: {line}");
        }
    }

    /// Seconds of processor time that it has taken.
    fn processor(&self) -> Result<f64> {
        processor(&self.child.id().to_string())
    }

    /// Asks it to end, and gives its counters.
    fn end(mut self) -> Result<Json> {
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status()?;
        ensure!(asked.success(), "the engine was not there any more");
        // Nobody reads its alerts any more, and a full pipe would keep it.
        let alerts = self.alerts.take();
        let reader = std::thread::spawn(move || alerts.map_or(0, |alerts| alerts.iter().count()));
        let mut stats = None;
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            stats = serde_json::from_str(&line).ok().or(stats);
        }
        self.child.wait()?;
        let _ = reader.join();
        stats.context("the engine told no counters")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of processor time that a process and its children that have ended have taken, in user space and in the kernel.
fn processor(process: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // utime, stime, cutime, cstime, in ticks of 10 ms.
    let ticks: Vec<f64> = fields.skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    ensure!(ticks.len() == 4, "/proc/{process}/stat has another form");
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// Reads lines in a thread of its own.
fn lines<T: Send + 'static>(
    from: impl std::io::Read + Send + 'static,
    made: impl Fn(String) -> T + Send + 'static,
) -> Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(made(line)).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A folder of our own, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let folder = std::env::temp_dir().join(format!("kestrel-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Measures all of it.
///
/// # Errors
/// When an engine or a workload cannot be run.
pub fn run(bench: &Bench) -> Result<()> {
    let folder = Folder::new()?;
    write_sources(&folder.0)?;
    slowdown(bench, "a compile", || compile(&folder.0))?;
    slowdown(bench, "a storm", || storm(&folder.0))?;
    latency(bench)?;
    load(bench, &folder.0)?;
    loss(bench, &folder.0)
}

/// The C files of a compile.
fn write_sources(folder: &Path) -> Result<()> {
    for file in 0..FILES {
        let mut text =
            String::from("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <math.h>\n");
        for function in 0..FUNCTIONS {
            writeln!(
                text,
                "int f{file}_{function}(int n, char *s) {{ for (int i = 0; i < n; i++) {{ s[i] ^= (char)(i * {function}); \
                 if (strlen(s) > 7) n -= atoi(s); }} return n + (int)sqrt(n); }}"
            )?;
        }
        if file == 0 {
            text.push_str("int main(void) { return 0; }\n");
        }
        std::fs::write(folder.join(format!("{file}.c")), text)?;
    }
    Ok(())
}

fn compile(folder: &Path) -> Result<()> {
    let mut link = Command::new("cc");
    for file in 0..FILES {
        let (source, object) = (folder.join(format!("{file}.c")), folder.join(format!("{file}.o")));
        succeed(Command::new("cc").args(["-O1", "-c"]).arg(&source).arg("-o").arg(&object))?;
        link.arg(&object);
    }
    succeed(link.arg("-lm").arg("-o").arg(folder.join("program")))
}

fn storm(folder: &Path) -> Result<()> {
    for _ in 0..PROGRAMS {
        succeed(&mut Command::new("true"))?;
        for file in 0..OPENED {
            let mut text = String::new();
            std::fs::File::open(folder.join(format!("{}.c", file % FILES)))?.take(16).read_to_string(&mut text)?;
        }
        for file in 0..CREATED {
            let path = folder.join(format!("{file}.part"));
            std::fs::write(&path, b"part")?;
            std::fs::rename(&path, folder.join(format!("{file}.whole")))?;
            std::fs::remove_file(folder.join(format!("{file}.whole")))?;
        }
    }
    Ok(())
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("starting {}", command.get_program().display()))?;
    ensure!(status.success(), "{}: {status}", command.get_program().display());
    Ok(())
}

/// A workload in all modes, in turn.
fn slowdown(bench: &Bench, name: &str, workload: impl Fn() -> Result<()>) -> Result<()> {
    // Seconds that passed, and of processor time that the workload took, which other work on the machine changes less.
    let mut times = [const { (Vec::new(), Vec::new()) }; MODES.len()];
    let mut books = [(0, 0, 0); MODES.len()];
    // The first round warms up.
    for round in 0..=bench.rounds {
        for (mode, (_, pushdown)) in MODES.iter().enumerate() {
            let engine = pushdown.map(|pushdown| Engine::start(bench, &[&bench.pack], pushdown)).transpose()?;
            let (begun, taken) = (Instant::now(), processor("self")?);
            workload()?;
            let (time, taken) = (begun.elapsed().as_secs_f64(), processor("self")? - taken);
            if let Some(engine) = engine {
                let (produced, delivered, lost) = totals(&engine.end()?)?;
                let (sum, given, gone) = &mut books[mode];
                (*sum, *given, *gone) = (*sum + produced, *given + delivered, *gone + lost);
            }
            if round > 0 {
                times[mode].0.push(time);
                times[mode].1.push(taken);
            }
        }
    }
    let [(alone, alone_taken), ..] = &times;
    // Pair by pair, because a round is as noisy for one mode as for the next.
    let more = |values: &[f64], alone: &[f64]| {
        let ratios: Vec<f64> = values.iter().zip(alone).map(|(value, alone)| value / alone).collect();
        100.0 * (at(&ratios, 0.5) - 1.0)
    };
    println!("{name}, {} rounds in turn; ratios are medians of pairs with no engine\n", bench.rounds);
    println!(
        "| | time | against none | processor time | against none | events at the hooks | not given to rules | lost |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for ((name, _), ((times, taken), (produced, delivered, lost))) in MODES.iter().zip(times.iter().zip(books)) {
        let share = 100.0 * produced.saturating_sub(delivered) as f64 / (produced.max(1)) as f64;
        println!(
            "| {name} | {:.2} s | {:+.1} % | {:.2} s | {:+.1} % | {produced} | {share:.1} % | {lost} |",
            at(times, 0.5),
            more(times, alone),
            at(taken, 0.5),
            more(taken, alone_taken)
        );
    }
    println!();
    Ok(())
}

/// Events at the hooks but the engine's own, given to rules, lost, of all kinds.
fn totals(stats: &Json) -> Result<(u64, u64, u64)> {
    let kinds = stats["live"]["kinds"].as_object().context("the engine's books")?;
    let sum = |name: &str| kinds.values().filter_map(|kind| kind[name].as_u64()).sum::<u64>();
    Ok((sum("produced").saturating_sub(sum("ignored")), sum("delivered"), sum("dropped")))
}

/// The value below which a share of all lie.
fn at(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

fn latency(bench: &Bench) -> Result<()> {
    let mut engine = Engine::start(bench, &[&bench.pack, &bench.marker], "keys")?;
    let alerts = engine.alerts.take().context("its alerts")?;
    for number in 0..ALERTS {
        succeed(Command::new("true").arg(format!("kestrel-bench-marker-{number}")))?;
        std::thread::sleep(APART);
    }
    let mut latencies = Vec::new();
    while latencies.len() < ALERTS {
        let (came, alert) = alerts.recv_timeout(PATIENCE).context("an alert is missing")?;
        let alert: Json = serde_json::from_str(&alert)?;
        if !alert["rule"]["name"].as_str().is_some_and(|name| name.contains("marker")) {
            continue;
        }
        let event = alert["events"][0]["@timestamp"].as_str().context("the event's time")?;
        let event = time::parse_text(event).context("the event's time")?;
        let came = came.duration_since(SystemTime::UNIX_EPOCH)?.as_nanos() as i64;
        latencies.push((came - event) as f64 / 1_000.0);
    }
    drop(engine);
    println!(
        "from the hook to the alert in a pipe, {ALERTS} alerts, {} ms apart: p50 {:.0} us, p90 {:.0} us, p99 {:.0} us, most {:.0} us\n",
        APART.as_millis(),
        at(&latencies, 0.5),
        at(&latencies, 0.9),
        at(&latencies, 0.99),
        at(&latencies, 1.0)
    );
    Ok(())
}

/// The events of [`touch`]: created, opened, deleted.
const TOUCHED: u64 = 3;

/// Creates a file and removes it.
fn touch(path: &Path) -> Result<()> {
    std::fs::write(path, b"")?;
    std::fs::remove_file(path).context("removing a file of our own")
}

fn load(bench: &Bench, folder: &Path) -> Result<()> {
    let path = folder.join("kestrel-bench.load");
    for pushdown in ["kinds", "keys"] {
        let engine = Engine::start(bench, &[&bench.pack, &bench.files], pushdown)?;
        let (idle, begun) = (engine.processor()?, Instant::now());
        std::thread::sleep(HELD / 2);
        let (idle, quiet) = (engine.processor()? - idle, begun.elapsed());
        let (before, begun) = (engine.processor()?, Instant::now());
        let mut done = 0;
        while begun.elapsed() < HELD {
            // What is due by now, in steps of a millisecond.
            while done < begun.elapsed().as_micros() as u64 * RATE / 1_000_000 {
                touch(&path)?;
                done += TOUCHED;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let (taken, lasted) = (engine.processor()? - before, begun.elapsed());
        let (produced, delivered, lost) = totals(&engine.end()?)?;
        println!(
            "{RATE} file events a second, {pushdown}: {:.1} % of a core ({:.1} % before); in all {produced} at the hooks, \
             {delivered} given to rules, {lost} lost",
            100.0 * taken / lasted.as_secs_f64(),
            100.0 * idle / quiet.as_secs_f64()
        );
    }
    println!();
    Ok(())
}

/// Rates that are tried, in events a second; the last is as many as come.
const RATES: [u64; 6] = [10_000, 20_000, 50_000, 100_000, 200_000, u64::MAX];

/// How many threads create files.
const MAKERS: u64 = 2;

fn loss(bench: &Bench, folder: &Path) -> Result<()> {
    println!("| asked for | at the hooks, a second | given to rules | lost |\n|---|---|---|---|");
    for rate in RATES {
        let engine = Engine::start(bench, &[&bench.files], "kinds")?;
        let begun = Instant::now();
        let maker = |number: u64| {
            let path = folder.join(format!("kestrel-bench.loss-{number}"));
            let mut done = 0;
            while begun.elapsed() < HELD / 3 {
                let due = (begun.elapsed().as_micros() as u64).saturating_mul(rate / MAKERS) / 1_000_000;
                if rate != u64::MAX && done >= due {
                    std::thread::sleep(Duration::from_micros(200));
                    continue;
                }
                touch(&path)?;
                done += TOUCHED;
            }
            anyhow::Ok(())
        };
        std::thread::scope(|scope| {
            let makers: Vec<_> = (0..MAKERS).map(|number| scope.spawn(move || maker(number))).collect();
            makers.into_iter().try_for_each(|maker| maker.join().unwrap_or_else(|_| bail!("a thread failed")))
        })?;
        let lasted = begun.elapsed().as_secs_f64();
        let (produced, delivered, lost) = totals(&engine.end()?)?;
        let asked = if rate == u64::MAX { "all that can be".to_owned() } else { rate.to_string() };
        let a_second = produced as f64 / lasted;
        println!("| {asked} | {a_second:.0} | {delivered} of {produced} | {lost} |");
    }
    std::io::stdout().flush()?;
    Ok(())
}
