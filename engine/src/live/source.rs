//! Where events can come from: sources with declared abilities, each proved by trying.
//!
//! Goes in: nothing. Comes out: the matrix of kind × source × available × why not ([`matrix`]), which `doctor` prints. A
//! [`Source`] declares which kinds it can produce and what of the host it needs for each; whether this host has that is
//! found out by really loading and attaching it for a moment. A list that the kernel shows is never believed.

use kestrel_bpf::record::Kind;

use super::KindSet;
use super::attach::Attachments;
use super::fallback::Fallback;
use super::programs::{self, PLANS};

/// A class of mechanisms, in the order in which the engine prefers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// eBPF at functions and security hooks of the kernel: full paths from the kernel's own objects, and decisions.
    A,
    /// eBPF at tracepoints: what kernels and containers allow that refuse tier A.
    B,
    /// The audit subsystem's messages: exec where there is no eBPF.
    Audit,
    /// fanotify: files where there is no eBPF.
    Fanotify,
}

impl Tier {
    /// All of them, the best first.
    pub const ALL: [Tier; 4] = [Tier::A, Tier::B, Tier::Audit, Tier::Fanotify];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Tier::A => "ebpf-a",
            Tier::B => "ebpf-b",
            Tier::Audit => "audit",
            Tier::Fanotify => "fanotify",
        }
    }
}

/// Something that produces events of some kinds, if the host lets it.
pub trait Source {
    /// What class it belongs to.
    fn tier(&self) -> Tier;

    /// The kinds that it can produce where the host has all it needs.
    fn kinds(&self) -> KindSet;

    /// What of the host it needs for a kind, as people look for it: the places where programs attach.
    fn needs(&self, kind: Kind) -> Vec<String>;

    /// Tries `kind`: every program is loaded and, as far as that can be undone at once, attached and taken away again. An
    /// error says why it cannot be had.
    fn probe(&mut self, kind: Kind) -> Result<(), String>;
}

/// One cell of the matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixRow {
    /// The kind of event.
    pub kind: Kind,
    /// Where it would come from.
    pub tier: Tier,
    /// What that needs.
    pub needs: Vec<String>,
    /// Why it cannot be had here; `None` when it can.
    pub why_not: Option<String>,
}

/// Every source of this build.
pub fn sources() -> Vec<Box<dyn Source>> {
    let programs = Tier::ALL
        .into_iter()
        .filter(|&tier| PLANS.iter().any(|plan| plan.tier == tier))
        .map(|tier| Box::new(KernelPrograms::new(tier)) as Box<dyn Source>);
    programs.chain(Fallback::all().map(|source| Box::new(source) as Box<dyn Source>)).collect()
}

/// Tries every kind of every source, kind by kind. Takes some milliseconds a cell; nothing stays attached.
pub fn matrix(sources: &mut [Box<dyn Source>]) -> Vec<MatrixRow> {
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        for source in sources.iter_mut().filter(|source| source.kinds().contains(kind)) {
            let why_not = source.probe(kind).err();
            rows.push(MatrixRow { kind, tier: source.tier(), needs: source.needs(kind), why_not });
        }
    }
    rows
}

/// The kernel programs of one tier.
struct KernelPrograms {
    tier: Tier,
    /// Loaded when it is first asked for; or why that failed.
    attachments: Option<Result<Attachments, String>>,
}

impl KernelPrograms {
    fn new(tier: Tier) -> Self {
        KernelPrograms { tier, attachments: None }
    }
}

impl Source for KernelPrograms {
    fn tier(&self) -> Tier {
        self.tier
    }

    fn kinds(&self) -> KindSet {
        PLANS.iter().filter(|plan| plan.tier == self.tier).fold(KindSet::NONE, |kinds, plan| kinds.with(plan.kind))
    }

    fn needs(&self, kind: Kind) -> Vec<String> {
        let plans = programs::plans(kind).filter(|plan| plan.tier == self.tier);
        let needs = plans.flat_map(|plan| plan.needs).filter(|need| !need.optional);
        let mut needs: Vec<String> =
            needs.filter_map(|need| need.hooks.first()).map(|hook| hook.attach.to_string()).collect();
        needs.dedup();
        needs
    }

    fn probe(&mut self, kind: Kind) -> Result<(), String> {
        let small_ring = 1 << 16;
        let loaded =
            self.attachments.get_or_insert_with(|| Attachments::load(small_ring).map_err(|error| error.with_causes()));
        let attachments = loaded.as_mut().map_err(|error| error.clone())?;
        let answer = match programs::plans(kind).find(|plan| plan.tier == self.tier) {
            Some(plan) => attachments.try_plan(plan).map_err(|error| error.with_causes()),
            None => Err("this source has no program for it".to_owned()),
        };
        attachments.detach_all();
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_has_a_row_for_every_declared_kind_and_a_reason_for_every_no() {
        let mut sources = sources();
        let declared: usize =
            sources.iter().map(|source| Kind::ALL.iter().filter(|kind| source.kinds().contains(**kind)).count()).sum();
        let rows = matrix(&mut sources);
        assert_eq!(rows.len(), declared);
        for row in rows {
            eprintln!("{:22} {:8} {:?}", row.kind.name(), row.tier.name(), row.why_not);
            assert!(row.why_not.is_none_or(|why| !why.is_empty()));
            assert!(!row.needs.is_empty());
        }
    }
}
