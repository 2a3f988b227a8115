//! `eqlc test`: the rules' tests.
//!
//! A rule names its test files in `tests`, relative to itself; a test file is TOML:
//!
//! ```toml
//! [[case]]
//! name = "a dropped program"
//! events = ['{"event.category": "process", "process.name": "x"}']   # JSON documents, or
//! file = "events.ndjson"                                            # a file of them, relative to the test file
//! expect = [[0]]                      # the matches in order, each a list of event numbers; -1 is a missing event
//! ```
//!
//! Documents without `@timestamp` are one second apart.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use eqlc::compile::{compile_rule, program_files};
use eqlc::diagnostics::has_errors;
use eqlc::rules::{RuleSource, files};
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::runtime::profile::Profile;
use kestrel_schema::Schema;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::report::{MessageFormat, report, say, tell};
use crate::run::{evaluate, programs, read_documents};
use crate::{DialectArgument, Outcome, SchemaArgument};

/// `eqlc test`.
#[derive(Debug, Args)]
pub struct TestArguments {
    /// Rule files, and folders that are searched for them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// What evaluates the predicates.
    #[arg(long, default_value = "wasm", value_name = "interp|wasm|lua|native")]
    runtime: RuntimeKind,
    /// How far hand-written predicates are trusted.
    #[arg(long, default_value = "trusted", value_name = "trusted|strict")]
    profile: Profile,
    #[command(flatten)]
    dialect: DialectArgument,
    #[command(flatten)]
    schema: SchemaArgument,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestFile {
    #[serde(rename = "case")]
    cases: Vec<TestCase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestCase {
    name: String,
    #[serde(default)]
    events: Vec<String>,
    file: Option<PathBuf>,
    expect: Vec<Vec<i64>>,
}

/// Runs the tests of all rules below the paths.
pub fn test(arguments: &TestArguments, format: MessageFormat) -> Result<Outcome> {
    let schema = arguments.schema.load()?;
    let set = files::load(&arguments.paths)?;
    set.reported.iter().for_each(|(source, diagnostics)| report(format, source, diagnostics));
    let (mut passed, mut failed, mut untested) = (0, set.failed(), Vec::new());
    for rule in &set.rules {
        let dialect = rule.dialect_or(arguments.dialect.dialect());
        let (ir, diagnostics) = compile_rule(rule, &schema, dialect);
        report(format, &rule.source, &diagnostics);
        let Some(ir) = ir.filter(|_| !has_errors(&diagnostics)) else {
            failed += 1;
            continue;
        };
        if rule.tests.is_empty() {
            untested.push(rule.id.as_str());
            continue;
        }
        let code = program_files([rule], &ir);
        for (path, case) in cases(rule)? {
            let documents = documents(&case, &path, &schema)?;
            let programs = programs(&ir, &code, arguments.profile, &schema)?;
            let result = evaluate(&ir, arguments.runtime, programs, &schema, &documents)?;
            result.notes.iter().for_each(|note| tell!("{}: `{}`: {note}", path.display(), case.name));
            let found: Vec<Vec<i64>> = result
                .matches
                .iter()
                .map(|found| found.documents.iter().map(|number| number.map_or(-1, |number| number as i64)).collect())
                .collect();
            let invalid = result.invalid.first().map(|(number, error)| format!("event {number} is no event: {error}"));
            let failure = result.programs.iter().find_map(|program| program.first_failure.as_ref());
            let invalid = invalid.or_else(|| failure.map(|failure| format!("its predicate failed: {failure}")));
            if found == case.expect && invalid.is_none() {
                passed += 1;
            } else {
                failed += 1;
                let reason = invalid.unwrap_or_else(|| format!("expected {:?}, found {found:?}", case.expect));
                tell!("{}: `{}` of rule `{}`: {reason}", path.display(), case.name, rule.id);
            }
        }
    }
    for id in &untested {
        tell!("rule `{id}` has no test");
    }
    say!("{passed} passed, {failed} failed, {} without tests", untested.len());
    if passed + failed == 0 {
        tell!("there was nothing to test: a rule names its tests in `tests`");
    }
    Ok(if failed > 0 || passed == 0 { Outcome::Found } else { Outcome::Done })
}

fn cases(rule: &RuleSource) -> Result<Vec<(PathBuf, TestCase)>> {
    let folder = Path::new(&rule.path).parent().unwrap_or(Path::new("."));
    let mut cases = Vec::new();
    for name in &rule.tests {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            bail!("rule `{}` names the test file `{name}`, which does not lie beside or below it", rule.id);
        }
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`, a test of rule `{}`", path.display(), rule.id))?;
        let file: TestFile = toml::from_str(&text).with_context(|| format!("`{}` is no test file", path.display()))?;
        cases.extend(file.cases.into_iter().map(|case| (path.clone(), case)));
    }
    Ok(cases)
}

fn documents(case: &TestCase, path: &Path, schema: &Schema) -> Result<Vec<Vec<u8>>> {
    let mut documents = Vec::new();
    if let Some(file) = &case.file {
        read_documents(&path.parent().unwrap_or(Path::new(".")).join(file), &mut documents)?;
    }
    for (number, text) in case.events.iter().enumerate() {
        let mut json: Json = serde_json::from_str(text)
            .with_context(|| format!("`{}`: event {number} of `{}` is not JSON", path.display(), case.name))?;
        if let Some(object) = json.as_object_mut()
            && !object.contains_key(&schema.event().timestamp)
        {
            object.insert(schema.event().timestamp.clone(), Json::from(1_700_000_000_000_u64 + number as u64 * 1000));
        }
        documents.push(json.to_string().into_bytes());
    }
    Ok(documents)
}
