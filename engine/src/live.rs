//! The live source: loads the kernel programs, reads their records and gives events.
//!
//! Goes in: [`LiveOptions`], and what happens on the host. Comes out: one [`Event`] at a time, enriched from the process
//! table, in the order of event time; and a [`Ledger`] that accounts for every event the hooks saw. Nothing is decided
//! here: no rule. What the kernel may drop is told by [`KernelFilter`].
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

use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use kestrel_bpf::record::Kind;
use kestrel_ir::event::{Event, FieldTable};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::process_table::{Limits, ProcessTable, bootstrap};

mod allow;
mod asked;
mod attach;
mod audit;
mod btf;
mod cgroup;
mod choice;
mod clock;
mod containers;
pub mod dns;
mod enrich;
mod environment;
mod error;
mod fallback;
mod fanotify;
mod fields;
mod filter;
mod host;
mod ledger;
mod losses;
mod names;
mod network;
mod pace;
mod probe;
mod proc_files;
mod programs;
mod source;
mod sys;
mod tracefs;
mod translate;
mod wanted;

pub use allow::{Allow, AllowError, AllowLists};
pub use asked::asked_fields;
pub use choice::{HostSource, SourceChoice};
pub use enrich::Demand;
pub use environment::Environment;
pub use error::LiveError;
pub use fallback::FallbackSource;
pub use filter::KernelFilter;
pub use ledger::{KindLedger, Ledger};
pub use losses::{Loss, LossNews};
pub use probe::{Check, kernel_support};
pub use source::{MatrixRow, Source, Tier, matrix, sources};
pub use wanted::Wanted;

use attach::{Attachments, Served};
use filter::KernelTables;
use pace::Pace;
use translate::Translator;

/// Records are handed on in batches of this many at most, so that the caller comes to its other work.
const BATCH: usize = 4_096;

/// Where files that rules ask for usually are; folders of one file system count once.
const WATCHED: [&str; 10] = ["/", "/etc", "/usr", "/var", "/home", "/root", "/opt", "/tmp", "/var/tmp", "/dev/shm"];

/// A set of event kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindSet(u64);

impl KindSet {
    /// No kind.
    pub const NONE: KindSet = KindSet(0);

    /// The kinds from which the process table lives.
    pub fn of_the_process_table() -> Self {
        KindSet::NONE.with(Kind::Exec).with(Kind::Fork).with(Kind::Exit)
    }

    /// Every kind that some source of this build produces.
    pub fn all() -> Self {
        programs::PLANS.iter().fold(KindSet::NONE, |kinds, plan| kinds.with(plan.kind))
    }

    /// The kinds of these numbers, as a pack or a schema lists them. Numbers that no program produces are left out.
    pub fn from_numbers(numbers: &[u16]) -> Self {
        numbers.iter().filter_map(|&number| Kind::from_number(number)).fold(KindSet::NONE, KindSet::with)
    }

    /// This set, and the kinds without which the kernel does not know whose the others are: the end of a connection and
    /// the answer of a name server come by packets, and belong to who connected, accepted or asked.
    fn with_helpers(self) -> Self {
        let mut all = self;
        if self.contains(Kind::LookupResult) {
            all = all.with(Kind::LookupRequested);
        }
        if all.contains(Kind::LookupRequested) || self.contains(Kind::DisconnectReceived) {
            all = all.with(Kind::ConnectionAttempted);
        }
        if self.contains(Kind::DisconnectReceived) {
            all = all.with(Kind::ConnectionAccepted);
        }
        all
    }

    /// Both sets together.
    pub fn union(self, other: KindSet) -> Self {
        KindSet(self.0 | other.0)
    }

    /// This set without those of the other.
    pub fn minus(self, other: KindSet) -> Self {
        KindSet(self.0 & !other.0)
    }

    /// Whether there is none in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds in it, in the order of [`Kind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |&kind| self.contains(kind))
    }

    /// This set without `kind`.
    pub fn without(self, kind: Kind) -> Self {
        KindSet(self.0 & !(1 << kind.number()))
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
    /// Which environment variables exec events carry.
    pub environment: Environment,
    /// `agent.id`; the host's id when empty.
    pub agent_id: String,
    /// What is found out in user space about events, because loaded rules ask for it.
    pub demand: Demand,
    /// What the kernel drops beside whole kinds.
    pub filter: KernelFilter,
    /// Events that are not given to the sink.
    pub allow: Allow,
    /// Whether the sink remembers processes until they end: then it gets the ends that it asks for, allowed or not.
    pub lineage: bool,
    /// Folders whose file systems are watched where files are seen by fanotify.
    pub watched: Vec<std::path::PathBuf>,
    /// Limits of the process table.
    pub limits: Limits,
}

impl Default for LiveOptions {
    /// The kinds of the process table, processes followed, a ring of 4 MiB.
    fn default() -> Self {
        LiveOptions {
            kinds: KindSet::of_the_process_table(),
            follow_processes: true,
            ring_bytes: 4 << 20,
            ignore_self: true,
            capabilities: true,
            environment: Environment::None,
            agent_id: String::new(),
            demand: Demand::default(),
            filter: KernelFilter::default(),
            allow: Allow::default(),
            lineage: false,
            watched: WATCHED.iter().map(std::path::PathBuf::from).collect(),
            limits: Limits::default(),
        }
    }
}

/// Events from the running kernel; see the head of this file.
pub struct LiveSource {
    ring: RingBuf<MapData>,
    kinds: Array<MapData, u32>,
    settings: Array<MapData, [u32; 6]>,
    /// What `settings` holds.
    set: [u32; 6],
    counters: PerCpuArray<MapData, [u64; 8]>,
    network_counters: PerCpuArray<MapData, [u64; 2]>,
    tables: KernelTables,
    owners: HashMap<MapData, u64, [u8; 160]>,
    translator: Translator,
    follow_processes: bool,
    /// Keeps the programs loaded and attached.
    attachments: Attachments,
    served: Vec<Served>,
    pace: Pace,
    /// What the pace counts from.
    began: Instant,
}

impl LiveSource {
    /// Loads and attaches the kernel programs, then reads `/proc`. Events count from here; they are fetched with
    /// [`LiveSource::poll`].
    ///
    /// ```no_run
    /// use std::time::{Duration, Instant};
    /// use kestrel_engine::live::{LiveOptions, LiveSource};
    ///
    /// let mut source = LiveSource::open(LiveOptions::default())?;
    /// let seen = source.poll(Duration::from_secs(1), &mut |event| println!("{}", event.timestamp))?;
    /// println!("{seen} events, {:?}", source.ledger()?);
    /// # Ok::<(), kestrel_engine::live::LiveError>(())
    /// ```
    pub fn open(options: LiveOptions) -> Result<LiveSource, LiveError> {
        let mut attachments = Attachments::load(options.ring_bytes)?;
        let mut settings: Array<_, [u32; 6]> = attachments.take_map(kestrel_bpf::maps::SETTINGS)?;
        let ignored = if options.ignore_self { std::process::id() } else { 0 };
        let set = [
            ignored,
            u32::from(options.environment != Environment::None),
            0,
            u32::from(options.demand.wants_containers()),
            0,
            0,
        ];
        settings.set(0, set, 0).map_err(LiveError::map)?;
        let ring: RingBuf<MapData> = attachments.take_map(kestrel_bpf::maps::RING)?;
        let kinds = attachments.take_map(kestrel_bpf::maps::KINDS)?;
        let counters = attachments.take_map(kestrel_bpf::maps::COUNTERS)?;
        let network_counters = attachments.take_map(kestrel_bpf::maps::NETWORK_COUNTERS)?;
        let owners = attachments.take_map(kestrel_bpf::maps::OWNERS)?;

        let tables = KernelTables::take(&mut attachments)?;

        let (wanted, follow_processes) = (options.kinds, options.follow_processes);
        let filter = options.filter.clone();
        let translator = Translator::new(options);
        let served = Vec::new();
        let mut source = LiveSource {
            ring,
            kinds,
            settings,
            set,
            counters,
            network_counters,
            tables,
            owners,
            translator,
            follow_processes,
            attachments,
            served,
            pace: Pace::default(),
            began: Instant::now(),
        };
        source.set_filter(&filter)?;
        // First the events, then the look at who is there: so nobody is born unseen in between.
        source.set_kinds(wanted)?;
        let there =
            bootstrap::read_proc(Path::new("/proc")).map_err(|error| LiveError::system("reading /proc", error))?;
        source.translator.load(there);
        source.tables.note_processes(source.translator.table());
        Ok(source)
    }

    /// Waits up to `timeout` for records and gives their events to `sink`; how many events that were. Returns early with
    /// what there is. The event is the source's own and is overwritten by the next one.
    pub fn poll(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event)) -> Result<usize, LiveError> {
        let (records, events) = self.drain(sink);
        let mut timeout = timeout;
        if let Some(looking) = self.pace.note(self.began.elapsed(), records) {
            self.set[2] = u32::from(looking);
            self.settings.set(0, self.set, 0).map_err(LiveError::map)?;
            timeout = timeout.min(pace::SETTLING);
        }
        if records > 0 {
            return Ok(events);
        }
        if self.pace.looking() {
            std::thread::sleep(timeout.min(pace::LOOK_EVERY));
            let (records, events) = self.drain(sink);
            self.pace.add(records);
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

    /// Changes the kinds that the sink gets, from the next event on: programs that nobody needs any more are taken from
    /// their places, and those that are needed now are put there.
    ///
    /// An error when the process table cannot be kept. That another kind cannot be had here is no error: the rest goes
    /// on, and [`LiveSource::unavailable`] tells which and why.
    pub fn set_kinds(&mut self, kinds: KindSet) -> Result<(), LiveError> {
        self.translator.set_kinds(kinds);
        let table = if self.follow_processes { KindSet::of_the_process_table() } else { KindSet::NONE };
        let wanted = kinds.union(table).with_helpers();
        let switch = |map: &mut Array<MapData, u32>, on: bool| {
            let changed = Kind::ALL.into_iter().filter(|&kind| wanted.contains(kind) == on);
            changed.into_iter().try_for_each(|kind| map.set(u32::from(kind.number()), u32::from(on), 0))
        };
        // Off before detaching and on before attaching: so every event at a hook is one that is wanted.
        switch(&mut self.kinds, false).map_err(LiveError::map)?;
        switch(&mut self.kinds, true).map_err(LiveError::map)?;
        self.served = self.attachments.want(wanted);
        let of_owners = [Kind::DisconnectReceived, Kind::LookupRequested, Kind::LookupResult];
        if !of_owners.into_iter().any(|kind| wanted.contains(kind)) {
            self.forget_owners();
        }
        let missing = self.served.iter().position(|served| table.contains(served.kind) && served.by.is_err());
        match missing.map(|at| self.served.swap_remove(at).by) {
            Some(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Changes what the kernel drops beside whole kinds, for all kinds at once: every event passes the old filter or the new.
    pub fn set_filter(&mut self, filter: &KernelFilter) -> Result<(), LiveError> {
        self.set[4] = self.tables.fill(filter)?;
        self.settings.set(0, self.set, 0).map_err(LiveError::map)
    }

    /// Changes which events are not given to the sink though it asked for their kind, from the next one on.
    pub fn set_allow(&mut self, allow: Allow) {
        self.translator.set_allow(allow);
    }

    /// Changes whether ends of processes are given to the sink though they are allowed, from the next one on.
    pub fn set_lineage(&mut self, lineage: bool) {
        self.translator.set_lineage(lineage);
    }

    /// Sockets that are closed while nobody looks would be remembered for ever, and their addresses used again.
    fn forget_owners(&mut self) {
        let sockets: Vec<u64> = self.owners.keys().flatten().collect();
        // One that is gone already has been forgotten.
        sockets.iter().for_each(|socket| drop(self.owners.remove(socket)));
    }

    /// The kinds that are wanted and cannot be had on this host, and why.
    pub fn unavailable(&self) -> impl Iterator<Item = (Kind, &LiveError)> {
        self.served.iter().filter_map(|served| Some((served.kind, served.by.as_ref().err()?)))
    }

    /// The kinds that are wanted and come, and from where.
    pub fn available(&self) -> impl Iterator<Item = (Kind, Tier)> {
        self.served.iter().filter_map(|served| Some((served.kind, *served.by.as_ref().ok()?)))
    }

    /// Changes what is found out in user space, from the next event on.
    pub fn set_demand(&mut self, demand: Demand) -> Result<(), LiveError> {
        self.set[3] = u32::from(demand.wants_containers());
        self.settings.set(0, self.set, 0).map_err(LiveError::map)?;
        self.translator.set_demand(demand);
        Ok(())
    }

    /// Changes which environment variables exec events carry, from the next event on.
    pub fn set_environment(&mut self, environment: Environment) -> Result<(), LiveError> {
        self.set[1] = u32::from(environment != Environment::None);
        self.settings.set(0, self.set, 0).map_err(LiveError::map)?;
        self.translator.set_environment(environment);
        Ok(())
    }

    /// The names and types behind the events' field numbers. They never change.
    pub fn fields(&self) -> &FieldTable {
        self.translator.fields()
    }

    /// The processes of the host, as far as the events given out so far tell.
    pub fn processes(&self) -> &ProcessTable {
        self.translator.table()
    }

    /// What this source tells of its losses while events are polled.
    pub fn losses(&self) -> LossNews {
        self.translator.losses()
    }

    /// What became of every event, read from the kernel and from this side.
    pub fn ledger(&self) -> Result<Ledger, LiveError> {
        let mut ledger = self.translator.ledger();
        ledger.missed_runs = self.attachments.missed_runs();
        for kind in Kind::ALL {
            let by_cpu = self.counters.get(&u32::from(kind.number()), 0).map_err(LiveError::map)?;
            ledger.count(kind, |part| by_cpu.iter().for_each(|&words| part.kernel.add(words)));
        }
        for &[full, unknown] in self.network_counters.get(&0, 0).map_err(LiveError::map)?.iter() {
            ledger.owners_full += full;
            ledger.owners_unknown += unknown;
        }
        Ok(ledger)
    }
}

#[cfg(test)]
mod tests;
