//! `kestrel-engine log`: event logs to NDJSON and back, and whether they are whole.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use kestrel_engine::input::{Input, InputOptions, Item};
use kestrel_engine::klog::{LogHeader, LogItem, LogReader, LogWriter, RecordHead, TimeRange};
use kestrel_engine::stats::counted;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::time::{format_rfc3339, parse_text};
use kestrel_schema::Schema;
use serde_json::json;

use super::Failure;
use super::options::same_file;
use super::report::{Trouble, print, say};

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Prints the documents of event logs as NDJSON.
    Cat {
        /// The logs.
        #[arg(required = true, value_name = "LOG")]
        logs: Vec<PathBuf>,
        #[command(flatten)]
        range: RangeArguments,
    },
    /// Makes an event log of documents: NDJSON, a JSON array, `.zst` or `.gz` of either, or other logs.
    Import {
        /// The documents' files; `-` is standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The log to write; one that is there is replaced.
        #[arg(short, long, value_name = "LOG")]
        output: PathBuf,
        /// A schema file that says where a document's time is; ECS without it.
        #[arg(long, value_name = "SCHEMA")]
        schema: Option<PathBuf>,
    },
    /// Writes the documents of an event log to a file as NDJSON.
    Export {
        /// The log.
        #[arg(value_name = "LOG")]
        log: PathBuf,
        /// The file; one that is there is replaced. `-` is standard output.
        #[arg(short, long, value_name = "FILE", default_value = "-")]
        output: PathBuf,
        #[command(flatten)]
        range: RangeArguments,
    },
    /// Checks every checksum of event logs. Ends with status 1 when a log is damaged.
    Verify {
        /// The logs.
        #[arg(required = true, value_name = "LOG")]
        logs: Vec<PathBuf>,
        /// One JSON object for each log.
        #[arg(long)]
        json: bool,
    },
}

/// Which times.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct RangeArguments {
    /// From this time on: RFC 3339, `2026-11-21T08:00:00Z`, or a date.
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<i64>,
    /// Up to and with this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<i64>,
}

impl RangeArguments {
    fn range(self) -> TimeRange {
        let all = TimeRange::default();
        TimeRange { from: self.from.unwrap_or(all.from), to: self.to.unwrap_or(all.to) }
    }
}

fn time(word: &str) -> Result<i64, String> {
    parse_text(word).ok_or_else(|| "expected a time such as 2026-11-21T08:00:00Z".to_owned())
}

/// Runs a subcommand.
pub(super) fn run(command: &LogCommand) -> Result<u8, Failure> {
    match command {
        LogCommand::Cat { logs, range } => cat(logs, Path::new("-"), range.range()),
        LogCommand::Export { log, output, range } => cat(std::slice::from_ref(log), output, range.range()),
        LogCommand::Import { files, output, schema } => import(files, output, schema.as_deref()),
        LogCommand::Verify { logs, json } => verify(logs, *json),
    }
}

fn open(path: &Path) -> Result<LogReader, Failure> {
    LogReader::open(path).with_context(|| format!("cannot read {}", path.display())).map_err(Failure::usage)
}

/// Opens what a command writes to, unless that is one of the files that it reads.
fn create(output: &Path, inputs: &[PathBuf]) -> Result<Box<dyn Write>, Failure> {
    if output == Path::new("-") {
        return Ok(Box::new(io::stdout().lock()));
    }
    if inputs.iter().any(|input| same_file(input, output)) {
        return Err(Failure::usage(anyhow!("{} is read and cannot be written at once", output.display())));
    }
    let file = File::create(output).with_context(|| format!("cannot write {}", output.display()));
    Ok(Box::new(file.map_err(Failure::usage)?))
}

fn cat(logs: &[PathBuf], output: &Path, range: TimeRange) -> Result<u8, Failure> {
    let mut trouble = Trouble::default();
    // All are opened before the output is, which would be empty for nothing.
    let readers = logs.iter().map(|log| open(log)).collect::<Result<Vec<_>, _>>()?;
    let mut out = BufWriter::with_capacity(64 << 10, create(output, logs)?);
    for (log, reader) in logs.iter().zip(readers) {
        let (name, mut reader) = (log.display().to_string(), reader.with_range(range));
        loop {
            let item = reader.next_item().with_context(|| format!("cannot read {name}"));
            match item.map_err(Failure::failed)? {
                Some(LogItem::Record(record)) => match write_line(&mut out, record.document) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(0),
                    written => written.with_context(|| cannot_write(output)).map_err(Failure::failed)?,
                },
                Some(LogItem::Damaged(damage)) => {
                    trouble.damaged(&name, &format!("at byte {}: {}", damage.offset, damage.message));
                }
                None => break,
            }
        }
    }
    match out.flush() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(0),
        flushed => flushed.with_context(|| cannot_write(output)).map_err(Failure::failed)?,
    }
    trouble.finish();
    Ok(0)
}

/// Writes a document as one line. In JSON a line end can only stand between tokens, where a space means the same.
fn write_line(out: &mut impl Write, document: &[u8]) -> io::Result<()> {
    for (number, part) in document.split(|byte| matches!(byte, b'\n' | b'\r')).enumerate() {
        if number > 0 {
            out.write_all(b" ")?;
        }
        out.write_all(part)?;
    }
    out.write_all(b"\n")
}

fn cannot_write(output: &Path) -> String {
    match output.to_str() {
        Some("-") => "cannot write to standard output".to_owned(),
        _ => format!("cannot write {}", output.display()),
    }
}

fn import(files: &[PathBuf], output: &Path, schema: Option<&Path>) -> Result<u8, Failure> {
    let schema = match schema {
        Some(path) => read_schema(path).map_err(Failure::usage)?,
        None => Schema::ecs(),
    };
    for file in files.iter().filter(|file| file.as_os_str() != "-") {
        file.metadata().with_context(|| format!("cannot read {}", file.display())).map_err(Failure::usage)?;
    }
    let header = LogHeader {
        schema_hash: schema.hash().iter().map(|byte| format!("{byte:02x}")).collect(),
        engine: concat!("kestrel-engine ", env!("CARGO_PKG_VERSION")).to_owned(),
        ..LogHeader::default()
    };
    let lost = || cannot_write(output);
    let out = create(output, files)?;
    let mut writer = LogWriter::new(out, &header).with_context(lost).map_err(Failure::failed)?;
    // No field is wanted but time and order.
    let decoder = Decoder::new(&FieldTable::new(), schema.event());
    let mut event = Event::new();
    let mut trouble = Trouble::default();
    let mut ordinal = 0;
    for file in files {
        let mut input = Input::open(file, InputOptions::default()).map_err(Failure::usage)?;
        let (name, unit) = (input.name().to_owned(), input.unit());
        while let Some(item) = input.next_item().map_err(Failure::usage)? {
            let document = match item {
                Item::Document(document) => document,
                Item::Invalid { line, reason } => {
                    trouble.invalid(&name, unit, line, &reason);
                    continue;
                }
                Item::Damaged { message } => {
                    trouble.damaged(&name, &message);
                    continue;
                }
            };
            let head = match (document.record, decoder.decode(document.bytes, &mut event)) {
                (Some(record), _) => RecordHead { ordinal, ..record },
                (None, Ok(())) => {
                    let Event { timestamp, tiebreaker, .. } = event;
                    RecordHead { timestamp, tiebreaker, ordinal, ..RecordHead::default() }
                }
                (None, Err(error)) => {
                    trouble.invalid(&name, unit, document.line, &error.to_string());
                    continue;
                }
            };
            ordinal += 1;
            writer.append(&head, document.bytes).with_context(lost).map_err(Failure::failed)?;
        }
    }
    let records = writer.finish().with_context(lost).map_err(Failure::failed)?;
    trouble.finish();
    say(&format!("{} imported, {} invalid", counted(records, "record"), trouble.invalids()));
    Ok(0)
}

fn read_schema(path: &Path) -> anyhow::Result<Schema> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Schema::from_toml(&text).with_context(|| format!("the schema {} is wrong", path.display()))
}

fn verify(logs: &[PathBuf], as_json: bool) -> Result<u8, Failure> {
    let mut status = 0;
    for log in logs {
        let name = log.display().to_string();
        let mut reader = open(log)?;
        let mut trouble = Trouble::default();
        while let Some(item) =
            reader.next_item().with_context(|| format!("cannot read {name}")).map_err(Failure::failed)?
        {
            if let LogItem::Damaged(damage) = item {
                trouble.damaged(&name, &format!("at byte {}: {}", damage.offset, damage.message));
            }
        }
        trouble.finish();
        let (counters, header) = (reader.counters(), reader.header());
        let times = counters.times.map(|(first, last)| (format_rfc3339(first), format_rfc3339(last)));
        let whole = counters.damages == 0;
        if !whole {
            status = 1;
        }
        let text = if as_json {
            let json = json!({
                "log": name,
                "whole": whole,
                "records": counters.records,
                "blocks": counters.blocks,
                "segments": counters.segments,
                "damaged": counters.damages,
                "lost_records": counters.lost_records,
                "bytes": counters.log_bytes,
                "raw_bytes": counters.raw_bytes,
                "first": times.as_ref().map(|(first, _)| first),
                "last": times.as_ref().map(|(_, last)| last),
                "header": header,
            });
            format!("{json}\n")
        } else {
            let verdict = match whole {
                true => "whole".to_owned(),
                false => format!("damaged in {}", counted(counters.damages, "place")),
            };
            let times = times.map(|(first, last)| format!(", {first} to {last}")).unwrap_or_default();
            format!(
                "{name}: {verdict}; {} in {}, {} bytes of {}{times}\n",
                counted(counters.records, "record"),
                counted(counters.blocks, "block"),
                counters.log_bytes,
                counters.raw_bytes,
            )
        };
        print(&text).map_err(Failure::failed)?;
    }
    Ok(status)
}
