//! Recorded sessions: reads one, plays it against the server, writes the answers down as people read them.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::client::Client;

/// One step: its head line and the text below it.
struct Step {
    head: String,
    text: String,
}

/// Plays a session and compares the answers with the recorded ones.
pub fn check(path: &Path) {
    let recorded = std::fs::read_to_string(path).expect("the session can be read");
    let (preface, steps) = read(&recorded);
    let capabilities = json!({"textDocument": {"publishDiagnostics": {"relatedInformation": true}}});
    let (mut client, _) = Client::initialized(json!({"capabilities": capabilities}));
    let mut played = preface;
    for step in &steps {
        let answer = play(&mut client, step);
        let answer = if answer.is_empty() { "nothing\n".to_owned() } else { answer };
        let _ = write!(played, "== {}\n{}-- \n{answer}\n", step.head, step.text);
    }
    client.leave();
    let played = format!("{}\n", played.replace("-- \n", "--\n").trim_end());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, played).expect("the session can be written");
    } else {
        assert_eq!(played, recorded, "{} differs; BLESS=1 blesses", path.display());
    }
}

/// What stands before the first step, and the steps without their recorded answers.
fn read(recorded: &str) -> (String, Vec<Step>) {
    let mut preface = String::new();
    let mut steps: Vec<Step> = Vec::new();
    let mut answer = false;
    for line in recorded.split_inclusive('\n') {
        if let Some(head) = line.strip_prefix("== ") {
            steps.push(Step { head: head.trim_end().to_owned(), text: String::new() });
            answer = false;
        } else if line.trim_end() == "--" {
            answer = true;
        } else if let Some(step) = steps.last_mut() {
            if !answer {
                step.text.push_str(line);
            }
        } else {
            preface.push_str(line);
        }
    }
    (preface, steps)
}

fn play(client: &mut Client, step: &Step) -> String {
    let words: Vec<&str> = step.head.split(' ').collect();
    let (verb, name) = (words[0], words[1]);
    let uri = format!("file:///rules/{name}");
    let at = |index: usize| position(words[index]);
    let here = || json!({"textDocument": {"uri": uri}, "position": at(2)});
    match verb {
        "open" => {
            let text = step.text.replace("\\r", "\r");
            diagnostics(&client.open(&uri, name.rsplit('.').next().unwrap_or(""), &text))
        }
        "replace" => {
            let range = json!({"start": at(2), "end": at(3)});
            let change = json!({"range": range, "text": step.text.trim_end_matches('\n')});
            client.notify(
                "textDocument/didChange",
                json!({"textDocument": {"uri": uri, "version": 2}, "contentChanges": [change]}),
            );
            diagnostics(&client.diagnostics(&uri))
        }
        "close" => {
            client.notify("textDocument/didClose", json!({"textDocument": {"uri": uri}}));
            diagnostics(&client.diagnostics(&uri))
        }
        "hover" => {
            let answer = client.request("textDocument/hover", here());
            if answer.is_null() {
                return String::new();
            }
            format!("{}\n{}\n", range(&answer["range"]), answer["contents"]["value"].as_str().unwrap_or("?"))
        }
        "actions" => {
            let asked = json!({"textDocument": {"uri": uri}, "range": {"start": at(2), "end": at(3)},
                "context": {"diagnostics": []}});
            actions(&client.request("textDocument/codeAction", asked), &uri)
        }
        "format" => {
            let asked = json!({"textDocument": {"uri": uri}, "options": {"tabSize": 2, "insertSpaces": true}});
            let answer = client.request("textDocument/formatting", asked);
            let line = |edit: &Value| format!("{} {}\n", range(&edit["range"]), edit["newText"]);
            answer.as_array().into_iter().flatten().map(line).collect()
        }
        "complete" => {
            let answer = client.request("textDocument/completion", here());
            let line = |item: &Value| {
                format!("{} {}\n", range(&item["textEdit"]["range"]), item["label"].as_str().unwrap_or("?"))
            };
            answer["items"].as_array().into_iter().flatten().map(line).collect()
        }
        other => panic!("no such step: {other}"),
    }
}

fn position(text: &str) -> Value {
    let (line, character) = text.split_once(':').expect("a position is line:character");
    let number = |text: &str| text.parse::<u32>().expect("a number");
    json!({"line": number(line), "character": number(character)})
}

fn range(range: &Value) -> String {
    let place = |place: &Value| format!("{}:{}", place["line"], place["character"]);
    format!("{}-{}", place(&range["start"]), place(&range["end"]))
}

/// Places and codes; the words of the messages are the compiler's, and its own goldens hold them.
fn diagnostics(found: &Value) -> String {
    let mut text = String::new();
    for diagnostic in found.as_array().into_iter().flatten() {
        let severity = ["?", "error", "warning", "note"][diagnostic["severity"].as_u64().unwrap_or(0) as usize & 3];
        let code = diagnostic["code"].as_str().unwrap_or("?");
        let _ = write!(text, "{} {severity} {code}", range(&diagnostic["range"]));
        for related in diagnostic["relatedInformation"].as_array().into_iter().flatten() {
            let _ = write!(text, " see {}", range(&related["location"]["range"]));
        }
        text.push('\n');
    }
    text
}

fn actions(found: &Value, uri: &str) -> String {
    let mut text = String::new();
    for action in found.as_array().into_iter().flatten() {
        let _ =
            writeln!(text, "{}: {}", action["kind"].as_str().unwrap_or("?"), action["title"].as_str().unwrap_or("?"));
        for edit in action["edit"]["changes"][uri].as_array().into_iter().flatten() {
            let _ = writeln!(text, "    {} {}", range(&edit["range"]), edit["newText"]);
        }
    }
    text
}
