//! What loaded packs ask of the live source.

use kestrel_bpf::record::Kind;
use kestrel_engine::live::{Demand, Environment, KernelFilter, KindSet, Wanted, asked_fields};
use kestrel_engine::session::NamedPack;
use kestrel_ir::guards::predicate_kinds;
use kestrel_ir::model::{PredicateId, Rule, RuleKind};
use kestrel_schema::{EventKind, event_kinds};

use super::super::options::{Pushdown, RunOptions};

/// Whether the kernel is to compare keys. A recording is to have all events of its kinds, also those that no rule of today
/// wants.
pub(super) fn compares_keys(options: &RunOptions) -> bool {
    options.record.is_none() && options.pushdown == Pushdown::Keys
}

/// All that these packs ask for.
pub(super) fn wanted(packs: &[NamedPack], compares_keys: bool) -> Wanted {
    let kinds = wanted_kinds(packs);
    let filter = match compares_keys {
        true => KernelFilter::of_packs(packs.iter().map(|pack| &pack.pack), kinds),
        false => KernelFilter::default(),
    };
    let environment = Environment::wanted_by(packs.iter().map(|pack| pack.pack.ir()));
    Wanted { kinds, environment, demand: wanted_fields(packs), filter, lineage: packs.iter().any(asks_lineage) }
}

/// The kinds of event that some pack wants and some source of this build has.
fn wanted_kinds(packs: &[NamedPack]) -> KindSet {
    let live = KindSet::all();
    let remembers = packs.iter().any(asks_lineage);
    let asked = |kind: &Kind| {
        *kind == Kind::Exit && remembers || packs.iter().any(|pack| pack.pack.filters().wants(kind.number()))
    };
    let wanted = |kind: &Kind| live.contains(*kind) && asked(kind);
    Kind::ALL.into_iter().filter(wanted).fold(KindSet::NONE, KindSet::with)
}

fn asks_lineage(pack: &NamedPack) -> bool {
    pack.pack.ir().lineage.is_some()
}

/// What is to be found out in user space: what some rule asks for, and for evidence the containers, which are remembered.
fn wanted_fields(packs: &[NamedPack]) -> Demand {
    let asked = packs.iter().flat_map(|pack| asked_fields(pack.pack.ir()));
    let shown = packs.iter().flat_map(|pack| &pack.pack.manifest().required_fields).map(String::as_str);
    Demand::of_fields(asked.chain(shown.filter(|field| field.starts_with("container."))))
}

/// How many rules have a term that no kind of live event can match.
pub(super) fn idle_rules(packs: &[NamedPack]) -> usize {
    let idle = |NamedPack { pack, .. }: &NamedPack| {
        let kinds = predicate_kinds(pack.ir(), &live_kinds());
        let possible = |id: PredicateId| kinds.get(id.index()).is_some_and(|kinds| !kinds.is_empty());
        pack.ir().rules.iter().filter(|rule| !fires(rule, possible)).count()
    };
    packs.iter().map(idle).sum()
}

/// What it means for rules that kinds are bypassed: how many cannot match any longer, and how many others see fewer events.
pub(super) fn bypassed_rules(packs: &[NamedPack], bypassed: KindSet) -> (u64, u64) {
    let (mut blind, mut narrowed) = (0, 0);
    let is_bypassed = |id: &u16| Kind::from_number(*id).is_some_and(|kind| bypassed.contains(kind));
    for NamedPack { pack, .. } in packs.iter().filter(|_| !bypassed.is_empty()) {
        let kinds = predicate_kinds(pack.ir(), &live_kinds());
        let of = |id: PredicateId| kinds.get(id.index()).map_or(&[][..], Vec::as_slice);
        for rule in &pack.ir().rules {
            let fires_now = fires(rule, |id| !of(id).iter().all(is_bypassed));
            let sees_less = rule.predicates().iter().any(|id| of(*id).iter().any(is_bypassed));
            match (fires(rule, |id| !of(id).is_empty()), fires_now, sees_less) {
                (true, false, _) => blind += 1,
                (true, true, true) => narrowed += 1,
                _ => {}
            }
        }
    }
    (blind, narrowed)
}

fn live_kinds() -> Vec<EventKind> {
    event_kinds().iter().filter(|kind| kind.live).cloned().collect()
}

/// Whether a rule can match when its predicates can that are `possible`.
fn fires(rule: &Rule, possible: impl Fn(PredicateId) -> bool) -> bool {
    match &rule.kind {
        RuleKind::Event { predicate } => possible(*predicate),
        RuleKind::Sequence(sequence) => sequence.steps.iter().all(|step| step.missing || possible(step.predicate)),
        RuleKind::Sample { terms } => terms.iter().all(|term| possible(term.predicate)),
    }
}
