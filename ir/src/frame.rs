//! The frame ABI, version 1: one event laid out for a pack, read in place by every runtime.
//!
//! In: an [`Event`] and the pack's [`Layout`]. Out: one run of little-endian bytes, 8-aligned, offsets from its start:
//!
//! ```text
//!  0  u32  ABI version (1)          4  u32  length of the frame in bytes
//!  8  i64  timestamp, ns since 1970 16  i64  tiebreaker
//! 24  u64  ordinal                  32  u32  flags            36  u32  number of top-level slots, n
//! 40  presence: ceil(n / 64) words of 64 bits, bit i is slot i: set when its count is not 0
//!     slots: n times 16 bytes       u32 count | u32 offset of the values when count > 1 | u64 first value
//!     heap: value arrays (8 bytes a value), objects' slots, octets of addresses, string bytes
//! ```
//!
//! A value is 8 bytes: an `i64`, the bits of an `f64`, 0 or 1, or for text `u32 offset | u32 length << 32` of its UTF-8
//! bytes, for an address the offset of 16 octets, for an object the offset of its children's slots (no presence bits).
//! A missing field has count 0. Frames are built by this crate from checked parts; a reader still checks every offset,
//! because evidence frames also come from saved state.

use crate::event::{Event, EventFlags, FieldTable, FieldValue, MAX_ELEMENT};
use crate::layout::{FieldId, Layout};
use kestrel_schema::FieldType;

/// The version of the frame ABI that this build writes and reads.
pub const FRAME_VERSION: u32 = 1;
/// Bytes before the presence bits.
pub const HEADER_SIZE: usize = 40;
/// Bytes of one slot.
pub const SLOT_SIZE: usize = 16;
/// No slot: a value that has no room.
const LEFT_OUT: u32 = u32::MAX;
/// The longest frame that is built; values past it are left out and the frame is flagged as truncated.
pub const MAX_FRAME_SIZE: usize = 1 << 20;

/// The offset of slot `slot` in a frame with `slots` top-level slots.
pub fn slot_offset(slots: usize, slot: usize) -> usize {
    HEADER_SIZE + slots.div_ceil(64) * 8 + slot * SLOT_SIZE
}

/// A frame's bytes, to be read.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'f> {
    bytes: &'f [u8],
}

/// The values of one field in a frame.
#[derive(Debug, Clone, Copy)]
pub struct FrameValues<'f> {
    frame: Frame<'f>,
    field_type: FieldType,
    count: u32,
    array: u32,
    first: u64,
}

/// Where an object's slots start in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectOffset(pub u32);

/// One value as a frame holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Slot<'f> {
    /// A `long` or a `date` (nanoseconds since 1970).
    Integer(i64),
    /// A `double`.
    Float(f64),
    /// A `boolean`.
    Boolean(bool),
    /// A `keyword` or a `version`.
    Text(&'f str),
    /// An `ip`, IPv4 mapped into IPv6.
    Ip([u8; 16]),
    /// One object of an array of objects.
    Object(ObjectOffset),
}

impl<'f> Frame<'f> {
    /// Reads `bytes` as a frame. `None` when they are no frame of this version.
    #[inline]
    pub fn new(bytes: &'f [u8]) -> Option<Self> {
        let frame = Frame { bytes };
        (frame.u32_at(0)? == FRAME_VERSION && frame.u32_at(4)? as usize == bytes.len()).then_some(frame)
    }

    /// The bytes of the frame.
    pub fn bytes(self) -> &'f [u8] {
        self.bytes
    }

    /// Nanoseconds since 1970.
    pub fn timestamp(self) -> i64 {
        self.u64_at(8).unwrap_or(0) as i64
    }

    /// The source's tiebreaker between equal timestamps.
    pub fn tiebreaker(self) -> i64 {
        self.u64_at(16).unwrap_or(0) as i64
    }

    /// The event's arrival number.
    pub fn ordinal(self) -> u64 {
        self.u64_at(24).unwrap_or(0)
    }

    /// What the source doubts about the event.
    pub fn flags(self) -> EventFlags {
        EventFlags(self.u32_at(32).unwrap_or(0))
    }

    /// The values of a top-level field.
    pub fn values(self, layout: &Layout, field: FieldId) -> FrameValues<'f> {
        let Some(definition) = layout.get(field) else { return self.no_values(FieldType::Keyword) };
        let slots = self.u32_at(36).unwrap_or(0) as usize;
        if definition.slot as usize >= slots || definition.parent.is_some() {
            return self.no_values(definition.field_type);
        }
        self.values_at(slot_offset(slots, definition.slot as usize), definition.field_type)
    }

    /// Whether a top-level field has a value, by its presence bit.
    pub fn is_present(self, layout: &Layout, field: FieldId) -> bool {
        let Some(definition) = layout.get(field) else { return false };
        let (slot, slots) = (definition.slot as usize, self.u32_at(36).unwrap_or(0) as usize);
        let bits = || self.bytes.get(HEADER_SIZE + slot / 8).copied().unwrap_or(0);
        slot < slots && definition.parent.is_none() && bits() >> (slot % 8) & 1 == 1
    }

    /// The values of a child field in one object.
    pub fn object_values(self, layout: &Layout, object: ObjectOffset, field: FieldId) -> FrameValues<'f> {
        let Some(definition) = layout.get(field) else { return self.no_values(FieldType::Keyword) };
        self.values_at(object.0 as usize + definition.slot as usize * SLOT_SIZE, definition.field_type)
    }

    fn values_at(self, offset: usize, field_type: FieldType) -> FrameValues<'f> {
        match (self.u32_at(offset), self.u32_at(offset + 4), self.u64_at(offset + 8)) {
            (Some(count), Some(array), Some(first)) => FrameValues { frame: self, field_type, count, array, first },
            _ => self.no_values(field_type),
        }
    }

    fn no_values(self, field_type: FieldType) -> FrameValues<'f> {
        FrameValues { frame: self, field_type, count: 0, array: 0, first: 0 }
    }

    fn decode(self, field_type: FieldType, raw: u64) -> Option<Slot<'f>> {
        Some(match field_type {
            FieldType::Long | FieldType::Date => Slot::Integer(raw as i64),
            FieldType::Double => Slot::Float(f64::from_bits(raw)),
            FieldType::Boolean => Slot::Boolean(raw != 0),
            FieldType::Keyword | FieldType::Version => {
                let start = (raw & 0xffff_ffff) as usize;
                let bytes = self.bytes.get(start..start.checked_add((raw >> 32) as usize)?)?;
                Slot::Text(std::str::from_utf8(bytes).ok()?)
            }
            FieldType::Ip => {
                let start = (raw & 0xffff_ffff) as usize;
                Slot::Ip(self.bytes.get(start..start.checked_add(16)?)?.try_into().ok()?)
            }
            FieldType::Object => Slot::Object(ObjectOffset((raw & 0xffff_ffff) as u32)),
        })
    }

    fn u32_at(self, offset: usize) -> Option<u32> {
        let bytes = self.bytes.get(offset..offset.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    fn u64_at(self, offset: usize) -> Option<u64> {
        let bytes = self.bytes.get(offset..offset.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

impl<'f> FrameValues<'f> {
    /// How many values there are; 0 for a missing field.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether the field is missing.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value number `index`.
    pub fn get(&self, index: usize) -> Option<Slot<'f>> {
        let raw = match index {
            0 if self.count > 0 => self.first,
            _ if index < self.count as usize => self.frame.u64_at(self.array as usize + index * 8)?,
            _ => return None,
        };
        self.frame.decode(self.field_type, raw)
    }

    /// All values, in order.
    pub fn iter(self) -> impl Iterator<Item = Slot<'f>> {
        (0..self.len()).map_while(move |index| self.get(index))
    }
}

/// Where the values of one field of a [`FieldTable`] go in a frame.
#[derive(Debug, Clone, Copy, Default)]
struct Target {
    slot: Option<u32>,
    child: Option<FieldId>,
}

/// Builds the frames of one pack from events over one field table. Keeps its memory between events.
#[derive(Debug, Clone)]
pub struct FrameBuilder {
    layout: Layout,
    slots: usize,
    targets: Vec<Target>,
    /// The top-level object fields whose children somebody reads: field, slot, bytes of one object's slots.
    objects: Vec<(FieldId, usize, usize)>,
    bytes: Vec<u8>,
    /// By slot: how many values the event has.
    counts: Vec<u32>,
    /// The values, in the order of the event.
    values: Vec<(u32, u64)>,
    children: Vec<Child>,
}

/// A value of an object's child, to be written after the top level.
#[derive(Debug, Clone, Copy)]
struct Child {
    parent: FieldId,
    element: u32,
    slot: u32,
    /// Its number among all children of the event.
    order: u32,
    raw: u64,
}

impl FrameBuilder {
    /// A builder for frames of `layout` from events whose fields are numbered by `table`.
    pub fn new(layout: &Layout, table: &FieldTable) -> Self {
        let mut targets = vec![Target::default(); table.len()];
        for (id, field) in layout.iter() {
            let Some(number) = table.lookup(&field.name) else { continue };
            let target = &mut targets[number.0 as usize];
            match field.parent {
                None => target.slot = Some(field.slot),
                Some(_) => target.child = Some(id),
            }
        }
        let slots = layout.top_level_slots();
        FrameBuilder {
            layout: layout.clone(),
            slots,
            targets,
            objects: layout
                .iter()
                .filter(|(_, field)| field.field_type == FieldType::Object && field.parent.is_none())
                .map(|(id, field)| (id, field.slot as usize, layout.children(id).count() * SLOT_SIZE))
                .filter(|(_, _, width)| *width > 0)
                .collect(),
            bytes: Vec::with_capacity(4096),
            counts: vec![0; slots],
            values: Vec::new(),
            children: Vec::new(),
        }
    }

    /// The fields' names and types that the layout asks of a source, children included.
    pub fn wanted(layout: &Layout, table: &mut FieldTable) {
        for (_, field) in layout.iter() {
            table.intern(&field.name, field.field_type);
        }
    }

    /// Lays `event` out. The frame lives until the next call.
    pub fn build(&mut self, event: &Event) -> Frame<'_> {
        let heap = slot_offset(self.slots, self.slots);
        self.bytes.clear();
        self.bytes.resize(heap, 0);
        self.children.clear();
        let mut flags = event.flags;
        for entry in event.entries() {
            let Some(target) = self.targets.get(entry.field().0 as usize).copied() else { continue };
            if target.slot.is_none() && target.child.is_none() {
                continue;
            }
            if self.bytes.len() + (self.values.len() + self.children.len()) * 8 > MAX_FRAME_SIZE {
                flags.insert(EventFlags::TRUNCATED);
                break;
            }
            let raw = append(&mut self.bytes, entry.value());
            if let Some(slot) = target.slot {
                self.counts[slot as usize] += 1;
                self.values.push((slot, raw));
            }
            if let Some(child) = target.child
                && let Some(field) = self.layout.get(child)
                && let Some(parent) = field.parent
            {
                let order = self.children.len() as u32;
                self.children.push(Child { parent, element: entry.element(), slot: field.slot, order, raw });
            }
        }
        if !self.write_objects() {
            flags.insert(EventFlags::TRUNCATED);
        }
        self.write_values();
        let length = self.bytes.len() as u32;
        put_u32(&mut self.bytes, 0, FRAME_VERSION);
        put_u32(&mut self.bytes, 4, length);
        put_u64(&mut self.bytes, 8, event.timestamp as u64);
        put_u64(&mut self.bytes, 16, event.tiebreaker as u64);
        put_u64(&mut self.bytes, 24, event.ordinal);
        put_u32(&mut self.bytes, 32, flags.0);
        put_u32(&mut self.bytes, 36, self.slots as u32);
        Frame { bytes: &self.bytes }
    }

    /// Lays `event` out as [`FrameBuilder::build`] does, in memory of the caller's, whose content is replaced.
    pub fn build_in(&mut self, event: &Event, bytes: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, bytes);
        self.build(event);
        std::mem::swap(&mut self.bytes, bytes);
    }

    /// The frame that was built last.
    pub fn frame(&self) -> Frame<'_> {
        Frame { bytes: &self.bytes }
    }

    /// Writes the slots, and behind everything else the arrays of fields with more than one value.
    fn write_values(&mut self) {
        align(&mut self.bytes);
        for number in 0..self.values.len() {
            let (slot, raw) = self.values[number];
            if slot == LEFT_OUT {
                continue;
            }
            let offset = slot_offset(self.slots, slot as usize);
            let count = self.counts[slot as usize];
            let written = get_u32(&self.bytes, offset);
            put_u32(&mut self.bytes, offset, written + 1);
            if written == 0 {
                put_u64(&mut self.bytes, offset + 8, raw);
                self.bytes[HEADER_SIZE + slot as usize / 8] |= 1 << (slot % 8);
                if count > 1 {
                    let array = self.bytes.len();
                    self.bytes.resize(array + count as usize * 8, 0);
                    put_u32(&mut self.bytes, offset + 4, array as u32);
                }
            }
            if count > 1 {
                let array = get_u32(&self.bytes, offset + 4) as usize;
                put_u64(&mut self.bytes, array + written as usize * 8, raw);
            }
            if written + 1 == count {
                self.counts[slot as usize] = 0;
            }
        }
        self.values.clear();
    }

    /// Writes the slots of each object behind everything else and points the object field's values at them. `false` when
    /// there is no room for all; those without room are left out.
    fn write_objects(&mut self) -> bool {
        self.children.sort_unstable_by_key(|child| (child.parent, child.element, child.slot, child.order));
        let mut whole = true;
        for number in 0..self.objects.len() {
            let (id, slot, width) = self.objects[number];
            let mut element = 0;
            for place in 0..self.values.len() {
                if self.values[place].0 as usize != slot {
                    continue;
                }
                if self.bytes.len() + width > MAX_FRAME_SIZE {
                    self.values[place].0 = LEFT_OUT;
                    self.counts[slot] -= 1;
                    whole = false;
                    continue;
                }
                align(&mut self.bytes);
                let object = self.bytes.len();
                self.bytes.resize(object + width, 0);
                // What lies behind the last number that values can have belongs to no object.
                if element < MAX_ELEMENT {
                    self.write_object(id, element, object);
                }
                self.values[place].1 = object as u64;
                element += 1;
            }
        }
        whole
    }

    fn write_object(&mut self, parent: FieldId, element: u32, object: usize) {
        let mut place = self.children.partition_point(|child| (child.parent, child.element) < (parent, element));
        while let Some(&Child { slot, .. }) = self.children.get(place).filter(|child| child.is_of(parent, element)) {
            let same = |child: &&Child| child.is_of(parent, element) && child.slot == slot;
            let count = self.children[place..].iter().take_while(same).count();
            let offset = object + slot as usize * SLOT_SIZE;
            put_u32(&mut self.bytes, offset, count as u32);
            put_u64(&mut self.bytes, offset + 8, self.children[place].raw);
            if count > 1 {
                align(&mut self.bytes);
                let array = self.bytes.len() as u32;
                put_u32(&mut self.bytes, offset + 4, array);
                for child in &self.children[place..place + count] {
                    self.bytes.extend_from_slice(&child.raw.to_le_bytes());
                }
            }
            place += count;
        }
    }
}

impl Child {
    fn is_of(&self, parent: FieldId, element: u32) -> bool {
        self.parent == parent && self.element == element
    }
}

fn append(bytes: &mut Vec<u8>, value: FieldValue<'_>) -> u64 {
    match value {
        FieldValue::Integer(value) => value as u64,
        FieldValue::Float(value) => value.to_bits(),
        FieldValue::Boolean(value) => u64::from(value),
        FieldValue::Text(text) => {
            let offset = bytes.len() as u64;
            bytes.extend_from_slice(text.as_bytes());
            offset | (text.len() as u64) << 32
        }
        FieldValue::Ip(octets) => {
            let offset = bytes.len() as u64;
            bytes.extend_from_slice(&octets);
            offset
        }
    }
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

fn put_u32(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(bytes: &mut [u8], offset: usize, value: u64) {
    bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

fn get_u32(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_gives_back_what_the_event_held() {
        let mut layout = Layout::new();
        let args = layout.intern("process.args", FieldType::Keyword);
        let pid = layout.intern("process.pid", FieldType::Long);
        let ip = layout.intern("source.ip", FieldType::Ip);
        let missing = layout.intern("process.name", FieldType::Keyword);
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&layout, &mut table);
        let other = table.intern("not.wanted", FieldType::Keyword);
        let mut event = Event::new();
        event.timestamp = -5;
        event.push_text(table.lookup("process.args").expect("interned"), "a");
        event.push_text(other, "z");
        event.push_text(table.lookup("process.args").expect("interned"), "");
        event.push_integer(table.lookup("process.pid").expect("interned"), -1);
        event.push_ip(table.lookup("source.ip").expect("interned"), "10.0.0.1".parse().expect("an address"));
        let mut builder = FrameBuilder::new(&layout, &table);
        let frame = builder.build(&event);
        assert!(Frame::new(frame.bytes()).is_some());
        assert_eq!(frame.timestamp(), -5);
        let values: Vec<_> = frame.values(&layout, args).iter().collect();
        assert_eq!(values, [Slot::Text("a"), Slot::Text("")]);
        assert_eq!(frame.values(&layout, pid).get(0), Some(Slot::Integer(-1)));
        assert_eq!(frame.values(&layout, ip).len(), 1);
        assert!(frame.values(&layout, missing).is_empty());
        assert!(frame.values(&layout, FieldId(99)).is_empty());
    }

    #[test]
    fn values_of_one_object_stay_together() {
        let mut layout = Layout::new();
        let stack = layout.intern("stack", FieldType::Object);
        let symbol = layout.intern_child("stack.symbol", FieldType::Keyword, stack);
        let size = layout.intern_child("stack.size", FieldType::Long, stack);
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&layout, &mut table);
        let number = |name: &str| table.lookup(name).expect("interned");
        let mut event = Event::new();
        for element in 0..2 {
            event.push_value(number("stack"), element, FieldValue::Boolean(true));
            event.push_value(number("stack.size"), element, FieldValue::Integer(i64::from(element)));
        }
        event.push_value(number("stack.symbol"), 1, FieldValue::Text("x"));
        event.push_value(number("stack.symbol"), 1, FieldValue::Text("y"));
        let mut builder = FrameBuilder::new(&layout, &table);
        let frame = builder.build(&event);
        let objects: Vec<_> = frame.values(&layout, stack).iter().collect();
        let [Slot::Object(first), Slot::Object(second)] = objects[..] else { panic!("two objects, got {objects:?}") };
        assert!(frame.object_values(&layout, first, symbol).is_empty());
        assert_eq!(frame.object_values(&layout, first, size).get(0), Some(Slot::Integer(0)));
        assert_eq!(frame.object_values(&layout, second, symbol).iter().count(), 2);
    }

    #[test]
    fn an_event_with_too_many_values_or_objects_is_cut() {
        let mut layout = Layout::new();
        let stack = layout.intern("stack", FieldType::Object);
        let size = layout.intern_child("stack.size", FieldType::Long, stack);
        let pids = layout.intern("pids", FieldType::Long);
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&layout, &mut table);
        let number = |name: &str| table.lookup(name).expect("interned");
        let mut event = Event::new();
        for element in 0..70_000 {
            event.push_value(number("stack"), element, FieldValue::Boolean(true));
            event.push_value(number("stack.size"), element, FieldValue::Integer(i64::from(element)));
        }
        event.push_integer(number("pids"), 1);
        let mut builder = FrameBuilder::new(&layout, &table);
        for _ in 0..2 {
            let frame = builder.build(&event);
            assert!(frame.flags().contains(EventFlags::TRUNCATED));
            assert!(frame.bytes().len() < 2 * MAX_FRAME_SIZE, "{} bytes", frame.bytes().len());
            let objects = frame.values(&layout, stack);
            assert!(objects.len() > 1000, "{} objects", objects.len());
            let last = objects.len() - 1;
            let Some(Slot::Object(object)) = objects.get(last) else { panic!("an object") };
            assert_eq!(frame.object_values(&layout, object, size).get(0), Some(Slot::Integer(last as i64)));
        }
        event.clear();
        (0..1_000_000).for_each(|value| event.push_integer(number("pids"), value));
        let frame = builder.build(&event);
        assert!(frame.flags().contains(EventFlags::TRUNCATED) && frame.bytes().len() < 2 * MAX_FRAME_SIZE);
        assert!(frame.values(&layout, pids).len() > 1000);
        event.clear();
        event.push_integer(number("pids"), 7);
        assert_eq!(builder.build(&event).values(&layout, pids).iter().collect::<Vec<_>>(), [Slot::Integer(7)]);
    }

    #[test]
    fn hostile_bytes_are_no_frame_or_read_as_missing() {
        let mut layout = Layout::new();
        let name = layout.intern("process.name", FieldType::Keyword);
        assert!(Frame::new(&[]).is_none());
        let mut bytes = vec![0xff; 64];
        assert!(Frame::new(&bytes).is_none());
        put_u32(&mut bytes, 0, FRAME_VERSION);
        put_u32(&mut bytes, 4, 64);
        let frame = Frame::new(&bytes).expect("a header");
        assert_eq!(frame.values(&layout, name).iter().count(), 0);
    }
}
