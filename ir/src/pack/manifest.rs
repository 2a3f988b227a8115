//! The plain data of a pack beside the IR: manifest, filter maps, files.
//!
//! The manifest is JSON with its keys in the order of declaration; a key that this build does not know is skipped, and a list
//! or an option that is not there is empty.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::frame::{MAX_FRAME_SIZE, slot_offset};
use crate::model::{Ir, RuleKind};

/// What people and engines want to know of a pack without reading its rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The pack's name.
    pub name: String,
    /// Who compiled it.
    pub compiler: CompilerInfo,
    /// The dialects of its rules, sorted.
    #[serde(default)]
    pub dialects: Vec<String>,
    /// The name of the schema that the rules were typed with.
    pub schema_name: String,
    /// The hash of that schema: 64 lower-case hexadecimal digits.
    pub schema_hash: String,
    /// The fields of that schema with a role of their own.
    pub event_fields: EventFieldsInfo,
    /// The rules, in the order of the IR's.
    pub rules: Vec<RuleInfo>,
    /// The numbers of the event kinds that the rules can want; those of the filter maps.
    #[serde(default)]
    pub required_kinds: Vec<u16>,
    /// The names of the fields that the rules read, sorted.
    #[serde(default)]
    pub required_fields: Vec<String>,
    /// What the kernel must let an engine hook so that the rules' actions can be carried out, sorted: `lsm/file_open`.
    #[serde(default)]
    pub required_hooks: Vec<String>,
    /// What hand-written predicates ask of the host, sorted.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// How much state the rules may need.
    #[serde(default)]
    pub state_budget: StateBudget,
}

/// The compiler that made a pack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompilerInfo {
    /// Its name, `eqlc`.
    pub name: String,
    /// Its version, `0.1.0`.
    pub version: String,
    /// What identifies its build beyond the version, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

/// The fields of a schema with a role of their own, as a schema file's `[event]` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFieldsInfo {
    /// The field that a rule's category tests.
    pub category: String,
    /// The field that orders events.
    pub timestamp: String,
    /// How the timestamp is written: `auto`, `rfc3339`, `epoch_s`, `epoch_ms`, `epoch_ns` or `filetime`.
    pub timestamp_format: String,
    /// The field that breaks ties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiebreaker: Option<String>,
    /// The field that names an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleInfo {
    /// The rule's id, as in the IR.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How bad a match is: `low`, `medium`, `high`, `critical`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// The same from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_score: Option<u32>,
    /// Whether it runs unless something else is asked.
    pub enabled: bool,
    /// The dialect that it is written in.
    pub dialect: String,
    /// Tags, in the order of the rule.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The operating systems that it is for; empty for any.
    #[serde(default)]
    pub os: Vec<String>,
    /// Where it belongs in frameworks such as MITRE ATT&CK.
    #[serde(default)]
    pub threat: Vec<ThreatInfo>,
    /// What a match asks for.
    #[serde(default)]
    pub actions: Vec<ActionInfo>,
    /// Further reading.
    #[serde(default)]
    pub references: Vec<String>,
    /// The hand-written predicate that decides about the events which its query selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<PredicateInfo>,
    /// How alike alerts are suppressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppression: Option<SuppressionInfo>,
    /// Its source, a path of the pack's sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// How alike alerts of a rule are suppressed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionInfo {
    /// The fields whose values make alerts alike, of the IR's layout; none for all alerts of the rule.
    #[serde(default)]
    pub by: Vec<String>,
    /// For how long after the first alert, in nanoseconds of event time.
    pub window: i64,
    /// Whether alerts whose events lack one of the fields are told, all of them.
    #[serde(default)]
    pub tell_missing: bool,
}

/// A hand-written predicate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PredicateInfo {
    /// Its name, as in the IR.
    pub name: String,
    /// `wasm` or `lua`.
    pub language: String,
    /// The names of the fields that it may read.
    #[serde(default)]
    pub fields: Vec<String>,
    /// What it may do, sorted.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// A place in a framework of threats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreatInfo {
    /// The framework, `MITRE ATT&CK`.
    pub framework: String,
    /// The tactic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tactic: Option<TacticInfo>,
    /// The techniques.
    #[serde(default)]
    pub techniques: Vec<TechniqueInfo>,
}

/// A tactic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TacticInfo {
    /// `TA0002`.
    pub id: String,
    /// `Execution`.
    pub name: String,
    /// Where it is described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A technique.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TechniqueInfo {
    /// `T1059`.
    pub id: String,
    /// `Command and Scripting Interpreter`.
    pub name: String,
    /// Where it is described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Its parts, `T1059.004`; one level only.
    #[serde(default)]
    pub subtechniques: Vec<TacticInfo>,
}

/// What a match of a rule asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionInfo {
    /// `block`, `kill_process`, `quarantine_file` or `alert`.
    pub action: String,
    /// The field that names the action's object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The step whose event it is about, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<u32>,
    /// Whether descendants are meant too.
    #[serde(default)]
    pub tree: bool,
    /// Whether the operator has to ask for it.
    #[serde(default)]
    pub optional: bool,
}

/// The worst case of the rules' state, before what an engine allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateBudget {
    /// How many sequences there are.
    pub sequences: u32,
    /// How many samples.
    pub samples: u32,
    /// All terms of sequences and samples, `until` included.
    pub steps: u32,
    /// The most partial matches of one key, over all rules: one slot for each stage but the last, one candidate more
    /// where a missing term at the end has to be waited for, and one slot for each term of a sample.
    pub partial_matches_per_key: u32,
    /// The longest `maxspan` in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_maxspan: Option<i64>,
    /// How many sequences and samples nothing but the engine's own limits ends: those without `maxspan`.
    pub without_maxspan: u32,
    /// The most that one key may hold; packs of earlier compilers do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_case: Option<WorstCase>,
}

/// The most that the sequences and samples of a pack hold for one key, all rules together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstCase {
    /// Events, each counted for every partial match that holds it: a partial match at stage n holds n of them.
    pub events_per_key: u32,
    /// The bytes of one event's frame beside its texts, lists and objects.
    pub frame_bytes: u64,
    /// The most bytes of the events' frames, each as long as a frame can be.
    pub bytes_per_key: u64,
}

/// What the kernel may drop, as numbers of event kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterMaps {
    /// The kinds that some rule can want, ascending.
    pub kinds: Vec<u16>,
    /// The kinds that the compiler knew, ascending. Any other kind is wanted, because nobody looked at it.
    pub known: Vec<u16>,
    /// Who wants each of `kinds`, in the same order.
    pub reasons: Vec<KindReason>,
}

/// Which rules want a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindReason {
    /// The kind's number.
    pub kind: u16,
    /// The ids of the first rules that want it; none when only questions about lineage do.
    pub rules: Vec<String>,
    /// How many more want it.
    pub more: u32,
}

/// What the kernel asks of the events of one kind, beside the kind. Whatever some rule can want has one of the keys. A kind
/// without such an entry passes as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindKeys {
    /// The kind's number.
    pub kind: u16,
    /// The keys, sorted, each once.
    pub keys: Vec<FilterKey>,
}

impl KindKeys {
    /// Whether readers of format 2.1 know all of its tests.
    pub(super) fn is_of_2_1(&self) -> bool {
        self.keys.iter().all(|key| key.test.is_of_2_1())
    }
}

/// What the kernel asks of events on behalf of each predicate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PredicateKeys {
    /// All keys, sorted, each once.
    pub keys: Vec<FilterKey>,
    /// Who uses which, ascending by predicate. A kind that a predicate can want and that is in none of its entries is wanted
    /// whole.
    pub uses: Vec<KeyUse>,
}

/// The keys of which every event that a predicate can want, of some kinds, has one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The predicate's number.
    pub predicate: u32,
    /// The kinds' numbers, ascending.
    pub kinds: Vec<u16>,
    /// Numbers of the keys, ascending; none when the predicate is never true of these kinds.
    pub keys: Vec<u32>,
}

/// A key that the kernel can look for. Texts are in ASCII lower case, and the kernel ignores the case of what it compares
/// with them; an event with anything that it cannot compare passes, and a key `\\` says that such events are wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FilterKey {
    /// What is compared.
    pub test: FilterTest,
    /// With what.
    pub text: String,
}

/// What a key of the kernel's filter is compared with. A reader that does not know one of them cannot read the section that has
/// it: another test needs a section that earlier readers skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FilterTest {
    /// The last component of the file's path.
    FileName,
    /// What follows the last dot of that component.
    FileExtension,
    /// Any component of the file's path.
    PathComponent,
    /// The first components of the file's path, with `/` between and none around them.
    PathPrefix,
    /// The name of the process that acts: the last component of its executable's path.
    ProcessName,
    /// The effective user of the process that acts, a decimal number.
    UserId,
    /// The last component of the file's path, a pattern in which `*` is any run of characters.
    FilePattern,
    /// The name of the process that acts, such a pattern.
    ProcessPattern,
    /// The folders from the root on in which the executable of the process that acts is, with `/` between and none around
    /// them.
    ProcessFolder,
    /// The address of a connection's source: blocks in CIDR notation with spaces between; `!` before them says all but these.
    SourceAddress,
    /// The address of its destination.
    DestinationAddress,
    /// The port of its source: numbers and ranges such as `1-1023` with spaces between; `!` before them says all but these.
    SourcePort,
    /// The port of its destination.
    DestinationPort,
}

impl FilterTest {
    /// All of them.
    pub const ALL: [FilterTest; 13] = [
        FilterTest::FileName,
        FilterTest::FileExtension,
        FilterTest::PathComponent,
        FilterTest::PathPrefix,
        FilterTest::ProcessName,
        FilterTest::UserId,
        FilterTest::FilePattern,
        FilterTest::ProcessPattern,
        FilterTest::ProcessFolder,
        FilterTest::SourceAddress,
        FilterTest::DestinationAddress,
        FilterTest::SourcePort,
        FilterTest::DestinationPort,
    ];

    /// Whether readers of format 2.1 know it, so that section 10 may have it.
    pub fn is_of_2_1(self) -> bool {
        use FilterTest::*;
        matches!(self, FileName | FileExtension | PathComponent | PathPrefix | ProcessName | UserId)
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            FilterTest::FileName => "file name",
            FilterTest::FileExtension => "file extension",
            FilterTest::PathComponent => "folder on the path",
            FilterTest::PathPrefix => "beginning of the path",
            FilterTest::ProcessName => "name of the process",
            FilterTest::UserId => "user of the process",
            FilterTest::FilePattern => "pattern of the file name",
            FilterTest::ProcessPattern => "pattern of the name of the process",
            FilterTest::ProcessFolder => "folder of the process's executable",
            FilterTest::SourceAddress => "address of the source",
            FilterTest::DestinationAddress => "address of the destination",
            FilterTest::SourcePort => "port of the source",
            FilterTest::DestinationPort => "port of the destination",
        }
    }
}

/// A text file in a pack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackFile {
    /// Its path below the folder of the rules, with `/`.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// The code of a hand-written predicate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFile {
    /// Its name, as in the IR.
    pub name: String,
    /// A Wasm module, or the text of a Lua source.
    pub bytes: Vec<u8>,
}

impl FilterMaps {
    /// Whether events of this kind have to reach the rules.
    pub fn wants(&self, kind: u16) -> bool {
        self.kinds.contains(&kind) || !self.known.contains(&kind)
    }
}

/// What all hand-written predicates of an IR may do, by name, sorted, each once.
pub fn capabilities(ir: &Ir) -> Vec<String> {
    let names: BTreeSet<&str> =
        ir.programs.iter().flat_map(|program| &program.capabilities).map(|capability| capability.name()).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// The worst case of the rules of an IR.
pub fn state_budget(ir: &Ir) -> StateBudget {
    let mut budget = StateBudget::default();
    let mut events = 0_u32;
    for rule in &ir.rules {
        let (slots, held, maxspan) = match &rule.kind {
            RuleKind::Event { .. } => continue,
            RuleKind::Sequence(sequence) => {
                budget.sequences += 1;
                let positive = sequence.steps.iter().filter(|step| !step.missing).count();
                let waits = sequence.steps.last().is_some_and(|step| step.missing);
                let stages = positive.saturating_sub(1);
                let held = stages.saturating_mul(stages + 1) / 2 + if waits { positive } else { 0 };
                (stages + usize::from(waits), held, sequence.maxspan)
            }
            RuleKind::Sample { terms } => {
                budget.samples += 1;
                (terms.len(), terms.len(), None)
            }
        };
        budget.steps = budget.steps.saturating_add(rule.steps().count() as u32);
        budget.partial_matches_per_key = budget.partial_matches_per_key.saturating_add(slots as u32);
        budget.longest_maxspan = budget.longest_maxspan.max(maxspan);
        budget.without_maxspan += u32::from(maxspan.is_none());
        events = events.saturating_add(u32::try_from(held).unwrap_or(u32::MAX));
    }
    if budget.steps > 0 {
        let slots = ir.layout.top_level_slots();
        budget.worst_case = Some(WorstCase {
            events_per_key: events,
            frame_bytes: slot_offset(slots, slots) as u64,
            bytes_per_key: u64::from(events).saturating_mul(MAX_FRAME_SIZE as u64),
        });
    }
    budget
}
