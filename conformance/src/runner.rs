//! The runner: one case, every runtime.

use anyhow::{Context, Result, bail};
use eqlc::compile::compile_query;
use eqlc::diagnostics::SourceFile;
use eqlc::syntax::Dialect;
use kestrel_engine::query::{self, QueryMatch};
use kestrel_engine::runtime::{RuntimeKind, RuntimeParts, create};
use kestrel_ir::model::Ir;
use kestrel_schema::Schema;

use crate::suite::{Case, Suite};

/// The runtimes that every case runs on: all of this build.
pub const RUNTIMES: [RuntimeKind; RuntimeKind::ALL.len()] = RuntimeKind::ALL;

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseOutcome {
    /// Every runtime gave what the case expects; those that it skips, with the reason.
    Passed {
        /// Runtime and reason.
        skipped: Vec<(String, String)>,
    },
    /// Something else came.
    Failed(String),
}

/// Runs a case on every runtime.
///
/// # Errors
/// When the case itself is broken.
pub fn run_case(suite: &Suite, case: &Case) -> Result<CaseOutcome> {
    let mut schema = match &suite.schema {
        Some(text) => Schema::from_toml(text).context("the suite's schema")?,
        None => Schema::ecs(),
    };
    let documents = suite.documents(case)?;
    if schema.dynamic() {
        query::typing::define_from_data(&mut schema, &documents);
    }
    let dialect = case.dialect.as_ref().or(suite.dialect.as_ref());
    let dialect: Dialect = match dialect {
        Some(word) => word.parse().map_err(|_| anyhow::anyhow!("`{word}` is no dialect"))?,
        None => Dialect::Elastic,
    };
    let (ir, diagnostics) = compile_query(&case.query, &schema, dialect);
    let source = SourceFile::new("query", case.query.as_str());
    let errors: Vec<String> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .map(|diagnostic| {
            let (line, column) = source.line_column(diagnostic.span().start);
            format!("{} {line}:{column}", diagnostic.code)
        })
        .collect();
    let Some(expect) = &case.expect else {
        let wanted = case.errors.clone().unwrap_or_default();
        return Ok(if errors == wanted {
            CaseOutcome::Passed { skipped: Vec::new() }
        } else {
            CaseOutcome::Failed(format!("expected the errors {wanted:?}, found {errors:?}"))
        });
    };
    let Some(ir) = ir else {
        return Ok(CaseOutcome::Failed(format!("does not compile: {errors:?}")));
    };
    let mut skipped = Vec::new();
    for kind in RUNTIMES {
        if let Some(reason) = case.skip.get(kind.name()) {
            skipped.push((kind.name().to_owned(), reason.clone()));
            continue;
        }
        let found = numbers(&run_on(kind, &ir, &schema, &documents)?);
        if found != *expect {
            return Ok(CaseOutcome::Failed(format!("{}: expected {expect:?}, found {found:?}", kind.name())));
        }
    }
    Ok(CaseOutcome::Passed { skipped })
}

/// The matches of one rule on one runtime, its code compiled from the IR on the spot.
///
/// # Errors
/// When the code does not compile or load, or failed and the interpreter stood in for it.
pub fn run_on(kind: RuntimeKind, ir: &Ir, schema: &Schema, documents: &[Vec<u8>]) -> Result<Vec<QueryMatch>> {
    let module = kestrel_backend_wasm::compile(ir).context("compiling to Wasm")?;
    let lua = kestrel_backend_lua::compile(ir).context("compiling to Lua")?;
    let runtime = create(kind, &RuntimeParts { ir, wasm: Some(&module), lua: Some(&lua) })?;
    let result = query::run(ir, runtime, None, schema, documents)?;
    if let Some(error) = result.runtime_error {
        bail!("the {} runtime failed: {error}", kind.name());
    }
    if let Some((number, error)) = result.invalid.first() {
        bail!("event {number}: {error}");
    }
    Ok(result.matches)
}

/// Matches as a case writes them.
pub fn numbers(matches: &[QueryMatch]) -> Vec<Vec<i64>> {
    let number = |document: &Option<usize>| document.map_or(-1, |number| number as i64);
    matches.iter().map(|found| found.documents.iter().map(number).collect()).collect()
}
