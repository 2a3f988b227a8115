//! Inputs: whatever documents are wrapped in, they come out the same; what is wrong is told with its line.

mod fixture;

use std::io::{self, Cursor, Read};
use std::path::Path;

use fixture::{folder, gzip, zstd_frame};
use kestrel_engine::input::{Input, InputError, InputOptions, Item};
use kestrel_engine::klog::{LogHeader, LogWriter, RecordHead};

/// An input's items as text: `line: document`, `line! reason` or `~ damage`.
fn items(input: &mut Input) -> Vec<String> {
    let mut items = Vec::new();
    while let Some(item) = input.next_item().expect("nothing fails to read") {
        items.push(match item {
            Item::Document(document) => format!("{}: {}", document.line, String::from_utf8_lossy(document.bytes)),
            Item::Invalid { line, reason } => format!("{line}! {reason}"),
            Item::Damaged { message } => format!("~ {message}"),
        });
    }
    items
}

fn read(bytes: &[u8], max_document: usize) -> Vec<String> {
    let reader = Cursor::new(bytes.to_vec());
    let mut input = Input::from_reader("test", reader, InputOptions { max_document }).expect("it opens");
    items(&mut input)
}

fn check(bytes: &[u8], expected: &[&str]) {
    assert_eq!(read(bytes, 16), expected, "{:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn lines_are_documents() {
    check(b"{\"a\":1}\n{\"a\":2}\n", &["1: {\"a\":1}", "2: {\"a\":2}"]);
    check(b"{\"a\":1}\r\n\r\n  \n{\"a\":2}", &["1: {\"a\":1}", "4: {\"a\":2}"]);
    check(b"\n\n {}\n{}", &["3: {}", "4: {}"]);
    check(b"\xef\xbb\xbf{}\n", &["1: {}"]);
    check(b"", &[]);
    check(b"\n \n", &[]);
}

#[test]
fn array_elements_are_documents() {
    check(b"[]", &[]);
    check(b" [ ] \n", &[]);
    check(b"[{\"a\":1},{\"a\":2}]", &["1: {\"a\":1}", "1: {\"a\":2}"]);
    check(b"\n[\n  {\"a\":\n 1},\n\n{}\n]\n", &["3: {\"a\":\n 1}", "6: {}"]);
    check(br#"[{"a":"],\"}"},3]"#, &[r#"1: {"a":"],\"}"}"#, "1: 3"]);
    check(b"[[1,2],{\"a\":[]}]", &["1: [1,2]", "1: {\"a\":[]}"]);
}

#[test]
fn broken_arrays_are_told() {
    check(b"[1,,2]", &["1: 1", "1! expected an array element, found nothing", "1: 2"]);
    check(b"[{},\n", &["1: {}", "~ line 2: the file ends inside the array"]);
    check(b"[{},{}", &["1: {}", "1: {}", "~ line 1: the file ends inside the array"]);
    check(b"[{},{\"a\"", &["1: {}", "~ the file ends inside the array element that begins on line 1"]);
    check(b"[{}] {}", &["1: {}", "~ line 1: what follows the array is not read"]);
}

#[test]
fn what_is_too_long_is_passed_over_and_counted() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(100));
    check(format!("{{}}\n{long}\n{{}}\n").as_bytes(), &["1: {}", "2! longer than 16 bytes", "3: {}"]);
    check(format!("[{{}},\n{long},\n{{}}]").as_bytes(), &["1: {}", "2! longer than 16 bytes", "3: {}"]);
    check(long.as_bytes(), &["1! longer than 16 bytes"]);
    check(b"{\"a\":\"12345678\"}\n{}", &["1: {\"a\":\"12345678\"}", "2: {}"]);
}

#[test]
fn wrappings_make_no_difference() {
    let lines: Vec<String> = (0..2_000).map(|number| format!("{{\"number\":{number}}}")).collect();
    let array = format!("[{}]", lines.join(",\n"));
    let plain = lines.join("\n");
    let mut log = Vec::new();
    let mut writer = LogWriter::new(&mut log, &LogHeader::default()).expect("a Vec takes everything");
    for line in &lines {
        writer.append(&RecordHead::default(), line.as_bytes()).expect("a Vec takes everything");
    }
    writer.finish().expect("a Vec takes everything");
    let mut two_frames = zstd_frame(&plain.as_bytes()[..777]);
    two_frames.extend(zstd_frame(&plain.as_bytes()[777..]));
    let mut skippable = vec![0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    skippable.extend(zstd_frame(plain.as_bytes()));
    let mut two_members = gzip(&plain.as_bytes()[..777]);
    two_members.extend(gzip(&plain.as_bytes()[777..]));

    let expected: Vec<String> = lines.iter().enumerate().map(|(at, line)| format!("{}: {line}", at + 1)).collect();
    let folder = folder("wrappings");
    for (name, bytes) in [
        ("plain", plain.clone().into_bytes()),
        ("array", array.clone().into_bytes()),
        ("plain.zst", zstd_frame(plain.as_bytes())),
        ("array.zst", zstd_frame(array.as_bytes())),
        ("plain.gz", gzip(plain.as_bytes())),
        ("array.gz", gzip(array.as_bytes())),
        ("frames.zst", two_frames),
        ("skippable.zst", skippable),
        ("members.gz", two_members),
        ("log.klog.zst", zstd_frame(&log)),
        ("log.klog.gz", gzip(&log)),
        ("log.klog", log),
    ] {
        assert_eq!(read(&bytes, 1 << 20), expected, "{name} as a stream");
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        let mut input = Input::open(&path, InputOptions::default()).expect("it opens");
        assert_eq!(items(&mut input), expected, "{name} as a file");
    }
}

#[test]
fn a_stream_that_comes_in_drops_is_the_same() {
    struct Drops(Cursor<Vec<u8>>);
    impl Read for Drops {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(&mut buffer[..length])
        }
    }
    for bytes in [b"{\"a\":1}\n{}".to_vec(), b"[{\"a\":1},{}]".to_vec(), zstd_frame(b"{\"a\":1}\n{}")] {
        let drops = Drops(Cursor::new(bytes.clone()));
        let mut input = Input::from_reader("drops", drops, InputOptions::default()).expect("it opens");
        assert_eq!(items(&mut input), read(&bytes, 1 << 20));
    }
}

#[test]
fn a_torn_compressed_file_gives_what_can_be_read() {
    // Numbers that do not compress away, so that the data spans many blocks.
    let line = |number: u64| format!("{{\"number\":{}}}\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let plain: String = (0..50_000).map(line).collect();
    for (name, whole) in [("zstd", zstd_frame(plain.as_bytes())), ("gzip", gzip(plain.as_bytes()))] {
        for cut in [whole.len() - 1, whole.len() / 2, 20, 6] {
            let items = read(&whole[..cut], 1 << 20);
            let (last, documents) = items.split_last().expect("at least the damage");
            assert!(last.starts_with("~ the compressed data is cut short"), "{name} cut at {cut}: {last}");
            for (item, line) in documents.iter().zip(plain.lines()) {
                assert!(item.ends_with(line), "{name} cut at {cut}: {item}");
            }
            assert!(cut < 100 || documents.len() > 10_000, "{name} cut at {cut}: {} documents", documents.len());
        }
    }
}

#[test]
fn damaged_compressed_data_is_told_and_not_fatal() {
    let line = |number: u64| format!("{{\"number\":{}}}\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let plain: String = (0..50_000).map(line).collect();
    let mut bytes = gzip(plain.as_bytes());
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    let items = read(&bytes, 1 << 20);
    assert!(items.iter().any(|item| item.starts_with("~ the compressed data is damaged")), "{:?}", items.last());
    assert!(items.len() > 1_000);
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = folder("unreadable");
    let open = |path: &Path| Input::open(path, InputOptions::default()).err().expect("it does not open").to_string();
    let missing = folder.join("missing.ndjson");
    assert_eq!(open(&missing), format!("cannot read {}: No such file or directory (os error 2)", missing.display()));
    assert!(open(&folder).ends_with("it is a folder, name the files in it"));
    let wide = folder.join("wide.json");
    std::fs::write(&wide, b"\xff\xfe{\0}\0").expect("a file");
    assert!(open(&wide).contains("is UTF-16 text"));
    let mut newer = Vec::new();
    LogWriter::new(&mut newer, &LogHeader::default()).expect("a log").finish().expect("a log");
    newer[8..12].copy_from_slice(&[2, 0, 0, 0]);
    let log = folder.join("newer.klog");
    std::fs::write(&log, newer).expect("a file");
    let expected = "the event log has format version 2.0 and this build reads 1.x: use a newer engine";
    assert!(open(&log).ends_with(expected), "{}", open(&log));
}

#[test]
fn a_failing_disk_is_an_error() {
    struct Failing(bool);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::other("the disk is on fire"));
            }
            buffer[..3].copy_from_slice(b"{}\n");
            Ok(3)
        }
    }
    let mut input = Input::from_reader("disk", Failing(false), InputOptions::default()).expect("it opens");
    assert!(matches!(input.next_item(), Ok(Some(Item::Document(_)))));
    let error = input.next_item().expect_err("the disk fails");
    assert!(matches!(error, InputError::Read { .. }));
    assert_eq!(error.to_string(), "cannot read disk: the disk is on fire");
}

#[test]
fn documents_alone_leave_warnings_behind() {
    let text = "[".to_owned() + &",".repeat(20) + "{}]";
    let reader = Cursor::new(text.into_bytes());
    let mut input = Input::from_reader("test", reader, InputOptions::default()).expect("it opens");
    let mut documents = 0;
    while input.next_document().expect("it reads").is_some() {
        documents += 1;
    }
    assert_eq!(documents, 1);
    assert_eq!(input.warnings().len(), 11);
    assert_eq!(input.warnings()[0], "line 1: expected an array element, found nothing");
    assert_eq!(input.warnings()[10], "10 more like these");
}
