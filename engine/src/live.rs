//! The live source: loads the kernel programs, reads their records and gives events.
//!
//! Goes in: [`LiveOptions`], and what happens on the host. Comes out: one [`Event`] at a time, enriched from the process
//! table, in the order of event time; and a [`Ledger`] that accounts for every event the hooks saw. Nothing is decided
//! here: no rule, no filter beyond kinds.
//!
//! ```text
//! tracepoints ─▶ kestrel_kinds ─▶ ring ─▶ Record::parse ─▶ ProcessTable ─▶ translate ─▶ sink(&Event)
//!  produced       filtered       dropped    malformed                      upkeep        delivered
//! ```
//!
//! Records stand in the ring in the order in which they took their places, and each reads the clock right before that;
//! so the order in time and in the ring differ by the time it takes to get the ring's lock. A record that comes late by
//! so much is given the time of the one before it, and counted: event time never runs backwards, and no window is needed.
//!
//! Dropping the source detaches everything; nothing is pinned, so nothing is left when the process dies either.

use std::path::Path;
use std::time::{Duration, Instant};

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader};
use kestrel_bpf::record::Kind;
use kestrel_ir::event::{Event, FieldTable};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::process_table::{Limits, ProcessTable, bootstrap};

mod btf;
mod clock;
mod containers;
pub mod dns;
mod enrich;
mod error;
mod fields;
mod host;
mod ledger;
mod names;
mod probe;
mod proc_files;
mod sys;
mod translate;

pub use enrich::Demand;
pub use error::LiveError;
pub use ledger::{KindLedger, Ledger};
pub use probe::{Check, kernel_support};

use translate::Translator;

/// Records are handed on in batches of this many at most, so that the caller comes to its other work.
const BATCH: usize = 4_096;

/// A set of event kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindSet(u64);

impl KindSet {
    /// No kind.
    pub const NONE: KindSet = KindSet(0);

    /// Every kind that the kernel programs produce.
    pub fn all() -> Self {
        Kind::ALL.into_iter().fold(KindSet::NONE, KindSet::with)
    }

    /// The kinds of these numbers, as a pack or a schema lists them. Numbers that no program produces are left out.
    pub fn from_numbers(numbers: &[u16]) -> Self {
        numbers.iter().filter_map(|&number| Kind::from_number(number)).fold(KindSet::NONE, KindSet::with)
    }

    /// This set and `kind`.
    pub fn with(self, kind: Kind) -> Self {
        KindSet(self.0 | 1 << kind.number())
    }

    /// Whether `kind` is in it.
    pub fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind.number() != 0
    }
}

/// What to watch, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOptions {
    /// The kinds that the sink gets.
    pub kinds: KindSet,
    /// Whether the process table is kept up to date: then the kernel sends exec, fork and exit whatever `kinds` says,
    /// and what the sink did not ask for ends here. Without it, lineage is that of the start.
    pub follow_processes: bool,
    /// Room for records on their way, in bytes; a power of two, at least a page. It is locked memory, and counts twice
    /// in this process's resident size, being mapped twice in a row.
    pub ring_bytes: u32,
    /// Whether exec and exit of this very process are left out. Its children's never are.
    pub ignore_self: bool,
    /// Whether exec events carry the lists of capabilities by name.
    pub capabilities: bool,
    /// `agent.id`; the host's id when empty.
    pub agent_id: String,
    /// What is found out in user space about events, because loaded rules ask for it.
    pub demand: Demand,
    /// Limits of the process table.
    pub limits: Limits,
}

impl Default for LiveOptions {
    /// All kinds, processes followed, a ring of 4 MiB.
    fn default() -> Self {
        LiveOptions {
            kinds: KindSet::all(),
            follow_processes: true,
            ring_bytes: 4 << 20,
            ignore_self: true,
            capabilities: true,
            agent_id: String::new(),
            demand: Demand::default(),
            limits: Limits::default(),
        }
    }
}

/// Events from the running kernel; see the head of this file.
pub struct LiveSource {
    ring: RingBuf<MapData>,
    kinds: Array<MapData, u32>,
    counters: PerCpuArray<MapData, [u64; 8]>,
    translator: Translator,
    follow_processes: bool,
    /// Keeps the programs loaded and attached; empty only while this is dropped.
    programs: Option<Ebpf>,
}

/// How long dropping a source waits for the kernel to let its programs go. It does so within milliseconds, but not at
/// once: whoever looks right after the engine has ended must find nothing.
const RELEASE_WAIT: Duration = Duration::from_secs(2);

impl Drop for LiveSource {
    fn drop(&mut self) {
        let Some(programs) = self.programs.take() else { return };
        let ours: Vec<u32> =
            programs.programs().filter_map(|(_, program)| program.info().ok().map(|info| info.id())).collect();
        drop(programs);
        let deadline = Instant::now() + RELEASE_WAIT;
        while Instant::now() < deadline
            && aya::programs::loaded_programs().flatten().any(|program| ours.contains(&program.id()))
        {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl LiveSource {
    /// Loads and attaches the kernel programs, then reads `/proc`. Events count from here; they are fetched with
    /// [`LiveSource::poll`].
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use kestrel_engine::live::{LiveOptions, LiveSource};
    ///
    /// let mut source = LiveSource::open(LiveOptions::default())?;
    /// let seen = source.poll(Duration::from_secs(1), &mut |event| println!("{}", event.timestamp))?;
    /// println!("{seen} events, {:?}", source.ledger()?);
    /// # Ok::<(), kestrel_engine::live::LiveError>(())
    /// ```
    pub fn open(options: LiveOptions) -> Result<LiveSource, LiveError> {
        probe::require_capabilities()?;
        let btf = Btf::from_sys_fs().map_err(LiveError::no_btf)?;
        let cpus = aya::util::nr_cpus().map_err(|(what, error)| LiveError::system(what, error))?;
        let mut programs = EbpfLoader::new()
            .btf(Some(&btf))
            .map_max_entries(kestrel_bpf::maps::RING, options.ring_bytes)
            .map_max_entries(kestrel_bpf::maps::SCRATCH, u32::try_from(cpus).unwrap_or(u32::MAX))
            .load(kestrel_bpf::OBJECT)
            .map_err(LiveError::object)?;

        let mut settings: Array<_, [u32; 2]> = take_map(&mut programs, kestrel_bpf::maps::SETTINGS)?;
        let ignored = if options.ignore_self { std::process::id() } else { 0 };
        settings.set(0, [ignored, 0], 0).map_err(LiveError::map)?;
        let ring: RingBuf<MapData> = take_map(&mut programs, kestrel_bpf::maps::RING)?;
        let kinds = take_map(&mut programs, kestrel_bpf::maps::KINDS)?;
        let counters = take_map(&mut programs, kestrel_bpf::maps::COUNTERS)?;

        attach(&mut programs, kestrel_bpf::programs::EXEC, &btf)?;
        attach(&mut programs, kestrel_bpf::programs::FORK, &btf)?;
        // Newer kernels say which thread was the last; older ones refuse that program.
        attach(&mut programs, kestrel_bpf::programs::EXIT, &btf)
            .or_else(|_| attach(&mut programs, kestrel_bpf::programs::EXIT_BY_COUNT, &btf))?;

        drop(btf);
        sys::trim_memory();

        let (wanted, follow_processes) = (options.kinds, options.follow_processes);
        let translator = Translator::new(options);
        let mut source = LiveSource { ring, kinds, counters, translator, follow_processes, programs: Some(programs) };
        // First the events, then the look at who is there: so nobody is born unseen in between.
        source.set_kinds(wanted)?;
        let there =
            bootstrap::read_proc(Path::new("/proc")).map_err(|error| LiveError::system("reading /proc", error))?;
        source.translator.load(there);
        Ok(source)
    }

    /// Waits up to `timeout` for records and gives their events to `sink`; how many events that were. Returns early with
    /// what there is. The event is the source's own and is overwritten by the next one.
    pub fn poll(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event)) -> Result<usize, LiveError> {
        let (records, events) = self.drain(sink);
        if records > 0 {
            return Ok(events);
        }
        let timeout =
            Timespec { tv_sec: timeout.as_secs().min(1 << 30) as i64, tv_nsec: timeout.subsec_nanos().into() };
        match rustix::event::poll(&mut [PollFd::new(&self.ring, PollFlags::IN)], Some(&timeout)) {
            Ok(_) => Ok(self.drain(sink).1),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(LiveError::system("waiting for the ring buffer", error.into())),
        }
    }

    fn drain(&mut self, sink: &mut dyn FnMut(&Event)) -> (usize, usize) {
        let (mut records, mut events) = (0, 0);
        self.translator.start_batch();
        while records < BATCH
            && let Some(record) = self.ring.next()
        {
            records += 1;
            events += usize::from(self.translator.record(&record, sink));
        }
        (records, events)
    }

    /// Changes the kinds that the sink gets, from the next event on. The kernel stops sending what nobody needs.
    pub fn set_kinds(&mut self, kinds: KindSet) -> Result<(), LiveError> {
        self.translator.set_kinds(kinds);
        for kind in Kind::ALL {
            // The table needs all three kinds there are.
            let wanted = kinds.contains(kind) || self.follow_processes;
            self.kinds.set(u32::from(kind.number()), u32::from(wanted), 0).map_err(LiveError::map)?;
        }
        Ok(())
    }

    /// Changes what is found out in user space, from the next event on.
    pub fn set_demand(&mut self, demand: Demand) {
        self.translator.set_demand(demand);
    }

    /// The names and types behind the events' field numbers. They never change.
    pub fn fields(&self) -> &FieldTable {
        self.translator.fields()
    }

    /// The processes of the host, as far as the events given out so far tell.
    pub fn processes(&self) -> &ProcessTable {
        self.translator.table()
    }

    /// What became of every event, read from the kernel and from this side.
    pub fn ledger(&self) -> Result<Ledger, LiveError> {
        let mut ledger = self.translator.ledger();
        for kind in Kind::ALL {
            let by_cpu = self.counters.get(&u32::from(kind.number()), 0).map_err(LiveError::map)?;
            let totals = &mut ledger.kind_mut(kind).kernel;
            by_cpu.iter().for_each(|&words| totals.add(words));
        }
        Ok(ledger)
    }
}

fn take_map<M>(programs: &mut Ebpf, name: &str) -> Result<M, LiveError>
where
    M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = programs.take_map(name).ok_or_else(|| LiveError::missing(name))?;
    M::try_from(map).map_err(LiveError::map)
}

fn attach(programs: &mut Ebpf, (name, tracepoint): (&str, &str), btf: &Btf) -> Result<(), LiveError> {
    let program = programs.program_mut(name).ok_or_else(|| LiveError::missing(name))?;
    let program: &mut BtfTracePoint = program.try_into().map_err(|error| LiveError::program(name, error))?;
    program.load(tracepoint, btf).map_err(|error| LiveError::program(name, error))?;
    program.attach().map_err(|error| LiveError::program(name, error))?;
    Ok(())
}

#[cfg(test)]
mod tests;
