//! Join keys: the values that the events of one sequence or sample share.
//!
//! In: an event's frame and the key fields of a term. Out: its keys, as bytes that are equal exactly when the keys are,
//! or as values for people and alerts.
//!
//! ```text
//! key   = part*                              in the order of the key's fields
//! part  = 0                                  a missing `?key`
//!       | 1 u8                               a truth value
//!       | 2 i64                              an integer, a date, a decimal that is a whole number
//!       | 3 u64                              the bits of any other decimal
//!       | 4 length bytes                     a text or version; the length in groups of 7 bits, the lowest first
//!       | 5 16 octets                        an address
//! ```

use std::ops::Range;

use kestrel_ir::frame::{Frame, Slot};
use kestrel_ir::layout::Layout;
use kestrel_ir::model::Key;

/// The most join keys that one event gives for one term when key fields hold many values; those beyond are left out.
pub const MAX_KEYS_PER_EVENT: usize = 64;
/// An event's keys for one term behind the first are left out once all together would be longer than so many bytes.
pub const MAX_KEY_BYTES_PER_EVENT: usize = 16 << 10;

/// One value of a join key. Numbers compare by value across `long` and `double`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPart {
    /// A missing `?key`.
    Null,
    /// A truth value.
    Boolean(bool),
    /// An integer, a date, or a decimal that is a whole number.
    Integer(i64),
    /// The bits of any other decimal.
    Float(u64),
    /// A text or version.
    Text(Box<str>),
    /// An address.
    Ip([u8; 16]),
}

/// The values of one key, in the order of its fields.
pub type JoinKey = Box<[KeyPart]>;

impl KeyPart {
    /// A decimal; a whole one is the integer.
    pub fn from_float(value: f64) -> KeyPart {
        if value.fract() == 0.0 && value.abs() < 9.0e18 {
            KeyPart::Integer(value as i64)
        } else {
            KeyPart::Float(value.to_bits())
        }
    }

    /// The value as an alert shows it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            KeyPart::Null => serde_json::Value::Null,
            KeyPart::Boolean(value) => (*value).into(),
            KeyPart::Integer(value) => (*value).into(),
            KeyPart::Float(bits) => f64::from_bits(*bits).into(),
            KeyPart::Text(text) => text.as_ref().into(),
            KeyPart::Ip(octets) => kestrel_ir::event::ip_address(*octets).to_string().into(),
        }
    }
}

/// The join keys that an event gives for a term: none when a key is missing, several when a field holds many values.
/// Returns whether some were left out because there were more than [`MAX_KEYS_PER_EVENT`] or more bytes than
/// [`MAX_KEY_BYTES_PER_EVENT`].
pub fn join_keys(layout: &Layout, keys: &[Key], frame: Frame<'_>, out: &mut Vec<JoinKey>) -> bool {
    let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
    let cut = KeyEncoder::default().encode(layout, keys, frame, &mut bytes, &mut ranges);
    out.clear();
    out.extend(ranges.into_iter().map(|range| decode(bytes.get(range).unwrap_or(&[]))));
    cut
}

/// Writes the keys of events as bytes. Keeps its memory.
#[derive(Debug, Default)]
pub(crate) struct KeyEncoder {
    /// The distinct values of all fields, one behind the other.
    parts: Vec<u8>,
    places: Vec<Range<usize>>,
    /// For each field its values among `places`.
    fields: Vec<Range<usize>>,
    /// For each field which of its values comes next.
    digits: Vec<usize>,
}

impl KeyEncoder {
    /// Appends an event's keys for a term to `bytes`, and where each lies to `out`. The order is that of the values, the
    /// last field's changing fastest. Returns whether some were left out.
    pub(crate) fn encode(
        &mut self,
        layout: &Layout,
        keys: &[Key],
        frame: Frame<'_>,
        bytes: &mut Vec<u8>,
        out: &mut Vec<Range<usize>>,
    ) -> bool {
        self.parts.clear();
        self.places.clear();
        self.fields.clear();
        let (mut products, mut cut) = (1, false);
        for key in keys {
            let start = self.places.len();
            if let Some(field) = key.field {
                // One value more than can be used shows that some are left out.
                for slot in frame.values(layout, field).iter() {
                    self.add(start, slot);
                    if self.places.len() - start > MAX_KEYS_PER_EVENT {
                        break;
                    }
                }
            }
            if self.places.len() == start {
                if !key.optional {
                    return false;
                }
                self.places.push(self.parts.len()..self.parts.len() + 1);
                self.parts.push(NULL);
            }
            let count = self.places.len() - start;
            let kept = if count > 1 { count.min((MAX_KEYS_PER_EVENT / products).max(1)) } else { count };
            cut |= kept < count;
            products *= kept;
            self.fields.push(start..start + kept);
        }
        self.digits.clear();
        self.digits.resize(self.fields.len(), 0);
        let first = bytes.len();
        for number in 0..products {
            let start = bytes.len();
            for (field, digit) in self.fields.iter().zip(&self.digits) {
                let place = self.places.get(field.start + digit).cloned().unwrap_or(0..0);
                bytes.extend_from_slice(self.parts.get(place).unwrap_or(&[]));
            }
            if number > 0 && bytes.len() - first > MAX_KEY_BYTES_PER_EVENT {
                bytes.truncate(start);
                return true;
            }
            out.push(start..bytes.len());
            for (field, digit) in self.fields.iter().zip(&mut self.digits).rev() {
                *digit += 1;
                if *digit < field.len() {
                    break;
                }
                *digit = 0;
            }
        }
        cut
    }

    /// Adds a value of a field whose others start at number `first`, unless it is among them.
    fn add(&mut self, first: usize, slot: Slot<'_>) {
        let start = self.parts.len();
        match slot {
            Slot::Boolean(value) => self.parts.extend([BOOLEAN, u8::from(value)]),
            Slot::Integer(value) => write_integer(value, &mut self.parts),
            Slot::Float(value) => write_part(&KeyPart::from_float(value), &mut self.parts),
            Slot::Text(text) => write_text(text, &mut self.parts),
            Slot::Ip(octets) => write_part(&KeyPart::Ip(octets), &mut self.parts),
            Slot::Object(_) => return,
        }
        let (before, added) = self.parts.split_at(start);
        let known =
            self.places.get(first..).unwrap_or(&[]).iter().any(|place| before.get(place.clone()) == Some(added));
        if known {
            self.parts.truncate(start);
        } else {
            self.places.push(start..self.parts.len());
        }
    }
}

const NULL: u8 = 0;
const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const FLOAT: u8 = 3;
const TEXT: u8 = 4;
const IP: u8 = 5;

/// Appends a key's bytes.
pub(crate) fn encode(key: &[KeyPart], bytes: &mut Vec<u8>) {
    key.iter().for_each(|part| write_part(part, bytes));
}

fn write_part(part: &KeyPart, bytes: &mut Vec<u8>) {
    match part {
        KeyPart::Null => bytes.push(NULL),
        KeyPart::Boolean(value) => bytes.extend([BOOLEAN, u8::from(*value)]),
        KeyPart::Integer(value) => write_integer(*value, bytes),
        KeyPart::Float(bits) => {
            bytes.push(FLOAT);
            bytes.extend_from_slice(&bits.to_le_bytes());
        }
        KeyPart::Text(text) => write_text(text, bytes),
        KeyPart::Ip(octets) => {
            bytes.push(IP);
            bytes.extend_from_slice(octets);
        }
    }
}

fn write_integer(value: i64, bytes: &mut Vec<u8>) {
    bytes.push(INTEGER);
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    bytes.push(TEXT);
    let mut length = text.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(text.as_bytes());
}

/// The values of a key that this module wrote. Bytes that it did not write end at the first part that is none.
pub(crate) fn decode(mut bytes: &[u8]) -> JoinKey {
    let mut key = Vec::new();
    while let Some(part) = read_part(&mut bytes) {
        key.push(part);
    }
    key.into_boxed_slice()
}

fn read_part(bytes: &mut &[u8]) -> Option<KeyPart> {
    let (&tag, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(match tag {
        NULL => KeyPart::Null,
        BOOLEAN => KeyPart::Boolean(read::<1>(bytes)? != [0]),
        INTEGER => KeyPart::Integer(i64::from_le_bytes(read(bytes)?)),
        FLOAT => KeyPart::Float(u64::from_le_bytes(read(bytes)?)),
        TEXT => {
            let mut length = 0_usize;
            for shift in (0..usize::BITS).step_by(7) {
                let [byte] = read(bytes)?;
                length |= usize::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let (text, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            KeyPart::Text(std::str::from_utf8(text).ok()?.into())
        }
        IP => KeyPart::Ip(read(bytes)?),
        _ => return None,
    })
}

fn read<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (part, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kestrel_ir::event::{Event, FieldTable};
    use kestrel_ir::frame::FrameBuilder;
    use kestrel_schema::FieldType;

    #[test]
    fn a_key_is_read_back_as_it_was_written() {
        let long = "x".repeat(20_000);
        let key: JoinKey = Box::new([
            KeyPart::Null,
            KeyPart::Boolean(true),
            KeyPart::Integer(-7),
            KeyPart::Float(0.5_f64.to_bits()),
            KeyPart::Text(long.as_str().into()),
            KeyPart::Text("".into()),
            KeyPart::Ip([9; 16]),
        ]);
        let mut bytes = Vec::new();
        encode(&key, &mut bytes);
        assert_eq!(decode(&bytes), key);
        for length in 0..200 {
            decode(&bytes[..length]);
        }
    }

    /// The keys of an event with these numbers and texts.
    fn keys(numbers: &[f64], texts: &[String]) -> (Vec<JoinKey>, bool) {
        let mut layout = Layout::new();
        let fields = [layout.intern("number", FieldType::Double), layout.intern("text", FieldType::Keyword)];
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&layout, &mut table);
        let mut event = Event::new();
        numbers.iter().for_each(|&number| event.push_float(table.lookup("number").expect("a field"), number));
        texts.iter().for_each(|text| event.push_text(table.lookup("text").expect("a field"), text));
        let mut builder = FrameBuilder::new(&layout, &table);
        let specification = fields.map(|field| Key { field: Some(field), optional: false });
        let mut out = Vec::new();
        let cut = join_keys(&layout, &specification, builder.build(&event), &mut out);
        (out, cut)
    }

    #[test]
    fn many_values_give_the_product_of_the_distinct_ones() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let (found, cut) = keys(&[1.0, 0.5, 1.0], &texts(&["a", "b", "a"]));
        let key = |number: KeyPart, text: &str| -> JoinKey { Box::new([number, KeyPart::Text(text.into())]) };
        let half = || KeyPart::Float(0.5_f64.to_bits());
        let one = || KeyPart::Integer(1);
        assert_eq!(found, [key(one(), "a"), key(one(), "b"), key(half(), "a"), key(half(), "b")]);
        assert!(!cut);
        assert_eq!(keys(&[], &texts(&["a"])), (Vec::new(), false));
    }

    #[test]
    fn keys_are_bounded_in_number_and_in_bytes() {
        let numbers: Vec<f64> = (0..1_000).map(f64::from).collect();
        let (found, cut) = keys(&numbers, &["a".to_owned()]);
        assert_eq!((found.len(), cut), (MAX_KEYS_PER_EVENT, true));
        let (found, cut) = keys(&numbers[..8], &["x".repeat(4_000)]);
        assert_eq!((found.len(), cut), (4, true));
        let (found, cut) = keys(&numbers[..1], &["x".repeat(100_000)]);
        assert_eq!((found.len(), cut), (1, false));
    }
}
