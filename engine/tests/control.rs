//! The control socket as people use it: a real engine over standard input, asked by `ctl` and by hand.

mod fixture;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use fixture::{event, folder, pack};
use serde_json::Value as Json;

/// How often something is asked again before a test gives up.
const TRIES: usize = 300;

/// A folder with the pack.
fn prepared(test: &str) -> PathBuf {
    let folder = folder(test);
    std::fs::write(folder.join("p.kpkg"), pack("@timestamp", &[]).bytes()).expect("a file");
    folder
}

fn engine(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kestrel-engine"));
    command.args(arguments.split_whitespace()).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(folder: &Path, arguments: &str) -> (i32, String, String) {
    let Output { status, stdout, stderr } = engine(folder, arguments).output().expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("it exits"), text(stdout), text(stderr))
}

/// A run over standard input, which goes on until it is dropped or ended.
struct Running {
    folder: PathBuf,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Running {
    fn start(folder: &Path, more: &str) -> Running {
        let arguments = format!("--pack p.kpkg --stdin --runtime interp --control c.sock {more}");
        let mut child = engine(folder, &arguments).stdin(Stdio::piped()).spawn().expect("the engine starts");
        let stdin = child.stdin.take();
        let mut running = Running { folder: folder.to_owned(), child, stdin };
        for _ in 0..TRIES {
            if UnixStream::connect(folder.join("c.sock")).is_ok() {
                return running;
            }
            assert!(running.child.try_wait().expect("a status").is_none(), "the engine ended: {}", running.stderr());
            std::thread::yield_now();
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the engine does not listen");
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut text).expect("text");
        text
    }

    fn give(&mut self, lines: &[String]) {
        let text = lines.join("\n") + "\n";
        self.stdin.as_mut().expect("open").write_all(text.as_bytes()).expect("the engine reads");
    }

    /// Asks until the run has seen so many events.
    fn wait_for(&self, events: u64) -> Json {
        for _ in 0..TRIES {
            let (status, out, error) = output(&self.folder, "ctl --control c.sock status --output json");
            assert_eq!(status, 0, "{error}");
            let answer: Json = serde_json::from_str(&out).expect("JSON");
            if answer["events"] == events {
                return answer;
            }
        }
        panic!("the events do not come");
    }

    fn end(mut self) -> (String, String) {
        drop(self.stdin.take());
        let mut out = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut out).expect("text");
        let error = self.stderr();
        self.child.wait().expect("it ends");
        (out, error)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn events() -> Vec<String> {
    vec![
        event(0, "exec", "bash", "one"),
        event(1, "exec", "bash", "two"),
        event(2, "end", "bash", "one"),
        "no event".to_owned(),
        event(400, "exec", "sh", "three"),
    ]
}

#[test]
fn a_run_tells_its_status_and_how_far_rules_came_and_its_alerts_stay_the_same() {
    let folder = prepared("control");
    let mut running = Running::start(&folder, "--trace-endings 16");
    let mode = std::fs::metadata(folder.join("c.sock")).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else may ask");
    // Before the first event, and between two.
    assert_eq!(running.wait_for(0)["source"], "stdin");
    running.give(&events());
    let status = running.wait_for(4);
    assert_eq!(status["ledger"]["produced"], 5);
    assert_eq!(status["ledger"]["balanced"], true);
    assert_eq!(status["loaded"][0]["rules"], serde_json::json!(["shell", "short", "long"]));

    let (code, out, error) = output(&folder, "ctl --control c.sock explain short");
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(
        out,
        "short: sequence of 2 steps within 5m\n\
         \x20 step 0  process where process.name exact~ [\"bash\", \"sh\"] and event.action exact [\"exec\"]\n\
         \x20 step 1  process where process.name exact~ [\"bash\", \"sh\"] and event.action exact [\"end\"]\n\
         partial matches: 1 completed, 1 expired, 3 started\n\
         by key, the furthest first:\n\
         \x20 \"three\"\n\
         \x20   open   came to step 0 at 2026-11-21T08:06:40.000Z; waits for step 1, until 2026-11-21T08:11:40.000Z\n\
         \x20 \"two\"\n\
         \x20   ended  came to step 0, begun at 2026-11-21T08:00:01.000Z; at 2026-11-21T08:06:40.000Z the `maxspan` of 5m \
         passed and step 1 did not come\n"
    );
    let (_, out, _) = output(&folder, "ctl --control c.sock explain short --key two --output json");
    let state: Json = serde_json::from_str(&out).expect("JSON");
    assert_eq!(state["keys"].as_array().map(Vec::len), Some(1));
    assert_eq!(state["keys"][0]["ended"][0]["reason"], "expired");
    let (_, out, _) = output(&folder, "ctl --control c.sock explain long");
    assert!(
        out.contains("1 candidate waits for the time of the missing event to pass, until 2026-11-21T08:07:40.000Z"),
        "{out}"
    );
    let (_, out, _) = output(&folder, "ctl --control c.sock status");
    for expected in ["events    4 matched, 1 invalid", "ledger    5 produced = 0 filtered + 1 dropped", "2 keys, "] {
        assert!(out.contains(expected), "{expected}\n{out}");
    }

    let (alerts, _) = running.end();
    std::fs::write(folder.join("e.ndjson"), events().join("\n")).expect("a file");
    let (_, expected, _) = output(&folder, "--pack p.kpkg --replay e.ndjson --runtime interp");
    assert_eq!(alerts, expected, "being asked changes no alert");
    assert!(!folder.join("c.sock").exists(), "the socket goes with the run");
}

#[test]
fn what_cannot_be_answered_is_said() {
    let folder = prepared("control-errors");
    let running = Running::start(&folder, "");
    for (arguments, status, says) in [
        ("ctl --control c.sock explain nothing", 1, "no pack has a rule `nothing`"),
        ("ctl --control c.sock explain SHO", 1, "no pack has a rule `SHO`; there is `short`"),
        ("ctl --control c.sock explain shell --key a", 1, "rule `shell` has no join key"),
        ("ctl --control c.sock explain short --key a b", 1, "joins by process.entity_id; values expected: 1, given: 2"),
        (
            "ctl --control c.sock reload",
            1,
            "only a live run changes its packs or the kinds of its events: this one ends as it began",
        ),
        ("ctl --control c.sock bypass exec on", 1, "only a live run changes its packs or the kinds"),
        ("ctl --control c.sock rollback", 1, "only a live run changes its packs or the kinds"),
        ("ctl --control nowhere.sock status", 1, "no engine answers at nowhere.sock: No such file"),
        ("ctl --control c.sock disarm", 2, "unrecognized subcommand 'disarm'"),
        ("--pack p.kpkg --stdin --runtime interp --control c.sock", 2, "another process answers there"),
        ("--pack p.kpkg --stdin --runtime interp --control p.kpkg", 2, "there is something that is no socket"),
        (
            "--pack p.kpkg --stdin --runtime interp --control no/such.sock",
            2,
            "cannot listen on no/such.sock: No such file",
        ),
    ] {
        let (code, _, error) = output(&folder, arguments);
        assert_eq!(code, status, "{arguments}: {error}");
        assert!(error.contains(says), "{arguments}: expected {says:?} in\n{error}");
    }
    let (_, out, _) = output(&folder, "ctl --control c.sock explain short");
    assert!(out.contains("run with `--trace-endings N`"), "{out}");
    drop(running);
    assert!(folder.join("c.sock").exists(), "it was killed");
    let (code, _, error) = output(&folder, "--pack p.kpkg --stdin --runtime interp --control c.sock");
    assert_eq!(code, 0, "a socket on which nobody answers is replaced: {error}");
    // Nobody is asked while a listener that never answers holds the path.
    let _listener = UnixListener::bind(folder.join("c.sock")).expect("a socket");
    let (code, _, error) = output(&folder, "--pack p.kpkg --stdin --runtime interp --control c.sock");
    assert!(code == 2 && error.contains("another process answers there"), "{error}");
}

#[test]
fn hostile_clients_are_answered_or_cut_off_and_the_run_goes_on() {
    let folder = prepared("control-hostile");
    let mut running = Running::start(&folder, "");
    let ask = |bytes: &[u8]| -> Vec<String> {
        let mut stream = UnixStream::connect(folder.join("c.sock")).expect("the engine listens");
        // The engine may hang up before it has read everything.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        BufReader::new(stream).lines().map_while(Result::ok).collect()
    };
    let status = b"{\"command\":\"status\"}\n";
    assert_eq!(ask(&status.repeat(3)).len(), 3, "a client may ask again");
    assert_eq!(ask(&b"x\n".repeat(100)).len(), 64, "but not for ever");
    assert!(ask(b"\xff\xfe\n")[0].contains("\"ok\":false"));
    assert!(ask(&b"[".repeat(50_000))[0].contains("\"ok\":false"));
    let long = ask(&b"x".repeat(100_000));
    assert!(long.first().is_none_or(|line| line.contains("a request has at most 65536 bytes")), "{long:?}");
    assert!(ask(b"").is_empty());
    running.give(&events());
    running.wait_for(4);
}

#[test]
fn limits_of_the_configuration_hold_and_are_told() {
    let folder = prepared("control-limits");
    let config = |text: &str| std::fs::write(folder.join("c.toml"), text).expect("a file");
    let lines: Vec<String> = (0..64).map(|number| event(number, "exec", "bash", &format!("e{number}"))).collect();
    std::fs::write(folder.join("e.ndjson"), lines.join("\n")).expect("a file");
    config("[limits]\nmax_keys_per_rule = 1\nmax_unused = '24h'\n");
    let run = "--config c.toml --pack p.kpkg --replay e.ndjson --runtime interp --alerts a --stats json";
    let (code, _, error) = output(&folder, run);
    assert_eq!(code, 0, "{error}");
    let stats: Json = serde_json::from_str(error.lines().last().expect("a line")).expect("JSON");
    let reached = stats["limits"]["max_keys_per_rule"]["reached"].as_u64().expect("a number");
    assert!(reached > 0 && stats["sequences"]["evicted_by_rule_keys"] == reached, "{stats}");
    assert_eq!(stats["limits"]["max_unused"]["limit"], 86_400);
    assert!(error.contains(&format!("max_keys_per_rule reached {reached} times")), "{error}");
    for (text, says) in [
        ("max_keys = 0", "`max_keys` is 0, it must be 1 at least"),
        ("max_unused = 'long'", "`long` is no length of time"),
        ("max_memory = 1", "unknown field `max_memory`"),
    ] {
        config(&format!("[limits]\n{text}\n"));
        let (code, _, error) = output(&folder, run);
        assert!(code == 2 && error.contains(says), "{text}: {error}");
    }
}
