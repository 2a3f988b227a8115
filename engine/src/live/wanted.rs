//! What rules ask of a live source, and how a running source changes from one set of rules to another without losing an
//! event that either wants.
//!
//! ```text
//! old rules ──▶ widen: nothing filtered, both kinds ──▶ the rules are switched ──▶ narrow: the new kinds, then the filter
//! ```
//!
//! Widening opens first what is compared and then what is collected, so that no event of a new kind meets the old rules'
//! filter; narrowing goes the other way round. In between everything that old or new rules want comes, and more.

use kestrel_bpf::record::Kind;

use super::{Demand, Environment, HostSource, KernelFilter, KindSet, LiveError};

/// What the loaded rules ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The kinds of events.
    pub kinds: KindSet,
    /// The environment variables of exec events.
    pub environment: Environment,
    /// What is found out in user space.
    pub demand: Demand,
    /// What the kernel drops beside whole kinds.
    pub filter: KernelFilter,
    /// Whether some rule asks about lineage, which forgets processes by their ends.
    pub lineage: bool,
}

impl Wanted {
    /// Those of `kinds` that the operator may do without: not the ends of processes while some rule asks about lineage.
    pub fn dispensable(&self, kinds: KindSet) -> KindSet {
        if self.lineage { kinds.without(Kind::Exit) } else { kinds }
    }

    /// The same without `bypassed`, as far as that is possible.
    pub fn without(&self, bypassed: KindSet) -> Wanted {
        Wanted { kinds: self.kinds.minus(self.dispensable(bypassed)), ..self.clone() }
    }
}

impl HostSource {
    /// Has the source give what `old` asks for, which it gives already, and what `new` asks for.
    ///
    /// # Errors
    /// When the kernel refuses; the source then gives at least what it gave before.
    pub fn widen(&mut self, old: &Wanted, new: &Wanted) -> Result<(), LiveError> {
        // Where both ask for the same keys, these are all that either wants.
        if old.filter != new.filter {
            self.set_filter(&KernelFilter::default())?;
        }
        self.set_environment(old.environment.clone().and(new.environment.clone()))?;
        self.set_demand(old.demand.and(new.demand))?;
        self.set_lineage(old.lineage || new.lineage);
        match old.kinds.union(new.kinds) {
            kinds if kinds == old.kinds => Ok(()),
            kinds => self.set_kinds(kinds),
        }
    }

    /// Has the source give what `new` asks for and no more, after [`HostSource::widen`].
    ///
    /// # Errors
    /// When the kernel refuses; the source then gives more than is asked for.
    pub fn narrow(&mut self, old: &Wanted, new: &Wanted) -> Result<(), LiveError> {
        if old.kinds.union(new.kinds) != new.kinds {
            self.set_kinds(new.kinds)?;
        }
        if old.filter != new.filter {
            self.set_filter(&new.filter)?;
        }
        self.set_demand(new.demand)?;
        self.set_lineage(new.lineage);
        self.set_environment(new.environment.clone())
    }
}
