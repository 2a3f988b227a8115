//! One event between its source and the frames that rules read: a flat list of typed field values over one heap.
//!
//! A source (NDJSON, `.klog`, kernel records) interns the names of its fields once in a [`FieldTable`], then fills one
//! [`Event`] again and again; after warm-up this allocates nothing. Missing, null and empty fields simply have no entry.
//! A field with many values has many entries, in order. A field inside an array of objects carries the number of its
//! object, so that the values of one object stay together.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::net::IpAddr;

use kestrel_schema::FieldType;

/// The number of a field in a [`FieldTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldNumber(pub u32);

/// The names and types of the fields that a source fills or a pack reads, numbered densely.
#[derive(Debug, Clone, Default)]
pub struct FieldTable {
    names: Vec<String>,
    types: Vec<FieldType>,
    index: HashMap<String, FieldNumber>,
}

impl FieldTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of `name`, which is added with `field_type` when it is new. The first type given to a name stays.
    pub fn intern(&mut self, name: &str, field_type: FieldType) -> FieldNumber {
        if let Some(&number) = self.index.get(name) {
            return number;
        }
        let number = FieldNumber(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name.to_owned());
        self.types.push(field_type);
        self.index.insert(name.to_owned(), number);
        number
    }

    /// The number of `name`, if it is in the table.
    pub fn lookup(&self, name: &str) -> Option<FieldNumber> {
        self.index.get(name).copied()
    }

    /// The dotted name of a field of this table.
    pub fn name(&self, number: FieldNumber) -> &str {
        self.names.get(number.0 as usize).map_or("", String::as_str)
    }

    /// The type of a field of this table.
    pub fn field_type(&self, number: FieldNumber) -> FieldType {
        self.types.get(number.0 as usize).copied().unwrap_or(FieldType::Keyword)
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All fields in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (FieldNumber, &str, FieldType)> {
        self.names
            .iter()
            .zip(&self.types)
            .enumerate()
            .map(|(number, (name, &field_type))| (FieldNumber(number as u32), name.as_str(), field_type))
    }
}

/// One value of one field. Dates are nanoseconds since 1970 UTC; an IPv4 address is held as its IPv4-mapped IPv6 form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldValue<'e> {
    /// A `long` or a `date`.
    Integer(i64),
    /// A `double`.
    Float(f64),
    /// A `boolean`.
    Boolean(bool),
    /// A `keyword` or a `version`.
    Text(&'e str),
    /// An `ip`.
    Ip([u8; 16]),
}

/// How a value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// In the payload.
    Integer,
    /// Its bits are the payload.
    Float,
    /// In the payload.
    Boolean,
    /// In the heap: the payload is its offset, and its length in the upper half.
    Text,
    /// In the list of addresses: the payload is its place.
    Ip,
}

/// A value in 16 bytes, because what an event costs is often what it takes to fetch it from memory.
#[derive(Debug, Clone, Copy)]
struct Entry {
    field: FieldNumber,
    element: u16,
    stored: Stored,
    payload: u64,
}

/// A value of an event, not looked at yet.
#[derive(Debug, Clone, Copy)]
pub struct EventEntry<'e> {
    event: &'e Event,
    entry: &'e Entry,
}

impl<'e> EventEntry<'e> {
    /// The field that has the value.
    #[inline]
    pub fn field(self) -> FieldNumber {
        self.entry.field
    }

    /// The number of the object that the value belongs to.
    #[inline]
    pub fn element(self) -> u32 {
        u32::from(self.entry.element)
    }

    /// The value.
    #[inline]
    pub fn value(self) -> FieldValue<'e> {
        self.event.value_of(self.entry)
    }
}

/// One event: when, which, and the values of its fields.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub timestamp: i64,
    /// Breaks ties between equal timestamps; 0 when the source has none.
    pub tiebreaker: i64,
    /// Arrival number within the run, from 0; the last resort of the order.
    pub ordinal: u64,
    /// The sources' own doubt about this event: losses in its window, values cut short. See [`EventFlags`].
    pub flags: EventFlags,
    entries: Vec<Entry>,
    heap: String,
    addresses: Vec<[u8; 16]>,
    /// The number of the last object of each object field, while a decoder counts them.
    pub(crate) objects: Vec<(FieldNumber, u32)>,
}

/// What a source has to say about the quality of an event, as a bit set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventFlags(pub u32);

impl EventFlags {
    /// A value was longer than the source can carry and was cut.
    pub const TRUNCATED: EventFlags = EventFlags(1);
    /// A value could not be read and is missing.
    pub const UNREADABLE: EventFlags = EventFlags(2);
    /// A value did not fit its field's type and was left out.
    pub const MISTYPED: EventFlags = EventFlags(4);

    /// Sets `other`'s bits.
    pub fn insert(&mut self, other: EventFlags) {
        self.0 |= other.0;
    }

    /// Whether all of `other`'s bits are set.
    pub fn contains(self, other: EventFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Event {
    /// An event without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all fields, keeps the memory.
    pub fn clear(&mut self) {
        self.timestamp = 0;
        self.tiebreaker = 0;
        self.ordinal = 0;
        self.flags = EventFlags::default();
        self.entries.clear();
        self.heap.clear();
        self.addresses.clear();
        self.objects.clear();
    }

    /// Adds a value of a `long` or `date` field.
    pub fn push_integer(&mut self, field: FieldNumber, value: i64) {
        self.push_value(field, 0, FieldValue::Integer(value));
    }

    /// Adds a value of a `double` field.
    pub fn push_float(&mut self, field: FieldNumber, value: f64) {
        self.push_value(field, 0, FieldValue::Float(value));
    }

    /// Adds a value of a `boolean` field.
    pub fn push_boolean(&mut self, field: FieldNumber, value: bool) {
        self.push_value(field, 0, FieldValue::Boolean(value));
    }

    /// Adds a value of a `keyword` or `version` field.
    pub fn push_text(&mut self, field: FieldNumber, value: &str) {
        self.push_value(field, 0, FieldValue::Text(value));
    }

    /// Adds a value of an `ip` field.
    pub fn push_ip(&mut self, field: FieldNumber, value: IpAddr) {
        self.push_value(field, 0, FieldValue::Ip(ip_octets(value)));
    }

    /// Adds a value that belongs to object `element` of an array of objects (0 for every other field). An object behind
    /// the 65,536th is left out and flags the event as [`EventFlags::TRUNCATED`].
    pub fn push_value(&mut self, field: FieldNumber, element: u32, value: FieldValue<'_>) {
        match value {
            FieldValue::Integer(value) => self.push(field, element, Stored::Integer, value as u64),
            FieldValue::Float(value) => self.push(field, element, Stored::Float, value.to_bits()),
            FieldValue::Boolean(value) => self.push(field, element, Stored::Boolean, u64::from(value)),
            FieldValue::Ip(octets) => {
                self.addresses.push(octets);
                self.push(field, element, Stored::Ip, self.addresses.len() as u64 - 1);
            }
            FieldValue::Text(text) => {
                let start = self.heap.len();
                self.heap.push_str(text);
                self.push_text_from(field, element, start);
            }
        }
    }

    /// Adds a text that is made by writing.
    pub fn push_written(&mut self, field: FieldNumber, element: u32, text: fmt::Arguments<'_>) {
        let start = self.heap.len();
        // Writing into memory does not fail.
        let _ = self.heap.write_fmt(text);
        self.push_text_from(field, element, start);
    }

    /// Adds the text that the heap has from `start` on. An event's heap is bounded by the source's line or record limit, far
    /// below 4 GiB; past that, it is dropped.
    fn push_text_from(&mut self, field: FieldNumber, element: u32, start: usize) {
        let end = self.heap.len();
        if u32::try_from(end).is_err() {
            self.heap.truncate(start);
            self.flags.insert(EventFlags::TRUNCATED);
            return;
        }
        self.push(field, element, Stored::Text, start as u64 | ((end - start) as u64) << 32);
    }

    fn push(&mut self, field: FieldNumber, element: u32, stored: Stored, payload: u64) {
        match u16::try_from(element) {
            Ok(element) => self.entries.push(Entry { field, element, stored, payload }),
            Err(_) => self.flags.insert(EventFlags::TRUNCATED),
        }
    }

    /// All values in the order in which they were added: field, number of the object, value.
    pub fn values(&self) -> impl Iterator<Item = (FieldNumber, u32, FieldValue<'_>)> {
        self.entries.iter().map(|entry| (entry.field, u32::from(entry.element), self.value_of(entry)))
    }

    /// The same, each value to be asked for.
    pub fn entries(&self) -> impl Iterator<Item = EventEntry<'_>> {
        self.entries.iter().map(|entry| EventEntry { event: self, entry })
    }

    /// The values of one field, in order.
    pub fn field(&self, field: FieldNumber) -> impl Iterator<Item = FieldValue<'_>> {
        self.entries.iter().filter(move |entry| entry.field == field).map(|entry| self.value_of(entry))
    }

    /// How many values there are in all.
    pub fn value_count(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    fn value_of(&self, entry: &Entry) -> FieldValue<'_> {
        let payload = entry.payload;
        match entry.stored {
            Stored::Integer => FieldValue::Integer(payload as i64),
            Stored::Float => FieldValue::Float(f64::from_bits(payload)),
            Stored::Boolean => FieldValue::Boolean(payload != 0),
            Stored::Ip => FieldValue::Ip(self.addresses.get(payload as usize).copied().unwrap_or_default()),
            Stored::Text => {
                let (start, length) = ((payload & 0xffff_ffff) as usize, (payload >> 32) as usize);
                FieldValue::Text(self.heap.get(start..start + length).unwrap_or(""))
            }
        }
    }
}

const _: () = assert!(size_of::<Entry>() == 16, "an entry is a quarter of a cache line");

/// The 16 octets of an address; IPv4 becomes `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).
pub fn ip_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The address that 16 octets stand for, an IPv4-mapped one as IPv4.
pub fn ip_address(octets: [u8; 16]) -> IpAddr {
    IpAddr::from(octets).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_keep_their_order_and_clear_forgets_them() {
        let mut table = FieldTable::new();
        let args = table.intern("process.args", FieldType::Keyword);
        let pid = table.intern("process.pid", FieldType::Long);
        assert_eq!(table.intern("process.args", FieldType::Long), args);
        let mut event = Event::new();
        event.push_text(args, "ls");
        event.push_integer(pid, 7);
        event.push_text(args, "-l");
        let values: Vec<_> = event.field(args).collect();
        assert_eq!(values, [FieldValue::Text("ls"), FieldValue::Text("-l")]);
        event.clear();
        assert_eq!(event.value_count(), 0);
    }

    #[test]
    fn addresses_come_back_in_their_own_family() {
        for text in ["10.0.0.1", "::1", "fe80::1"] {
            let address: IpAddr = text.parse().expect("a literal address");
            assert_eq!(ip_address(ip_octets(address)), address);
        }
    }
}
