//! The built server, asked as an editor asks it: recorded sessions, the protocol's ends, and hostile input.
//!
//! A session under `tests/sessions` is a text of steps, `== verb document arguments`, each with its text below it, and
//! under `--` what the server answered. Positions are `line:character`, from 0. `BLESS=1` records the answers.

mod client;
mod session;

use client::Client;
use serde_json::{Value, json};

const FOUR_MISTAKES: &str = "process where process.nmae = 'bash' and lenght(process.name) > 3";

#[test]
fn sessions_are_as_recorded() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sessions");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).expect("the sessions are there") {
        session::check(&entry.expect("it can be listed").path());
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn the_greeting_tells_what_the_server_can_do() {
    let (client, answer) = Client::initialized(json!({"capabilities": {}}));
    let able = &answer["capabilities"];
    assert_eq!(able["positionEncoding"], "utf-16");
    assert_eq!(able["textDocumentSync"]["change"], 2);
    assert_eq!(able["hoverProvider"], true);
    assert_eq!(able["codeActionProvider"]["codeActionKinds"], json!(["quickfix", "source.fixAll.eql"]));
    assert_eq!(answer["serverInfo"]["name"], "eql-lsp");
    client.leave();
}

#[test]
fn a_diagnostic_has_all_its_parts() {
    let capabilities = json!({"textDocument": {"publishDiagnostics": {"relatedInformation": true}}});
    let (mut client, _) = Client::initialized(json!({"capabilities": capabilities}));
    let uri = "file:///rules/parts.eql";
    let text = "process where process.nmae == \"x\" and process.pid == \"five\"";
    let found = client.open(uri, "eql", text);
    let first = &found[0];
    assert_eq!(first["range"], json!({"start": {"line": 0, "character": 14}, "end": {"line": 0, "character": 26}}));
    assert_eq!((&first["code"], &first["severity"], &first["source"]), (&json!("E0201"), &json!(1), &json!("eqlc")));
    let message = first["message"].as_str().expect("a text");
    assert!(message.starts_with("unknown field `process.nmae`\n"), "{message}");
    assert!(message.contains("\nhelp: did you mean `process.name`"), "{message}");
    let related = &found[1]["relatedInformation"][0];
    assert_eq!(related["location"]["uri"], uri);
    assert_eq!(client.published[uri]["version"], 1);
    client.leave();
}

#[test]
fn an_editor_without_related_places_reads_them_in_the_message() {
    let (mut client, _) = Client::initialized(json!({"capabilities": {}}));
    let found = client.open("file:///a.eql", "eql", "process where process.pid == \"five\"");
    assert!(found[0]["relatedInformation"].is_null());
    assert!(found[0]["message"].as_str().expect("a text").contains("\nline 1: "), "{found}");
    client.leave();
}

#[test]
fn a_fix_mends_the_text() {
    let (mut client, _) = Client::initialized(json!({"capabilities": {}}));
    let uri = "file:///a.eql";
    client.open(uri, "eql", "process where process.nmae == \"x\"");
    let range = json!({"start": {"line": 0, "character": 16}, "end": {"line": 0, "character": 16}});
    let asked = json!({"textDocument": {"uri": uri}, "range": range, "context": {"diagnostics": []}});
    let actions = client.request("textDocument/codeAction", asked);
    let action = &actions[0];
    assert_eq!((&action["kind"], &action["isPreferred"]), (&json!("quickfix"), &json!(true)));
    assert_eq!(action["title"], "replace `process.nmae` by `process.name`");
    assert_eq!(action["diagnostics"][0]["code"], "E0201");
    let edit = &action["edit"]["changes"][uri][0];
    let change = json!({"textDocument": {"uri": uri, "version": 2},
        "contentChanges": [{"range": edit["range"], "text": edit["newText"]}]});
    client.notify("textDocument/didChange", change);
    assert_eq!(client.diagnostics(uri), json!([]));
    client.leave();
}

#[test]
fn bytes_are_counted_where_the_editor_offers_it() {
    let capabilities = json!({"general": {"positionEncodings": ["utf-32", "utf-8", "utf-16"]}});
    let (mut client, answer) = Client::initialized(json!({"capabilities": capabilities}));
    assert_eq!(answer["capabilities"]["positionEncoding"], "utf-8");
    let found = client.open("file:///a.eql", "eql", "any where \"😀\" == process.nmae");
    let at = found.as_array().into_iter().flatten().find(|found| found["code"] == "E0201").expect("it is found");
    assert_eq!(at["range"]["start"]["character"], 20);
    client.leave();
}

#[test]
fn settings_come_with_the_greeting_and_later() {
    let options = json!({"capabilities": {}, "initializationOptions": {"dialect": "endpoint", "schema": "/not/there"}});
    let (mut client, _) = Client::initialized(options);
    let aliased = "sequence [process where true] as e0 [file where process.pid == e0.process.pid]";
    assert_eq!(client.open("file:///a.eql", "eql", aliased), json!([]));
    assert!(client.shown.iter().any(|text| text.contains("/not/there")), "{:?}", client.shown);
    client.notify("workspace/didChangeConfiguration", json!({"settings": {"eql": {"dialect": "elastic"}}}));
    assert_ne!(client.diagnostics("file:///a.eql"), json!([]));
    client.leave();
}

#[test]
fn nothing_hostile_ends_the_session() {
    let (mut client, _) = Client::initialized(json!({"capabilities": {}}));
    client.send(&json!({"jsonrpc": "2.0", "id": "x", "method": "no/such/method", "params": {"a": [1]}}));
    client.send(&json!({"jsonrpc": "2.0", "id": 99, "method": "textDocument/hover", "params": [null]}));
    client.notify("textDocument/didOpen", json!({"textDocument": 5}));
    let far = json!({"line": u32::MAX, "character": u32::MAX});
    let nowhere = json!({"textDocument": {"uri": "file:///not/open.eql"}, "position": far});
    assert_eq!(client.request("textDocument/hover", nowhere.clone()), Value::Null);
    assert_eq!(client.request("textDocument/completion", nowhere), Value::Null);
    client.notify(
        "textDocument/didChange",
        json!({"textDocument": {"uri": "file:///not/open.eql", "version": 1},
        "contentChanges": [{"text": "x"}]}),
    );
    let texts = [
        "(".repeat(1 << 16),
        "\"".repeat(1 << 16),
        "not ".repeat(1 << 14),
        "---\n".to_owned(),
        "\u{feff}---\r\nid=\r\n---\r\nany where \u{0}".to_owned(),
        "x".repeat(5 << 20),
    ];
    for (index, text) in texts.iter().enumerate() {
        let uri = format!("untitled:hostile{index}");
        client.open(&uri, "eql", text);
        for position in [json!({"line": 0, "character": 1}), json!({"line": 0, "character": 40_000}), far.clone()] {
            let at = json!({"textDocument": {"uri": uri}, "position": position});
            client.request("textDocument/hover", at.clone());
            client.request("textDocument/completion", at);
        }
        let backwards = json!({"start": far, "end": {"line": 0, "character": 0}});
        client.request(
            "textDocument/codeAction",
            json!({"textDocument": {"uri": uri}, "range": backwards, "context": {"diagnostics": []}}),
        );
        client.notify(
            "textDocument/didChange",
            json!({"textDocument": {"uri": uri, "version": 2},
            "contentChanges": [{"range": backwards, "text": "😀"}]}),
        );
        client.diagnostics(&uri);
    }
    assert_eq!(client.open("file:///good.eql", "eql", FOUR_MISTAKES).as_array().map(Vec::len), Some(4));
    client.leave();
}

#[test]
fn the_process_ends_when_the_protocol_says_so() {
    // Both at once, and the input stays open.
    let (mut client, _) = Client::initialized(json!({"capabilities": {}}));
    client.send(&json!({"jsonrpc": "2.0", "id": 7, "method": "shutdown"}));
    client.send(&json!({"jsonrpc": "2.0", "method": "exit"}));
    assert_eq!(client.wait().code(), Some(0));
    // `exit` without `shutdown` is the editor's failure.
    let (mut client, _) = Client::initialized(json!({"capabilities": {}}));
    client.send(&json!({"jsonrpc": "2.0", "method": "exit"}));
    assert_eq!(client.wait().code(), Some(1));
    // The editor is gone, with work left to do.
    let (mut client, _) = Client::initialized(json!({"capabilities": {}}));
    for index in 0..50 {
        let document =
            json!({"uri": format!("file:///{index}.eql"), "languageId": "eql", "version": 1, "text": FOUR_MISTAKES});
        client.notify("textDocument/didOpen", json!({"textDocument": document}));
    }
    client.hang_up();
    assert_eq!(client.wait().code(), Some(1));
    // What comes is not the protocol.
    let (mut client, _) = Client::initialized(json!({"capabilities": {}}));
    client.write(b"Content-Length: 3\r\n\r\n\xff\xfe\xfd");
    assert_eq!(client.wait().code(), Some(1));
}

#[test]
fn the_command_line_answers() {
    let run = |arguments: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_eql-lsp")).args(arguments).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(run(&["--version"]).1, format!("eql-lsp {}\n", env!("CARGO_PKG_VERSION")));
    assert!(run(&["--stdio", "--help"]).1.contains("--schema <FILE>"));
    for wrong in [&["--port=5"][..], &["--schema"], &["--schema", "/not/there"], &["--dialect=sql"]] {
        let (code, _, told) = run(wrong);
        assert_eq!(code, Some(2), "{wrong:?}");
        assert!(told.starts_with("eql-lsp: "), "{told}");
    }
}
