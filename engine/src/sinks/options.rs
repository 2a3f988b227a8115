//! What sinks are told beside their target.

use std::path::PathBuf;
use std::time::Duration;

use super::SpoolLimits;

/// The options of one sink. Those of another kind of target mean nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkOptions {
    /// When a file makes room for the next.
    pub rotation: Option<Rotation>,
    /// How a server is spoken to.
    pub http: HttpOptions,
}

/// When a file makes room for the next, and what becomes of the old ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The most bytes of a file; a longer alert has a file of its own.
    pub max_bytes: Option<u64>,
    /// The longest time for which a file is written to, by the host's clock.
    pub max_age: Option<Duration>,
    /// How many old files are kept.
    pub keep: u32,
    /// How the old ones are kept.
    pub compression: Compression,
}

/// How old files are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// As `.zst`.
    Zstd,
    /// As `.gz`.
    Gzip,
}

impl Compression {
    /// What the names of such files end with.
    pub fn ending(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Zstd => ".zst",
            Compression::Gzip => ".gz",
        }
    }
}

/// How a server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// The folder of the spools; each target has a folder of its own in it. Without one, the usual place.
    pub spool: Option<PathBuf>,
    /// Limits of the spool.
    pub limits: SpoolLimits,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// A PEM file with the authorities to trust, instead of the public ones.
    pub ca: Option<PathBuf>,
    /// How long a request may take.
    pub timeout: Duration,
    /// The most alerts of a request.
    pub batch: usize,
    /// The longest wait between two attempts.
    pub max_wait: Duration,
    /// How long the end of a run waits for alerts to be delivered.
    pub finish_wait: Duration,
}

impl Default for HttpOptions {
    /// 10 s a request of up to 500 alerts, a minute between attempts, 10 s at the end.
    fn default() -> Self {
        HttpOptions {
            spool: None,
            limits: SpoolLimits::default(),
            headers: Vec::new(),
            ca: None,
            timeout: Duration::from_secs(10),
            batch: 500,
            max_wait: Duration::from_secs(60),
            finish_wait: Duration::from_secs(10),
        }
    }
}
