//! Where NDJSON goes: standard output or a file, compressed when the file's name says so.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use flate2::write::GzEncoder;

use super::super::Failure;
use super::super::options::same_file;

const CAPACITY: usize = 64 << 10;
/// The level of compressed files; they are written once and read seldom.
const ZSTD_LEVEL: i32 = 3;

/// A file or standard output, as it is.
pub(super) type Plain = Box<dyn Write>;

/// NDJSON on its way.
pub(super) enum Output {
    Plain(BufWriter<Plain>),
    Zstd(BufWriter<zstd::stream::write::Encoder<'static, Plain>>),
    Gzip(BufWriter<GzEncoder<Plain>>),
}

/// Opens what a command writes to, unless that is one of the files that it reads.
pub(super) fn create(output: &Path, inputs: &[PathBuf]) -> Result<Plain, Failure> {
    if output == Path::new("-") {
        return Ok(Box::new(io::stdout().lock()));
    }
    refuse_inputs(output, inputs)?;
    let file = File::create(output).with_context(|| cannot_write(output));
    Ok(Box::new(file.map_err(Failure::usage)?))
}

/// Refuses an output that is one of the files that are read.
pub(super) fn refuse_inputs(output: &Path, inputs: &[PathBuf]) -> Result<(), Failure> {
    match inputs.iter().any(|input| same_file(input, output)) {
        true => Err(Failure::usage(anyhow!("{} is read and cannot be written at once", output.display()))),
        false => Ok(()),
    }
}

/// What to say when an output does not take what is written.
pub(super) fn cannot_write(output: &Path) -> String {
    match output.to_str() {
        Some("-") => "cannot write to standard output".to_owned(),
        _ => format!("cannot write {}", output.display()),
    }
}

impl Output {
    /// Opens an output; names that end in `.zst` and `.gz` are compressed.
    pub(super) fn create(output: &Path, inputs: &[PathBuf]) -> Result<Output, Failure> {
        let plain = create(output, inputs)?;
        let ending = output.extension().and_then(|ending| ending.to_str());
        Ok(match ending {
            Some("zst") => {
                let encoder = zstd::stream::write::Encoder::new(plain, ZSTD_LEVEL);
                Output::Zstd(BufWriter::with_capacity(CAPACITY, encoder.map_err(Failure::failed)?))
            }
            Some("gz") => {
                Output::Gzip(BufWriter::with_capacity(CAPACITY, GzEncoder::new(plain, flate2::Compression::default())))
            }
            _ => Output::Plain(BufWriter::with_capacity(CAPACITY, plain)),
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Output::Plain(out) => out,
            Output::Zstd(out) => out,
            Output::Gzip(out) => out,
        }
    }

    /// Writes a document as one line. In JSON a line end can only stand between tokens, where a space means the same.
    pub(super) fn write_line(&mut self, document: &[u8]) -> io::Result<()> {
        let out = self.writer();
        for (number, part) in document.split(|byte| matches!(byte, b'\n' | b'\r')).enumerate() {
            if number > 0 {
                out.write_all(b" ")?;
            }
            out.write_all(part)?;
        }
        out.write_all(b"\n")
    }

    /// Writes out what waits.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    /// Writes out what waits, and the end of what is compressed.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut plain = match self {
            Output::Plain(mut out) => return out.flush(),
            Output::Zstd(out) => out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?,
            Output::Gzip(out) => out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?,
        };
        plain.flush()
    }
}
