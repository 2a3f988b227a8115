//! A run: packs on every core until the budget is spent, progress while it lasts, findings made small and told.
//!
//! Pack number n of a seed is the same whichever thread takes it and however many there are, so that a finding is
//! reproduced by its seed and its number alone.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::ask::Contenders;
use super::case::guarded;
use super::found::{FoundCase, save};
use super::shrink::minimise;
use super::streams::Finding;
use super::{Tally, pairs, streams};

/// How many differences end a run: more would hardly tell more.
const MAX_FINDINGS: u64 = 5;
/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(10);

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many pairs at least.
    pub pairs: u64,
    /// How many streams at least.
    pub streams: u64,
    /// Goes on for so long instead.
    pub time: Option<Duration>,
    /// The seed of everything.
    pub seed: u64,
    /// How many threads.
    pub threads: usize,
    /// How many events a pack for pairs is asked about.
    pub events: usize,
    /// The one pack to run, of pairs or of streams.
    pub only: Option<Pack>,
    /// Where findings are kept.
    pub save: Option<PathBuf>,
}

/// One pack of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pack {
    /// Pack number n for pairs.
    Pairs(u64),
    /// Pack number n for streams.
    Streams(u64),
}

impl Pack {
    fn run(self, options: &Options, contenders: &Contenders, tally: &mut Tally) -> Result<Option<Finding>> {
        match self {
            Pack::Pairs(number) => pairs::pack(options.seed, number, options.events, contenders, tally),
            Pack::Streams(number) => streams::pack(options.seed, number, contenders, tally),
        }
    }

    /// The options of `cargo xtask agree` that run this pack again.
    fn option(self) -> String {
        match self {
            Pack::Pairs(number) => format!("--pack {number}"),
            Pack::Streams(number) => format!("--stream-pack {number}"),
        }
    }

    fn name(self, seed: u64) -> String {
        match self {
            Pack::Pairs(number) => format!("pairs_seed_{seed}_pack_{number}"),
            Pack::Streams(number) => format!("streams_seed_{seed}_pack_{number}"),
        }
    }
}

/// What the threads of a run share.
struct Shared<'r> {
    options: &'r Options,
    contenders: &'r Contenders,
    tell: &'r (dyn Fn(&str) + Sync),
    start: Instant,
    next_pairs: AtomicU64,
    next_streams: AtomicU64,
    done: AtomicBool,
    tally: Mutex<Tally>,
}

/// Runs to the end of the budget, or until there are too many differences. `tell` is given progress and findings.
pub fn run(options: &Options, contenders: &Contenders, tell: &(dyn Fn(&str) + Sync)) -> Tally {
    let shared = Shared {
        options,
        contenders,
        tell,
        start: Instant::now(),
        next_pairs: AtomicU64::new(0),
        next_streams: AtomicU64::new(0),
        done: AtomicBool::new(false),
        tally: Mutex::new(Tally::default()),
    };
    if let Some(pack) = options.only {
        shared.pack(pack);
    } else {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..options.threads.max(1)).map(|_| scope.spawn(|| shared.work())).collect();
            let mut told = Instant::now();
            while !workers.iter().all(|worker| worker.is_finished()) {
                std::thread::park_timeout(Duration::from_millis(50));
                if told.elapsed() >= PROGRESS {
                    told = Instant::now();
                    (shared.tell)(&shared.progress());
                }
            }
        });
    }
    shared.tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Shared<'_> {
    fn progress(&self) -> String {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        format!(
            "{:5.0} s: {} pairs, {} streams, {} differences; before pack {} and stream pack {}",
            self.start.elapsed().as_secs_f64(),
            tally.pairs,
            tally.streams,
            tally.differences,
            self.next_pairs.load(Ordering::Relaxed),
            self.next_streams.load(Ordering::Relaxed),
        )
    }

    /// Packs, those of pairs and of streams so that both budgets end at about the same time.
    fn work(&self) {
        while !self.done.load(Ordering::Relaxed) {
            let (pairs, streams) = {
                let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
                (share(tally.pairs, self.options.pairs), share(tally.streams, self.options.streams))
            };
            let over = match self.options.time {
                Some(time) => self.start.elapsed() >= time,
                None => pairs >= 1.0 && streams >= 1.0,
            };
            if over {
                return;
            }
            let pack = if pairs <= streams {
                Pack::Pairs(self.next_pairs.fetch_add(1, Ordering::Relaxed))
            } else {
                Pack::Streams(self.next_streams.fetch_add(1, Ordering::Relaxed))
            };
            self.pack(pack);
        }
    }

    fn pack(&self, pack: Pack) {
        let mut counted = Tally::default();
        let outcome = guarded(|| pack.run(self.options, self.contenders, &mut counted));
        let told = match outcome {
            Ok(Ok(None)) => None,
            Ok(Ok(Some(finding))) => Some(self.finding(pack, finding)),
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(panic) => Some(format!("panicked: {panic}")),
        };
        counted.differences = u64::from(told.is_some());
        let differences = {
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.add(&counted);
            tally.differences
        };
        if let Some(told) = told {
            let again = format!("cargo xtask agree --seed {} {}", self.options.seed, pack.option());
            (self.tell)(&format!("DIFFERENCE, again with `{again}`\n{told}"));
        }
        if differences >= MAX_FINDINGS {
            self.done.store(true, Ordering::Relaxed);
        }
    }

    /// A finding made small, as a case of a file; kept when that is wanted.
    fn finding(&self, pack: Pack, finding: Finding) -> String {
        let first = finding.difference.to_string();
        let (case, difference) = minimise(finding, self.contenders);
        let name = pack.name(self.options.seed);
        let written = FoundCase::new(&name, &difference.to_string(), &case).and_then(|found| {
            if let Some(path) = &self.options.save {
                save(path, &found)?;
                (self.tell)(&format!("{name} is kept in {}", path.display()));
            }
            found.to_toml()
        });
        match written {
            Ok(text) => format!("found: {first}\nsmall: {difference}\n{text}"),
            Err(error) => format!("found: {first}\nsmall: {difference}\ncannot be kept: {error:#}\n{case:#?}"),
        }
    }
}

/// How much of a budget is spent; a budget of nothing is.
fn share(done: u64, wanted: u64) -> f64 {
    if wanted == 0 { f64::INFINITY } else { done as f64 / wanted as f64 }
}
