//! Which source a live run takes: the kernel programs, or what there is without eBPF.

use std::str::FromStr;
use std::time::Duration;

use kestrel_bpf::record::Kind;
use kestrel_ir::event::{Event, FieldTable};

use super::{
    Allow, Demand, Environment, FallbackSource, KernelFilter, KindSet, Ledger, LiveError, LiveOptions, LiveSource,
    LossNews, Tier,
};

/// What `--source` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceChoice {
    /// The kernel programs.
    Ebpf,
    /// Execs from audit.
    Audit,
    /// Files from fanotify.
    Fanotify,
}

impl FromStr for SourceChoice {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "ebpf" => Ok(SourceChoice::Ebpf),
            "audit" => Ok(SourceChoice::Audit),
            "fanotify" => Ok(SourceChoice::Fanotify),
            _ => Err("expected `ebpf`, `audit`, `fanotify` or several of them with commas".to_owned()),
        }
    }
}

/// The source that a run got.
pub enum HostSource {
    /// The kernel programs.
    Kernel(Box<LiveSource>),
    /// Audit, fanotify, or both.
    Fallback(Box<FallbackSource>),
}

impl HostSource {
    /// Opens the best of the choices that this host allows; all of them are allowed when there is no choice. The kernel
    /// programs give all that the others do, and are not mixed with them.
    pub fn open(options: LiveOptions, choices: &[SourceChoice]) -> Result<HostSource, LiveError> {
        let chosen = |choice| choices.is_empty() || choices.contains(&choice);
        let tiers = [(SourceChoice::Audit, Tier::Audit), (SourceChoice::Fanotify, Tier::Fanotify)];
        let tiers: Vec<Tier> = tiers.into_iter().filter(|(choice, _)| chosen(*choice)).map(|(_, tier)| tier).collect();
        let refused = match chosen(SourceChoice::Ebpf).then(|| LiveSource::open(options.clone())) {
            Some(Ok(source)) => return Ok(HostSource::Kernel(Box::new(source))),
            Some(Err(error)) if tiers.is_empty() => return Err(error),
            Some(Err(error)) => Some(error),
            None => None,
        };
        match (FallbackSource::open(options, &tiers), refused) {
            (Ok(source), _) => Ok(HostSource::Fallback(Box::new(source))),
            (Err(error), None) => Err(error),
            (Err(error), Some(refused)) => {
                Err(LiveError::NoSource { ebpf: refused.with_causes(), others: error.with_causes() })
            }
        }
    }

    /// What it is, in words.
    pub fn name(&self) -> &'static str {
        match self {
            HostSource::Kernel(_) => "the kernel",
            HostSource::Fallback(_) => "audit and fanotify, without eBPF",
        }
    }

    /// See [`LiveSource::poll`].
    pub fn poll(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event)) -> Result<usize, LiveError> {
        match self {
            HostSource::Kernel(source) => source.poll(timeout, sink),
            HostSource::Fallback(source) => source.poll(timeout, sink),
        }
    }

    /// See [`LiveSource::fields`].
    pub fn fields(&self) -> &FieldTable {
        match self {
            HostSource::Kernel(source) => source.fields(),
            HostSource::Fallback(source) => source.fields(),
        }
    }

    /// See [`LiveSource::losses`].
    pub fn losses(&self) -> LossNews {
        match self {
            HostSource::Kernel(source) => source.losses(),
            HostSource::Fallback(source) => source.loss_news(),
        }
    }

    /// See [`LiveSource::ledger`].
    pub fn ledger(&self) -> Result<Ledger, LiveError> {
        match self {
            HostSource::Kernel(source) => source.ledger(),
            HostSource::Fallback(source) => Ok(source.ledger()),
        }
    }

    /// See [`LiveSource::set_kinds`].
    pub fn set_kinds(&mut self, kinds: KindSet) -> Result<(), LiveError> {
        match self {
            HostSource::Kernel(source) => source.set_kinds(kinds),
            HostSource::Fallback(source) => {
                source.set_kinds(kinds);
                Ok(())
            }
        }
    }

    /// See [`LiveSource::set_filter`]; without eBPF nothing is filtered by keys.
    pub fn set_filter(&mut self, filter: &KernelFilter) -> Result<(), LiveError> {
        match self {
            HostSource::Kernel(source) => source.set_filter(filter),
            HostSource::Fallback(_) => Ok(()),
        }
    }

    /// See [`LiveSource::set_allow`].
    pub fn set_allow(&mut self, allow: Allow) {
        match self {
            HostSource::Kernel(source) => source.set_allow(allow),
            HostSource::Fallback(source) => source.set_allow(allow),
        }
    }

    /// See [`LiveSource::set_lineage`].
    pub fn set_lineage(&mut self, lineage: bool) {
        match self {
            HostSource::Kernel(source) => source.set_lineage(lineage),
            HostSource::Fallback(source) => source.set_lineage(lineage),
        }
    }

    /// See [`LiveSource::set_demand`].
    pub fn set_demand(&mut self, demand: Demand) -> Result<(), LiveError> {
        match self {
            HostSource::Kernel(source) => source.set_demand(demand),
            HostSource::Fallback(source) => {
                source.set_demand(demand);
                Ok(())
            }
        }
    }

    /// See [`LiveSource::set_environment`]; without eBPF events carry no environment.
    pub fn set_environment(&mut self, environment: Environment) -> Result<(), LiveError> {
        match self {
            HostSource::Kernel(source) => source.set_environment(environment),
            HostSource::Fallback(_) => Ok(()),
        }
    }

    /// The kinds that are wanted and cannot be had on this host, and why.
    pub fn unavailable(&self) -> Vec<(Kind, &LiveError)> {
        match self {
            HostSource::Kernel(source) => source.unavailable().collect(),
            HostSource::Fallback(source) => source.unavailable().collect(),
        }
    }
}
