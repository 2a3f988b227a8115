//! Messages as servers send them, cut at every byte, and made wrong on purpose.

use super::*;

const EXAMPLE: &[u8] = b"\x07example\x03org\0";

/// A message: header words, then the parts behind them.
fn message(flags: u16, counts: [u16; 4], parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd];
    bytes.extend(flags.to_be_bytes());
    counts.iter().for_each(|count| bytes.extend(count.to_be_bytes()));
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

fn question(name: &[u8], record_type: u16) -> Vec<u8> {
    [name, &record_type.to_be_bytes(), &[0, 1]].concat()
}

fn record(name: &[u8], record_type: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("short data");
    [name, &record_type.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length.to_be_bytes(), data].concat()
}

fn answer() -> Vec<u8> {
    let alias = record(b"\xc0\x0c", 5, b"\x03www\xc0\x0c");
    let first = record(b"\xc0\x29", 1, &[192, 0, 2, 7]);
    let second = record(b"\xc0\x0c", 28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let name_server = record(b"\xc0\x0c", 2, b"\x02ns\xc0\x0c");
    let glue = record(b"\x02ns\xc0\x0c", 1, &[198, 51, 100, 1]);
    let options = [b"\0".as_slice(), &[0, 41, 4, 0xd0, 1, 0, 0, 0, 0, 0]].concat();
    let parts = [question(EXAMPLE, 1), alias, first, second, name_server, glue, options];
    message(0x8180, [1, 3, 1, 2], &parts.each_ref().map(Vec::as_slice))
}

#[test]
fn an_answer_gives_question_addresses_and_the_whole_code() {
    let read = Message::parse(&answer()).expect("a sound message");
    let addresses: Vec<String> = read.addresses.iter().map(IpAddr::to_string).collect();
    assert_eq!(addresses, ["192.0.2.7", "2001:db8::9"], "of answers, not of additional records");
    assert_eq!(read.questions, [Question { name: "example.org".to_owned(), record_type: 1 }]);
    assert_eq!((read.id, read.answer, read.operation, read.cut), (0xabcd, true, 0, false));
    assert_eq!(response_code_name(read.response_code), Some("BADVERS"), "0 and the upper bits 1");
}

#[test]
fn a_message_cut_anywhere_gives_what_is_there() {
    let whole = answer();
    for length in 0..whole.len() {
        match Message::parse(&whole[..length]) {
            Err(error) => assert!(length < 12 && error == DnsError::TooShort(length)),
            Ok(read) => {
                assert!(read.cut, "{length}");
                assert_eq!(read.questions.len(), usize::from(length >= 12 + EXAMPLE.len() + 4), "{length}");
            }
        }
    }
}

#[track_caller]
fn check_name(bytes: &[u8], expected: Result<&str, DnsError>) {
    let read = Message::parse(&message(0x0100, [1, 0, 0, 0], &[&question(bytes, 16)]));
    let name = read.map(|read| read.questions.first().map(|question| question.name.clone()).unwrap_or_default());
    assert_eq!(name, expected.map(str::to_owned));
}

#[test]
fn names_are_written_as_a_zone_file_has_them() {
    check_name(b"\0", Ok("."));
    check_name(b"\x01A\x02bC\0", Ok("A.bC"));
    check_name(b"\x03a.b\x02\\x\0", Ok("a\\.b.\\\\x"));
    check_name(b"\x03\x00 \xff\0", Ok("\\000\\032\\255"));
}

#[test]
fn references_that_do_not_go_backwards_are_refused() {
    check_name(b"\xc0\x0c", Err(DnsError::Name(12)));
    check_name(b"\x01a\xc0\x0c", Err(DnsError::Name(12)));
    check_name(b"\xc0\xff", Err(DnsError::Name(12)));
    check_name(b"\x40\0", Err(DnsError::Name(12)));
    check_name(b"\x80\0", Err(DnsError::Name(12)));
    // One into the header goes backwards, and is a name of sorts: it ends.
    let odd = message(0x0100, [1, 0, 0, 0], &[&question(b"\xc0\x04", 1)]);
    assert_eq!(Message::parse(&odd).map(|read| read.questions[0].name.clone()), Ok(".".to_owned()));
}

#[test]
fn a_name_has_255_bytes_at_most() {
    let label = |length: u8| [&[length][..], &vec![b'x'; usize::from(length)]].concat();
    let longest = [label(63), label(63), label(63), label(61), vec![0]].concat();
    assert_eq!(longest.len(), 255);
    let read = Message::parse(&message(0, [1, 0, 0, 0], &[&question(&longest, 1)])).expect("just short enough");
    assert_eq!(read.questions[0].name.len(), 253);
    check_name(&[label(63), label(63), label(63), label(62), vec![0]].concat(), Err(DnsError::Name(12)));
}

#[test]
fn what_is_of_another_protocol_is_refused() {
    assert_eq!(Message::parse(&message(0x0100, [0, 0, 0, 0], &[])), Err(DnsError::NoQuestion));
    // The bit that must be zero hides nothing.
    let odd = Message::parse(&message(0x0140, [1, 0, 0, 0], &[&question(EXAMPLE, 1)])).expect("a question");
    assert_eq!(odd.questions.len(), 1);
    assert_eq!(Message::parse(&vec![0; MESSAGE_LIMIT + 1]), Err(DnsError::TooLong(MESSAGE_LIMIT + 1)));
    assert_eq!(Message::parse(b"GET / HTTP/1.1\r\n").ok().filter(|read| !read.questions.is_empty()), None);
}

#[test]
fn a_message_of_many_records_is_read_within_limits() {
    let address = record(b"\xc0\x0c", 1, &[192, 0, 2, 7]);
    let many = [question(EXAMPLE, 1), address.repeat(2_000)];
    let read = Message::parse(&message(0x8180, [1, 2_000, 0, 0], &many.each_ref().map(Vec::as_slice)));
    let read = read.expect("a sound message");
    assert_eq!((read.addresses.len(), read.cut), (ADDRESS_LIMIT, true));
}

#[test]
fn over_a_stream_the_length_stands_before_the_message() {
    let one = answer();
    let length = u16::try_from(one.len()).expect("short").to_be_bytes();
    let two = [&length[..], &one, &length, &one].concat();
    assert_eq!(within_stream(&two), Some(one.as_slice()));
    assert_eq!(within_stream(&two[..20]), Some(&one[..18]));
    assert_eq!(within_stream(&[0]), None);
}

#[test]
fn no_bytes_make_it_panic() {
    // xorshift64, seeded: the same bytes each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let sound = answer();
    for _ in 0..20_000 {
        let mut bytes = sound.clone();
        for _ in 0..random() % 6 {
            let at = (random() as usize) % bytes.len();
            bytes[at] = random() as u8;
        }
        bytes.truncate((random() as usize) % (sound.len() + 1));
        if let Ok(read) = Message::parse(&bytes) {
            assert!(read.questions.iter().all(|question| question.name.len() <= NAME_LIMIT * 4));
        }
    }
}
