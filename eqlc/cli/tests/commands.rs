//! The command as people and scripts run it: `shell`, `explain`, `fmt` and `check --deny` on files of their own.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A folder of its own for a test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("eqlc-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the folder can be made");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the file can be written");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Status, standard output, standard error.
fn eqlc(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_eqlc"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut stdin = child.stdin.take().expect("it has an input");
    // A command that reads no input may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn events(folder: &Folder) -> String {
    let line = |second: u32, action: &str, name: &str, parent: &str| {
        format!(
            "{{\"@timestamp\":\"2024-01-01T00:00:{second:02}Z\",\"event.category\":\"process\",\"event.action\":\"{action}\",\
             \"process.name\":\"{name}\",\"process.parent.entity_id\":\"{parent}\",\"process.parent.name\":\"bash\"}}\n"
        )
    };
    let lines = [
        line(1, "exec", "id", "p"),
        line(2, "exec", "uname", "p"),
        line(3, "exec", "id", "q"),
        line(4, "end", "id", "q"),
    ];
    folder.write("events.ndjson", &lines.concat())
}

#[test]
fn a_script_runs_in_the_shell() {
    let folder = Folder::new("shell");
    let events = events(&folder);
    let rule = folder.write("r.eql", "---\nname = \"A rule\"\n---\nprocess where process.name == \"uname\"\n");
    let script = format!(
        ":output count\nprocess where process.name in (\n  \"id\"\n)\n\n:runtime wasm\n\
         sequence by process.parent.entity_id with maxspan=5s\n\
         [process where process.name == \"id\"]\n[process where process.name == \"uname\"]\n\n:load {rule}\n:output json\n\
         process where process.name == \"uname\"\n:fields parent.name\n:explain process where process.name : \"i*\"\n\
         :quit\nnot reached\n"
    );
    let (status, out, error) = eqlc(&["shell", "--events", &events], &script);
    assert_eq!(status, 0, "{out}{error}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..6], ["output count", "3", "runtime wasm", "1", "r: A rule", "1"], "{out}");
    assert!(lines[7].starts_with("{\"events\":[{\"id\":1,\"timestamp\":\"2024-01-01T00:00:02.000Z\""), "{out}");
    assert!(out.contains("process.parent.name") && out.contains("4 events"), "{out}");
    assert!(out.contains("process.name wildcard~ [\"i*\"]") && !error.contains("not reached"), "{out}{error}");
}

#[test]
fn a_script_with_mistakes_goes_on_and_ends_with_status_1() {
    let folder = Folder::new("mistakes");
    let events = events(&folder);
    let (status, out, error) = eqlc(
        &["shell", "--output", "count", "--events", &events],
        "process where process.nmae == 1\n:what\n:runtime x\n:load /not/there.eql\nprocess where process.name == \"id\"",
    );
    assert_eq!((status, out.as_str()), (1, "3\n"), "{error}");
    for expected in ["error[E0201]", "query:1:15", "unknown command `:what`", "unknown runtime `x`", "/not/there.eql"] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn explain_counts_how_far_a_sequence_came() {
    let folder = Folder::new("explain");
    let events = events(&folder);
    let rule = folder.write(
        "r.eql",
        "sequence by process.parent.entity_id with maxspan=5s\n  [process where event.action == \"exec\" and process.name == \"id\"]\n\
         \x20 [process where event.action == \"exec\" and process.name == \"uname\"]\n  [process where process.name == \"never\"]\n",
    );
    let (status, out, error) = eqlc(&["explain", &rule, "--events", &events], "");
    assert_eq!((status, error.as_str()), (0, ""), "{out}");
    for expected in [
        "  events    exec",
        "at most 2 partial matches, kept for 5 s",
        "dispatch  asked when process.name exact [\"id\"] (key equality)",
        "kernel    pushed down: 1 of 28 kinds pass (exec)",
        "4 events\n",
        "         2  asked: dispatch let them through\n         4  events of the category\n         3    event.action exact [\"exec\"]",
        "         2  began with step 0, 2 keys\n         1  reached step 1, 1 key\n         0  matches",
    ] {
        assert!(out.contains(expected), "{expected}\n{out}");
    }
}

#[test]
fn explain_tells_what_ended_each_key_and_which_tests_were_false() {
    let folder = Folder::new("explain-why");
    let events = events(&folder);
    let sequence = folder.write(
        "s.eql",
        "sequence by process.parent.entity_id with maxspan=1s\n  [process where event.action == \"exec\" and process.name == \"id\"]\n\
         \x20 [process where event.action == \"exec\" and process.name == \"uname\"]\n",
    );
    let (status, out, error) = eqlc(&["explain", &sequence, "--events", &events], "");
    assert_eq!((status, error.as_str()), (0, ""), "{out}");
    let progress = "partial matches: 1 completed, 2 started\n\
         by key, the furthest first:\n\
         \x20 \"p\": 1 match\n\
         \x20 \"q\": no match\n\
         \x20   open   came to step 0 at 2024-01-01T00:00:03.000Z; waits for step 1, until 2024-01-01T00:00:04.000Z\n";
    assert!(out.contains(progress), "{out}");
    let arguments = ["explain", &sequence, "--events", &events, "--key", "q", "--output", "json"];
    let (status, out, _) = eqlc(&arguments, "");
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((status, json["events"]["progress"]["keys"].as_array().map(Vec::len)), (0, Some(1)), "{out}");
    assert_eq!(json["events"]["progress"]["keys"][0]["open"][0]["waits_for"], 1);
    assert_eq!(json["state"]["worst_case"]["events_per_key"], 1);
    let (status, _, error) = eqlc(&["explain", &sequence, "--events", &events, "--key", "q", "r"], "");
    assert!(status == 2 && error.contains("values expected: 1, given: 2"), "{status}: {error}");

    let rule = folder.write(
        "e.eql",
        "process where event.action == \"exec\" and process.name == \"id\" and not process.parent.name in (\"bash\", \"sh\") and \
         process.args_count > 2\n",
    );
    let (status, out, error) = eqlc(&["explain", &rule, "--events", &events], "");
    assert_eq!((status, error.as_str()), (0, ""), "{out}");
    let nearest = "nearest to matching, without being it\n\
         \x20 event 1 at 2024-01-01T00:00:01.000Z, and 1 more like it\n\
         \x20   false: process.args_count > 2\n\
         \x20          process.args_count is missing\n\
         \x20   false: not process.parent.name exact [\"bash\", \"sh\"]\n\
         \x20          process.parent.name is \"bash\"\n\
         \x20 event 2 at 2024-01-01T00:00:02.000Z\n";
    assert!(out.contains(nearest), "{out}");
}

#[test]
fn warnings_can_be_denied_and_allowed() {
    let folder = Folder::new("deny");
    let rule = folder.write("r.eql", "process where process.name in (\"a\", \"a\")\n");
    assert_eq!(eqlc(&["check", &rule], "").0, 0);
    let (status, _, error) = eqlc(&["check", "--deny", "warnings", &rule], "");
    assert!(status == 1 && error.contains("warning[W0512]"), "{error}");
    folder.write("r.eql", "process where process.name in (\"a\", \"a\") // eqlc: allow W0512\n");
    assert_eq!(eqlc(&["check", "--deny", "warnings", &rule], "").0, 0);
    assert_eq!(eqlc(&["check", "--deny", "errors", &rule], "").0, 2);
}

#[test]
fn files_of_all_forms_are_formatted_in_place() {
    let folder = Folder::new("fmt");
    let toml = folder.write("r.toml", "[rule] # kept\nid = \"x\"\nquery = '''\nany   where true\n'''\n");
    let eql = folder.write("r.eql", "any   where true");
    let other = folder.write("other.toml", "[package]\n");
    let (status, out, error) = eqlc(&["fmt", "--check", &toml, &eql, &other], "");
    assert_eq!((status, out.lines().count()), (1, 2), "{out}{error}");
    assert_eq!(eqlc(&["fmt", &toml, &eql, &other], "").0, 0);
    let read = |path: &str| std::fs::read_to_string(path).expect("it is there");
    assert_eq!(read(&toml), "[rule] # kept\nid = \"x\"\nquery = '''\nany where true\n'''\n");
    assert_eq!(read(&eql), "any where true\n");
    let (status, _, error) = eqlc(&["fmt", "--check", &toml, &eql, &other], "");
    assert_eq!(
        (status, error.trim()),
        (0, "0 to be formatted, 2 in form already, 1 skipped (not EQL), 0 with mistakes")
    );
}

#[test]
fn coverage_counts_linux_rules_and_says_what_they_lack() {
    let folder = Folder::new("coverage");
    let rule = |name: &str, os: &str, query: &str| {
        folder.write(name, &format!("---\nname = \"{name}\"\nos = [\"{os}\"]\n---\n{query}\n"))
    };
    rule("exec.eql", "linux", "process where event.action == \"exec\" and process.args : \"x*\"");
    rule("alien.eql", "linux", "process where event.action == \"exec\" and process.title == \"x\"");
    rule(
        "half.eql",
        "linux",
        "process where event.action == \"exec\" and (process.title == \"x\" or process.name == \"x\")",
    );
    rule("windows.eql", "windows", "process where event.action == \"exec\"");
    folder.write(
        "unsaid.eql",
        "---\nname = \"x\"\n---\nprocess where host.os.type == \"linux\" and event.type == \"end\"\n",
    );
    folder.write("any.eql", "---\nname = \"x\"\n---\nprocess where event.type == \"end\"\n");
    let path = folder.0.display().to_string();

    let (status, out, error) = eqlc(&["coverage", &path, "--list"], "");
    assert_eq!(status, 0, "{error}");
    for expected in [
        "4 rules for Linux; 2 for other systems, 0 not EQL, 0 failed",
        "served                           2   50.0 %",
        "served in part                   1   25.0 %",
        "process.title                                  2                  2",
        "alien.eql: process.title",
        "half.eql (in part): process.title",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    assert_eq!(eqlc(&["coverage", &path, "--at-least", "51"], "").0, 1);
    let (_, out, _) = eqlc(&["coverage", &path, "--output", "json"], "");
    assert!(out.contains("\"missing_fields\":[\"process.title\"]") && out.contains("\"share\":50.0"), "{out}");
}
