//! Found cases: what a run found, made small and named, kept as text and run by the tests from then on.
//!
//! ```toml
//! [[case]]
//! name = "pairs_seed_7_pack_12"
//! found = "wasm (all predicates at once): the interpreter says true, it says false"
//! ir = """…"""                      # the text form of kestrel_ir::text
//! events = ['{"timestamp":0,"values":[["process.name",0,"sh"]]}']
//! holds = [[0]]                     # pairs: for each event the predicates that hold
//! matches = ["rule 0: 1/1c0ffee0 - by []"]    # a stream: its matches instead
//! ```
//!
//! What is expected is the interpreter's word when the case was made; whoever changes the semantics changes it here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kestrel_ir::model::PredicateId;
use kestrel_ir::text;
use serde::{Deserialize, Serialize};

use super::ask::Contenders;
use super::case::{Case, Difference, Judged, RecordedEvent};

/// A file of found cases.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundCases {
    /// The cases, oldest first.
    #[serde(default, rename = "case")]
    pub cases: Vec<FoundCase>,
}

/// One found case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundCase {
    /// Its name, unique in the file.
    pub name: String,
    /// Who differed how, and where it was found.
    pub found: String,
    /// The tables.
    pub ir: String,
    /// The events, each a [`RecordedEvent`] as JSON.
    pub events: Vec<String>,
    /// For each event the predicates that hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Vec<Vec<u32>>>,
    /// The matches of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Vec<String>>,
}

/// Where found cases are kept.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("found/cases.toml")
}

impl FoundCase {
    /// Writes a case down, with what the interpreter says.
    ///
    /// # Errors
    /// When the interpreter says nothing: the tables are refused, or it panics.
    pub fn new(name: &str, found: &str, case: &Case) -> Result<FoundCase> {
        let events = case.events.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let (holds, matches) = match case.judge()? {
            Judged::Stream(matches) => (None, Some(matches)),
            Judged::Pairs(answers) => {
                let predicates = case.ir.predicates.len() as u32;
                let of_event = |event| (0..predicates).filter(|&id| answers.holds(event, PredicateId(id))).collect();
                (Some((0..case.events.len()).map(of_event).collect()), None)
            }
        };
        let ir = text::print(&case.ir);
        Ok(FoundCase { name: name.to_owned(), found: found.to_owned(), ir, events, holds, matches })
    }

    /// Reads the case back.
    ///
    /// # Errors
    /// When the text is no IR or an event is none.
    pub fn case(&self) -> Result<Case> {
        let ir = text::parse(&self.ir).with_context(|| format!("the tables of `{}`", self.name))?;
        let event = |text: &String| serde_json::from_str::<RecordedEvent>(text);
        let events = self.events.iter().map(event).collect::<Result<_, _>>();
        Ok(Case { ir, events: events.with_context(|| format!("the events of `{}`", self.name))? })
    }

    /// The first difference: of the interpreter from what is expected, then of a contender from the interpreter.
    ///
    /// # Errors
    /// When the case does not read.
    pub fn difference(&self, contenders: &Contenders) -> Result<Option<Difference>> {
        let case = self.case()?;
        let now = FoundCase::new(&self.name, &self.found, &case)?;
        if (&now.holds, &now.matches) != (&self.holds, &self.matches) {
            let message =
                format!("expected {:?} {:?}, it says {:?} {:?}", self.holds, self.matches, now.holds, now.matches);
            return Ok(Some(Difference::new("interpreter", "as the judge", message)));
        }
        Ok(case.difference(contenders, None))
    }

    /// The case as it stands in a file.
    ///
    /// # Errors
    /// When it cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        let file = FoundCases { cases: vec![self.clone()] };
        Ok(toml::to_string_pretty(&file)?)
    }
}

impl FoundCases {
    /// Reads a file; none at all is an empty one.
    ///
    /// # Errors
    /// When it is no file of cases, or two have the same name.
    pub fn load(path: &Path) -> Result<FoundCases> {
        if !path.exists() {
            return Ok(FoundCases::default());
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let cases: FoundCases =
            toml::from_str(&text).with_context(|| format!("{} holds no found cases", path.display()))?;
        let mut names = std::collections::BTreeSet::new();
        if let Some(twice) = cases.cases.iter().find(|case| !names.insert(case.name.as_str())) {
            bail!("{}: two cases are called `{}`", path.display(), twice.name);
        }
        Ok(cases)
    }
}

/// Adds a case to a file, behind what is there; one of the same name is there already and stays.
///
/// # Errors
/// When the file cannot be read or written.
pub fn save(path: &Path, case: &FoundCase) -> Result<()> {
    if FoundCases::load(path)?.cases.iter().any(|known| known.name == case.name) {
        return Ok(());
    }
    let mut text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    if !text.is_empty() {
        text.push('\n');
    }
    write!(text, "{}", case.to_toml()?)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
