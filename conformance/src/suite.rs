//! The case files.
//!
//! ```toml
//! name = "operators"              # the suite
//! section = "3"                   # of the language guide
//! dialect = "elastic"             # for all cases, unless a case has its own
//! schema = '''...'''              # a schema file's text; the ECS schema when left out
//!
//! [events]                        # lists of JSON documents by name; a small `@timestamp` counts milliseconds from a
//!                                 # fixed day, and where it is left out it is the event's number
//! some = ['{"process.name": "sh"}']
//!
//! [[case]]
//! name = "equality_is_case_sensitive"
//! query = 'any where process.name == "sh"'
//! events = "some"                 # a name from above, or a list of documents
//! expect = [[0]]                  # the matches in order, each a list of event numbers; -1 is a missing event
//! errors = ["E0201 1:11"]         # instead of `expect`: code, line and column of every error, in order
//! skip = { lua = "why not" }      # runtimes that cannot run this case
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kestrel_engine::runtime::RuntimeKind;
use serde::Deserialize;

/// The fixed day, in milliseconds since 1970.
const BASE: u64 = 1_700_000_000_000;

/// A file of cases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The suite's name.
    pub name: String,
    /// The section of the language guide that the cases are written from.
    pub section: String,
    /// The dialect of all cases that name none.
    #[serde(default)]
    pub dialect: Option<String>,
    /// The text of a schema file; the ECS schema when there is none.
    #[serde(default)]
    pub schema: Option<String>,
    /// Lists of JSON documents by name.
    #[serde(default)]
    pub events: BTreeMap<String, Vec<String>>,
    /// The cases.
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The property that the case shows.
    pub name: String,
    /// The query.
    pub query: String,
    /// The dialect, when it is not the suite's.
    #[serde(default)]
    pub dialect: Option<String>,
    /// What the query runs over.
    #[serde(default)]
    pub events: Option<Events>,
    /// The matches in order, each a list of event numbers; -1 is a missing event.
    #[serde(default)]
    pub expect: Option<Vec<Vec<i64>>>,
    /// The errors in order: `E0201 1:11`.
    #[serde(default)]
    pub errors: Option<Vec<String>>,
    /// The runtimes that cannot run the case, and why.
    #[serde(default)]
    pub skip: BTreeMap<String, String>,
}

/// The events of a case.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Events {
    /// A list of the suite.
    Named(String),
    /// Documents of the case's own.
    Own(Vec<String>),
}

impl Suite {
    /// Reads a suite and checks that it is whole: known events, unique names, something to expect.
    pub fn load(path: &Path) -> Result<Suite> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let suite: Suite = toml::from_str(&text).with_context(|| format!("{} is no suite", path.display()))?;
        let mut names = std::collections::BTreeSet::new();
        for case in &suite.cases {
            if !names.insert(&case.name) {
                bail!("{}: two cases are called `{}`", path.display(), case.name);
            }
            if case.expect.is_some() == case.errors.is_some() {
                bail!("{}: `{}` must have either `expect` or `errors`", path.display(), case.name);
            }
            for (runtime, reason) in &case.skip {
                if runtime.parse::<RuntimeKind>().is_err() || reason.trim().is_empty() {
                    bail!(
                        "{}: `{}` skips `{runtime}`, which is no runtime or is not explained",
                        path.display(),
                        case.name
                    );
                }
            }
            suite.documents(case).with_context(|| format!("{}: `{}`", path.display(), case.name))?;
        }
        Ok(suite)
    }

    /// The documents of a case, each with a timestamp.
    pub fn documents(&self, case: &Case) -> Result<Vec<Vec<u8>>> {
        let documents = match &case.events {
            None => return Ok(Vec::new()),
            Some(Events::Own(documents)) => documents,
            Some(Events::Named(name)) => {
                self.events.get(name).with_context(|| format!("the suite has no events called `{name}`"))?
            }
        };
        documents
            .iter()
            .enumerate()
            .map(|(number, text)| {
                let mut document: serde_json::Value =
                    serde_json::from_str(text).with_context(|| format!("event {number} is not JSON: {text}"))?;
                let object = document.as_object_mut().with_context(|| format!("event {number} is no object"))?;
                if self.schema.is_none() {
                    let milliseconds = object.get("@timestamp").map_or(Some(number as u64), |given| given.as_u64());
                    if let Some(milliseconds) = milliseconds.filter(|&milliseconds| milliseconds < BASE) {
                        object.insert("@timestamp".to_owned(), (BASE + milliseconds).into());
                    }
                }
                Ok(document.to_string().into_bytes())
            })
            .collect()
    }
}

/// All suites of this crate, by path in name order.
pub fn suite_files() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    Ok(files)
}
