//! The options of a run: those of the command line, then those of the configuration file, then what is usual.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use kestrel_core::matcher::MatcherOptions;
use kestrel_engine::config::Config;
use kestrel_engine::input::InputOptions;
use kestrel_engine::klog::{SyncPolicy, TimeRange};
use kestrel_engine::live::{Allow, KindSet, LiveOptions, SourceChoice};
use kestrel_engine::runtime::code_cache::{CacheLimits, CodeCache};
use kestrel_engine::runtime::profile::Profile;
use kestrel_engine::runtime::{RuntimeError, RuntimeKind};
use kestrel_engine::session::suppression::SuppressionOptions;
use kestrel_engine::session::{ReorderOptions, SessionOptions, System};
use kestrel_engine::sinks::{AlertTarget, SinkOptions, UnknownTarget};
use kestrel_ir::time::parse_duration;

use super::live::kind_named;
use super::{Failure, RunArguments};

/// Where a run's events come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EventSource {
    Files(Vec<PathBuf>),
    Stdin,
    Live,
}

/// Everything that a run is told.
#[derive(Debug)]
pub(super) struct RunOptions {
    pub(super) packs: Vec<PathBuf>,
    pub(super) required_signatures: Vec<PathBuf>,
    pub(super) source: EventSource,
    pub(super) alerts: Vec<(AlertTarget, SinkOptions)>,
    /// Whether files hold the beginning of the alerts already.
    pub(super) resume: bool,
    pub(super) suppression: SuppressionOptions,
    pub(super) control: Option<PathBuf>,
    pub(super) record: Option<PathBuf>,
    pub(super) record_sync: SyncPolicy,
    pub(super) range: TimeRange,
    /// How many threads stage one has; the run chooses when nothing is said.
    pub(super) threads: Option<usize>,
    pub(super) reorder: ReorderOptions,
    pub(super) code_cache: CacheTarget,
    pub(super) stats: Option<StatsFormat>,
    pub(super) duration: Option<Duration>,
    pub(super) session: SessionOptions,
    pub(super) input: InputOptions,
    pub(super) live: LiveOptions,
    pub(super) pushdown: Pushdown,
    /// For which operating system's events rules are run.
    pub(super) system: System,
    /// Kinds of events that a live run does without.
    pub(super) bypassed: KindSet,
    /// The sources that a live run may take; empty for all.
    pub(super) sources: Vec<SourceChoice>,
}

/// `--code-cache`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum CacheTarget {
    /// The usual folder, if it can be used.
    #[default]
    Usual,
    Folder(PathBuf),
    Off,
}

impl FromStr for CacheTarget {
    type Err = std::convert::Infallible;

    fn from_str(word: &str) -> Result<CacheTarget, Self::Err> {
        Ok(match word {
            "off" => CacheTarget::Off,
            _ => CacheTarget::Folder(PathBuf::from(word)),
        })
    }
}

impl CacheTarget {
    /// The cache for a runtime's code, if that has any before it runs.
    pub(super) fn open_for(&self, runtime: RuntimeKind) -> (Option<CodeCache>, Option<String>) {
        match runtime {
            RuntimeKind::Wasm => self.open(),
            _ => (None, None),
        }
    }

    /// The cache, and what is to be said when there is none although one is wanted.
    fn open(&self) -> (Option<CodeCache>, Option<String>) {
        let folder = match self {
            CacheTarget::Off => None,
            CacheTarget::Folder(folder) => Some(folder.clone()),
            CacheTarget::Usual => CodeCache::usual_folder(),
        };
        match folder.map(|folder| CodeCache::open(&folder, CacheLimits::default())) {
            None => (None, None),
            Some(Ok(cache)) => (Some(cache), None),
            Some(Err(error)) => (None, Some(format!("code is compiled at each start: {error}"))),
        }
    }
}

/// `--stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatsFormat {
    Text,
    Json,
}

impl FromStr for StatsFormat {
    type Err = String;

    fn from_str(word: &str) -> Result<StatsFormat, String> {
        match word {
            "text" => Ok(StatsFormat::Text),
            "json" => Ok(StatsFormat::Json),
            _ => Err("expected `text` or `json`".to_owned()),
        }
    }
}

/// `--mode`: there is one so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode;

impl FromStr for Mode {
    type Err = String;

    fn from_str(word: &str) -> Result<Mode, String> {
        match word {
            "detect" => Ok(Mode),
            "shadow" | "enforce" => Err(format!("mode `{word}` is not in this version, only `detect` is")),
            _ => Err("expected `detect`".to_owned()),
        }
    }
}

/// `--pushdown`: what the kernel is told of the rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Pushdown {
    /// Kinds of events, and names, paths and users that rules ask for.
    #[default]
    Keys,
    /// Kinds of events alone.
    Kinds,
}

impl FromStr for Pushdown {
    type Err = String;

    fn from_str(word: &str) -> Result<Pushdown, String> {
        match word {
            "keys" => Ok(Pushdown::Keys),
            "kinds" => Ok(Pushdown::Kinds),
            _ => Err("expected `keys` or `kinds`".to_owned()),
        }
    }
}

/// The most events that may wait for earlier ones.
const MAX_REORDER_EVENTS: usize = 1 << 24;
/// The most threads of a run.
const MAX_THREADS: usize = 64;

/// `--threads`.
pub(super) fn threads(word: &str) -> Result<usize, String> {
    let threads = word.parse().ok().filter(|threads| (1..=MAX_THREADS).contains(threads));
    threads.ok_or_else(|| format!("expected a number of threads from 1 to {MAX_THREADS}"))
}

/// `--reorder`, in nanoseconds.
pub(super) fn reorder(word: &str) -> Result<i64, String> {
    match word {
        "0" => Ok(0),
        _ => parse_duration(word).ok_or_else(|| "expected a length of time such as `500ms`, `5s` or `1m`".to_owned()),
    }
}

/// `--runtime`.
pub(super) fn runtime(word: &str) -> Result<RuntimeKind, String> {
    word.parse().map_err(|error| match error {
        RuntimeError::NotBuilt { runtime } => {
            format!("the runtime `{runtime}` is not in this build, use `wasm`, `lua`, `native` or `interp`")
        }
        other => other.to_string(),
    })
}

/// `--duration`.
pub(super) fn seconds(word: &str) -> Result<Duration, String> {
    let seconds = word.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "expected a number of seconds".to_owned())
}

impl RunOptions {
    /// Puts the command line and its configuration file together.
    pub(super) fn new(arguments: RunArguments) -> Result<RunOptions, Failure> {
        let config = match &arguments.config {
            Some(path) => Config::open(path).map_err(Failure::usage)?,
            None => Config::default(),
        };
        merge(arguments, config).map_err(Failure::usage)
    }
}

fn merge(arguments: RunArguments, config: Config) -> anyhow::Result<RunOptions> {
    // There is one mode; what matters is that another one was refused.
    of_config(config.mode.as_deref(), "mode", Mode::from_str)?;
    let of_file = of_config(config.threads.map(|threads| threads.to_string()).as_deref(), "threads", threads)?;
    let threads = arguments.threads.or(of_file);
    let of_file = of_config(config.events.reorder.as_deref(), "events.reorder", reorder)?;
    let mut reorder = ReorderOptions { bound: arguments.reorder.or(of_file).unwrap_or(0), ..ReorderOptions::default() };
    reorder.events = config.events.reorder_events.unwrap_or(reorder.events);
    if !(1..=MAX_REORDER_EVENTS).contains(&reorder.events) {
        return Err(anyhow!("the configuration's `events.reorder_events` is from 1 to {MAX_REORDER_EVENTS}"));
    }
    let of_file = of_config(config.runtime.as_deref(), "runtime", runtime)?;
    let kind = arguments.runtime.or(of_file).unwrap_or(RuntimeKind::Wasm);
    let of_file = of_config(config.profile.as_deref(), "profile", |word| {
        Profile::from_str(word).map_err(|error| error.to_string())
    })?;
    let profile = arguments.profile.or(of_file).unwrap_or_default();
    let alerts = alert_targets(arguments.alerts, &config, arguments.spool.as_deref())?;
    let code_cache = of_config(config.code_cache.as_deref(), "code_cache", |word| {
        CacheTarget::from_str(word).map_err(|error| error.to_string())
    })?;
    let stats = of_config(config.stats.as_deref(), "stats", StatsFormat::from_str)?;
    let packs = if arguments.pack.is_empty() { config.pack } else { arguments.pack };
    if packs.is_empty() {
        return Err(anyhow!("there is no pack to run; name one with `--pack`, see `--help`"));
    }
    let keys = arguments.require_signature;
    let required_signatures = if keys.is_empty() { config.require_signature } else { keys };
    let source = match (arguments.stdin, arguments.replay) {
        (true, _) => EventSource::Stdin,
        (false, files) if files.is_empty() => EventSource::Live,
        (false, files) if files.as_slice() == [Path::new("-")] => EventSource::Stdin,
        (false, files) => EventSource::Files(files),
    };
    let range = arguments.range.range();
    if source == EventSource::Live && !range.is_all() {
        return Err(anyhow!("`--since` and `--until` choose from recorded events: name them with `--replay`"));
    }
    let record_sync = of_config(config.record_sync.as_deref(), "record_sync", SyncPolicy::from_str)?;
    let limits = config.limits.matcher().map_err(|reason| anyhow!("the configuration's `limits`: {reason}"))?;
    let traced_endings = arguments.trace_endings.map_or(limits.traced_endings, usize::from);
    let matcher = MatcherOptions { traced_endings, ..limits };
    let mut input = InputOptions::default();
    input.max_document = config.limits.max_document.unwrap_or(input.max_document);
    let of_file = of_config(config.os.as_deref(), "os", System::from_str)?;
    // A live host runs Linux; recorded events may come from anywhere.
    let usual = if source == EventSource::Live { System::Linux } else { System::Any };
    let system = arguments.os.or(of_file).unwrap_or(usual);
    let pushdown = of_config(config.live.pushdown.as_deref(), "live.pushdown", Pushdown::from_str)?;
    let mut bypassed = KindSet::NONE;
    for name in &config.live.bypass {
        let kind = kind_named(name).map_err(|reason| anyhow!("the configuration's `live.bypass`: {reason}"))?;
        bypassed = bypassed.with(kind);
    }
    let mut live = LiveOptions::default();
    live.ring_bytes = config.live.ring_bytes.unwrap_or(live.ring_bytes);
    live.agent_id = config.live.agent_id.unwrap_or_default();
    live.allow =
        Allow::new(&config.live.allow).map_err(|error| anyhow!("the configuration's `live.allow`: {error}"))?;
    live.watched = config.live.watch.unwrap_or(live.watched);
    let options = RunOptions {
        packs,
        required_signatures,
        source,
        alerts,
        resume: arguments.resume,
        suppression: config.suppress,
        control: arguments.control.or(config.control),
        record: arguments.record.or(config.record),
        record_sync: arguments.record_sync.or(record_sync).unwrap_or_default(),
        range,
        threads,
        reorder,
        code_cache: arguments.code_cache.or(code_cache).unwrap_or_default(),
        stats: arguments.stats.or(stats),
        duration: arguments.duration,
        session: SessionOptions {
            runtime: kind,
            profile,
            max_program_failures: config
                .limits
                .program_failures
                .unwrap_or(SessionOptions::default().max_program_failures),
            matcher,
        },
        input,
        live,
        pushdown: arguments.pushdown.or(pushdown).unwrap_or_default(),
        system,
        bypassed,
        sources: arguments.source,
    };
    options.check_outputs()?;
    options.check_resume()?;
    Ok(options)
}

/// Where alerts go: as the command line says, else as the file says, else to standard output. A target of the command line
/// that the file has as a sink has the sink's options.
fn alert_targets(
    words: Vec<AlertTarget>,
    config: &Config,
    spool: Option<&Path>,
) -> anyhow::Result<Vec<(AlertTarget, SinkOptions)>> {
    let mut of_file: Vec<(AlertTarget, SinkOptions)> = Vec::new();
    for word in &config.alerts {
        let target =
            of_config(Some(word), "alerts", |word| word.parse().map_err(|error: UnknownTarget| error.to_string()));
        of_file.extend(target?.map(|target| (target, SinkOptions::default())));
    }
    for sink in &config.sink {
        let read = sink.read().map_err(|reason| anyhow!("the configuration's sink `{}`: {reason}", sink.to));
        of_file.push(read?);
    }
    let mut targets = if words.is_empty() {
        of_file
    } else {
        let options =
            |target: &AlertTarget| of_file.iter().find(|(known, _)| known == target).map(|(_, options)| options);
        words.into_iter().map(|target| (target.clone(), options(&target).cloned().unwrap_or_default())).collect()
    };
    if targets.is_empty() {
        targets.push((AlertTarget::Stdout, SinkOptions::default()));
    }
    if let Some(spool) = spool {
        targets.iter_mut().for_each(|(_, options)| options.http.spool = Some(spool.to_owned()));
    }
    for (number, (target, _)) in targets.iter().enumerate() {
        if targets.iter().take(number).any(|(other, _)| other == target) {
            return Err(anyhow!("alerts go to {target} twice"));
        }
    }
    Ok(targets)
}

fn of_config<T>(word: Option<&str>, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> anyhow::Result<Option<T>> {
    let parsed = word.map(|word| parse(word).map_err(|reason| anyhow!("`{word}`: {reason}"))).transpose();
    parsed.with_context(|| format!("the configuration's `{key}`"))
}

impl RunOptions {
    /// No output may be an input, which it would spoil, or the other output.
    fn check_outputs(&self) -> anyhow::Result<()> {
        let files = || {
            self.alerts.iter().filter_map(|(target, _)| match target {
                AlertTarget::File(path) => Some(path),
                _ => None,
            })
        };
        let inputs: &[PathBuf] = match &self.source {
            EventSource::Files(files) => files,
            _ => &[],
        };
        let outputs = files().map(|path| (path, "--alerts"));
        for (output, option) in outputs.chain(self.record.iter().map(|path| (path, "--record"))) {
            if inputs.iter().chain(&self.packs).chain(&self.required_signatures).any(|input| same_file(input, output)) {
                return Err(anyhow!("`{option} {}` would write over a file that is read", output.display()));
            }
        }
        if let Some(record) = &self.record
            && files().any(|alerts| same_file(alerts, record))
        {
            return Err(anyhow!("`--alerts` and `--record` name the same file, {}", record.display()));
        }
        Ok(())
    }

    /// Only what is told once however often it runs can be resumed.
    fn check_resume(&self) -> anyhow::Result<()> {
        if !self.resume {
            return Ok(());
        }
        if !matches!(self.source, EventSource::Files(_)) {
            return Err(anyhow!("`--resume` is for a replay of files"));
        }
        if self.record.is_some() {
            return Err(anyhow!("`--resume` would record events twice, leave `--record` out"));
        }
        for (target, options) in &self.alerts {
            let reason = match target {
                AlertTarget::File(_) if options.rotation.is_none() => continue,
                // The server knows an alert by its id.
                AlertTarget::Http(_) => continue,
                AlertTarget::File(_) => "the file is rotated",
                _ => "it would get alerts twice",
            };
            return Err(anyhow!("`--resume` cannot be used with alerts to {target}: {reason}"));
        }
        if !self.alerts.iter().any(|(target, _)| matches!(target, AlertTarget::File(_))) {
            return Err(anyhow!("`--resume` needs a file of alerts, name it with `--alerts`"));
        }
        Ok(())
    }
}

/// Whether two paths are one regular file.
pub(super) fn same_file(left: &Path, right: &Path) -> bool {
    if left == right && left != Path::new("-") && !left.starts_with("/dev") {
        return true;
    }
    match (left.canonicalize(), right.canonicalize()) {
        (Ok(left), Ok(right)) => left == right && left.is_file(),
        _ => false,
    }
}
