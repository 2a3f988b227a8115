//! The loss ledger: what became of every event the hooks saw.
//!
//! `produced = ignored + filtered + dropped + sent` in the kernel; `sent = received + still in the ring`, and
//! `received = delivered + upkeep + repeated + unchanged + allowed` here. A gap in a CPU's numbers is a loss seen from this side: after
//! everything is read, `gaps` equals the kernel's `dropped`.

use kestrel_bpf::record::{KernelCounters, Kind};

/// One kind's part of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindLedger {
    /// The kind.
    pub kind: Kind,
    /// What the kernel counted.
    pub kernel: KernelCounters,
    /// Records of this kind that were read from the ring and understood.
    pub received: u64,
    /// Events given to the sink.
    pub delivered: u64,
    /// Events that only kept the process table up to date.
    pub upkeep: u64,
    /// Second news of one exit, left out.
    pub repeated: u64,
    /// Calls that changed nothing, left out: who a process acts as was what it was before.
    pub unchanged: u64,
    /// Events on an allow-list, left out.
    pub allowed: u64,
}

impl KindLedger {
    fn of(kind: Kind) -> KindLedger {
        KindLedger {
            kind,
            kernel: KernelCounters::default(),
            received: 0,
            delivered: 0,
            upkeep: 0,
            repeated: 0,
            unchanged: 0,
            allowed: 0,
        }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == KindLedger::of(self.kind)
    }
}

/// The whole ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// By kind, in the order of [`Kind::ALL`].
    pub kinds: Vec<KindLedger>,
    /// Records that could not be understood; 0 unless kernel and user space disagree about the ABI.
    pub malformed: u64,
    /// Records missing between two of one CPU.
    pub gaps: u64,
    /// Records that came after a later one and got its time.
    pub late: u64,
    /// The most nanoseconds by which one was late.
    pub latest: u64,
    /// Times that the kernel did not run a program because one of its kind was at work on that CPU already. Each may be an
    /// event that was not counted as produced; 0 but on kernels whose tracepoints can be preempted.
    pub missed_runs: u64,
    /// Times the wall clock was found to be set.
    pub clock_steps: u64,
    /// Connections whose process was not remembered for want of room.
    pub owners_full: u64,
    /// Ends of connections and answers of name servers whose process is not known: flagged, and delivered.
    pub owners_unknown: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger {
            kinds: Kind::ALL.map(KindLedger::of).to_vec(),
            malformed: 0,
            gaps: 0,
            late: 0,
            latest: 0,
            missed_runs: 0,
            clock_steps: 0,
            owners_full: 0,
            owners_unknown: 0,
        }
    }
}

impl Ledger {
    /// One kind's part.
    pub fn kind(&self, kind: Kind) -> KindLedger {
        self.kinds.get(kind.index()).copied().unwrap_or(KindLedger::of(kind))
    }

    /// Adds to one kind's part.
    pub(super) fn count(&mut self, kind: Kind, add: impl FnOnce(&mut KindLedger)) {
        if let Some(part) = self.kinds.get_mut(kind.index()) {
            add(part);
        }
    }

    /// Whether every event is accounted for. `quiet` says that the ring was read to its end and nothing happened since;
    /// otherwise the kernel may be ahead.
    pub fn balances(&self, quiet: bool) -> bool {
        let here = |part: &KindLedger| {
            part.received == part.delivered + part.upkeep + part.repeated + part.unchanged + part.allowed
        };
        let crossed = |part: &KindLedger| match quiet {
            true => part.kernel.sent == part.received && part.kernel.balances(),
            false => part.kernel.sent >= part.received,
        };
        self.malformed == 0 && self.kinds.iter().all(|part| here(part) && crossed(part))
    }
}
