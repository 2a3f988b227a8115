//! Reads DNS messages: who was asked for, and which addresses were the answer.
//!
//! Goes in: the payload of one packet to or from a name server, as the network has it (RFC 1035): hostile bytes, and
//! perhaps only the first of them. Comes out: a [`Message`] with what could be read. A message that breaks off is no
//! error: its question still counts, and [`Message::cut`] says so. Nothing is resolved, nothing is sent.
//!
//! ```text
//! 0    2       4          6         8         10        12
//! | id | flags | question | answers | authority | additional | questions… | records…
//! ```
//!
//! Libraries for this want the whole message and refuse one that breaks off, which is why this is written here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// No message is longer: over TCP its length has 16 bits.
pub const MESSAGE_LIMIT: usize = 65_535;
/// Questions that are read. Servers answer one; more are not in use.
const QUESTION_LIMIT: usize = 4;
/// Records that are looked at in one message.
const RECORD_LIMIT: usize = 1_024;
/// Addresses that are kept of one message.
const ADDRESS_LIMIT: usize = 64;
/// The bytes of a name in a message (RFC 1035, 3.1), its labels' lengths included.
const NAME_LIMIT: usize = 255;

const CLASS_INTERNET: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const TYPE_OPT: u16 = 41;

/// What a message says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Joins question and answer.
    pub id: u16,
    /// Whether this is an answer.
    pub answer: bool,
    /// The kind of query; 0 is the usual one.
    pub operation: u8,
    /// How the server answered, with the bits that EDNS adds.
    pub response_code: u16,
    /// What was asked for.
    pub questions: Vec<Question>,
    /// The addresses in the answers, in their order.
    pub addresses: Vec<IpAddr>,
    /// Whether the bytes ended before the message, or it has more than is read.
    pub cut: bool,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name without the dot at its end; `.` is the root. Bytes that are not printable stand as `\DDD`, and a dot
    /// within a label as `\.` (RFC 1035, 5.1).
    pub name: String,
    /// The record type's number.
    pub record_type: u16,
}

/// Why bytes are no DNS message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// Fewer bytes than a header has.
    #[error("{0} bytes, where a header has 12")]
    TooShort(usize),
    /// More bytes than a message may have.
    #[error("{0} bytes, where a message has {MESSAGE_LIMIT} at most")]
    TooLong(usize),
    /// A name that breaks the rules: too long, or a reference that does not go backwards.
    #[error("a name at byte {0} that is none")]
    Name(usize),
    /// It says that it has no question, or asks for an operation that there is not.
    #[error("not a question and no answer to one")]
    NoQuestion,
}

impl Message {
    /// Reads a message.
    ///
    /// ```
    /// use kestrel_engine::live::dns::Message;
    ///
    /// let query = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x01\0\x01";
    /// let message = Message::parse(query)?;
    /// assert_eq!((message.id, message.answer), (0x1234, false));
    /// assert_eq!(message.questions[0].name, "example.org");
    /// # Ok::<(), kestrel_engine::live::dns::DnsError>(())
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Message, DnsError> {
        if bytes.len() > MESSAGE_LIMIT {
            return Err(DnsError::TooLong(bytes.len()));
        }
        let mut reader = Reader { bytes, at: 0 };
        let mut word = || reader.word().ok_or(DnsError::TooShort(bytes.len()));
        let (id, flags) = (word()?, word()?);
        let (questions, answers, authority, additional) = (word()?, word()?, word()?, word()?);
        let mut message = Message {
            id,
            answer: flags & 0x8000 != 0,
            operation: (flags >> 11 & 0xf) as u8,
            response_code: flags & 0xf,
            ..Message::default()
        };
        // What asks nothing, or for an operation that there is not (servers refuse that), is another protocol on this port. The
        // bit that must be zero is none of our business: servers answer all the same.
        if questions == 0 || !matches!(message.operation, 0..=2 | 4..=6) {
            return Err(DnsError::NoQuestion);
        }
        // The server's own sign that it left something out.
        message.cut = flags & 0x0200 != 0 || usize::from(questions) > QUESTION_LIMIT;
        for _ in 0..usize::from(questions).min(QUESTION_LIMIT) {
            // What was read before something broken counts: no server is kept from an answer by what stands behind.
            match reader.question() {
                Ok(Some(question)) => message.questions.push(question),
                Err(error) if message.questions.is_empty() => return Err(error),
                Ok(None) | Err(_) => return Ok(message.broken_off()),
            }
        }
        if usize::from(questions) > QUESTION_LIMIT || !message.answer {
            return Ok(message);
        }
        let records = usize::from(answers) + usize::from(authority) + usize::from(additional);
        for index in 0..records {
            if index >= RECORD_LIMIT || message.addresses.len() >= ADDRESS_LIMIT {
                return Ok(message.broken_off());
            }
            if !matches!(reader.record(&mut message, index < usize::from(answers)), Ok(Some(()))) {
                return Ok(message.broken_off());
            }
        }
        Ok(message)
    }

    fn broken_off(mut self) -> Message {
        self.cut = true;
        self
    }
}

/// The message within what a DNS packet over TCP holds: its length stands before it (RFC 1035, 4.2.2).
pub fn within_stream(bytes: &[u8]) -> Option<&[u8]> {
    let (length, message) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    // What is behind it is the next message.
    Some(message.get(..length).unwrap_or(message))
}

/// The name of a record type, such as `AAAA`; `None` for one that has none here, which is written `TYPE65400` (RFC 3597).
pub fn type_name(record_type: u16) -> Option<&'static str> {
    Some(match record_type {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        10 => "NULL",
        12 => "PTR",
        13 => "HINFO",
        15 => "MX",
        16 => "TXT",
        17 => "RP",
        28 => "AAAA",
        29 => "LOC",
        33 => "SRV",
        35 => "NAPTR",
        37 => "CERT",
        39 => "DNAME",
        41 => "OPT",
        43 => "DS",
        44 => "SSHFP",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        50 => "NSEC3",
        52 => "TLSA",
        61 => "OPENPGPKEY",
        64 => "SVCB",
        65 => "HTTPS",
        99 => "SPF",
        249 => "TKEY",
        250 => "TSIG",
        251 => "IXFR",
        252 => "AXFR",
        255 => "ANY",
        256 => "URI",
        257 => "CAA",
        _ => return None,
    })
}

/// The name of a response code, such as `NXDOMAIN`; `None` for one that has none.
pub fn response_code_name(code: u16) -> Option<&'static str> {
    Some(match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        16 => "BADVERS",
        17 => "BADKEY",
        18 => "BADTIME",
        22 => "BADTRUNC",
        23 => "BADCOOKIE",
        _ => return None,
    })
}

/// A place in a message. What gives an `Option` gives `None` where the bytes end.
struct Reader<'m> {
    bytes: &'m [u8],
    at: usize,
}

impl<'m> Reader<'m> {
    fn take(&mut self, count: usize) -> Option<&'m [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn word(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn question(&mut self) -> Result<Option<Question>, DnsError> {
        let begin = self.at;
        let Some(name) = self.name(true)? else { return Ok(None) };
        let (Some(record_type), Some(_class)) = (self.word(), self.word()) else { return Ok(None) };
        if record_type == 0 {
            return Err(DnsError::Name(begin));
        }
        Ok(Some(Question { name, record_type }))
    }

    /// Reads a name, or goes over one. References (RFC 1035, 4.1.4) must each go further back than the last: so reading
    /// ends, whatever the bytes.
    fn name(&mut self, wanted: bool) -> Result<Option<String>, DnsError> {
        let begin = self.at;
        let mut name = String::new();
        let (mut length, mut before) = (0, begin);
        // Where to go on after the name, once a reference led away.
        let mut after = None;
        loop {
            let Some(&[first]) = self.take(1).and_then(|taken| taken.first_chunk::<1>()) else { return Ok(None) };
            match first >> 6 {
                0 if first == 0 => break,
                0 => {
                    length += usize::from(first) + 1;
                    if length >= NAME_LIMIT {
                        return Err(DnsError::Name(begin));
                    }
                    let Some(label) = self.take(usize::from(first)) else { return Ok(None) };
                    if wanted {
                        push_label(&mut name, label);
                    }
                }
                3 => {
                    let Some(&[second]) = self.take(1).and_then(|taken| taken.first_chunk::<1>()) else {
                        return Ok(None);
                    };
                    let target = usize::from(u16::from_be_bytes([first & 0x3f, second]));
                    if target >= before {
                        return Err(DnsError::Name(begin));
                    }
                    after.get_or_insert(self.at);
                    (before, self.at) = (target, target);
                }
                // Forms that were proposed once and are not in use (RFC 6891, 5).
                _ => return Err(DnsError::Name(begin)),
            }
        }
        self.at = after.unwrap_or(self.at);
        if name.is_empty() {
            name.push('.');
        }
        Ok(Some(name))
    }

    /// Reads one record of an answer; `None` where the bytes end.
    fn record(&mut self, message: &mut Message, is_answer: bool) -> Result<Option<()>, DnsError> {
        if self.name(false)?.is_none() {
            return Ok(None);
        }
        let Some(fixed) = self.take(10).and_then(|fixed| fixed.first_chunk::<10>()) else { return Ok(None) };
        let [type_high, type_low, class_high, class_low, extended, _, _, _, length_high, length_low] = *fixed;
        let record_type = u16::from_be_bytes([type_high, type_low]);
        let class = u16::from_be_bytes([class_high, class_low]);
        let Some(data) = self.take(usize::from(u16::from_be_bytes([length_high, length_low]))) else { return Ok(None) };
        match record_type {
            TYPE_A if is_answer && class == CLASS_INTERNET => {
                let address = data.try_into().ok().map(<Ipv4Addr as From<[u8; 4]>>::from);
                message.addresses.extend(address.map(IpAddr::V4));
            }
            TYPE_AAAA if is_answer && class == CLASS_INTERNET => {
                let address = data.try_into().ok().map(<Ipv6Addr as From<[u8; 16]>>::from);
                message.addresses.extend(address.map(IpAddr::V6));
            }
            // The upper bits of the response code (RFC 6891, 6.1.3).
            TYPE_OPT if !is_answer => message.response_code |= u16::from(extended) << 4,
            _ => {}
        }
        Ok(Some(()))
    }
}

fn push_label(name: &mut String, label: &[u8]) {
    use std::fmt::Write as _;
    if !name.is_empty() {
        name.push('.');
    }
    for &byte in label {
        match byte {
            b'.' | b'\\' => {
                name.push('\\');
                name.push(char::from(byte));
            }
            b'!'..=b'~' => name.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(name, "\\{byte:03}")),
        }
    }
}

#[cfg(test)]
mod tests;
