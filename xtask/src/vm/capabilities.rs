//! What the kernels answered: a table for people, and docs/capabilities.md.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::Answer;

fn rows(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The kinds that any kernel was asked about, by name.
fn kinds(answers: &[Answer]) -> Vec<&str> {
    let mut kinds = Vec::new();
    for answer in answers {
        for row in rows(&answer.truth["kinds"]) {
            if let Some(kind) = row["kind"].as_str()
                && !kinds.contains(&kind)
            {
                kinds.push(kind);
            }
        }
    }
    kinds.sort_unstable();
    kinds
}

/// One word or two: the source and how many events were compared; or what is wrong, or that there is none.
fn cell(answer: &Answer, kind: &str) -> String {
    let Some(row) = rows(&answer.truth["kinds"]).iter().find(|row| row["kind"] == kind) else {
        return "-".to_owned();
    };
    let number = |name: &str| row[name].as_u64().unwrap_or(0);
    match (row["source"].as_str(), row["right"].as_bool()) {
        (Some(source), Some(true)) if number("wanted") == 0 => format!("{source}, not tried"),
        (Some(source), Some(true)) => format!("{source}, {} right", number("seen")),
        (Some(source), _) => format!("{source}, WRONG ({} of {})", number("seen"), number("wanted")),
        (None, _) => "no".to_owned(),
    }
}

/// Kernels × kinds.
pub(super) fn table(answers: &[Answer]) -> String {
    let mut text = format!("{:<22}", "kind");
    for answer in answers {
        let _ = write!(text, " {:<26}", answer.kernel);
    }
    text.push('\n');
    for kind in kinds(answers) {
        let _ = write!(text, "{kind:<22}");
        for answer in answers {
            let _ = write!(text, " {:<26}", cell(answer, kind));
        }
        text.push('\n');
    }
    text
}

/// What is wrong on one kernel, field by field.
pub(super) fn failures(answer: &Answer) -> String {
    let mut text = String::new();
    let kernel = &answer.kernel;
    if answer.truth["balanced"] != true {
        let _ = writeln!(text, "{kernel}: the ledger is not balanced");
    }
    for row in rows(&answer.truth["kinds"]).iter().filter(|row| row["right"] != true) {
        let kind = row["kind"].as_str().unwrap_or_default();
        for lost in rows(&row["lost"]) {
            let _ = writeln!(text, "{kernel}: {kind}: not seen: {lost}");
        }
        for extra in rows(&row["extra_examples"]) {
            let _ = writeln!(text, "{kernel}: {kind}: nobody wanted: {extra}");
        }
        for field in rows(&row["fields"]).iter().filter(|field| !field["example"].is_null()) {
            let _ = writeln!(text, "{kernel}: {kind}: {}: {}", field["name"], field["example"]);
        }
    }
    text
}

/// docs/capabilities.md.
pub(super) fn page(answers: &[Answer]) -> String {
    let mut text = String::from(
        "# Capabilities: what each kernel gives\n\n\
         Made by `cargo xtask vm --write`, from what `kestrel-engine doctor` tried and what the ground truth compared, here and in\n\
         virtual machines with other kernels, with the same kernel object everywhere. *n right*: so many events of known acts were\n\
         seen with every field right. Of a host's own, `kestrel-engine doctor` tells (`--json` for programs).\n\n\
         The sources, best first: `ebpf-a` (functions and security hooks of the kernel), `ebpf-b` (tracepoints), `audit`,\n\
         `fanotify`. The engine takes for each kind the first that the host allows, which it finds out by trying.\n\n\
         ## Kinds of events\n\n| kind |",
    );
    for answer in answers {
        let _ = write!(text, " {} |", answer.kernel);
    }
    text.push_str("\n|---|");
    answers.iter().for_each(|_| text.push_str("---|"));
    text.push('\n');
    for kind in kinds(answers) {
        let _ = write!(text, "| `{kind}` |");
        for answer in answers {
            let _ = write!(text, " {} |", cell(answer, kind));
        }
        text.push('\n');
    }
    text.push_str("\n## What was tried\n");
    for answer in answers {
        let _ = write!(text, "\n### {}\n\n| | works | |\n|---|---|---|\n", answer.kernel);
        for check in rows(&answer.doctor["checks"]) {
            let name = check["name"].as_str().unwrap_or_default();
            // What is a matter of the machine and not of its kernel.
            if name.starts_with("runtime") || name == "code cache" {
                continue;
            }
            let works = if check["ok"] == true { "yes" } else { "no" };
            let _ = writeln!(text, "| {name} | {works} | {} |", plain(check["detail"].as_str().unwrap_or_default()));
        }
        text.push_str("\n| kind | source | | |\n|---|---|---|---|\n");
        for row in rows(&answer.doctor["kinds"]) {
            let works = match (row["available"] == true, row["taken"] == true) {
                (true, true) => "taken",
                (true, false) => "works",
                (false, _) => "no",
            };
            let needs: Vec<&str> = rows(&row["needs"]).iter().filter_map(Json::as_str).collect();
            let detail = row["why_not"].as_str().map_or_else(|| needs.join(", "), str::to_owned);
            let name = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let _ = writeln!(text, "| `{}` | {} | {works} | {} |", name("kind"), name("source"), plain(&detail));
        }
    }
    text
}

/// Text that a table can hold.
fn plain(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
