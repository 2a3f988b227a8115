//! Files, sockets, syslog and the journal: what arrives at the other side.

use std::io::{BufRead, BufReader, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::time::Duration;

use kestrel_engine::sinks::{AlertSinks, AlertTarget, Compression, Existing, Rotation, SinkCounters, SinkOptions};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::fixture::folder;
use crate::line;

fn open_with(word: &str, options: SinkOptions) -> AlertSinks {
    let target: AlertTarget = word.parse().expect("a target");
    AlertSinks::open(&[(target, options)], Existing::Append).expect("it opens")
}

fn open(word: &str) -> AlertSinks {
    open_with(word, SinkOptions::default())
}

fn counters(sinks: &AlertSinks) -> SinkCounters {
    sinks.reports()[0].counters
}

fn rotating(path: &Path, rotation: Rotation) -> AlertSinks {
    open_with(path.to_str().expect("text"), SinkOptions { rotation: Some(rotation), ..SinkOptions::default() })
}

/// All lines of the rotated files, the oldest first, then those of the file itself.
fn all_lines(path: &Path, ending: &str) -> String {
    let mut text = String::new();
    for number in (1..1000).rev() {
        let Ok(bytes) = std::fs::read(format!("{}.{number}{ending}", path.display())) else { continue };
        let plain = match ending {
            ".zst" => zstd::decode_all(&bytes[..]).expect("zstd"),
            ".gz" => {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).expect("gzip");
                plain
            }
            _ => bytes,
        };
        let plain = String::from_utf8(plain).expect("text");
        assert!(plain.ends_with('\n'), "no line is split");
        text += &plain;
    }
    text + &std::fs::read_to_string(path).expect("the file")
}

#[test]
fn rotation_loses_and_splits_no_line() {
    for (compression, ending) in [(Compression::None, ""), (Compression::Zstd, ".zst"), (Compression::Gzip, ".gz")] {
        let path = folder(&format!("rotation{ending}")).join("a.ndjson");
        let mut expected = String::new();
        // Three runs, so that a file that is there is gone on with.
        for run in 0..3 {
            let rotation = Rotation { max_bytes: Some(1000), max_age: None, keep: 500, compression };
            let mut sinks = rotating(&path, rotation);
            for number in 0..50 {
                let line = line(run * 50 + number, &"x".repeat(number * 30));
                sinks.write(&line).expect("a line");
                expected += &format!("{line}\n");
            }
            sinks.finish(true).expect("the end");
            assert_eq!(counters(&sinks).written, 50);
        }
        assert!(all_lines(&path, ending) == expected, "{ending}");
        let longest = std::fs::metadata(&path).expect("the file").len();
        assert!(longest <= 1000 || std::fs::read_to_string(&path).expect("text").lines().count() == 1);
    }
}

#[test]
fn only_so_many_old_files_are_kept() {
    let path = folder("keep").join("a");
    let rotation =
        Rotation { max_bytes: None, max_age: Some(Duration::from_nanos(1)), keep: 2, compression: Compression::Zstd };
    let mut sinks = rotating(&path, rotation);
    for number in 0..6 {
        sinks.write(&line(number, "")).expect("a line");
    }
    sinks.finish(true).expect("the end");
    let mut names: Vec<String> = std::fs::read_dir(path.parent().expect("a folder"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    assert_eq!(names, ["a", "a.1.zst", "a.2.zst"]);
    assert_eq!(all_lines(&path, ".zst").lines().count(), 3);
    assert!(all_lines(&path, ".zst").contains("id000003"), "the youngest are kept");
}

#[test]
fn a_socket_gets_every_line() {
    let path = folder("socket").join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    let mut sinks = open(&format!("unix:{}", path.display()));
    (0..3).for_each(|number| sinks.write(&line(number, "")).expect("a line"));
    sinks.finish(true).expect("the end");
    drop(sinks);
    let (peer, _) = listener.accept().expect("a peer");
    let lines: Vec<String> = BufReader::new(peer).lines().map(|line| line.expect("a line")).collect();
    assert_eq!(lines, [line(0, ""), line(1, ""), line(2, "")]);
}

#[test]
fn a_sink_that_fails_does_not_silence_the_others() {
    let path = folder("others").join("a");
    let targets = [path.to_str().expect("text"), "/dev/full"]
        .map(|word| (word.parse::<AlertTarget>().expect("a target"), SinkOptions::default()));
    let mut sinks = AlertSinks::open(&targets, Existing::Append).expect("both open");
    sinks.write(&line(0, "")).expect("taken");
    sinks.flush().expect("one is left");
    sinks.write(&line(1, "")).expect("taken");
    sinks.finish(true).expect("one is left");
    assert_eq!(std::fs::read_to_string(path).expect("the file").lines().count(), 2);
    let notes = sinks.take_notes();
    assert!(notes.len() == 1 && notes[0].contains("/dev/full: No space left"), "{notes:?}");
    let reports = sinks.reports();
    assert!(!reports[0].is_short() && reports[1].is_short());
    assert_eq!((reports[0].counters.written, reports[1].counters.lost), (2, 2));
}

const HEAD: &str = "<131>1 2026-11-21T08:00:00.000Z ";

#[test]
fn syslog_over_udp_cuts_long_messages_and_counts_them() {
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut sinks = open(&format!("syslog:udp:{}", peer.local_addr().expect("an address")));
    let mut buffer = [0; 65_536];
    for (rest, cut) in [("", false), (&*"é".repeat(10_000), true)] {
        let line = line(1, rest);
        sinks.write(&line).expect("sent");
        let length = peer.recv(&mut buffer).expect("a datagram");
        let message = std::str::from_utf8(&buffer[..length]).expect("cut between characters");
        assert!(message.starts_with(HEAD), "{message}");
        assert!(message.contains(" kestrel-engine ") && message.contains(r#"rule="shell" id="id000001"] {"@times"#));
        assert_eq!(message.ends_with(&line), !cut);
        assert_eq!(length > 8100, cut);
    }
    let counters = counters(&sinks);
    assert_eq!((counters.written, counters.truncated), (2, 1));
}

#[test]
fn syslog_over_tcp_counts_octets_and_cuts_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let mut sinks = open(&format!("syslog:tcp:{}", listener.local_addr().expect("an address")));
    let (mut peer, _) = listener.accept().expect("a peer");
    let lines = [line(1, ""), line(2, &"y".repeat(20_000))];
    lines.iter().for_each(|line| sinks.write(line).expect("sent"));
    drop(sinks);
    let mut text = String::new();
    peer.read_to_string(&mut text).expect("everything");
    for line in lines {
        let (length, rest) = text.split_once(' ').expect("a length");
        let (message, rest) = rest.split_at(length.parse().expect("a length"));
        assert!(message.starts_with(HEAD) && message.ends_with(&line));
        text = rest.to_owned();
    }
    assert_eq!(text, "");
}

#[test]
fn a_syslog_that_was_restarted_gets_what_follows() {
    let path = folder("restart").join("log");
    let peer = UnixDatagram::bind(&path).expect("a socket");
    let mut sinks = open(&format!("syslog:unix:{}", path.display()));
    sinks.write(&line(1, "")).expect("sent");
    let mut buffer = [0; 4096];
    assert!(peer.recv(&mut buffer).expect("a datagram") > 100);
    drop(peer);
    std::fs::remove_file(&path).expect("the socket");
    let peer = UnixDatagram::bind(&path).expect("a socket");
    sinks.write(&line(2, "")).expect("sent to the new one");
    let length = peer.recv(&mut buffer).expect("a datagram");
    assert!(buffer[..length].ends_with(line(2, "").as_bytes()));
}

#[test]
fn syslog_takes_a_socket_of_streams_too() {
    let path = folder("stream").join("log");
    let listener = UnixListener::bind(&path).expect("a socket");
    let mut sinks = open(&format!("syslog:unix:{}", path.display()));
    sinks.write(&line(1, "")).expect("sent");
    drop(sinks);
    let mut text = String::new();
    listener.accept().expect("a peer").0.read_to_string(&mut text).expect("everything");
    assert!(text.starts_with(HEAD) && text.ends_with(&(line(1, "") + "\n")), "{text}");
}

/// Receives one entry of the journal: the datagram, or the file that was handed over with it.
fn entry(peer: &UnixDatagram) -> (String, bool) {
    let mut buffer = vec![0; 1 << 20];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(peer, &mut [IoSliceMut::new(&mut buffer)], &mut ancillary, RecvFlags::empty()).expect("an entry");
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut files) = message {
            let file = std::fs::File::from(files.next().expect("a file"));
            let length = file.metadata().expect("a file").len() as usize;
            let mut bytes = vec![0; length];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).expect("the file");
            return (String::from_utf8(bytes).expect("text"), true);
        }
    }
    (String::from_utf8(buffer[..got.bytes].to_vec()).expect("text"), false)
}

#[test]
fn the_journal_gets_fields_and_long_alerts_as_files() {
    let path = folder("journal").join("socket");
    let peer = UnixDatagram::bind(&path).expect("a socket");
    let mut sinks = open(&format!("journald:{}", path.display()));
    let short = line(1, "");
    sinks.write(&short).expect("sent");
    let expected = format!(
        "MESSAGE=Rule 1\nPRIORITY=3\nSYSLOG_IDENTIFIER=kestrel-engine\nKESTREL_RULE_ID=shell\nKESTREL_ALERT_ID=id000001\nKESTREL_ALERT={short}\n"
    );
    assert_eq!(entry(&peer), (expected, false));
    let long = line(2, &"z".repeat(3 << 20));
    sinks.write(&long).expect("sent");
    let (text, by_file) = entry(&peer);
    assert!(by_file && text.ends_with(&format!("KESTREL_ALERT={long}\n")), "by file: {by_file}");
    sinks.write(&line(3, r"\ntwo lines")).expect("sent");
    let (text, _) = entry(&peer);
    let value = "Rule 3\ntwo lines";
    let mut field = b"MESSAGE\n".to_vec();
    field.extend((value.len() as u64).to_le_bytes());
    field.extend(format!("{value}\nPRIORITY=3\n").into_bytes());
    assert!(text.as_bytes().starts_with(&field), "{text:?}");
    assert_eq!(counters(&sinks).written, 3);
}
