//! Packs over recordings, as the engine replays them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use eqlc::compile::{CompileOptions, PackOptions, build_pack, compile_rules};
use eqlc::rules::files;
use kestrel_engine::input;
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::session::{NamedPack, Replay, Session, SessionOptions};

/// What became of rule files that were built with `--keep-going`.
#[derive(Debug)]
pub struct Built {
    /// The pack of those that build.
    pub pack: NamedPack,
    /// The paths and the first errors of those that do not.
    pub failed: Vec<(String, String)>,
    /// How many files hold no EQL rule.
    pub skipped: usize,
}

/// Builds all rules below the paths that can be built.
///
/// # Errors
/// When files cannot be read or no pack can be made.
pub fn build(paths: &[PathBuf]) -> Result<Built> {
    let mut set = files::load(paths)?;
    let options = CompileOptions::default();
    let compilation = compile_rules(std::mem::take(&mut set.rules), &options);
    let around = set.reported.iter().map(|(source, diagnostics)| (&**source, &diagnostics[..]));
    let failed = around
        .chain(compilation.reports())
        .filter_map(|(source, diagnostics)| {
            let first = diagnostics.iter().find(|diagnostic| diagnostic.is_error())?;
            Some((source.name().to_owned(), format!("{}: {}", first.code, first.message)))
        })
        .collect();
    let name = "conformance".to_owned();
    let pack = build_pack(&compilation, &options.schema, PackOptions { name, ..PackOptions::default() })?;
    Ok(Built { pack: NamedPack::read("conformance", pack.bytes())?, failed, skipped: set.skipped.len() })
}

/// The alerts of a pack over a recording, one line each.
///
/// # Errors
/// When the recording cannot be read whole, a document is no event, or the runtime fails.
pub fn alerts(pack: &NamedPack, recording: &Path, runtime: RuntimeKind) -> Result<Vec<String>> {
    let options = SessionOptions { runtime, ..SessionOptions::default() };
    let mut session = Session::over_documents(std::slice::from_ref(pack), options)?;
    let mut replay = Replay::new(&session);
    let mut lines = Vec::new();
    let mut input = input::open(recording)?;
    while let Some(document) = input.next_document()? {
        replay.queue(&mut session, &document, &mut |alert| lines.push(alert.line.clone()));
    }
    session.finish(&mut |alert| lines.push(alert.line.clone()));
    if let Some(error) = session.runtime_error() {
        bail!("the {} runtime failed: {error}", runtime.name());
    }
    if replay.counters().invalid > 0 {
        bail!("{} documents of {} are no events", replay.counters().invalid, recording.display());
    }
    input.warnings().first().map_or(Ok(lines), |warning| bail!("{}: {warning}", recording.display()))
}

/// The root of the project.
///
/// # Errors
/// When the project is not where it was built.
pub fn project() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    folder.canonicalize().with_context(|| format!("looking for {}", folder.display()))
}
