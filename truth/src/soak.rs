//! Load, reloads and kills for a while: the ledger must balance, memory stay within bounds, and nothing stay attached.
//!
//! ```text
//! load      children that fork, execute, write, rename and delete files, and connect, so often a second
//! kinds     the wanted kinds change every other second, so that programs are attached and taken away under load
//! reloads   a whole engine gets other packs every second ([`crate::reloads`])
//! kills     beside it, an engine is started and killed at a random moment, over and over
//! ```

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kestrel_engine::live::{KindSet, LiveOptions, LiveSource};
use kestrel_schema::event_kinds;

use crate::attached;
use crate::reloads::{Plan, Told};
use crate::sys;

/// More resident memory than after the start, at most.
const MEMORY_AT_MOST: u64 = 160 << 20;
/// Between two changes of the kinds; loading and attaching is what the soak itself costs.
const CHANGE_EVERY: Duration = Duration::from_secs(2);
/// How long the kernel may take to let programs of a killed process go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pseudo-random numbers (xorshift64), with a seed that is printed.
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A process of our own that must not outlive this one.
struct Helper(Child);

impl Helper {
    fn start(role: &[&str]) -> Result<Helper> {
        let program = std::env::current_exe().context("own path")?;
        let child =
            Command::new(program).args(role).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Helper(child.with_context(|| format!("cannot start `{role:?}`"))?))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        // Whoever is killed leaves its folder.
        let _ = std::fs::remove_dir_all(load_folder(self.0.id()));
    }
}

fn load_folder(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("kestrel-load-{pid}"))
}

/// Makes load until it is killed, or its parent is gone: so many bursts a second, or as many as there can be.
///
/// # Errors
/// When a folder or a child cannot be made.
pub fn load(rate: u32) -> Result<()> {
    let parent = std::os::unix::process::parent_id();
    let folder = load_folder(std::process::id());
    std::fs::create_dir_all(&folder)?;
    while std::os::unix::process::parent_id() == parent {
        let began = Instant::now();
        burst(&folder)?;
        if rate > 0 {
            std::thread::sleep((Duration::from_secs(1) / rate).saturating_sub(began.elapsed()));
        }
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn burst(folder: &Path) -> Result<()> {
    let mut children = Vec::new();
    for number in 0..20 {
        children.push(sys::fork(|| number)?);
    }
    for number in 0..20 {
        let path = folder.join(format!("{number}.tmp"));
        std::fs::write(&path, b"load")?;
        let next = folder.join(format!("{number}.log"));
        std::fs::rename(&path, &next)?;
        std::fs::remove_file(&next)?;
    }
    // A program that ends at once, with arguments that its events carry.
    let program = std::env::current_exe()?;
    let mut executed = Command::new(program).args(["--version", "load"]).stdout(Stdio::null()).spawn()?;
    let _ = std::net::TcpStream::connect(("127.0.0.1", 9));
    executed.wait()?;
    for child in children {
        sys::wait(child)?;
    }
    Ok(())
}

/// An engine that does nothing but read, until it is killed.
///
/// # Errors
/// When the source does not open or fails.
pub fn read() -> Result<()> {
    let mut source = LiveSource::open(LiveOptions { kinds: KindSet::all(), ..LiveOptions::default() })?;
    loop {
        source.poll(Duration::from_millis(50), &mut |_| {})?;
    }
}

/// Starts an engine and kills it at a random moment, so often; nothing may stay attached.
///
/// # Errors
/// When something stays, or an engine ends by itself.
pub fn kill(rounds: u32, seed: u64) -> Result<()> {
    let mut random = Random(seed | 1);
    for round in 0..rounds {
        let mut engine = Helper::start(&["read"])?;
        // Loading and attaching takes some hundred milliseconds: most moments lie within.
        std::thread::sleep(Duration::from_millis(random.below(900)));
        engine.0.kill()?;
        let status = engine.0.wait()?;
        ensure!(status.signal() == Some(libc::SIGKILL), "round {round}: the engine ended by itself: {status}");
        let left = attached::left_behind(PATIENCE);
        ensure!(
            left.is_empty(),
            "round {round}, seed {seed}: the kernel still has programs {left:?}, which nobody holds"
        );
    }
    println!("{rounds} engines were killed (seed {seed}), nothing was left attached");
    Ok(())
}

/// The resident memory of a process, in bytes, as its `status` says.
pub fn resident(status: &str) -> u64 {
    let status = std::fs::read_to_string(status).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Runs for so long, with so many bursts of load a second, and beside it an engine that is told things.
///
/// # Errors
/// When the ledger does not balance, memory grows beyond its bound, or something stays attached.
pub fn soak(time: Duration, seed: u64, rate: u32, told: Option<Plan>) -> Result<()> {
    let mut random = Random(seed | 1);
    let mut source = LiveSource::open(LiveOptions { kinds: KindSet::all(), ..LiveOptions::default() })?;
    ensure!(attached::any(), "the engine runs, and the kernel's list shows none of its programs");
    let rate = rate.to_string();
    let load = ["load", "--rate", &rate];
    let helpers = [Helper::start(&load)?, Helper::start(&load)?];
    let told = told.map(Told::start).transpose()?;
    let begun = Instant::now();
    let (mut events, mut changes, mut kills) = (0_u64, 0_u64, 0_u64);
    let (mut first, mut most) = (0, 0);
    let mut victim = Helper::start(&["read"])?;
    let mut last = Instant::now();
    while begun.elapsed() < time && !told.as_ref().is_some_and(Told::is_over) {
        source.poll(Duration::from_millis(20), &mut |_| events += 1)?;
        if last.elapsed() < CHANGE_EVERY {
            continue;
        }
        last = Instant::now();
        changes += 1;
        source.set_kinds(some_kinds(&mut random))?;
        if random.below(4) == 0 {
            drop(std::mem::replace(&mut victim, Helper::start(&["read"])?));
            kills += 1;
        }
        let ledger = source.ledger()?;
        ensure!(
            ledger.balances(false),
            "after {} s the ledger does not balance: {ledger:?}",
            begun.elapsed().as_secs()
        );
        let now = resident("/proc/self/status");
        // What is needed at all shows after some seconds.
        if first == 0 && begun.elapsed() > Duration::from_secs(5) {
            first = now;
        }
        most = most.max(now);
        ensure!(first == 0 || now < first + MEMORY_AT_MOST, "memory grew from {first} to {now} bytes");
    }
    drop(helpers);
    drop(victim);
    let told = told.map(Told::end).transpose()?;
    // Nothing more is wanted, then the rest is read: what was sent must have come.
    source.set_kinds(KindSet::all())?;
    while source.poll(Duration::from_millis(200), &mut |_| events += 1)? > 1_000 {}
    let ledger = source.ledger()?;
    ensure!(ledger.balances(false), "at the end the ledger does not balance: {ledger:?}");
    drop(source);
    let left = attached::left_behind(PATIENCE);
    ensure!(left.is_empty(), "the kernel still has programs {left:?}, which nobody holds");
    println!(
        "{} s, {events} events, {changes} changes of the kinds, {kills} engines killed (seed {seed}): ledger balanced, {} lost and told, {} MB \
         at most, nothing attached",
        begun.elapsed().as_secs(),
        ledger.gaps,
        most >> 20
    );
    if let Some(told) = told {
        println!("{told}");
    }
    Ok(())
}

fn some_kinds(random: &mut Random) -> KindSet {
    let chosen: Vec<u16> = event_kinds().iter().filter(|_| random.below(3) > 0).map(|kind| kind.id).collect();
    KindSet::from_numbers(&chosen)
}
