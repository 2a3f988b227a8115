//! Kinds of events that the operator has switched off: the kernel produces none of them, whatever rules want.
//!
//! What the process table and other kinds live from (exec, fork, exit; connections, when their ends are wanted) is produced all
//! the same, and not given to rules. Exits are given to them all the same while a pack asks about lineage, which forgets
//! processes by them.

use kestrel_bpf::record::Kind;
use kestrel_engine::live::KindSet;
use kestrel_engine::stats::{BypassStats, counted};

use super::super::report::say;
use super::Live;
use super::pushdown::by_rule;
use super::wanted::bypassed_rules;

impl Live<'_> {
    /// Switches a kind off or on again.
    ///
    /// # Errors
    /// When there is no such kind, rules cannot do without it, or the source refuses; everything is then as it was.
    pub(super) fn bypass(&mut self, name: &str, on: bool) -> Result<(), String> {
        let kind = kind_named(name)?;
        if on && self.wanted.dispensable(KindSet::NONE.with(kind)).is_empty() {
            return Err(format!(
                "{name} events cannot be bypassed while a pack asks about lineage, which forgets processes by them"
            ));
        }
        let bypassed = if on { self.bypassed.with(kind) } else { self.bypassed.without(kind) };
        let (old, new) = (self.wanted.without(self.bypassed), self.wanted.without(bypassed));
        if let Err(error) = self.source.set_kinds(new.kinds) {
            let back = self.source.set_kinds(old.kinds).err().map(|error| format!("; {}", error.with_causes()));
            return Err(format!("the source refuses: {}{}", error.with_causes(), back.unwrap_or_default()));
        }
        self.bypassed = bypassed;
        self.count_bypassed();
        let is = if on { "bypassed" } else { "not bypassed any longer" };
        say(&format!("{name} events are {is}; {}", self.bypass_text()));
        Ok(())
    }

    /// The kinds that are bypassed with the packs that run now.
    pub(super) fn bypassed_now(&self) -> KindSet {
        self.wanted.dispensable(self.bypassed)
    }

    /// What the statistics say of bypassed kinds, and of what the kernel does for each rule.
    pub(super) fn count_bypassed(&mut self) {
        let bypassed = self.bypassed_now();
        let (blind_rules, narrowed_rules) = bypassed_rules(&self.run.packs, bypassed);
        let kinds = bypassed.iter().map(Kind::name).collect();
        self.run.stats.bypass = BypassStats { kinds, blind_rules, narrowed_rules };
        self.run.stats.pushdown = by_rule(&self.run.packs, &self.wanted, bypassed);
    }

    /// What bypassed kinds mean for the rules, for people.
    pub(super) fn bypass_text(&self) -> String {
        let BypassStats { blind_rules, narrowed_rules, .. } = &self.run.stats.bypass;
        format!(
            "bypassed kinds leave {} that cannot match and {narrowed_rules} that see less",
            counted(*blind_rules, "rule")
        )
    }
}

/// The kind of this name.
///
/// # Errors
/// When there is none, with those that there are.
pub(in crate::cli) fn kind_named(name: &str) -> Result<Kind, String> {
    Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let shown: String = name.chars().take(50).collect();
        let names: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
        format!("there is no kind of events `{shown}`; the kinds are {}", names.join(", "))
    })
}
