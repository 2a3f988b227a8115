//! `cargo xtask bench commands`: whole commands in release mode, several runs each, medians. Prints a table; asserts nothing.
//!
//! The rules are those of the project, each many times under ids of its own with other texts in it, so that nothing is
//! shared that would not be shared among as many different rules; real rules beside the project are measured too when
//! they are there. The events are those of the project's recording, many times.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::packages::{cargo, ensure_build_tools, succeed, workspace};

/// How many runs of each command are counted, after one that is not.
const RUNS: usize = 7;

const RUNTIMES: [&str; 4] = ["interp", "wasm", "lua", "native"];

/// Runs all benchmarks of whole commands.
pub fn run() -> Result<()> {
    ensure_build_tools()?;
    let root = workspace()?;
    succeed(cargo().current_dir(&root).args([
        "build",
        "--release",
        "--package",
        "eqlc-cli",
        "--package",
        "kestrel-engine",
    ]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let (eqlc, engine) = (target.join("release/eqlc"), target.join("release/kestrel-engine"));
    let folder = target.join("bench");
    let events = folder.join("events.ndjson");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let count = write_events(&root, &engine, &events)?;
    println!("medians of {RUNS} runs, {count} events\n");
    println!("| what | median | spread |\n|---|---|---|");
    for rules in [100, 1000, 3000] {
        let rules_folder = folder.join(format!("rules-{rules}"));
        write_rules(&root, &rules_folder, rules)?;
        let pack = folder.join(format!("{rules}.kpkg"));
        report(&format!("`eqlc check`, {rules} rules"), Command::new(&eqlc).arg("check").arg(&rules_folder))?;
        report(
            &format!("`eqlc build`, {rules} rules"),
            Command::new(&eqlc).arg("build").arg(&rules_folder).arg("-o").arg(&pack),
        )?;
        for runtime in RUNTIMES {
            let mut command = Command::new(&engine);
            command.arg("--pack").arg(&pack).arg("--runtime").arg(runtime).arg("--replay").arg(&events);
            let median = report(&format!("replay, {rules} rules, {runtime}"), &mut command)?;
            println!("| … events a second | {:.0} | |", count as f64 / median.as_secs_f64());
        }
    }
    report_ready("1,000 rules", &engine, &folder.join("1000.kpkg"), &folder)?;
    let real = root.join("../shared/data/rules");
    if real.is_dir() {
        report("`eqlc check`, the real rules beside the project", Command::new(&eqlc).arg("check").arg(&real))?;
        let (copies, pack) = (folder.join("real"), folder.join("real.kpkg"));
        let count = write_real_rules(&real, &copies, 1000)?;
        let mut build = Command::new(&eqlc);
        build.arg("build").arg(&copies).arg("--keep-going").arg("-o").arg(&pack);
        report(&format!("`eqlc build`, {count} real rules and copies of them"), &mut build)?;
        report_ready(&format!("{count} real rules and copies"), &engine, &pack, &folder)?;
    }
    Ok(())
}

/// How long a pack takes to be ready, by the engine's own word: read, checked, and its code compiled or taken from the cache.
fn report_ready(what: &str, engine: &Path, pack: &Path, folder: &Path) -> Result<()> {
    let (nothing, cache) = (folder.join("nothing.ndjson"), folder.join("code-cache"));
    std::fs::write(&nothing, "").with_context(|| format!("writing {}", nothing.display()))?;
    if cache.exists() {
        std::fs::remove_dir_all(&cache).with_context(|| format!("removing {}", cache.display()))?;
    }
    let cached = cache.display().to_string();
    let cases = [("interp", "off"), ("wasm", "off"), ("wasm", cached.as_str()), ("lua", "off"), ("native", "off")];
    for (runtime, cache) in cases {
        let mut times = Vec::with_capacity(RUNS);
        for run in 0..=RUNS {
            let mut command = Command::new(engine);
            command.arg("--pack").arg(pack).arg("--replay").arg(&nothing).args(["--stats", "json"]);
            command.args(["--runtime", runtime, "--code-cache", cache]);
            let output = command.output().with_context(|| format!("starting {command:?}"))?;
            let said = String::from_utf8_lossy(&output.stderr);
            let stats = said.lines().rev().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let seconds = stats.and_then(|stats| stats["load_seconds"].as_f64());
            let seconds = seconds.with_context(|| format!("{command:?} told no time: {said}"))?;
            if run > 0 {
                times.push(Duration::from_secs_f64(seconds));
            }
        }
        times.sort();
        let how = if cache == "off" { "" } else { " from the cache" };
        let (first, median, last) = (times[0], times[RUNS / 2], times[RUNS - 1]);
        println!("| ready, {what}, {runtime}{how} | {median:.1?} | {first:.1?} to {last:.1?} |");
    }
    Ok(())
}

/// The real rules and as many copies as make `count` files; copies have ids, paths and programs of their own.
fn write_real_rules(real: &Path, folder: &Path, count: usize) -> Result<usize> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut waiting = vec![real.to_path_buf()];
    let mut sources = Vec::new();
    while let Some(place) = waiting.pop() {
        for entry in std::fs::read_dir(&place).with_context(|| format!("reading {}", place.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                // The others are in other query languages.
                if !text.contains("language = \"") || text.contains("language = \"eql\"") {
                    sources.push(text);
                }
            }
        }
    }
    sources.sort();
    if sources.is_empty() {
        bail!("{} holds no rules", real.display());
    }
    for number in 0..count {
        let (source, copy) = (&sources[number % sources.len()], number / sources.len());
        let text = match copy {
            0 => source.clone(),
            _ => {
                let own = source.replace(".exe\"", &format!("{copy}.exe\"")).replace("\"/", &format!("\"/{copy}/"));
                let id = |line: &str| match line.split_once("id = \"") {
                    Some(("" | "rule_", rest)) => format!("{}{copy}-{rest}", &line[..line.len() - rest.len()]),
                    _ => line.to_owned(),
                };
                own.lines().map(id).collect::<Vec<_>>().join("\n")
            }
        };
        let path = folder.join(format!("{number}.toml"));
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(count)
}

/// Runs a command several times and prints the median; what it prints is thrown away.
fn report(what: &str, command: &mut Command) -> Result<Duration> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut times = Vec::with_capacity(RUNS);
    for run in 0..=RUNS {
        let start = Instant::now();
        let status = command.status().with_context(|| format!("starting {command:?}"))?;
        if !status.success() {
            bail!("{command:?} failed: {status}");
        }
        if run > 0 {
            times.push(start.elapsed());
        }
    }
    times.sort();
    let (first, median, last) = (times[0], times[RUNS / 2], times[RUNS - 1]);
    println!("| {what} | {median:.1?} | {first:.1?} to {last:.1?} |");
    Ok(median)
}

/// `count` rules: the project's own, in turn, each copy with its own id and names.
fn write_rules(root: &Path, folder: &Path, count: usize) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(root.join("rules/linux")).context("reading the project's rules")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "eql") {
            sources.push(std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?);
        }
    }
    sources.sort();
    for number in 0..count {
        let source = &sources[number % sources.len()];
        let mut text = String::with_capacity(source.len() + 256);
        for line in source.lines().filter(|line| !line.starts_with("tests =")) {
            match line.strip_prefix("id = \"") {
                Some(id) => writeln!(text, "id = \"bench-{number}-{id}")?,
                // The copies ask for names that no event has, each for one of its own, so that alerts stay as many.
                None if number < sources.len() => writeln!(text, "{line}")?,
                None => {
                    let name = format!("event.action == \"exec\" and process.name == \"bench{number}\"");
                    writeln!(text, "{}", line.replace("event.action == \"exec\"", &name))?;
                }
            }
        }
        let path = folder.join(format!("{number}.eql"));
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The project's recording as NDJSON, until there are about 60,000 events. Returns how many there are.
fn write_events(root: &Path, engine: &Path, path: &Path) -> Result<usize> {
    let log = root.join("rules/demo/recording.klog");
    let exported = Command::new(engine).args(["log", "cat"]).arg(&log).output().context("reading the recording")?;
    let text = String::from_utf8(exported.stdout).context("the recording is UTF-8")?;
    let lines = text.lines().count();
    if lines == 0 {
        bail!("{} holds no events", log.display());
    }
    let times = 60_000 / lines;
    std::fs::write(path, text.repeat(times)).with_context(|| format!("writing {}", path.display()))?;
    Ok(lines * times)
}
