//! A whole engine under load that is told things: other packs every second, by its socket and by SIGHUP, back again, kinds of
//! events bypassed.
//!
//! In: the command, packs that take turns, and a folder. Out, at the end: what it did, or an error when its ledger does not
//! balance, a reload failed, or its memory grew.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kestrel_engine::control::{ControlError, Request, Response, ask};
use serde_json::Value as Json;

use crate::soak::Random;
use crate::sys;

/// Between two changes.
const EVERY: Duration = Duration::from_secs(1);
/// How long an engine may take to begin, to end, or to be done with a change.
const PATIENCE: Duration = Duration::from_secs(60);
/// After so many changes memory has what it needs.
const WARM: u64 = 10;
/// More resident memory than then, at most, in bytes.
const GROWTH_AT_MOST: u64 = 64 << 20;
/// Kinds that are bypassed for a while.
const BYPASSED: [&str; 4] = ["file_open", "exec", "connection_attempted", "file_delete"];

/// The engine, and how it is to be tried.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The command.
    pub engine: PathBuf,
    /// Packs that take turns.
    pub packs: Vec<PathBuf>,
    /// The seed of what happens when.
    pub seed: u64,
}

/// An engine under way, told things by a thread.
pub struct Told {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Result<String>>,
}

impl Told {
    /// Starts the engine and the thread.
    pub fn start(plan: Plan) -> Result<Told> {
        let mut engine = Engine::start(&plan)?;
        let ends = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let mut random = Random(plan.seed | 1);
            while !flag.load(Ordering::Relaxed) {
                engine.change(&plan, &mut random)?;
                std::thread::sleep(EVERY);
            }
            engine.end()
        });
        Ok(Told { ends, thread })
    }

    /// Whether it failed already.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends the engine; what it did.
    ///
    /// # Errors
    /// When something was not as it must be.
    pub fn end(self) -> Result<String> {
        self.ends.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(done) => done,
            Err(_) => bail!("the thread that tells the engine what to do panicked"),
        }
    }
}

struct Engine {
    child: Child,
    folder: PathBuf,
    changes: u64,
    rollbacks: u64,
    bypasses: u64,
    warm: u64,
    most: u64,
}

impl Engine {
    fn start(plan: &Plan) -> Result<Engine> {
        let folder = std::env::temp_dir().join(format!("kestrel-told-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let first = plan.packs.first().context("there is no pack")?;
        put(first, &folder)?;
        let config = "pack = ['p.kpkg']\ncontrol = 'c.sock'\ncode_cache = 'cache'\nstats = 'json'\n\
                      [[sink]]\nto = 'alerts.ndjson'\nrotate_bytes = 4194304\nkeep = 1\n";
        std::fs::write(folder.join("c.toml"), config)?;
        let child = Command::new(&plan.engine)
            .args(["--config", "c.toml"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("stderr"))?)
            .spawn()
            .with_context(|| format!("starting {}", plan.engine.display()))?;
        let mut engine = Engine { child, folder, changes: 0, rollbacks: 0, bypasses: 0, warm: 0, most: 0 };
        let begun = Instant::now();
        while engine.ask(&Request::Status {}).is_err() {
            ensure!(engine.child.try_wait()?.is_none(), "the engine ended: {}", engine.said());
            ensure!(begun.elapsed() < PATIENCE, "the engine does not answer: {}", engine.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(engine)
    }

    fn ask(&self, request: &Request) -> Result<Response, ControlError> {
        ask(&self.folder.join("c.sock"), request)
    }

    fn said(&self) -> String {
        let mut text = String::new();
        // What cannot be read is not told.
        let _ = File::open(self.folder.join("stderr")).and_then(|mut file| file.read_to_string(&mut text));
        text
    }

    fn reload_stats(&self) -> Result<Json> {
        let status = self.ask(&Request::Status {})?.status.context("a status")?;
        Ok(status["reload"].clone())
    }

    /// Other packs, sometimes back again, sometimes without a kind of events.
    fn change(&mut self, plan: &Plan, random: &mut Random) -> Result<()> {
        let epoch = self.reload_stats()?["epoch"].as_u64().context("an epoch")?;
        let pack = usize::try_from(random.below(plan.packs.len() as u64))?;
        put(&plan.packs[pack], &self.folder)?;
        match random.below(5) {
            0 | 1 => {
                sys::call(libc::SYS_kill, [self.child.id().into(), libc::SIGHUP as u64, 0, 0, 0, 0])?;
                let begun = Instant::now();
                while self.reload_stats()?["epoch"].as_u64() == Some(epoch) {
                    ensure!(begun.elapsed() < PATIENCE, "no reload after SIGHUP: {}", self.said());
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            2 => match self.ask(&Request::Rollback {}) {
                Ok(_) => self.rollbacks += 1,
                Err(ControlError::Refused(why)) if why.contains("nothing to go back to") => return Ok(()),
                Err(error) => return Err(error.into()),
            },
            _ => {
                self.ask(&Request::Reload {})?;
            }
        }
        self.changes += 1;
        if random.below(3) == 0 {
            let kind = BYPASSED[usize::try_from(random.below(BYPASSED.len() as u64))?].to_owned();
            self.ask(&Request::Bypass { kind, on: random.below(2) == 0 })?;
            self.bypasses += 1;
        }
        let reload = self.reload_stats()?;
        ensure!(reload["failed"] == 0, "a reload failed: {reload}");
        self.watch_memory()
    }

    fn watch_memory(&mut self) -> Result<()> {
        let now = crate::soak::resident(&format!("/proc/{}/status", self.child.id()));
        if self.changes == WARM {
            self.warm = now;
        }
        self.most = self.most.max(now);
        let allowed = self.warm == 0 || now < self.warm + GROWTH_AT_MOST;
        ensure!(allowed, "the engine's memory grew from {} to {now} bytes in {} changes", self.warm, self.changes);
        Ok(())
    }

    /// Ends the engine; its books must balance.
    fn end(mut self) -> Result<String> {
        sys::call(libc::SYS_kill, [self.child.id().into(), libc::SIGTERM as u64, 0, 0, 0, 0])?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(begun.elapsed() < PATIENCE, "the engine does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        let said = self.said();
        ensure!(status.success(), "the engine failed: {status}: {said}");
        let stats: Json = said.lines().last().and_then(|line| serde_json::from_str(line).ok()).context("statistics")?;
        let ledger = &stats["ledger"];
        ensure!(ledger["balanced"] == true, "the engine's ledger does not balance: {ledger}, {}", stats["live"]);
        Ok(format!(
            "an engine with {} changes of its packs ({} back again), {} of bypassed kinds: {} produced = {} filtered + {} dropped \
             + {} waiting + {} matched, {} alerts, {} MB when warm and {} MB at most",
            self.changes,
            self.rollbacks,
            self.bypasses,
            ledger["produced"],
            ledger["filtered"],
            ledger["dropped"],
            ledger["waiting"],
            ledger["matched"],
            stats["alerts"],
            self.warm >> 20,
            self.most >> 20
        ))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Puts a pack where the engine reads it, at one stroke.
fn put(pack: &Path, folder: &Path) -> Result<()> {
    let aside = folder.join("aside");
    std::fs::copy(pack, &aside).with_context(|| format!("reading {}", pack.display()))?;
    Ok(std::fs::rename(aside, folder.join("p.kpkg"))?)
}
