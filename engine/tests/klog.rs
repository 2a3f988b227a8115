//! The event log: what is written reads back; whatever happens to its bytes, every whole block is read and all else told.

mod fixture;

use std::cell::RefCell;
use std::io::{Cursor, Write};
use std::rc::Rc;

use fixture::folder;
use kestrel_engine::klog::{LogError, LogHeader, LogItem, LogReader, LogWriter, RecordHead, TimeRange};
use kestrel_ir::event::EventFlags;

const RECORDS_PER_BLOCK: u64 = 3;

fn header() -> LogHeader {
    LogHeader { engine: "test".to_owned(), host_name: "here".to_owned(), ..LogHeader::default() }
}

fn record(number: u64) -> (RecordHead, Vec<u8>) {
    let head = RecordHead {
        timestamp: number as i64 * 1_000,
        tiebreaker: -(number as i64),
        ordinal: number,
        flags: EventFlags(number as u32 & 7),
    };
    (head, format!("{{\"number\":{number},\"text\":\"{}\"}}", "abc".repeat(number as usize % 5)).into_bytes())
}

/// Bytes that can be looked at while they are written.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A log of so many blocks, and where its header and each block end.
fn log(blocks: u64) -> (Vec<u8>, Vec<usize>) {
    let out = Shared::default();
    let mut writer = LogWriter::new(out.clone(), &header()).expect("a Vec takes everything");
    let length = || out.0.borrow().len();
    let mut ends = vec![length()];
    for number in 0..blocks * RECORDS_PER_BLOCK {
        let (head, document) = record(number);
        writer.append(&head, &document).expect("a Vec takes everything");
        if number % RECORDS_PER_BLOCK == RECORDS_PER_BLOCK - 1 {
            writer.flush().expect("a Vec takes everything");
            ends.push(length());
        }
    }
    assert_eq!(writer.finish().expect("a Vec takes everything"), blocks * RECORDS_PER_BLOCK);
    let bytes = out.0.borrow().clone();
    (bytes, ends)
}

/// The records' ordinals and the damages of a log.
fn read(bytes: &[u8]) -> Result<(Vec<u64>, Vec<String>), LogError> {
    read_all(LogReader::from_stream(Cursor::new(bytes.to_vec()))?)
}

fn read_all(mut reader: LogReader) -> Result<(Vec<u64>, Vec<String>), LogError> {
    let (mut ordinals, mut damages) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next_item()? {
        match item {
            LogItem::Record(found) => {
                assert_eq!((found.head, found.document.to_vec()), record(found.head.ordinal));
                ordinals.push(found.head.ordinal);
            }
            LogItem::Damaged(damage) => damages.push(format!("{}: {}", damage.offset, damage.message)),
        }
    }
    Ok((ordinals, damages))
}

fn blocks(range: std::ops::Range<u64>) -> Vec<u64> {
    (range.start * RECORDS_PER_BLOCK..range.end * RECORDS_PER_BLOCK).collect()
}

#[test]
fn what_is_written_reads_back() {
    let (bytes, _) = log(4);
    assert_eq!(read(&bytes).expect("it reads"), (blocks(0..4), vec![]));
    let reader = LogReader::from_stream(Cursor::new(bytes)).expect("it opens");
    assert_eq!(*reader.header(), header());
}

#[test]
fn the_same_records_make_the_same_bytes() {
    assert_eq!(log(3).0, log(3).0);
}

#[test]
fn a_log_cut_at_any_byte_gives_every_whole_block() {
    let (bytes, ends) = log(3);
    for cut in 0..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        match read(&bytes[..cut]) {
            Err(LogError::Magic) => assert_eq!(cut, 0),
            Err(error) => panic!("cut at {cut}: {error}"),
            Ok((ordinals, damages)) => {
                assert_eq!(ordinals, blocks(0..(whole as u64).saturating_sub(1)), "cut at {cut}");
                assert_eq!(damages.len(), usize::from(!ends.contains(&cut)), "cut at {cut}: {damages:?}");
            }
        }
    }
}

#[test]
fn a_damaged_byte_costs_at_most_its_block() {
    let (bytes, ends) = log(4);
    for at in 12..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        let hit = ends.iter().position(|end| at < *end).expect("a place in the log") as u64;
        let (ordinals, damages) = read(&damaged).expect("it reads");
        let expected: Vec<u64> = match hit {
            0 => blocks(0..4),
            _ => blocks(0..hit - 1).into_iter().chain(blocks(hit..4)).collect(),
        };
        assert_eq!(ordinals, expected, "damaged at {at}");
        assert_eq!(damages.len(), 1, "damaged at {at}: {damages:?}");
    }
}

#[test]
fn bytes_that_are_missing_cost_no_other_block_than_two() {
    let (bytes, ends) = log(5);
    let mut damaged = bytes.clone();
    damaged.drain(ends[1] + 70..ends[1] + 75);
    let (ordinals, damages) = read(&damaged).expect("it reads");
    assert!(ordinals.starts_with(&blocks(0..1)) && ordinals.ends_with(&blocks(3..5)), "{ordinals:?}");
    assert!(!damages.is_empty());
}

#[test]
fn damage_is_told_in_words() {
    let (mut bytes, ends) = log(2);
    let torn = read(&bytes[..ends[2] - 1]).expect("it reads").1;
    let expected =
        format!("{}: the log ends inside a block of 3 records, which are lost; all before it was read", ends[1]);
    assert_eq!(torn, [expected]);
    bytes[ends[0] + 60] ^= 1;
    let broken = read(&bytes).expect("it reads").1;
    assert_eq!(broken, [format!("{}: a block of 3 records is damaged and passed over", ends[0])]);
}

#[test]
fn noise_never_panics_and_always_ends() {
    let (bytes, _) = log(2);
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..2_000 {
        let mut noisy = bytes.clone();
        for _ in 0..random() % 20 {
            let at = random() as usize % noisy.len();
            noisy[at] = random() as u8;
        }
        // Records that are not those that were written are noise of the test's own making: only ending counts here.
        if let Ok(mut reader) = LogReader::from_stream(Cursor::new(noisy)) {
            while let Ok(Some(_)) = reader.next_item() {}
        }
    }
}

#[test]
fn a_range_of_times_passes_over_the_blocks_of_others() {
    let (bytes, _) = log(4);
    let path = folder("log_range").join("range.klog");
    std::fs::write(&path, &bytes).expect("a file");
    let range = TimeRange { from: 4_000, to: 7_000 };
    let streamed = LogReader::from_stream(Cursor::new(bytes.clone())).expect("it opens");
    for mut reader in [LogReader::open(&path).expect("it opens"), streamed] {
        reader = reader.with_range(range);
        let mut numbers = Vec::new();
        while let Some(item) = reader.next_item().expect("it reads") {
            let LogItem::Record(record) = item else { panic!("the log is whole: {item:?}") };
            numbers.push((record.number, record.head.ordinal));
        }
        assert_eq!(numbers, [(5, 4), (6, 5), (7, 6), (8, 7)]);
        assert_eq!((reader.counters().blocks, reader.counters().skipped_blocks), (2, 2));
        assert_eq!(reader.counters().log_bytes, bytes.len() as u64);
    }
    std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("a file");
    let reader = LogReader::open(&path).expect("it opens").with_range(range);
    let (ordinals, damages) = read_all(reader).expect("it reads");
    assert_eq!((ordinals, damages.len()), (vec![4, 5, 6, 7], 1), "a torn block is told even when it is passed over");
}

#[test]
fn appending_begins_a_new_segment_even_behind_a_torn_tail() {
    let path = folder("log_append").join("torn.klog");
    let (bytes, ends) = log(2);
    std::fs::write(&path, &bytes[..ends[2] - 5]).expect("a file");
    let mut writer = LogWriter::append_to(&path, &header()).expect("it opens");
    let held = LogWriter::append_to(&path, &header());
    assert!(matches!(held, Err(LogError::Locked)), "two writers would mix their blocks");
    let (head, document) = record(77);
    writer.append(&head, &document).expect("the disk has room");
    drop(writer);
    let (ordinals, damages) = read_all(LogReader::open(&path).expect("it opens")).expect("it reads");
    assert_eq!(ordinals, [0, 1, 2, 77]);
    assert_eq!(damages.len(), 2, "the torn block, and what it swallowed of the next header: {damages:?}");
}

#[test]
fn other_files_are_not_appended_to() {
    let path = folder("log_foreign").join("notes.txt");
    std::fs::write(&path, "notes").expect("a file");
    assert!(matches!(LogWriter::append_to(&path, &header()), Err(LogError::Magic)));
    assert_eq!(std::fs::read(&path).expect("the file is there"), b"notes");
}

#[test]
fn another_major_version_is_refused_with_advice() {
    let (mut bytes, _) = log(1);
    bytes[8] = 9;
    let error = read(&bytes).expect_err("version 9");
    let expected = "the event log has format version 9.0 and this build reads 1.x: use a newer engine";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_document_that_is_too_large_leaves_the_log_as_it_is() {
    let mut bytes = Vec::new();
    let mut writer = LogWriter::new(&mut bytes, &header()).expect("a log");
    let large = vec![b' '; kestrel_engine::klog::MAX_DOCUMENT + 1];
    let (head, document) = record(0);
    assert!(matches!(writer.append(&head, &large), Err(LogError::DocumentTooLarge { .. })));
    writer.append(&head, &document).expect("a Vec takes everything");
    writer.finish().expect("a Vec takes everything");
    assert_eq!(read(&bytes).expect("it reads"), (vec![0], vec![]));
}

#[test]
fn a_full_disk_closes_the_log() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("every Linux has /dev/full");
    assert!(matches!(LogWriter::new(full, &header()), Err(LogError::Io(_))));
}
