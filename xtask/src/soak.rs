//! `cargo xtask soak`: gigabytes through the event log and back, with the commands that an operator uses; with `--live`, hours of
//! live events instead (`kestrel-truth soak`).
//!
//! In: how many gigabytes. A process that writes the log (`kestrel-engine log import --append`) is fed with generated
//! events, killed a few times in the middle of its work, and continued with what the log does not hold. Then the log is
//! verified, read back whole and read in a range of times, and every line is compared with the event that belongs there:
//! order, number and content. Out: megabytes a second each way, the peak of resident memory of each process, and an error
//! when anything differs or memory grows with the log. The log lies in a folder of its own, which is removed.

use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value as Json;

use crate::packages::{cargo, ensure_build_tools, succeed, workspace};

/// How much is written, where, and how often the writer is killed.
#[derive(Debug, Args)]
pub struct Soak {
    /// Gigabytes (10^9 bytes) of events, before compression.
    #[arg(long, default_value_t = 1)]
    gigabytes: u64,
    /// Live events instead of logs: forks, programs, files, reloads and killed engines at the same time (needs root).
    #[arg(long)]
    live: bool,
    /// How long, with `--live`.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Bursts of load a second, with `--live`; 0 for as many as there can be.
    #[arg(long, default_value_t = 5)]
    rate: u32,
    /// How often the writing process is killed and continued.
    #[arg(long, default_value_t = 3)]
    kills: u64,
    /// The seed of the events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Uses the build of the tests and the demo instead of a release build: slower, and often already there.
    #[arg(long)]
    dev: bool,
    /// Where the log is written; the system's folder for temporary files when left out.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// How many times smaller the log is than its events, at least; what the check for room goes by.
const COMPRESSED: u64 = 4;
/// Room that is left alone, in bytes.
const SPARE: u64 = 256 << 20;
/// What a killed writer may lose: its unfinished block, and what is still on its way to it in buffers and the pipe.
const LOST_AT_MOST: u64 = 1 << 20;
/// What any of the processes may take at its peak, however large the log is, in bytes.
const MEMORY_AT_MOST: u64 = 64 << 20;
/// How often memory is looked at, in bytes that went through the pipe.
const GLANCE: u64 = 32 << 20;
/// Nanoseconds between two events.
const PACE: i64 = 1_000_000;
/// 2026-01-01T00:00:00Z.
const EPOCH: i64 = 1_767_225_600 * 1_000_000_000;
/// How much too late some events come, in nanoseconds.
const LATE: i64 = 5_000 * PACE;

/// Has the ground truth's program make load, beside an engine whose packs change; the ledgers must balance, memory stay within
/// bounds, nothing stay attached.
fn live(options: &Soak) -> Result<()> {
    let built = build(options, &["kestrel-engine", "eqlc-cli", "kestrel-truth"])?;
    let folder = Folder::new(options.folder.as_deref())?;
    let root = workspace()?;
    let pack = |name: &str, rules: &str| -> Result<PathBuf> {
        let pack = folder.0.join(name);
        let mut eqlc = Command::new(built.join("eqlc"));
        succeed(eqlc.current_dir(&root).args(["build", rules, "-o"]).arg(&pack))?;
        Ok(pack)
    };
    let (first, second) = (pack("all.kpkg", "rules/")?, pack("linux.kpkg", "rules/linux")?);
    let mut truth = Command::new(built.join("kestrel-truth"));
    truth.args(["soak", "--seconds", &options.minutes.saturating_mul(60).to_string()]);
    truth.args(["--seed", &options.seed.to_string(), "--rate", &options.rate.to_string()]);
    truth.arg("--engine").arg(built.join("kestrel-engine")).arg("--pack").arg(first).arg("--pack").arg(second);
    succeed(&mut truth)
}

/// Builds packages; the folder of their commands.
fn build(options: &Soak, packages: &[&str]) -> Result<PathBuf> {
    ensure_build_tools()?;
    let root = workspace()?;
    let (profile, build) = if options.dev { ("debug", "dev") } else { ("release", "release") };
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    succeed(cargo().current_dir(&root).args(["build", "--profile", build]).args(packages))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join(profile))
}

/// Writes, kills, reads, compares.
pub fn run(options: &Soak) -> Result<()> {
    if options.live {
        return live(options);
    }
    ensure!(options.gigabytes > 0, "there is nothing to write: `--gigabytes` is 0");
    let total = options.gigabytes.checked_mul(1_000_000_000).context("so much fits nowhere")?;
    let folder = Folder::new(options.folder.as_deref())?;
    let (room, needed) = (room(&folder.0)?, total / COMPRESSED + SPARE);
    ensure!(
        room >= needed,
        "{} has room for {} MB and {} MB may be needed: choose fewer gigabytes, or another `--folder`",
        folder.0.display(),
        room / 1_000_000,
        needed / 1_000_000
    );
    let built = build(options, &["kestrel-engine"])?;
    let engine = Engine { command: built.join("kestrel-engine"), log: folder.0.join("soak.klog") };

    let events = Events { seed: options.seed };
    let count = engine.write(&events, total, options.kills)?;
    let whole = engine.verify()?;
    ensure!(whole["records"] == count, "the log holds {} records and {count} were written", whole["records"]);
    let damaged = whole["damaged"].as_u64().unwrap_or(u64::MAX);
    ensure!(damaged <= options.kills, "{damaged} places are damaged after {} kills", options.kills);
    engine.read("read back", &[], &events, 0..count)?;
    let (first, last) = (count / 2, count / 2 + count / 100);
    let (since, until) = (EPOCH + first as i64 * PACE, EPOCH + last as i64 * PACE);
    let wanted = (first..=last + (LATE / PACE) as u64).filter(|number| *number < count);
    let wanted = wanted.filter(|number| (since..=until).contains(&events.time(*number)));
    let range = ["--since".to_owned(), Events::text(since), "--until".to_owned(), Events::text(until)];
    engine.read("the range of one part in a hundred", &range, &events, wanted)?;
    println!("all events are there, in order and unchanged");
    Ok(())
}

/// A folder that is removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new(parent: Option<&Path>) -> Result<Folder> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let folder = parent.join(format!("kestrel-soak-{}", std::process::id()));
        std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: {} stays: {error}", self.0.display());
        }
    }
}

/// How many bytes the file system of a folder still takes.
fn room(folder: &Path) -> Result<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().context("asking `df` for room")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let free = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)).and_then(|free| free.parse().ok());
    free.map(|kilobytes: u64| kilobytes.saturating_mul(1024)).with_context(|| format!("`df` said {text:?}"))
}

/// The events: any of them by its number.
struct Events {
    seed: u64,
}

impl Events {
    /// Most events are in order; one in a hundred comes late.
    fn time(&self, number: u64) -> i64 {
        EPOCH + number as i64 * PACE - if number % 101 == 100 { LATE } else { 0 }
    }

    fn text(time: i64) -> String {
        let (seconds, nanoseconds) = (time.div_euclid(1_000_000_000), time.rem_euclid(1_000_000_000));
        // Days since 1970 to a date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
        let (days, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let of_year = day - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let of_month = of_year - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = year + era * 400 + carry;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z")
    }

    /// Writes an event and its line end: much that repeats, as in real events, and a few words that do not.
    fn line(&self, number: u64, out: &mut Vec<u8>) {
        const NAMES: [&str; 8] = ["bash", "curl", "systemd", "sshd", "python3", "node", "cron", "dpkg"];
        let noise = mixed(self.seed ^ number);
        let name = NAMES[(noise % 8) as usize];
        let (pid, parent, token) = (1_000 + noise % 30_000, 1 + (noise >> 16) % 999, mixed(noise));
        out.clear();
        // A vector takes everything.
        let _ = writeln!(
            out,
            concat!(
                r#"{{"@timestamp":{},"event":{{"kind":"event","category":["process"],"type":["start"],"action":"exec","#,
                r#""id":"{:016x}-{}","sequence":{}}},"host":{{"name":"soak","os":{{"type":"linux"}}}},"user":{{"id":"{}","name":"user{}"}},"#,
                r#""process":{{"pid":{},"name":"{}","executable":"/usr/bin/{}","entity_id":"c29hay0{:x}","working_directory":"/var/lib/soak/{}","#,
                r#""command_line":"{} --token {:016x} --number {} /srv/data/{}/input.json","parent":{{"pid":{},"name":"supervisor","#,
                r#""executable":"/usr/sbin/supervisor","command_line":"/usr/sbin/supervisor --config /etc/supervisor.conf"}}}}}}"#
            ),
            self.time(number) / PACE,
            noise,
            number,
            number,
            noise % 16,
            noise % 16,
            pid,
            name,
            name,
            pid,
            noise % 32,
            name,
            token,
            number,
            token % 512,
            parent,
        );
    }
}

/// SplitMix64's last step: every input gives an output that looks like noise.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The command and its log.
struct Engine {
    command: PathBuf,
    log: PathBuf,
}

impl Engine {
    fn start(&self, arguments: &[&str], input: Stdio) -> Result<Watched> {
        let mut command = Command::new(&self.command);
        command.arg("log").args(arguments).stdin(input).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("starting {}", self.command.display()))?;
        Ok(Watched { child, peak: 0 })
    }

    fn log(&self) -> Result<&str> {
        self.log.to_str().context("the log's path is no text")
    }

    /// Writes so many bytes of events, through so many kills; how many events that are.
    fn write(&self, events: &Events, total: u64, kills: u64) -> Result<u64> {
        let (mut number, mut bytes, mut lost, mut peak) = (0, 0, 0, 0);
        let mut taken = Duration::ZERO;
        let mut line = Vec::new();
        for life in 0..=kills {
            // Not at even parts of the log, so that the blocks are torn at different places.
            let end = match life == kills {
                true => total,
                false => total / (kills + 1) * (life + 1) + mixed(events.seed ^ life) % 100_000,
            };
            let began = Instant::now();
            let mut child = self.start(&["import", "-", "--append", "--output", self.log()?], Stdio::piped())?;
            let mut pipe = BufWriter::with_capacity(64 << 10, child.child.stdin.take().context("a pipe")?);
            let mut glance = 0;
            while bytes < end {
                events.line(number, &mut line);
                pipe.write_all(&line).context("the writer does not take events")?;
                number += 1;
                bytes += line.len() as u64;
                glance += line.len() as u64;
                if glance >= GLANCE {
                    glance = 0;
                    child.look();
                }
            }
            child.look();
            if life == kills {
                drop(pipe.into_inner().context("the writer does not take the last events")?);
                let status = child.wait()?;
                ensure!(status.success(), "the writer failed: {status}");
                taken += began.elapsed();
            } else {
                child.child.kill().context("killing the writer")?;
                child.wait()?;
                taken += began.elapsed();
                // What waits in the pipe's buffer has nobody to go to.
                drop(pipe.into_parts());
                let held = self.verify()?["records"].as_u64().context("verify counts records")?;
                ensure!(held <= number, "the log holds {held} records and {number} were written");
                let mut missing = 0;
                for number in held..number {
                    events.line(number, &mut line);
                    missing += line.len() as u64;
                }
                ensure!(
                    missing <= LOST_AT_MOST,
                    "a kill lost {missing} bytes, more than a block and what is on its way"
                );
                (lost, bytes, number) = (lost + number - held, bytes - missing, held);
            }
            peak = peak.max(child.peak);
        }
        let size = self.log.metadata().context("looking at the log")?.len();
        println!(
            "written: {number} events, {} MB as {} MB, {kills} kills ({lost} events on their way, sent again), {}",
            bytes / 1_000_000,
            size / 1_000_000,
            summary(bytes, taken, peak)?
        );
        Ok(number)
    }

    /// What `log verify` says.
    fn verify(&self) -> Result<Json> {
        let began = Instant::now();
        let mut child = self.start(&["verify", "--output", "json", self.log()?], Stdio::null())?;
        // It says nothing before its end, so that there is time to look.
        loop {
            child.look();
            if child.child.try_wait().context("waiting for the verifier")?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = std::io::read_to_string(child.child.stdout.take().context("a pipe")?)?;
        let verdict: Json = serde_json::from_str(&text).with_context(|| format!("verify said {text:?}"))?;
        println!(
            "verified: {} records, {} damaged places, {}",
            verdict["records"],
            verdict["damaged"],
            summary(verdict["raw_bytes"].as_u64().unwrap_or_default(), began.elapsed(), child.peak)?
        );
        Ok(verdict)
    }

    /// Reads with `log cat` and compares with the events that are wanted.
    fn read(&self, what: &str, range: &[String], events: &Events, mut wanted: impl Iterator<Item = u64>) -> Result<()> {
        let began = Instant::now();
        let mut arguments = vec!["cat", self.log()?];
        arguments.extend(range.iter().map(String::as_str));
        let mut child = self.start(&arguments, Stdio::null())?;
        let mut pipe = BufReader::with_capacity(256 << 10, child.child.stdout.take().context("a pipe")?);
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        let (mut count, mut bytes, mut glance) = (0u64, 0, 0);
        loop {
            found.clear();
            let read = match pipe.read_until(b'\n', &mut found) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.context("reading what the log holds")? as u64,
            };
            if read == 0 {
                break;
            }
            let Some(number) = wanted.next() else { bail!("{what}: more events than were written") };
            events.line(number, &mut expected);
            if found != expected {
                let (found, expected) = (String::from_utf8_lossy(&found), String::from_utf8_lossy(&expected));
                bail!("{what}: event {number} differs:\n{found}{expected}");
            }
            count += 1;
            bytes += read;
            glance += read;
            if count == 1 || glance >= GLANCE {
                glance = 0;
                child.look();
            }
        }
        ensure!(wanted.next().is_none(), "{what}: fewer events than were written");
        let status = child.wait()?;
        ensure!(status.success(), "{what}: {status}");
        println!("{what}: {count} events, {}", summary(bytes, began.elapsed(), child.peak)?);
        Ok(())
    }
}

/// A process whose memory is looked at. It does not outlive this.
struct Watched {
    child: Child,
    /// The most resident memory so far, in bytes.
    peak: u64,
}

impl Watched {
    fn look(&mut self) {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        self.peak = self.peak.max(kilobytes.unwrap_or_default() << 10);
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().context("waiting for the engine")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Speed and memory in words; an error when it was too much memory.
fn summary(bytes: u64, taken: Duration, peak: u64) -> Result<String> {
    ensure!(peak <= MEMORY_AT_MOST, "{} MiB of memory at the peak: it grows with the log", peak >> 20);
    let speed = bytes as f64 / taken.as_secs_f64() / 1e6;
    Ok(format!(
        "{:.1} s, {speed:.0} MB/s, peak memory {:.1} MiB",
        taken.as_secs_f64(),
        peak as f64 / (1u64 << 20) as f64
    ))
}
