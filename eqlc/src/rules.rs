//! Rule files: metadata and a query, in the project's own form and in the two public TOML forms.
//!
//! In: a path to show and the text of a file. Out: a [`RuleSource`], or why there is none, with diagnostics that point into
//! the file. The query is not parsed here. Only [`files`] touches the disk.
//!
//! ```text
//! .eql   [--- TOML ---] query                                   our own form; the front matter may be left out
//! .toml  [rule] rule_id type="eql" query [[rule.threat]] [rule.predicate]        detection rules
//! .toml  [rule] id os_list query [[actions]] [[optional_actions]] [[threat]]     endpoint rules
//! ```

pub mod errors;
pub mod files;
mod front_matter;
mod literal;
mod predicate;
mod public_forms;
mod reader;
mod suppression;

pub use predicate::PredicateSource;
pub use suppression::SuppressionSource;

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostics::{Diagnostic, QueryMap, SourceFile, has_errors};
use crate::syntax::{Dialect, Span};
use errors::DuplicateId;

/// A rule before its query is parsed.
#[derive(Debug, Clone)]
pub struct RuleSource {
    /// The id, unique among the rules of a build.
    pub id: String,
    /// Where the id stands in the file; the start of the file where it is the file's name.
    pub id_span: Span,
    /// The name for people; the id, if the file has none.
    pub name: String,
    /// What the rule finds.
    pub description: String,
    /// How bad a finding is.
    pub severity: Option<RuleSeverity>,
    /// 0 to 100.
    pub risk_score: Option<u8>,
    /// Labels.
    pub tags: Vec<String>,
    /// `linux`, `windows`, `macos`; empty means all.
    pub os: Vec<String>,
    /// MITRE ATT&CK.
    pub threat: Vec<Threat>,
    /// Links.
    pub references: Vec<String>,
    /// The dialect that the file itself names; see [`RuleSource::dialect_or`].
    pub dialect: Option<Dialect>,
    /// What to do about a finding, the optional ones last.
    pub actions: Vec<Action>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// The codes of warnings that the rule does not want to hear.
    pub allow: Vec<String>,
    /// Files with tests, relative to the rule's file.
    pub tests: Vec<String>,
    /// The rule's version, as written.
    pub version: Option<String>,
    /// The hand-written predicate that decides about the events which the query selects.
    pub predicate: Option<PredicateSource>,
    /// How alike alerts are suppressed.
    pub suppression: Option<SuppressionSource>,
    /// The text of the query.
    pub query: String,
    /// Which form the file has.
    pub form: FileForm,
    /// The path as shown in messages.
    pub path: String,
    /// The file, with the place of the query in it.
    pub source: Arc<SourceFile>,
}

impl RuleSource {
    /// The dialect to parse with: the one that the file names, else the one that was asked for, else `endpoint` for an
    /// endpoint rule and `elastic` for all others.
    pub fn dialect_or(&self, asked: Option<Dialect>) -> Dialect {
        let natural = if self.form == FileForm::Endpoint { Dialect::Endpoint } else { Dialect::Elastic };
        self.dialect.or(asked).unwrap_or(natural)
    }
}

/// The forms of rule files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileForm {
    /// `.eql`
    Eql,
    /// `.toml` with `rule_id`
    Detection,
    /// `.toml` with `id`
    Endpoint,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleSeverity {
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `critical`
    Critical,
}

impl RuleSeverity {
    /// All of them, mildest first.
    pub const ALL: [RuleSeverity; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// As written in rule files and alerts.
    pub fn text(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One entry of `threat`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Threat {
    /// `MITRE ATT&CK`
    pub framework: String,
    /// The tactic.
    pub tactic: Option<ThreatItem>,
    /// The techniques.
    pub techniques: Vec<Technique>,
}

/// An entry of a threat framework.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreatItem {
    /// `TA0002`, `T1059`
    pub id: String,
    /// The name for people.
    pub name: String,
    /// A link; may be empty.
    pub reference: String,
}

/// A technique and its parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Technique {
    /// The technique.
    pub item: ThreatItem,
    /// Its subtechniques.
    pub subtechniques: Vec<ThreatItem>,
}

/// One entry of `actions` or `optional_actions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// `block`, `kill_process`, `quarantine_file`, `alert`; the public forms know others.
    pub action: String,
    /// The field that says what to act on.
    pub field: Option<String>,
    /// The step of the sequence whose event is meant, from 0.
    pub state: u32,
    /// Whether the process's descendants are meant too.
    pub tree: bool,
    /// Whether it stood among the optional actions.
    pub optional: bool,
    /// Where the entry stands in the file.
    pub span: Span,
}

/// What came of a file.
#[derive(Debug, Clone)]
pub enum Loaded {
    /// A rule; diagnostics may have been reported nevertheless.
    Rule(Box<RuleSource>),
    /// Not an EQL rule; to be counted, not failed.
    Skipped {
        /// Why, for people.
        reason: String,
    },
    /// No rule could be made of it; the diagnostics say why.
    Failed,
}

/// A file that was looked at.
#[derive(Debug, Clone)]
pub struct LoadedFile {
    /// What came of it.
    pub loaded: Loaded,
    /// What is wrong around the query.
    pub diagnostics: Vec<Diagnostic>,
    /// The file, for rendering.
    pub source: Arc<SourceFile>,
}

/// The rules of many files.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// The rules without errors, in the order of the files.
    pub rules: Vec<RuleSource>,
    /// The paths of the files that hold no EQL rule, with the reasons.
    pub skipped: Vec<(String, String)>,
    /// The files with something wrong around the query. Of rules with one id only the first is among the rules.
    pub reported: Vec<(Arc<SourceFile>, Vec<Diagnostic>)>,
}

impl RuleSet {
    /// How many files failed.
    pub fn failed(&self) -> usize {
        self.reported.iter().filter(|(_, diagnostics)| has_errors(diagnostics)).count()
    }
}

/// Reads one rule file; the path's ending tells its form.
///
/// ```
/// use eqlc::rules::{Loaded, load_file};
///
/// let file = load_file("shell.eql", "---\nname = \"A shell\"\n---\nprocess where process.name == \"sh\"\n");
/// let Loaded::Rule(rule) = file.loaded else { panic!() };
/// assert_eq!((rule.id.as_str(), rule.name.as_str()), ("shell", "A shell"));
/// assert!(rule.query.starts_with("process where"));
/// ```
pub fn load_file(path: &str, text: &str) -> LoadedFile {
    if path.ends_with(".toml") { public_forms::load(path, text) } else { front_matter::load(path, text) }
}

/// Reads many rule files, given as (path, text), in the order given.
pub fn load_all(files: impl IntoIterator<Item = (String, String)>) -> RuleSet {
    let mut set = RuleSet::default();
    let mut places: HashMap<String, String> = HashMap::new();
    for (path, text) in files {
        let LoadedFile { loaded, mut diagnostics, source } = load_file(&path, &text);
        match loaded {
            Loaded::Rule(rule) => {
                if let Some(first) = places.get(&rule.id) {
                    let (id, first) = (rule.id.clone(), first.clone());
                    diagnostics.push(DuplicateId { span: rule.id_span, id, first }.into());
                } else {
                    let (line, column) = source.line_column(rule.id_span.start);
                    places.insert(rule.id.clone(), format!("`{path}`, line {line}, column {column}"));
                }
                if !has_errors(&diagnostics) {
                    set.rules.push(*rule);
                }
            }
            Loaded::Skipped { reason } => set.skipped.push((path, reason)),
            Loaded::Failed => {}
        }
        if !diagnostics.is_empty() {
            set.reported.push((source, diagnostics));
        }
    }
    set
}

/// A file with nothing but diagnostics to show for it.
fn failed(path: &str, text: &str, diagnostics: Vec<Diagnostic>) -> LoadedFile {
    let source = Arc::new(SourceFile::with_query(path, text, QueryMap::default()));
    LoadedFile { loaded: Loaded::Failed, diagnostics, source }
}
