//! Packs over recordings, as the engine replays them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use eqlc::compile::{CompileOptions, PackOptions, build_pack, compile_rules};
use eqlc::rules::files;
use kestrel_engine::input;
use kestrel_engine::klog::TimeRange;
use kestrel_engine::runtime::RuntimeKind;
use kestrel_engine::session::parallel::{
    Chunk, ChunkItem, ChunkLimits, Feed, Worker, feed_failure, feed_input, pipeline,
};
use kestrel_engine::session::{NamedPack, PreparedPacks, Replay, Session, SessionOptions};

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

/// The alerts of packs over a recording, replayed by so many threads in chunks of so many documents.
///
/// # Errors
/// When the recording cannot be read whole, a document is no event, the runtime fails, or a thread does.
pub fn alerts_in_threads(
    packs: &[NamedPack],
    recording: &Path,
    runtime: RuntimeKind,
    (threads, items): (usize, usize),
) -> Result<Vec<String>> {
    let options = SessionOptions { runtime, ..SessionOptions::default() };
    let prepared = PreparedPacks::new(packs, options, None)?;
    let mut session = Session::of_documents(&prepared)?;
    let mut replay = Replay::new(&session);
    let workers = Worker::many(threads, &session, &prepared, TimeRange::default())?;
    let workers: Vec<_> = workers.into_iter().map(|mut worker| move |chunk: &mut Chunk| worker.work(chunk)).collect();
    let limits = ChunkLimits { items, ..ChunkLimits::default() };
    let feed = |feed: &mut Feed<Chunk>| match input::open(recording) {
        Ok(mut input) => {
            feed_input(feed, &mut input, limits, &|| false);
        }
        Err(error) => feed_failure(feed, error),
    };
    let (mut lines, mut trouble) = (Vec::new(), None);
    let take = |chunk: &mut Chunk| {
        replay.take_chunk(&mut session, chunk, &mut |alert| lines.push(alert.line.clone()));
        trouble = chunk.take_failure().map(|error| error.to_string());
        for item in chunk.items() {
            match item {
                ChunkItem::Event(..) => {}
                ChunkItem::Invalid { line, reason } => trouble = Some(format!("{line}: {reason}")),
                ChunkItem::Damaged { message } => trouble = Some(message.to_owned()),
            }
        }
        trouble.is_none()
    };
    pipeline::run(feed, workers, take)?;
    session.finish(&mut |alert| lines.push(alert.line.clone()));
    if let Some(trouble) = trouble.or(session.runtime_error().map(str::to_owned)) {
        bail!("{}, {threads} threads: {trouble}", recording.display());
    }
    Ok(lines)
}

/// The root of the project.
///
/// # Errors
/// When the project is not where it was built.
pub fn project() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    folder.canonicalize().with_context(|| format!("looking for {}", folder.display()))
}
