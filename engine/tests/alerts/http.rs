//! Alerts to servers that answer, fail, hang up, refuse, or are not there; and the spool between.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use kestrel_engine::sinks::{AlertSinks, AlertTarget, Existing, HttpOptions, SinkCounters, SinkOptions, SpoolLimits};

use crate::fixture::folder;
use crate::line;

/// What a server does with a request.
enum Act {
    /// Answers with a status, more head lines and a body.
    Answer(u16, &'static str, String),
    /// Ends the connection instead.
    HangUp,
    /// Never answers.
    Stall,
}

struct Request {
    head: String,
    body: String,
}

/// A server that does with each request what `act` says of its number and body, and tells what it got.
fn serve(listener: TcpListener, act: impl Fn(usize, &str) -> Act + Send + 'static) -> Receiver<Request> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut stalled = Vec::new();
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            if let Some(stream) = one(stream, number, &act, &sender) {
                stalled.push(stream);
            }
        }
    });
    receiver
}

fn one(
    stream: TcpStream,
    number: usize,
    act: &dyn Fn(usize, &str) -> Act,
    sender: &Sender<Request>,
) -> Option<TcpStream> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? <= 2 {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).expect("text");
    let action = act(number, &body);
    let _ = sender.send(Request { head, body });
    let mut stream = reader.into_inner();
    match action {
        Act::Answer(status, more, text) => {
            let answer = format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n{text}",
                text.len()
            );
            let _ = stream.write_all(answer.as_bytes());
            None
        }
        Act::HangUp => None,
        Act::Stall => Some(stream),
    }
}

fn ok() -> Act {
    Act::Answer(200, "", String::new())
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

fn options(spool: &Path) -> HttpOptions {
    HttpOptions {
        spool: Some(spool.to_owned()),
        max_wait: Duration::from_millis(1),
        finish_wait: Duration::from_secs(30),
        ..HttpOptions::default()
    }
}

fn open(word: &str, http: HttpOptions, existing: Existing) -> AlertSinks {
    let target: AlertTarget = word.parse().expect("a target");
    AlertSinks::open(&[(target, SinkOptions { http, ..SinkOptions::default() })], existing).expect("it opens")
}

/// Writes lines with these numbers and ends the run.
fn run(word: &str, http: HttpOptions, numbers: std::ops::Range<usize>) -> (SinkCounters, Vec<String>) {
    let mut sinks = open(word, http, Existing::Replace);
    numbers.for_each(|number| sinks.write(&line(number, "")).expect("taken"));
    sinks.finish(true).expect("the end");
    (sinks.reports()[0].counters, sinks.take_notes())
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| line(number, "") + "\n").collect()
}

fn files_of(spool: &Path, ending: &str) -> Vec<PathBuf> {
    let below = std::fs::read_dir(spool).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = below.flat_map(|folder| std::fs::read_dir(folder).expect("a folder"));
    let mut files: Vec<PathBuf> = files.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

#[test]
fn a_webhook_gets_every_alert_in_order_and_in_batches() {
    let (listener, address) = listener();
    let requests = serve(listener, |_, _| ok());
    let http = HttpOptions {
        batch: 100,
        headers: vec![("Authorization".to_owned(), "ApiKey abc".to_owned())],
        ..options(&folder("webhook"))
    };
    let (counters, notes) = run(&format!("http://{address}/hook?x=1"), http, 0..1050);
    assert_eq!((counters.written, counters.waiting, counters.lost, counters.refused), (1050, 0, 0, 0));
    assert_eq!(notes, Vec::<String>::new());
    let requests: Vec<Request> = requests.try_iter().collect();
    assert!(requests.len() >= 11, "{} requests", requests.len());
    assert!(requests.iter().all(|request| request.body.lines().count() <= 100));
    let head = requests[0].head.to_lowercase();
    assert!(head.starts_with("post /hook?x=1 http/1.1"), "{head}");
    assert!(
        head.contains("content-type: application/x-ndjson") && head.contains("authorization: apikey abc"),
        "{head}"
    );
    let all: String = requests.into_iter().map(|request| request.body).collect();
    assert!(all == lines(0..1050));
}

#[test]
fn a_server_that_fails_is_asked_again() {
    let (listener, address) = listener();
    let requests = serve(listener, |number, _| match number {
        0 => Act::Answer(500, "", "out of order".to_owned()),
        1 => Act::HangUp,
        2 => Act::Answer(429, "Retry-After: 0\r\n", String::new()),
        3 => Act::Stall,
        4 => Act::Answer(408, "", String::new()),
        _ => ok(),
    });
    let http = HttpOptions { timeout: Duration::from_millis(300), ..options(&folder("again")) };
    let mut sinks = open(&format!("http://{address}/"), http, Existing::Replace);
    (0..20).for_each(|number| sinks.write(&line(number, "")).expect("taken"));
    sinks.flush().expect("handed over");
    let got: Vec<Request> =
        (0..6).map(|_| requests.recv_timeout(Duration::from_secs(60)).expect("a request")).collect();
    sinks.finish(true).expect("the end");
    let counters = sinks.reports()[0].counters;
    assert_eq!((counters.written, counters.waiting, counters.lost), (20, 0, 0));
    assert!(got.iter().all(|request| request.body == lines(0..20)), "the same alerts each time");
    let notes = sinks.take_notes();
    assert!(notes[0].contains("does not take alerts now, they wait in the spool: 500 out of order"), "{notes:?}");
    assert!(notes.iter().any(|note| note.ends_with("takes alerts again")), "{notes:?}");
}

#[test]
fn one_alert_that_is_refused_does_not_hold_the_others_up() {
    let (listener, address) = listener();
    let _requests = serve(listener, |_, body| match body.contains("id000007") {
        true => Act::Answer(400, "", "bad field".to_owned()),
        false => ok(),
    });
    let spool = folder("refused");
    let (counters, notes) = run(&format!("http://{address}/"), options(&spool), 0..40);
    assert_eq!((counters.written, counters.refused, counters.waiting, counters.lost), (39, 1, 0, 0));
    assert!(notes[0].contains("refuses 1 alerts, kept in "), "{notes:?}");
    let kept = std::fs::read_to_string(&files_of(&spool, "refused.ndjson")[0]).expect("the refused ones");
    assert_eq!(kept, format!("{{\"reason\":\"400 bad field\",\"alert\":{}}}\n", line(7, "")));
}

#[test]
fn a_server_that_does_not_know_us_refuses_the_batch_as_a_whole() {
    let (listener, address) = listener();
    let requests = serve(listener, |_, _| Act::Answer(401, "", String::new()));
    let (counters, _) = run(&format!("http://{address}/"), options(&folder("unauthorised")), 0..40);
    assert_eq!((counters.written, counters.refused, counters.waiting), (0, 40, 0));
    assert_eq!(requests.try_iter().count(), 1);
}

#[test]
fn what_is_not_delivered_is_sent_by_the_next_run() {
    let (closed, address) = listener();
    drop(closed);
    let (word, spool) = (format!("http://{address}/"), folder("next_run"));
    let brief = || HttpOptions { finish_wait: Duration::ZERO, ..options(&spool) };
    let (counters, notes) = run(&word, brief(), 0..5);
    assert_eq!((counters.written, counters.waiting, counters.lost), (0, 5, 0));
    assert!(notes.iter().any(|note| note.contains("5 alerts for http://127.0.0.1:")), "{notes:?}");
    // A run that is killed: nothing is finished, and its last record is torn.
    let mut killed = open(&word, retry_busy(&spool, brief()), Existing::Append);
    (5..8).for_each(|number| killed.write(&line(number, "")).expect("taken"));
    killed.flush().expect("handed over");
    drop(killed);
    let last = files_of(&spool, ".seg").pop().expect("a segment");
    let mut file = std::fs::File::options().append(true).open(last).expect("a segment");
    file.write_all(&[200, 0, 0, 0, 1, 2, 3]).expect("a torn record");
    let requests = serve(TcpListener::bind(&address).expect("the address again"), |_, _| ok());
    let (counters, notes) = run(&word, retry_busy(&spool, options(&spool)), 8..10);
    assert_eq!((counters.written, counters.waiting, counters.lost), (2, 0, 1), "the torn part is told");
    assert!(notes[0].starts_with("8 alerts of an earlier run are sent to "), "{notes:?}");
    let all: String = requests.try_iter().map(|request| request.body).collect();
    assert!(all == lines(0..10), "{all}");
}

/// Waits until the thread of the run before has let go of the spool.
fn retry_busy(spool: &Path, options: HttpOptions) -> HttpOptions {
    let lock = files_of(spool, "lock").pop().expect("a lock");
    std::fs::File::options().write(true).open(lock).expect("the lock").lock().expect("it is let go");
    options
}

#[test]
fn two_runs_do_not_share_a_spool() {
    let (_listener, address) = listener();
    let (word, spool) = (format!("http://{address}/"), folder("busy"));
    let _first = open(&word, options(&spool), Existing::Append);
    let target = (word.parse().expect("a target"), SinkOptions { http: options(&spool), ..SinkOptions::default() });
    let error = AlertSinks::open(&[target], Existing::Append).err().expect("it is busy").to_string();
    assert!(error.contains("is used by another run"), "{error}");
}

#[test]
fn bulk_sends_ids_and_looks_at_each_alert() {
    let (listener, address) = listener();
    let answer = r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":429,"error":{}}},{"create":{"status":400,"error":{"type":"mapping"}}},{"create":{"status":409,"error":{}}}]}"#;
    let requests = serve(listener, move |number, _| {
        Act::Answer(200, "", if number == 0 { answer.to_owned() } else { r#"{"errors":false,"items":[]}"#.to_owned() })
    });
    let (counters, _) = run(&format!("bulk+http://{address}/_bulk?index=alerts"), options(&folder("bulk")), 0..4);
    assert_eq!((counters.written, counters.refused, counters.waiting), (3, 1, 0));
    let bodies: Vec<String> = requests.try_iter().map(|request| request.body).collect();
    let action = |number: usize| format!("{{\"create\":{{\"_index\":\"alerts\",\"_id\":\"id{number:06}\"}}}}\n");
    let expected: String = (0..4).map(|number| action(number) + &line(number, "") + "\n").collect();
    assert_eq!(bodies, [expected, action(1) + &line(1, "") + "\n"]);
}

#[test]
fn a_full_spool_gives_the_oldest_up_in_a_live_run() {
    let (closed, address) = listener();
    drop(closed);
    let spool = folder("full");
    let http =
        HttpOptions { limits: SpoolLimits { max_bytes: 64 << 10 }, finish_wait: Duration::ZERO, ..options(&spool) };
    let mut sinks = open(&format!("http://{address}/"), http, Existing::Append);
    for number in 0..300 {
        sinks.write(&line(number, &"x".repeat(1000))).expect("taken");
        sinks.flush().expect("there is room");
    }
    sinks.finish(true).expect("the end");
    let counters = sinks.reports()[0].counters;
    assert!(counters.lost > 0 && counters.waiting > 20, "{counters:?}");
    assert_eq!(counters.lost + counters.waiting, 300);
    let bytes: u64 = files_of(&spool, ".seg").iter().map(|path| path.metadata().expect("a file").len()).sum();
    assert!(bytes <= 64 << 10, "{bytes}");
    let last = std::fs::read(files_of(&spool, ".seg").pop().expect("a segment")).expect("a file");
    assert!(String::from_utf8_lossy(&last).contains("id000299"), "the youngest are there");
}

#[test]
fn a_replay_waits_for_a_slow_server_and_loses_nothing() {
    let (listener, address) = listener();
    let _requests = serve(listener, |_, _| ok());
    let http = HttpOptions { limits: SpoolLimits { max_bytes: 64 << 10 }, batch: 5, ..options(&folder("slow")) };
    let mut sinks = open(&format!("http://{address}/"), http, Existing::Replace);
    for number in 0..600 {
        sinks.write(&line(number, &"x".repeat(1000))).expect("taken");
        sinks.flush().expect("there is room");
    }
    sinks.finish(true).expect("the end");
    let counters = sinks.reports()[0].counters;
    assert_eq!((counters.written, counters.lost, counters.waiting), (600, 0, 0));
}

#[test]
fn a_full_disk_costs_the_oldest_alerts_and_not_the_run() {
    let folder = folder("full_disk");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "kestrel-test"]).arg(&folder).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    }
    let (closed, address) = listener();
    drop(closed);
    let http =
        HttpOptions { limits: SpoolLimits { max_bytes: 1 << 20 }, finish_wait: Duration::ZERO, ..options(&folder) };
    let mut sinks = open(&format!("http://{address}/"), http, Existing::Append);
    let mut taken = Ok(());
    for number in 0..1000 {
        taken = taken.and_then(|()| sinks.write(&line(number, &"x".repeat(1000)))).and_then(|()| sinks.flush());
    }
    let _ = sinks.finish(true);
    let counters = sinks.reports()[0].counters;
    drop(sinks);
    let _ = Command::new("umount").arg("-l").arg(&folder).output();
    taken.expect("older alerts make room");
    assert!(counters.lost > 0 && counters.waiting > 20, "{counters:?}");
    assert_eq!(counters.lost + counters.waiting, 1000, "{counters:?}");
}
