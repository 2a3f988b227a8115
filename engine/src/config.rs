//! The configuration file of `kestrel-engine`: the command line's options as TOML.
//!
//! ```toml
//! pack = ["/etc/kestrel/rules.kpkg"]
//! require_signature = ["/etc/kestrel/release.pub"]
//! alerts = ["/var/log/kestrel/alerts.ndjson", "journald"]
//! record = "/var/log/kestrel/events.klog"
//! record_sync = "flush"
//! runtime = "wasm"
//! os = "linux"
//! profile = "trusted"
//!
//! [limits]
//! max_document = 16777216
//! max_keys_per_rule = 65536
//! max_unused = "24h"
//! program_failures = 3
//!
//! [events]
//! reorder = "5s"
//! reorder_events = 65536
//!
//! [live]
//! pushdown = "keys"
//! ring_bytes = 4194304
//! agent_id = "web-1"
//! watch = ["/", "/home"]
//! bypass = ["file_open"]
//!
//! [live.allow]
//! process_names = ["backupd"]
//! path_prefixes = ["/var/cache"]
//!
//! [[sink]]
//! to = "bulk+https://siem.example:9200/_bulk?index=alerts"
//! headers = { Authorization = "ApiKey …" }
//!
//! [suppress]
//! by = ["host.id"]
//! for = "5m"
//! ```
//!
//! What the command line says wins. Paths are taken from the file's own folder. A key that is not known is an error: a
//! misspelt one must not look as if it worked.

mod limits;
mod sink;
mod suppress;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use thiserror::Error;

use crate::live::AllowLists;
use crate::session::suppression::SuppressionOptions;
pub use limits::{LimitsConfig, MAX_TRACED_ENDINGS};
pub use sink::SinkConfig;

/// The largest configuration file in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// A configuration file. Everything in it may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// As `--pack`.
    #[serde(default)]
    pub pack: Vec<PathBuf>,
    /// As `--require-signature`.
    #[serde(default)]
    pub require_signature: Vec<PathBuf>,
    /// As `--runtime`.
    pub runtime: Option<String>,
    /// As `--profile`.
    pub profile: Option<String>,
    /// As `--alerts`: one target, or a list.
    #[serde(default, deserialize_with = "one_or_many")]
    pub alerts: Vec<String>,
    /// Targets with options of their own, beside those of `alerts`.
    #[serde(default)]
    pub sink: Vec<SinkConfig>,
    /// Which alerts are counted instead of told.
    #[serde(default, deserialize_with = "suppress::deserialize")]
    pub suppress: SuppressionOptions,
    /// As `--control`.
    pub control: Option<PathBuf>,
    /// As `--record`.
    pub record: Option<PathBuf>,
    /// As `--record-sync`.
    pub record_sync: Option<String>,
    /// As `--code-cache`.
    pub code_cache: Option<String>,
    /// As `--stats`.
    pub stats: Option<String>,
    /// As `--mode`.
    pub mode: Option<String>,
    /// As `--os`.
    pub os: Option<String>,
    /// As `--threads`.
    pub threads: Option<u32>,
    /// Limits.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// The order of events.
    #[serde(default)]
    pub events: EventsConfig,
    /// The live source.
    #[serde(default)]
    pub live: LiveConfig,
}

/// `[events]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// As `--reorder`.
    pub reorder: Option<String>,
    /// The most events that wait for earlier ones.
    pub reorder_events: Option<usize>,
}

/// `[live]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveConfig {
    /// Room for records on their way from the kernel, in bytes; a power of two.
    pub ring_bytes: Option<u32>,
    /// `agent.id` of the events.
    pub agent_id: Option<String>,
    /// As `--pushdown`.
    pub pushdown: Option<String>,
    /// Folders whose file systems fanotify watches, where there is no eBPF.
    pub watch: Option<Vec<PathBuf>>,
    /// The kinds of events that are bypassed from the start.
    #[serde(default)]
    pub bypass: Vec<String>,
    /// `[live.allow]`: events that rules are not asked about.
    #[serde(default)]
    pub allow: AllowLists,
}

/// Why a configuration file is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {name}: {cause}")]
    Io {
        /// Its path.
        name: String,
        /// The operating system's answer.
        cause: std::io::Error,
    },
    /// It is far larger than any configuration.
    #[error("the configuration {name} has more than {MAX_SIZE} bytes")]
    TooLarge {
        /// Its path.
        name: String,
    },
    /// It is no TOML, or says something unknown.
    #[error("the configuration {name} is wrong: {message}")]
    Wrong {
        /// Its path.
        name: String,
        /// What the parser says, with the place.
        message: String,
    },
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read or says something unknown.
    pub fn open(path: &Path) -> Result<Config, ConfigError> {
        let name = path.display().to_string();
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_SIZE + 1).read_to_string(&mut text))
            .map_err(|cause| ConfigError::Io { name: name.clone(), cause })?;
        if text.len() as u64 > MAX_SIZE {
            return Err(ConfigError::TooLarge { name });
        }
        let mut config =
            Config::parse(&text).map_err(|error| ConfigError::Wrong { name, message: error.to_string() })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let paths = config.pack.iter_mut().chain(&mut config.require_signature);
        let paths = paths.chain(&mut config.record).chain(&mut config.control);
        paths.for_each(|path| *path = folder.join(&*path));
        config.alerts.iter_mut().for_each(|target| *target = below(folder, target));
        config.sink.iter_mut().for_each(|sink| sink.move_below(folder));
        let cache = config.code_cache.take();
        config.code_cache =
            cache.map(|word| if word == "off" { word } else { folder.join(word).display().to_string() });
        Ok(config)
    }

    /// Reads a configuration from its text; paths stay as they are.
    ///
    /// # Errors
    /// When it is no TOML or says something unknown.
    pub fn parse(text: &str) -> Result<Config, toml::de::Error> {
        toml::from_str(text)
    }
}

/// A word, or a list of words.
fn one_or_many<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a target for alerts or a list of them")]
    enum Targets {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Targets::deserialize(deserializer)? {
        Targets::One(target) => vec![target],
        Targets::Many(targets) => targets,
    })
}

/// A length of time as it is written in a configuration: `500ms`, `10s`, `5m`, `24h`, `7d`.
fn duration<E: serde::de::Error>(text: &str) -> Result<i64, E> {
    let wrong = || E::custom(format!("`{text}` is no length of time, write `10s`, `5m` or `24h`"));
    kestrel_ir::time::parse_duration(text).ok_or_else(wrong)
}

/// An alert target with its path taken from `folder`.
fn below(folder: &Path, target: &str) -> String {
    for scheme in ["unix:", "syslog:unix:", "journald:"] {
        if let Some(path) = target.strip_prefix(scheme) {
            return format!("{scheme}{}", folder.join(path).display());
        }
    }
    if target == "-" || target == "syslog" || target == "journald" || target.contains(':') {
        return target.to_owned();
    }
    folder.join(target).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_an_error() {
        let error = Config::parse("packs = ['a.kpkg']").expect_err("the key is `pack`");
        assert!(error.to_string().contains("unknown field `packs`"), "{error}");
    }

    #[test]
    fn everything_may_be_left_out() {
        assert_eq!(Config::parse("").expect("an empty configuration"), Config::default());
    }

    #[test]
    fn paths_are_taken_from_the_files_folder() {
        let folder = Path::new("/etc/kestrel");
        for (target, expected) in [
            ("-", "-"),
            ("alerts.ndjson", "/etc/kestrel/alerts.ndjson"),
            ("/var/log/alerts.ndjson", "/var/log/alerts.ndjson"),
            ("unix:alerts.sock", "unix:/etc/kestrel/alerts.sock"),
            ("syslog", "syslog"),
            ("syslog:unix:log", "syslog:unix:/etc/kestrel/log"),
            ("https://siem.example", "https://siem.example"),
        ] {
            assert_eq!(below(folder, target), expected);
        }
    }
}
