//! `kestrel-engine ctl`: asks a running engine.

use std::fmt::Write;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use kestrel_engine::control::{ExplainRequest, Request, Response, ask};
use kestrel_engine::stats::{counted, partial_matches};
use serde_json::Value as Json;

use super::Failure;
use super::options::StatsFormat;
use super::report::print;

/// `kestrel-engine ctl`.
#[derive(Debug, Args)]
pub(super) struct CtlArguments {
    /// The socket that the engine was given with its own `--control`.
    #[arg(long, value_name = "PATH")]
    control: PathBuf,
    /// `text` for people or `json`: one object.
    #[arg(long, value_name = "text|json", default_value = "text", global = true, value_parser = StatsFormat::from_str)]
    output: StatsFormat,
    #[command(subcommand)]
    command: CtlCommand,
}

#[derive(Debug, Subcommand)]
enum CtlCommand {
    /// Packs, rules, events, alerts, losses, and how much is remembered.
    Status,
    /// Has a live run read its packs again. They are checked and built aside, and take over between two events; when anything
    /// is wrong the old ones go on, and the answer says why. SIGHUP does the same.
    Reload,
    /// Has a live run go back to the packs that ran before the last reload, as they were then. One change at a time, as with
    /// `reload`; other questions are answered meanwhile.
    Rollback,
    /// Has the kernel of a live run produce no events of a kind (`on`), or again (`off`). What the process table lives from is
    /// still produced, and not given to rules. Exits cannot be bypassed while a pack asks about lineage.
    Bypass {
        /// The kind, as `kestrel-engine doctor` names it: `file_open`.
        kind: String,
        /// `on` or `off`.
        #[arg(value_name = "on|off", value_parser = on_or_off, action = clap::ArgAction::Set)]
        on: bool,
    },
    /// How far each key of a rule came, what it waits for, and what ended it.
    Explain {
        /// The rule's id.
        rule: String,
        /// Looks at one key: its values, in the order of the rule's fields.
        #[arg(long, value_name = "VALUE", num_args = 1.., allow_negative_numbers = true)]
        key: Option<Vec<String>>,
        /// The most keys, and the most endings of each, up to 1000. [default: 10]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

/// Asks and prints the answer.
pub(super) fn run(arguments: CtlArguments) -> Result<u8, Failure> {
    let request = match arguments.command {
        CtlCommand::Status => Request::Status {},
        CtlCommand::Reload => Request::Reload {},
        CtlCommand::Rollback => Request::Rollback {},
        CtlCommand::Bypass { kind, on } => Request::Bypass { kind, on },
        CtlCommand::Explain { rule, key, limit } => {
            let key = key.map(|values| values.into_iter().map(Json::from).collect());
            Request::Explain(ExplainRequest { rule, key, limit })
        }
    };
    let response = ask(&arguments.control, &request).map_err(Failure::failed)?;
    print(&answer_text(arguments.output, &response)?).map_err(Failure::failed)?;
    Ok(0)
}

fn answer_text(format: StatsFormat, response: &Response) -> Result<String, Failure> {
    let people = format == StatsFormat::Text;
    Ok(match response {
        Response { status: Some(status), .. } if people => status_text(status),
        Response { reload: Some(reload), .. } if people => reload_text(reload),
        Response { bypass: Some(bypass), .. } if people => format!("bypassed  {}\n", bypass_text(bypass)),
        Response { explain: Some(state), .. } if people => state.text(),
        Response { status: Some(json), .. }
        | Response { reload: Some(json), .. }
        | Response { bypass: Some(json), .. } => format!("{json}\n"),
        Response { explain: Some(state), .. } => {
            format!("{}\n", serde_json::to_string(state).map_err(Failure::failed)?)
        }
        _ => return Err(Failure::failed(anyhow::anyhow!("the engine's answer is empty"))),
    })
}

fn on_or_off(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected `on` or `off`".to_owned()),
    }
}

/// Which kinds are bypassed, for people.
fn bypass_text(bypass: &Json) -> String {
    let names: Vec<&str> = bypass["kinds"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let number = |name: &str| bypass[name].as_u64().unwrap_or(0);
    let blind = counted(number("blind_rules"), "rule");
    format!("{}: {blind} cannot match, {} see less", plain(&names.join(", ")), number("narrowed_rules"))
}

/// What became of the events of a kind, for people; what is nothing is left out.
fn kind_text(name: &str, kind: &Json) -> String {
    let sum = |names: &[&str]| {
        let parts = names.iter().filter_map(|part| Some((kind[part].as_u64().filter(|count| *count > 0)?, part)));
        let parts: Vec<String> = parts.map(|(count, part)| format!("{count} {part}")).collect();
        if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") }
    };
    let count = |name: &str| kind[name].as_u64().unwrap_or(0);
    format!(
        "{}: {} produced = {}; {} received = {}",
        plain(name),
        count("produced"),
        sum(&["ignored", "filtered", "dropped", "sent"]),
        count("received"),
        sum(&["delivered", "upkeep", "repeated", "unchanged", "allowed"])
    )
}

/// What a reload did, for people.
fn reload_text(reload: &Json) -> String {
    let mut out = format!("{}\n", plain(reload["summary"].as_str().unwrap_or("done")));
    for warning in reload["warnings"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "warning: {}", plain(warning));
    }
    out
}

/// A status for people. What an older or newer engine does not tell is left out.
fn status_text(status: &Json) -> String {
    let number = |pointer: &str| status.pointer(pointer).and_then(Json::as_u64).unwrap_or(0);
    let word = |pointer: &str| status.pointer(pointer).and_then(Json::as_str).unwrap_or("unknown");
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:10}{}", plain(&text));
    };
    let seconds = status.pointer("/elapsed_seconds").and_then(Json::as_f64).unwrap_or(0.0);
    line(
        "engine",
        format!("{}, {}, runtime {}, for {seconds:.1} s", word("/version"), word("/source"), word("/runtime")),
    );
    for pack in status["loaded"].as_array().into_iter().flatten() {
        let hash = pack["content_hash"].as_str().unwrap_or("");
        let rules = pack["rules"].as_array().map_or(0, Vec::len) as u64;
        let file = pack["file"].as_str().unwrap_or("");
        line("pack", format!("{file}, {}, sha256 {}", counted(rules, "rule"), hash.get(..16).unwrap_or(hash)));
    }
    let off = number("/disabled_rules");
    let off = if off > 0 { format!(", {off} of them switched off") } else { String::new() };
    let others = number("/left_out_rules");
    let others = if others > 0 { format!(", {others} more left out for other systems") } else { String::new() };
    line("rules", format!("{}{off}{others}", number("/rules")));
    if status.pointer("/bypass/kinds/0").is_some() {
        line("bypassed", bypass_text(&status["bypass"]));
    }
    let (epoch, failed) = (number("/reload/epoch"), number("/reload/failed"));
    if epoch + failed > 0 {
        let dropped = partial_matches(number("/reload/partial_matches_dropped"));
        line("packs", format!("replaced {}, failed {failed}; {dropped} let go", counted(epoch, "time")));
    }
    if let Some(error) = status.pointer("/reload/last_error").and_then(Json::as_str) {
        line("failed", error.to_owned());
    }
    let suppressed = number("/suppression/suppressed");
    let suppressed = if suppressed > 0 { format!(", {suppressed} suppressed") } else { String::new() };
    line(
        "events",
        format!("{} matched, {} invalid, {} late", number("/events"), number("/invalid"), number("/matcher/late")),
    );
    line("alerts", format!("{}{suppressed}", number("/alerts")));
    line(
        "ledger",
        format!(
            "{} produced = {} filtered + {} dropped + {} waiting + {} matched",
            number("/ledger/produced"),
            number("/ledger/filtered"),
            number("/ledger/dropped"),
            number("/ledger/waiting"),
            number("/ledger/matched")
        ),
    );
    for (name, kind) in status.pointer("/live/kinds").and_then(Json::as_object).into_iter().flatten() {
        line("kind", kind_text(name, kind));
    }
    line(
        "state",
        format!(
            "{}, {} bytes; {} partial matches begun, {} completed",
            counted(number("/sequences/live_keys"), "key"),
            number("/sequences/state_bytes"),
            number("/sequences/started"),
            number("/sequences/completed")
        ),
    );
    for (name, limit) in status["limits"].as_object().into_iter().flatten() {
        let reached = limit["reached"].as_u64().unwrap_or(0);
        if reached > 0 {
            line("limit", format!("{name} = {}, reached {}", limit["limit"], counted(reached, "time")));
        }
    }
    out
}

/// What packs bring must not speak to the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
