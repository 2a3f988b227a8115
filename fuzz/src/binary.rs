//! Bytes from the kernel, from packs, logs and streams.
//!
//! Packs and logs are protected by hashes that a fuzzer does not guess. Their targets take the bytes as they are and
//! again with the hashes made right, so that what lies behind them is reached.

use kestrel_bpf::record::{Body, Record};
use kestrel_ir::pack::{DETACHED, HEADER_SIZE, MAGIC, PACK_MAJOR, Pack, PrivateKey, PublicKey, SectionId};
use sha2::{Digest, Sha256};

/// A pack is read or refused; one that is read gives its bytes back, its signatures hold or do not, and signed it is the
/// same pack.
pub fn pack(data: &[u8]) {
    for bytes in [data.to_vec(), with_pack_hash(data)] {
        if let Ok(pack) = Pack::read(&bytes) {
            assert_eq!(pack.bytes(), bytes);
            assert!(pack.sections().iter().all(|section| pack.section(section.id).is_some()));
            signatures(&pack);
        }
    }
    let _ = PrivateKey::read(data);
    let _ = PublicKey::read(data);
}

fn signatures(pack: &Pack) {
    let key = signing_key();
    let held = pack.verify_signature(&[key.public()]).is_ok();
    assert!(!held || pack.signatures().iter().any(|signature| signature.key == key.id()));
    let Ok(signed) = pack.sign(&key) else {
        assert!(pack.signatures().len() >= 16 || pack.sections().len() >= 64, "only a limit is a reason");
        return;
    };
    assert_eq!(signed.content_hash(), pack.content_hash());
    assert!(signed.verify_signature(&[key.public()]).is_ok());
    assert_eq!(signed.sign(&key).map(|again| again.write()), Ok(signed.write()));
}

/// The key that signs seeds and whatever the fuzzer finds; no secret.
pub fn signing_key() -> PrivateKey {
    let Ok(key) = PrivateKey::generate(|seed| {
        seed.fill(7);
        Ok::<(), std::convert::Infallible>(())
    });
    key
}

/// The same container with the content hash that its table asks for, and with sections where they belong.
fn with_pack_hash(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    if bytes.len() < HEADER_SIZE {
        return bytes;
    }
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&PACK_MAJOR.to_le_bytes());
    bytes[10..12].fill(0);
    let count = u32_at(&bytes, 12).unwrap_or(0).min(64) as usize;
    let mut digest = Sha256::new();
    digest.update(&bytes[..12]);
    let mut offset = HEADER_SIZE + 24 * count;
    for index in 0..count {
        let at = HEADER_SIZE + 24 * index;
        if bytes.len() < at + 24 || bytes.len() < offset {
            return bytes;
        }
        let length = if index + 1 == count {
            bytes.len() - offset
        } else {
            (u32_at(&bytes, at + 16).unwrap_or(0) as usize).min(bytes.len() - offset)
        };
        bytes[at + 8..at + 16].copy_from_slice(&(offset as u64).to_le_bytes());
        bytes[at + 16..at + 24].copy_from_slice(&(length as u64).to_le_bytes());
        if u32_at(&bytes, at) == Some(SectionId::SIGNATURE.0) {
            bytes[at + 4..at + 8].copy_from_slice(&DETACHED.to_le_bytes());
        }
        if u32_at(&bytes, at + 4).unwrap_or(0) & DETACHED == 0 {
            digest.update(&bytes[at..at + 8]);
            digest.update(&bytes[at + 16..at + 24]);
            digest.update(&bytes[offset..offset + length]);
        }
        let end = offset + length;
        offset = end.next_multiple_of(8);
        let gap_end = offset.min(bytes.len());
        bytes[end..gap_end].fill(0);
    }
    bytes[16..HEADER_SIZE].copy_from_slice(&digest.finalize());
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A kernel record is read or refused; one that is read can be shown, and written again reads as the same.
pub fn record(data: &[u8]) {
    for bytes in [data.to_vec(), with_length(data)] {
        let Ok(record) = Record::parse(&bytes) else { continue };
        if let Body::Exec(exec) = &record.body {
            let mut path = String::new();
            exec.executable.write_to(&mut path);
            exec.directory.write_to(&mut path);
            exec.arguments.iter().for_each(|argument| kestrel_bpf::record::push_lossy(&mut path, argument));
        }
        assert_eq!(Record::parse(&record.encode()), Ok(record));
    }
}

/// The same record with the version and the length that it should have.
fn with_length(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let length = bytes.len() as u32;
    if bytes.len() >= 8 {
        bytes[0..2].copy_from_slice(&kestrel_bpf::layout::RECORD_VERSION.to_le_bytes());
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
    }
    bytes
}

#[cfg(feature = "engine")]
pub use with_engine::{control, dns, documents, klog, klog_index, spool};

#[cfg(feature = "engine")]
mod with_engine {
    use std::io::Cursor;

    use kestrel_engine::control::parse_request;
    use kestrel_engine::input::{Input, InputOptions, Item};
    use kestrel_engine::live::dns::{DnsError, MESSAGE_LIMIT, Message, within_stream};
    use kestrel_engine::klog::{LogHeader, LogItem, LogReader, LogWriter, RecordHead, TimeRange};
    use kestrel_engine::sinks::{Spool, SpoolLimits};
    use kestrel_ir::event::{Event, FieldTable};
    use kestrel_ir::event_json::Decoder;
    use kestrel_schema::{EventFields, FieldType};
    use xxhash_rust::xxh3::xxh3_64;

    /// Reading a log ends, whatever the bytes; so does reading a block of these bytes whose checksums are right. A file
    /// gives what a stream gives.
    pub fn klog(data: &[u8]) {
        read_both(data.to_vec());
        let Some((&records, raw)) = data.split_first() else { return };
        let mut log = Vec::new();
        if let Ok(writer) = LogWriter::new(&mut log, &LogHeader::default()) {
            writer.finish().expect("a vector takes all");
        }
        log.extend(block(raw, u32::from(records), &[]));
        log.extend_from_slice(raw);
        read_both(log);
    }

    fn read_both(bytes: Vec<u8>) {
        let all = TimeRange::default();
        let streamed =
            LogReader::from_stream(Cursor::new(bytes.clone())).map(|reader| read_log(reader, all, bytes.len()));
        let seekable =
            LogReader::from_seekable(Cursor::new(bytes.clone())).map(|reader| read_log(reader, all, bytes.len()));
        assert_eq!(streamed.ok(), seekable.ok());
    }

    /// Whatever an index says, a range gives records of the range, in order, each once.
    pub fn klog_index(data: &[u8]) {
        let [from, to, raw @ ..] = data else { return };
        let mut log = Vec::new();
        let mut writer = LogWriter::new(&mut log, &LogHeader::default()).expect("a vector takes all");
        for ordinal in 0..40u64 {
            let head = RecordHead { timestamp: (ordinal * 37 % 64) as i64, ordinal, ..RecordHead::default() };
            writer.append(&head, b"{}").expect("a vector takes all");
            writer.flush().expect("a vector takes all");
        }
        writer.finish().expect("a vector takes all");
        // docs/klog-format.md has the layout of the frame that ends an index.
        let size = (56 + zstd::bulk::compress(raw, 1).expect("it can be compressed").len() + 16) as u32;
        let mut trailer = vec![0x5e, 0x2a, 0x4d, 0x18, 8, 0, 0, 0];
        trailer.extend_from_slice(&size.to_le_bytes());
        trailer.extend_from_slice(b"KEND");
        log.extend(block(raw, 0, &trailer));
        let length = log.len();
        let range = TimeRange { from: i64::from(*from), to: i64::from(*to) };
        let reader = LogReader::from_seekable(Cursor::new(log)).expect("the header is sound");
        let (ordinals, _) = read_log(reader, range, length);
        assert!(ordinals.is_sorted_by(|left, right| left < right));
        assert!(ordinals.iter().all(|ordinal| range.contains((ordinal * 37 % 64) as i64)));
    }

    /// The ordinals of the records, and how many places are damaged.
    fn read_log(reader: LogReader, range: TimeRange, length: usize) -> (Vec<u64>, usize) {
        let mut reader = reader.with_range(range);
        let (mut ordinals, mut damages) = (Vec::new(), 0);
        while let Some(item) = reader.next_item().expect("a vector can be read") {
            match item {
                LogItem::Record(record) => ordinals.push(record.head.ordinal),
                LogItem::Damaged(damage) => {
                    damages += 1;
                    assert!(damages <= length + 2 && !damage.message.is_empty());
                }
            }
        }
        (ordinals, damages)
    }

    /// A block with right checksums; docs/klog-format.md has its layout.
    fn block(raw: &[u8], records: u32, trailer: &[u8]) -> Vec<u8> {
        let mut payload = zstd::bulk::compress(raw, 1).expect("it can be compressed");
        payload.extend_from_slice(trailer);
        let mut head = Vec::new();
        head.extend_from_slice(b"KBLK");
        head.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        head.extend_from_slice(&(raw.len() as u32).to_le_bytes());
        head.extend_from_slice(&records.to_le_bytes());
        head.extend_from_slice(&[0; 24]);
        head.extend_from_slice(&xxh3_64(&payload).to_le_bytes());
        let checksum = xxh3_64(&head);
        head.extend_from_slice(&checksum.to_le_bytes());
        head.extend_from_slice(&payload);
        head
    }

    /// A message is read or refused, and within limits; cut, it gives no more than whole.
    pub fn dns(data: &[u8]) {
        let Ok(whole) = Message::parse(data) else { return };
        assert!(data.len() <= MESSAGE_LIMIT && whole.questions.len() <= 4 && whole.addresses.len() <= 64);
        assert!(whole.questions.iter().all(|question| (1..=1024).contains(&question.name.len())));
        match Message::parse(data.get(..data.len() / 2).unwrap_or_default()) {
            Ok(half) => {
                assert!(whole.questions.starts_with(&half.questions) && whole.addresses.starts_with(&half.addresses));
            }
            Err(error) => assert!(matches!(error, DnsError::TooShort(_)), "{error}"),
        }
        let _ = within_stream(data).map(Message::parse);
    }

    /// A request of the control socket is read or refused with words; one that is read means the same when written again.
    pub fn control(data: &[u8]) {
        match parse_request(data) {
            Ok(request) => {
                let again = serde_json::to_vec(&request).expect("a request can be written");
                assert_eq!(parse_request(&again), Ok(request));
            }
            Err(error) => assert!(error.len() > "this is no request: ".len()),
        }
    }

    /// A spool whose segment and position are these bytes, as they are and as the line of a sound record, opens; reading ends
    /// with all that it says waits, and nothing waits once that is delivered.
    pub fn spool(data: &[u8]) {
        let Some((&cut, data)) = data.split_first() else { return };
        let (segment, position) = data.split_at(usize::from(cut).min(data.len()));
        let mut sound = b"KSPOOL1\n".to_vec();
        sound.extend_from_slice(&(segment.len() as u32).to_le_bytes());
        sound.extend_from_slice(&xxh3_64(segment).to_le_bytes());
        sound.extend_from_slice(segment);
        for segment in [segment, &sound] {
            let folder = std::env::temp_dir().join(format!("kestrel-fuzz-spool-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join("0000000000000001.seg"), segment).expect("a segment");
            std::fs::write(folder.join("position"), position).expect("a position");
            let Ok(mut spool) = Spool::open(&folder, SpoolLimits::default()) else { continue };
            let mut read = 0;
            loop {
                let batch = spool.oldest(16, 1 << 20).expect("the folder can be read");
                if batch.is_empty() {
                    break;
                }
                read += batch.len();
                assert!(read <= segment.len(), "more alerts than bytes");
                spool.delivered(&batch, batch.len()).expect("the folder can be written");
            }
            assert_eq!(spool.waiting(), 0, "{read} were read");
            drop(spool);
            let _ = std::fs::remove_dir_all(&folder);
        }
    }

    /// Reading documents ends, whatever the bytes, and decoding each gives an event or an error.
    pub fn documents(data: &[u8]) {
        let mut table = FieldTable::new();
        for (name, field_type) in [
            ("process.name", FieldType::Keyword),
            ("process.pid", FieldType::Long),
            ("process.args", FieldType::Keyword),
            ("a", FieldType::Object),
            ("a.b", FieldType::Double),
            ("a.c", FieldType::Boolean),
            ("source.ip", FieldType::Ip),
            ("event.created", FieldType::Date),
            ("v", FieldType::Version),
        ] {
            table.intern(name, field_type);
        }
        let decoder = Decoder::new(&table, &EventFields::ecs());
        let mut event = Event::new();
        let _ = decoder.decode(data, &mut event);
        let options = InputOptions { max_document: 4096 };
        let Ok(mut input) = Input::from_reader("fuzz", Cursor::new(data.to_vec()), options) else { return };
        while let Ok(Some(item)) = input.next_item() {
            if let Item::Document(document) = item {
                assert!(document.bytes.len() <= options.max_document || document.record.is_some());
                let _ = decoder.decode(document.bytes, &mut event);
            }
        }
    }
}
