//! `[[sink]]`: a target for alerts with options of its own.
//!
//! In: the table. Out: a target and its options; an option that the kind of target does not have is an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{below, duration};
use crate::sinks::{AlertTarget, Compression, HttpOptions, Rotation, SinkOptions, SpoolLimits};

/// How many old files are kept unless said otherwise.
const KEEP: u32 = 5;
/// The least room of a spool, so that its segments hold an alert.
const MIN_SPOOL: u64 = 64 << 10;
/// The most alerts of a request.
const MAX_BATCH: usize = 10_000;

/// `[[sink]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// The target, as `--alerts` has it.
    pub to: String,
    /// Files: the most bytes before the next file is begun.
    pub rotate_bytes: Option<u64>,
    /// Files: the longest time before the next file is begun.
    #[serde(default, deserialize_with = "time")]
    pub rotate_every: Option<Duration>,
    /// Files: how many old ones are kept.
    pub keep: Option<u32>,
    /// Files: `none`, `zstd` or `gzip` for the old ones.
    pub compress: Option<String>,
    /// HTTP: headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// HTTP: a PEM file with the authorities to trust instead of the public ones.
    pub ca: Option<PathBuf>,
    /// HTTP: the folder of the spool.
    pub spool: Option<PathBuf>,
    /// HTTP: the most bytes of the spool.
    pub spool_bytes: Option<u64>,
    /// HTTP: how long a request may take.
    #[serde(default, deserialize_with = "time")]
    pub timeout: Option<Duration>,
    /// HTTP: the most alerts of a request.
    pub batch: Option<usize>,
    /// HTTP: the longest wait between two attempts.
    #[serde(default, deserialize_with = "time")]
    pub max_wait: Option<Duration>,
    /// HTTP: how long the end of a run waits for delivery.
    #[serde(default, deserialize_with = "time")]
    pub finish_wait: Option<Duration>,
}

impl SinkConfig {
    /// Takes all paths from `folder`.
    pub(super) fn move_below(&mut self, folder: &Path) {
        self.to = below(folder, &self.to);
        self.ca.iter_mut().chain(&mut self.spool).for_each(|path| *path = folder.join(&*path));
    }

    /// The target and its options.
    ///
    /// # Errors
    /// When the target is none, or has not such an option.
    pub fn read(&self) -> Result<(AlertTarget, SinkOptions), String> {
        let target: AlertTarget = self.to.parse().map_err(|error: crate::sinks::UnknownTarget| error.to_string())?;
        let of_files = [
            ("rotate_bytes", self.rotate_bytes.is_some()),
            ("rotate_every", self.rotate_every.is_some()),
            ("keep", self.keep.is_some()),
            ("compress", self.compress.is_some()),
        ];
        let of_http = [
            ("headers", !self.headers.is_empty()),
            ("ca", self.ca.is_some()),
            ("spool", self.spool.is_some()),
            ("spool_bytes", self.spool_bytes.is_some()),
            ("timeout", self.timeout.is_some()),
            ("batch", self.batch.is_some()),
            ("max_wait", self.max_wait.is_some()),
            ("finish_wait", self.finish_wait.is_some()),
        ];
        let (is_file, is_http) = (matches!(target, AlertTarget::File(_)), matches!(target, AlertTarget::Http(_)));
        for (options, has, kind) in [(&of_files[..], is_file, "files"), (&of_http[..], is_http, "HTTP")] {
            if let Some((name, _)) = options.iter().find(|(_, given)| *given && !has) {
                return Err(format!("`{name}` is an option of {kind}, and alerts go to {target}"));
            }
        }
        Ok((target, SinkOptions { rotation: self.rotation()?, http: self.http()? }))
    }

    fn rotation(&self) -> Result<Option<Rotation>, String> {
        let compression = match self.compress.as_deref() {
            None | Some("none") => Compression::None,
            Some("zstd") => Compression::Zstd,
            Some("gzip") => Compression::Gzip,
            Some(other) => return Err(format!("`compress` is `none`, `zstd` or `gzip`, not `{other}`")),
        };
        if self.rotate_bytes.is_none() && self.rotate_every.is_none() {
            let alone = self.keep.is_some() || self.compress.is_some();
            return if alone {
                Err("a file that is rotated needs `rotate_bytes` or `rotate_every`".to_owned())
            } else {
                Ok(None)
            };
        }
        if self.rotate_bytes == Some(0) || self.rotate_every == Some(Duration::ZERO) {
            return Err("a file cannot be rotated at 0".to_owned());
        }
        let keep = self.keep.unwrap_or(KEEP);
        if keep > 10_000 {
            return Err(format!("at most 10000 old files can be kept, not {keep}"));
        }
        Ok(Some(Rotation { max_bytes: self.rotate_bytes, max_age: self.rotate_every, keep, compression }))
    }

    fn http(&self) -> Result<HttpOptions, String> {
        let usual = HttpOptions::default();
        let max_bytes = self.spool_bytes.unwrap_or(usual.limits.max_bytes);
        if max_bytes < MIN_SPOOL {
            return Err(format!("`spool_bytes` is at least {MIN_SPOOL}, not {max_bytes}"));
        }
        let batch = self.batch.unwrap_or(usual.batch);
        if !(1..=MAX_BATCH).contains(&batch) {
            return Err(format!("`batch` is a number from 1 to {MAX_BATCH}, not {batch}"));
        }
        if self.timeout == Some(Duration::ZERO) {
            return Err("`timeout` is more than nothing".to_owned());
        }
        Ok(HttpOptions {
            spool: self.spool.clone(),
            limits: SpoolLimits { max_bytes },
            headers: self.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            ca: self.ca.clone(),
            timeout: self.timeout.unwrap_or(usual.timeout),
            batch,
            max_wait: self.max_wait.unwrap_or(usual.max_wait),
            finish_wait: self.finish_wait.unwrap_or(usual.finish_wait),
        })
    }
}

fn time<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let nanoseconds = duration(&text)?;
    Ok(Some(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(AlertTarget, SinkOptions), String> {
        toml::from_str::<SinkConfig>(text).map_err(|error| error.to_string())?.read()
    }

    #[test]
    fn options_belong_to_their_kind_of_target() {
        for (text, expected) in [
            ("to = 'a'\nheaders = { A = 'b' }", "`headers` is an option of HTTP, and alerts go to a"),
            ("to = 'http://h/'\nkeep = 1", "`keep` is an option of files, and alerts go to http://h"),
            ("to = 'a'\nkeep = 1", "a file that is rotated needs `rotate_bytes` or `rotate_every`"),
            ("to = 'a'\nrotate_every = '1'", "`1` is no length of time"),
            ("to = 'a'\nrotate_bytes = 1\ncompress = 'lzma'", "`none`, `zstd` or `gzip`, not `lzma`"),
            ("to = 'http://h/'\nbatch = 0", "`batch` is a number from 1 to 10000"),
            ("to = 'http://h/'\nretries = 1", "unknown field `retries`"),
            ("to = ''", "is no place for alerts"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        let (_, options) = read("to = 'a'\nrotate_every = '24h'\ncompress = 'zstd'").expect("it is right");
        let rotation = options.rotation.expect("it rotates");
        assert_eq!((rotation.max_age, rotation.keep), (Some(Duration::from_secs(86_400)), KEEP));
    }
}
