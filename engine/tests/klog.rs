//! The event log: what is written reads back; whatever happens to its bytes, every whole block is read and all else told.

mod fixture;

use std::cell::RefCell;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fixture::folder;
use kestrel_engine::klog::{LogError, LogHeader, LogItem, LogReader, LogWriter, RecordHead, TimeRange};
use kestrel_ir::event::EventFlags;
use xxhash_rust::xxh3::xxh3_64;

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

/// A log of so many blocks, and where its header, each block and its time index end.
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
    ends.push(length());
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

/// Numbers that look like noise and are the same in every run.
fn noise() -> impl FnMut() -> u64 {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// What a reader gives in this range: numbers and ordinals of records, and how often it told damage.
fn in_range(mut reader: LogReader, range: TimeRange) -> (Vec<(u64, u64)>, usize, LogReader) {
    reader = reader.with_range(range);
    let (mut found, mut damages) = (Vec::new(), 0);
    while let Some(item) = reader.next_item().expect("it reads") {
        match item {
            LogItem::Record(record) => {
                assert!(range.contains(record.head.timestamp));
                found.push((record.number, record.head.ordinal));
            }
            LogItem::Damaged(_) => damages += 1,
        }
    }
    (found, damages, reader)
}

fn streamed(bytes: &[u8]) -> LogReader {
    LogReader::from_stream(Cursor::new(bytes.to_vec())).expect("it opens")
}

fn seekable(bytes: &[u8]) -> LogReader {
    LogReader::from_seekable(Cursor::new(bytes.to_vec())).expect("it opens")
}

/// One record a block, with these times, in segments of so many blocks.
fn timed(times: &[i64], blocks_per_segment: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (segment, times) in times.chunks(blocks_per_segment).enumerate() {
        let mut writer = LogWriter::new(&mut bytes, &header()).expect("a Vec takes everything");
        for (number, timestamp) in times.iter().enumerate() {
            let ordinal = (segment * blocks_per_segment + number) as u64;
            let head = RecordHead { timestamp: *timestamp, ordinal, ..RecordHead::default() };
            writer.append(&head, b"{}").expect("a Vec takes everything");
            writer.flush().expect("a Vec takes everything");
        }
        writer.finish().expect("a Vec takes everything");
    }
    bytes
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
fn bytes_that_are_missing_cost_no_other_block() {
    let (bytes, ends) = log(5);
    let mut damaged = bytes.clone();
    damaged.drain(ends[1] + 70..ends[1] + 75);
    let (ordinals, damages) = read(&damaged).expect("it reads");
    assert_eq!(ordinals, [blocks(0..1), blocks(2..5)].concat(), "the block's size reaches into the next one");
    assert_eq!(damages.len(), 1, "{damages:?}");
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
    let mut random = noise();
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
    let (bytes, ends) = log(4);
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
    std::fs::write(&path, &bytes[..ends[4] - 1]).expect("a file");
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
    assert_eq!(damages.len(), 1, "the torn block: {damages:?}");
}

#[test]
fn what_is_appended_behind_a_torn_tail_is_read_wherever_the_log_was_torn() {
    let (bytes, ends) = log(3);
    for cut in ends[0]..bytes.len() {
        let mut continued = bytes[..cut].to_vec();
        continued.extend_from_slice(&bytes);
        let whole = (ends.iter().filter(|end| **end <= cut).count() as u64).saturating_sub(1).min(3);
        let expected = [blocks(0..whole), blocks(0..3)].concat();
        let torn = usize::from(!ends.contains(&cut));
        for reader in [streamed(&continued), seekable(&continued)] {
            let (ordinals, damages) = read_all(reader).expect("it reads");
            assert_eq!((&ordinals, damages.len()), (&expected, torn), "torn at {cut}: {damages:?}");
        }
        let range = TimeRange { from: 4_000, to: 4_000 };
        let ordinals = |reader| in_range(reader, range).0.into_iter().map(|(_, ordinal)| ordinal).collect::<Vec<_>>();
        assert_eq!(ordinals(seekable(&continued)), ordinals(streamed(&continued)), "torn at {cut}");
    }
}

#[test]
fn what_a_crash_left_of_the_first_header_is_written_over() {
    let path = folder("log_first_bytes").join("torn.klog");
    let (bytes, ends) = log(1);
    for cut in 0..ends[0] {
        std::fs::write(&path, &bytes[..cut]).expect("a file");
        LogWriter::append_to(&path, &header()).expect("it opens").finish().expect("the disk has room");
        let (ordinals, damages) = read_all(LogReader::open(&path).expect("it opens")).expect("it reads");
        assert!(ordinals.is_empty() && damages.is_empty(), "cut at {cut}: {damages:?}");
    }
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
    bytes[8..12].copy_from_slice(&[9, 0, 0, 0]);
    let error = read(&bytes).expect_err("version 9");
    let expected = "the event log has format version 9.0 and this build reads 1.x: use a newer engine";
    assert_eq!(error.to_string(), expected);
    let path = folder("log_newer").join("newer.klog");
    std::fs::write(&path, &bytes).expect("a file");
    assert!(matches!(LogWriter::append_to(&path, &header()), Err(LogError::Version { major: 9, .. })));
    assert_eq!(std::fs::read(&path).expect("the file is there"), bytes);
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

#[test]
fn the_index_finds_what_reading_everything_finds() {
    let mut random = noise();
    // Two indexes and a rest, then segments of every size; times run on, with events that come late and early.
    let mut times: Vec<i64> = (0..9_000).map(|number| number * 10).collect();
    times.iter_mut().step_by(97).for_each(|time| *time += random() as i64 % 50_000);
    for blocks_per_segment in [9_000, 1_000, 7] {
        let bytes = timed(&times, blocks_per_segment);
        let mut ranges = vec![(0, 0), (40_960, 40_970), (89_990, i64::MAX), (i64::MIN, 0), (5, 4), (1 << 40, 1 << 41)];
        ranges.extend((0..20).map(|_| ((random() % 90_000) as i64, (random() % 90_000) as i64)));
        for (from, to) in ranges {
            let range = TimeRange { from, to };
            let (found, damages, reader) = in_range(seekable(&bytes), range);
            let expected: Vec<(u64, u64)> =
                (0..).zip(&times).filter(|(_, time)| range.contains(**time)).map(|(at, _)| (at + 1, at)).collect();
            assert!(found == expected && damages == 0, "{from} to {to}: {} found", found.len());
            let counters = reader.counters();
            assert_eq!(counters.log_bytes, bytes.len() as u64);
            assert_eq!(counters.blocks + counters.skipped_blocks, times.len() as u64, "{from} to {to}");
            assert_eq!(counters.blocks, found.len() as u64, "{from} to {to}");
        }
        let mut whole = streamed(&bytes);
        while let Some(item) = whole.next_item().expect("it reads") {
            assert!(matches!(item, LogItem::Record(_)), "every index names its blocks: {item:?}");
        }
        assert_eq!(whole.counters().indexes as usize, 9_000usize.div_ceil(blocks_per_segment).max(3));
    }
}

/// Counts how many bytes are read.
struct Counted(Cursor<Vec<u8>>, Arc<AtomicU64>);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_narrow_range_reads_little_of_the_log() {
    let times: Vec<i64> = (0..20_000).collect();
    let bytes = timed(&times, 20_000);
    let read = Arc::new(AtomicU64::new(0));
    let reader = LogReader::from_seekable(Counted(Cursor::new(bytes.clone()), Arc::clone(&read))).expect("it opens");
    let (found, _, _) = in_range(reader, TimeRange { from: 10_000, to: 10_010 });
    assert_eq!(found.len(), 11);
    let read = read.load(Ordering::Relaxed);
    assert!(read * 4 < bytes.len() as u64, "{read} of {} bytes", bytes.len());
}

#[test]
fn an_index_that_is_wrong_misleads_nobody() {
    let times: Vec<i64> = (0..50).collect();
    let bytes = timed(&times, 50);
    let (lengths, _) = log(1);
    let header_end = log(1).1[0];
    assert_eq!(&lengths[header_end..header_end + 4], b"KBLK");
    let block = bytes[header_end..].windows(4).skip(1).position(|four| four == b"KBLK").expect("a second block") + 1;
    for (from, to) in [(0, 3), (20, 30), (49, 49), (0, 49)] {
        let range = TimeRange { from, to };
        // A block less, a block twice, some bytes less: nothing before them is where the index says.
        let mut shorter = bytes.clone();
        shorter.drain(header_end + 10 * block..header_end + 11 * block);
        let mut longer = bytes.clone();
        longer.splice(header_end..header_end, bytes[header_end..header_end + block].to_vec());
        let mut bitten = bytes.clone();
        bitten.drain(header_end + 10 * block + 60..header_end + 10 * block + 65);
        for changed in [shorter, longer, bitten] {
            let ordinals = |found: Vec<(u64, u64)>| found.into_iter().map(|(_, ordinal)| ordinal).collect::<Vec<_>>();
            let (by_index, _, _) = in_range(seekable(&changed), range);
            assert_eq!(ordinals(by_index), ordinals(in_range(streamed(&changed), range).0), "{from} to {to}");
            let (_, damages, _) = in_range(streamed(&changed), TimeRange::default());
            assert_eq!(damages, 1, "the index or the bytes");
        }
    }
}

#[test]
fn damage_costs_the_same_with_an_index_and_without() {
    let mut random = noise();
    let times: Vec<i64> = (0..60).map(|number| number / 2).collect();
    let bytes = timed(&times, 25);
    for _ in 0..3_000 {
        let mut noisy = bytes.clone();
        for _ in 0..=random() % 6 {
            let at = 12 + random() as usize % (noisy.len() - 12);
            noisy[at] = random() as u8;
        }
        let from = (random() % 30) as i64;
        for range in [TimeRange::default(), TimeRange { from, to: from + (random() % 5) as i64 }] {
            let ordinals =
                |reader| in_range(reader, range).0.into_iter().map(|(_, ordinal)| ordinal).collect::<Vec<_>>();
            assert_eq!(ordinals(seekable(&noisy)), ordinals(streamed(&noisy)), "{range:?}");
        }
    }
}

/// A block with right checksums, whatever is in it.
fn block(raw: &[u8], records: u32, times: (i64, i64), tail: &[u8]) -> Vec<u8> {
    let mut payload = zstd::bulk::compress(raw, 1).expect("it can be compressed");
    payload.extend_from_slice(tail);
    let mut head = b"KBLK".to_vec();
    for number in [payload.len() as u32, raw.len() as u32, records] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    head.extend_from_slice(&times.0.to_le_bytes());
    head.extend_from_slice(&times.1.to_le_bytes());
    head.extend_from_slice(&0u64.to_le_bytes());
    head.extend_from_slice(&xxh3_64(&payload).to_le_bytes());
    let hash = xxh3_64(&head);
    head.extend_from_slice(&hash.to_le_bytes());
    head.extend_from_slice(&payload);
    head
}

#[test]
fn blocks_that_claim_each_other_are_read_in_bounded_time() {
    // Heads with right checksums, each claiming all that is behind it.
    let (mut bytes, ends) = log(0);
    bytes.truncate(ends[0]);
    for _ in 0..20_000 {
        let mut head = block(b"", 1, (0, 0), b"")[..48].to_vec();
        head[4..8].copy_from_slice(&(64u32 << 20).to_le_bytes());
        let hash = xxh3_64(&head);
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&hash.to_le_bytes());
    }
    for reader in [streamed(&bytes), seekable(&bytes)] {
        let (ordinals, damages) = read_all(reader).expect("it reads");
        assert!(ordinals.is_empty() && damages.len() < 10, "{}", damages.len());
    }
}

#[test]
fn a_payload_that_grows_beyond_what_its_head_says_is_refused() {
    let (mut bytes, ends) = log(1);
    let mut bomb = block(&vec![0; 60 << 20], 1, (0, 0), b"");
    bomb[8..12].copy_from_slice(&1024u32.to_le_bytes());
    let hash = xxh3_64(&bomb[..48]);
    bomb[48..56].copy_from_slice(&hash.to_le_bytes());
    bytes.splice(ends[0]..ends[0], bomb);
    let (ordinals, damages) = read(&bytes).expect("it reads");
    assert_eq!(ordinals, blocks(0..1));
    assert_eq!(damages.len(), 1, "{damages:?}");
}

#[test]
fn older_logs_read_as_they_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture");
    let path = folder.join("version-1.0.klog");
    let expected = std::fs::read_to_string(folder.join("version-1.0.ndjson")).expect("the documents");
    let mut reader = LogReader::open(&path).expect("it opens");
    assert_eq!(reader.version(), (1, 0));
    let mut documents = String::new();
    while let Some(item) = reader.next_item().expect("it reads") {
        let LogItem::Record(record) = item else { panic!("it is whole: {item:?}") };
        documents.push_str(std::str::from_utf8(record.document).expect("UTF-8"));
        documents.push('\n');
    }
    assert_eq!(documents, expected);
    let counters = reader.counters();
    assert_eq!((counters.segments, counters.blocks, counters.indexes, counters.records), (3, 3, 0, 16));
    // The middle segment: 07:30:48 to 07:30:53 on 2026-11-21.
    let second = 1_000_000_000;
    let range = TimeRange { from: 1_795_246_248 * second, to: 1_795_246_253 * second };
    let (found, _, reader) = in_range(LogReader::open(&path).expect("it opens"), range);
    assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [7, 8, 9, 10, 11, 12]);
    assert_eq!(reader.counters().skipped_blocks, 2);
}

#[test]
fn an_older_log_is_continued() {
    let path = folder("log_older").join("older.klog");
    let older = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture/version-1.0.klog");
    std::fs::copy(older, &path).expect("a copy");
    let mut writer = LogWriter::append_to(&path, &header()).expect("it opens");
    writer.append(&RecordHead::default(), b"{}").expect("the disk has room");
    writer.finish().expect("the disk has room");
    let (found, damages, _) = in_range(LogReader::open(&path).expect("it opens"), TimeRange::default());
    assert_eq!((found.len(), damages), (17, 0));
    let (found, _, _) = in_range(LogReader::open(&path).expect("it opens"), TimeRange { from: 0, to: 0 });
    assert_eq!(found, [(17, 0)]);
}

#[test]
fn what_a_later_minor_version_adds_is_passed_over() {
    let (mut bytes, ends) = log(2);
    bytes[10..12].copy_from_slice(&7u16.to_le_bytes());
    let mut hashed = bytes[..16].to_vec();
    hashed.extend_from_slice(&bytes[24..ends[0]]);
    bytes[16..24].copy_from_slice(&xxh3_64(&hashed).to_le_bytes());
    bytes.splice(ends[1]..ends[1], block(b"KNEW and what only later versions know", 0, (5, 6), b""));
    let index = bytes.len() - (ends[3] - ends[2]);
    bytes.truncate(index);
    assert_eq!(streamed(&bytes).version(), (1, 7));
    assert_eq!(read(&bytes).expect("it reads"), (blocks(0..2), vec![]));
}

#[test]
fn a_log_is_followed_while_it_is_written() {
    let (bytes, ends) = log(3);
    let path = folder("log_follow").join("growing.klog");
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(&bytes[..ends[0]]).expect("the disk has room");
    let mut reader = LogReader::open(&path).expect("it opens").following().expect("it is a file");
    let mut ordinals = Vec::new();
    let twice = [&bytes[ends[0]..], &bytes[..]].concat();
    for byte in twice {
        file.write_all(&[byte]).expect("the disk has room");
        while let Some(item) = reader.next_item().expect("it reads") {
            let LogItem::Record(record) = item else { panic!("nothing is damaged: {item:?}") };
            ordinals.push(record.head.ordinal);
        }
    }
    assert_eq!(ordinals, [blocks(0..3), blocks(0..3)].concat());
    file.set_len(10).expect("a shorter file");
    assert!(matches!(reader.next_item(), Err(LogError::Shorter)));
}
