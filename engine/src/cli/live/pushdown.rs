//! What the kernel does for each rule, and why it cannot do more: of which kinds it drops events by themselves, and which come
//! whole.

use std::collections::{BTreeMap, BTreeSet};

use kestrel_bpf::record::Kind;
use kestrel_engine::live::{KindSet, Wanted};
use kestrel_engine::session::NamedPack;
use kestrel_engine::stats::counted;
use kestrel_ir::guards::predicate_kinds;
use kestrel_ir::model::{PredicateId, Rule};
use kestrel_ir::pack::{FilterTest, Pack, PredicateKeys};
use kestrel_schema::event_kinds;

/// Sentences for each rule, by its id.
pub(super) fn by_rule(packs: &[NamedPack], wanted: &Wanted, bypassed: KindSet) -> BTreeMap<String, Vec<String>> {
    let filtered = wanted.filter.kinds().fold(KindSet::NONE, KindSet::with);
    let mut rules = BTreeMap::new();
    for NamedPack { pack, .. } in packs {
        let kinds = predicate_kinds(pack.ir(), event_kinds());
        let look = Look { pack, kinds: &kinds, collected: wanted.kinds, filtered, bypassed };
        let told = pack.ir().rules.iter().map(|rule| (rule.id.clone(), look.sentences(rule)));
        told.for_each(|(rule, sentences)| {
            rules.entry(rule).or_insert_with(Vec::new).extend(sentences);
        });
    }
    rules
}

struct Look<'p> {
    pack: &'p Pack,
    /// For each predicate the kinds that it can want.
    kinds: &'p [Vec<u16>],
    collected: KindSet,
    filtered: KindSet,
    bypassed: KindSet,
}

impl Look<'_> {
    /// Kinds of which the same is to be said, together.
    fn sentences(&self, rule: &Rule) -> Vec<String> {
        let mut kinds: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
        let predicates: BTreeSet<PredicateId> = rule.predicates().into_iter().collect();
        for kind in Kind::ALL {
            let wants = |id: &&PredicateId| self.kinds.get(id.index()).is_some_and(|all| all.contains(&kind.number()));
            let asking: Vec<PredicateId> = predicates.iter().filter(wants).copied().collect();
            if !asking.is_empty() && self.collected.contains(kind) {
                kinds.entry(self.what(kind, &asking)).or_default().push(kind);
            }
        }
        let told = kinds.into_iter().map(|(what, kinds)| {
            let names: Vec<&str> = kinds.into_iter().map(Kind::name).collect();
            format!("{}: {what}", names.join(", "))
        });
        told.collect()
    }

    /// What the kernel does with events of a kind on behalf of these predicates.
    fn what(&self, kind: Kind, asking: &[PredicateId]) -> String {
        if self.bypassed.contains(kind) {
            return "bypassed, none come".to_owned();
        }
        let Some(keys) = self.keys(kind, asking) else {
            // Nothing of the predicate's own, and yet the kind is filtered: the pack does not tell keys by rule, or not all.
            if self.filtered.contains(kind) {
                return "the kernel compares the keys of all rules together; the pack does not tell which are this rule's"
                    .to_owned();
            }
            return "all come, because what the rule asks of them cannot be compared in the kernel, or is too much for it".to_owned();
        };
        if !self.filtered.contains(kind) {
            return "all come, because other rules want them, the process table or other kinds live from them, or keys are \
                    not compared in this run"
                .to_owned();
        }
        let tests: BTreeSet<&str> = keys.iter().map(|(test, _)| test.name()).collect();
        let tests: Vec<&str> = tests.into_iter().collect();
        match keys.len() {
            0 => "the kernel drops them, because they never have what the rule asks for".to_owned(),
            count => format!("the kernel compares {} ({})", counted(count as u64, "key"), tests.join(", ")),
        }
    }

    /// The keys of all these predicates; `None` when the pack tells none of one of them, which may want all.
    fn keys(&self, kind: Kind, asking: &[PredicateId]) -> Option<BTreeSet<(FilterTest, &str)>> {
        let PredicateKeys { keys, uses } = self.pack.predicate_keys();
        let mut found = BTreeSet::new();
        for id in asking {
            let first = uses.partition_point(|used| used.predicate < id.0);
            let mut own = uses.iter().skip(first).take_while(|used| used.predicate == id.0);
            let used = own.find(|used| used.kinds.contains(&kind.number()))?;
            found.extend(used.keys.iter().filter_map(|&key| keys.get(key as usize)).map(|key| (key.test, &*key.text)));
        }
        Some(found)
    }
}
