//! `kestrel-engine log`: event logs to NDJSON and back, and whether they are whole.

mod output;

use std::io::{self, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use kestrel_engine::input::{Input, InputOptions, Item};
use kestrel_engine::klog::{LogError, LogHeader, LogItem, LogReader, LogWriter, RecordHead, SyncPolicy, TimeRange};
use kestrel_engine::stats::counted;
use kestrel_ir::event::{Event, FieldTable};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::time::{format_rfc3339, parse_text};
use kestrel_schema::Schema;
use serde_json::json;

use super::Failure;
use super::report::{Trouble, print, say};
use output::{Output, cannot_write, create, refuse_inputs};

/// How often a followed log is looked at.
const GLANCE: Duration = Duration::from_millis(200);

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Prints the documents of event logs as NDJSON.
    Cat {
        /// The logs; `-` is standard input.
        #[arg(required = true, value_name = "LOG")]
        logs: Vec<PathBuf>,
        #[command(flatten)]
        range: RangeArguments,
        /// Goes on with what is written to the log from now on, until it is interrupted. For one log.
        #[arg(short, long)]
        follow: bool,
    },
    /// Makes an event log of documents: NDJSON, a JSON array, `.zst` or `.gz` of either, or other logs.
    Import {
        /// The documents' files; `-` is standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The log to write; one that is there is replaced. `-` is standard output.
        #[arg(short, long, value_name = "LOG")]
        output: PathBuf,
        /// Adds to the log that is there instead of replacing it.
        #[arg(long)]
        append: bool,
        /// When what is written is also put on the disk: `never`, at the end (`flush`), or after each block (`block`).
        #[arg(long, value_name = "never|flush|block", default_value = "never", value_parser = SyncPolicy::from_str)]
        sync: SyncPolicy,
        #[command(flatten)]
        range: RangeArguments,
        /// A schema file that says where a document's time is; ECS without it.
        #[arg(long, value_name = "SCHEMA")]
        schema: Option<PathBuf>,
    },
    /// Writes the documents of an event log to a file as NDJSON.
    Export {
        /// The log; `-` is standard input.
        #[arg(value_name = "LOG")]
        log: PathBuf,
        /// The file; one that is there is replaced. `-` is standard output. Names that end in `.zst` or `.gz` are compressed.
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
        /// `text` for people, or `json`: one object for each log.
        #[arg(long, value_name = "text|json", default_value = "text")]
        output: Verdict,
        /// The same as `--output json`.
        #[arg(long)]
        json: bool,
    },
}

/// How `verify` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Verdict {
    Text,
    Json,
}

/// Which times.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct RangeArguments {
    /// Only events from this time on: RFC 3339, `2026-11-21T08:00:00Z`, or a date.
    #[arg(long, alias = "from", value_name = "TIME", value_parser = time)]
    since: Option<i64>,
    /// Only events up to and with this time.
    #[arg(long, alias = "to", value_name = "TIME", value_parser = time)]
    until: Option<i64>,
}

impl RangeArguments {
    pub(super) fn range(self) -> TimeRange {
        let all = TimeRange::default();
        TimeRange { from: self.since.unwrap_or(all.from), to: self.until.unwrap_or(all.to) }
    }
}

fn time(word: &str) -> Result<i64, String> {
    parse_text(word).ok_or_else(|| "expected a time such as 2026-11-21T08:00:00Z".to_owned())
}

/// Runs a subcommand.
pub(super) fn run(command: &LogCommand) -> Result<u8, Failure> {
    match command {
        LogCommand::Cat { logs, follow: true, .. } if logs.len() > 1 => {
            Err(Failure::usage(anyhow!("only one log can be followed")))
        }
        LogCommand::Cat { logs, range, follow } => cat(logs, Path::new("-"), range.range(), *follow),
        LogCommand::Export { log, output, range } => cat(std::slice::from_ref(log), output, range.range(), false),
        LogCommand::Import { files, output, append: false, sync, range, schema } => {
            let making = Importing::new(files, schema.as_deref(), range.range())?;
            if output == Path::new("-") {
                let out = create(output, files)?;
                return making.import(LogWriter::new(out, &making.header()), output);
            }
            refuse_inputs(output, files)?;
            let writer = LogWriter::create(output, &making.header()).map(|writer| writer.with_sync(*sync));
            making.import(writer, output)
        }
        LogCommand::Import { files, output, append: true, sync, range, schema } => {
            let making = Importing::new(files, schema.as_deref(), range.range())?;
            refuse_inputs(output, files)?;
            let writer = LogWriter::append_to(output, &making.header()).map(|writer| writer.with_sync(*sync));
            making.import(writer, output)
        }
        LogCommand::Verify { logs, output, json } => verify(logs, *json || *output == Verdict::Json),
    }
}

fn open(path: &Path) -> Result<LogReader, Failure> {
    let reader = match path.to_str() {
        Some("-") => LogReader::from_stream(BufReader::new(io::stdin())),
        _ => LogReader::open(path),
    };
    reader.with_context(|| format!("cannot read {}", path.display())).map_err(Failure::usage)
}

fn cat(logs: &[PathBuf], output: &Path, range: TimeRange, follow: bool) -> Result<u8, Failure> {
    let mut trouble = Trouble::default();
    // All are opened before the output is, which would be empty for nothing.
    let readers = logs.iter().map(|log| open(log)).collect::<Result<Vec<_>, _>>()?;
    let mut out = Output::create(output, logs)?;
    let cannot_write = |error| Failure::failed(anyhow::Error::new(error).context(cannot_write(output)));
    for (log, reader) in logs.iter().zip(readers) {
        let name = log.display().to_string();
        let cannot_read = |error| Failure::failed(anyhow::Error::new(error).context(format!("cannot read {name}")));
        let mut reader = reader.with_range(range);
        if follow {
            reader = reader.following().map_err(cannot_read)?;
        }
        loop {
            match reader.next_item().map_err(cannot_read)? {
                Some(LogItem::Record(record)) => match out.write_line(record.document) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(0),
                    written => written.map_err(cannot_write)?,
                },
                Some(LogItem::Damaged(damage)) => {
                    trouble.damaged(&name, &format!("at byte {}: {}", damage.offset, damage.message));
                }
                None if follow => match out.flush() {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(0),
                    flushed => {
                        flushed.map_err(cannot_write)?;
                        std::thread::sleep(GLANCE);
                    }
                },
                None => break,
            }
        }
    }
    match out.finish() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(0),
        finished => finished.map_err(cannot_write)?,
    }
    trouble.finish();
    Ok(0)
}

/// What is to be imported.
struct Importing<'f> {
    files: &'f [PathBuf],
    schema: Schema,
    range: TimeRange,
}

impl<'f> Importing<'f> {
    /// Looks at everything that is read, before anything is written.
    fn new(files: &'f [PathBuf], schema: Option<&Path>, range: TimeRange) -> Result<Importing<'f>, Failure> {
        let schema = match schema {
            Some(path) => read_schema(path).map_err(Failure::usage)?,
            None => Schema::ecs(),
        };
        for file in files.iter().filter(|file| file.as_os_str() != "-") {
            file.metadata().with_context(|| format!("cannot read {}", file.display())).map_err(Failure::usage)?;
        }
        Ok(Importing { files, schema, range })
    }

    fn header(&self) -> LogHeader {
        LogHeader {
            schema_hash: self.schema.hash().iter().map(|byte| format!("{byte:02x}")).collect(),
            engine: concat!("kestrel-engine ", env!("CARGO_PKG_VERSION")).to_owned(),
            ..LogHeader::default()
        }
    }

    fn import<W: Write>(&self, writer: Result<LogWriter<W>, LogError>, output: &Path) -> Result<u8, Failure> {
        let lost = || cannot_write(output);
        let mut writer = writer.with_context(lost).map_err(Failure::usage)?;
        // No field is wanted but time and order.
        let decoder = Decoder::new(&FieldTable::new(), self.schema.event());
        let mut event = Event::new();
        let mut trouble = Trouble::default();
        let mut ordinal = 0;
        for file in self.files {
            let mut input = Input::open(file, InputOptions::default()).map_err(Failure::usage)?.with_range(self.range);
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
                let head = match document.record {
                    Some(record) => RecordHead { ordinal, ..record },
                    None => {
                        if let Err(error) = decoder.decode(document.bytes, &mut event) {
                            trouble.invalid(&name, unit, document.line, &error.to_string());
                            continue;
                        }
                        let Event { timestamp, tiebreaker, .. } = event;
                        RecordHead { timestamp, tiebreaker, ordinal, ..RecordHead::default() }
                    }
                };
                if !self.range.contains(head.timestamp) {
                    continue;
                }
                ordinal += 1;
                writer.append(&head, document.bytes).with_context(lost).map_err(Failure::failed)?;
            }
        }
        let records = writer.finish().with_context(lost).map_err(Failure::failed)?;
        trouble.finish();
        say(&format!("{} imported, {} invalid", counted(records, "record"), trouble.invalids()));
        Ok(0)
    }
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
                "version": format!("{}.{}", reader.version().0, reader.version().1),
                "whole": whole,
                "records": counters.records,
                "blocks": counters.blocks,
                "segments": counters.segments,
                "indexes": counters.indexes,
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
