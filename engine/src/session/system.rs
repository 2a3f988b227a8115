//! For which operating system's events packs are run: rules for others are left out, as if the pack had not had them.
//!
//! In: a pack, and a system. Out: the pack without the rules that say that they are for other systems (`os_list`, or tags
//! `OS: …`), and without those that can only match where `host.os.type` is that of another.

use std::str::FromStr;

use kestrel_ir::guards::analyze;
use kestrel_ir::model::{Atom, AtomId, Ir, PredicateId, Rule, StringMatch};
use kestrel_ir::pack::RuleInfo;

use super::NamedPack;

/// The field by which conditions tell systems apart.
const FIELD: &str = "host.os.type";

/// `--os`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum System {
    /// Rules for all systems.
    #[default]
    Any,
    /// Rules for Linux.
    Linux,
    /// Rules for Windows.
    Windows,
    /// Rules for macOS.
    Macos,
}

impl FromStr for System {
    type Err = String;

    /// ```
    /// use kestrel_engine::session::System;
    /// assert_eq!("linux".parse(), Ok(System::Linux));
    /// assert!("plan9".parse::<System>().is_err());
    /// ```
    fn from_str(word: &str) -> Result<System, String> {
        match word {
            "any" => Ok(System::Any),
            "linux" => Ok(System::Linux),
            "windows" => Ok(System::Windows),
            "macos" => Ok(System::Macos),
            _ => Err("expected `linux`, `windows`, `macos` or `any`".to_owned()),
        }
    }
}

impl System {
    /// The word of the command line, which is also what events have in `host.os.type`.
    pub fn name(self) -> &'static str {
        match self {
            System::Any => "any",
            System::Linux => "linux",
            System::Windows => "windows",
            System::Macos => "macos",
        }
    }

    /// The pack with the rules for this system alone.
    pub fn choose(self, NamedPack { name, pack }: NamedPack) -> NamedPack {
        match self {
            System::Any => NamedPack { name, pack },
            _ => NamedPack { name, pack: pack.with_rules(|ir, rule, info| self.wants(ir, rule, info)) },
        }
    }

    fn wants(self, ir: &Ir, rule: &Rule, info: &RuleInfo) -> bool {
        let is_meant = |os: &String| {
            let os = os.to_ascii_lowercase();
            os == self.name() || self == System::Macos && os == "darwin" || os == "any"
        };
        (info.os.is_empty() || info.os.iter().any(is_meant)) && self.can_hold(ir, rule)
    }

    /// Whether no term that must come asks for another system's events.
    fn can_hold(self, ir: &Ir, rule: &Rule) -> bool {
        let missing = rule.steps().filter(|step| step.missing).map(|step| step.predicate);
        let missing: Vec<PredicateId> = missing.collect();
        let until = match &rule.kind {
            kestrel_ir::model::RuleKind::Sequence(sequence) => sequence.until.as_ref().map(|until| until.predicate),
            _ => None,
        };
        let needed = rule.predicates().into_iter().filter(|id| !missing.contains(id) && Some(*id) != until);
        needed.into_iter().all(|predicate| {
            let clauses = analyze(ir, predicate).clauses;
            !clauses.iter().any(|clause| clause.atoms.iter().all(|&atom| self.is_excluded_by(ir, atom)))
        })
    }

    /// Whether an atom asks for another system in `host.os.type`.
    fn is_excluded_by(self, ir: &Ir, atom: AtomId) -> bool {
        match ir.atom(atom) {
            Some(Atom::Strings { field, matching: StringMatch::Exact, strings, .. }) => {
                ir.layout.name(*field) == FIELD
                    && !strings.iter().any(|system| system.eq_ignore_ascii_case(self.name()))
            }
            _ => false,
        }
    }
}
