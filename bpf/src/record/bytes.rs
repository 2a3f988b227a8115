//! The bytes of a record, read with every offset in doubt, and written.

use super::RecordError;
use super::kind::SectionLimit;
use crate::layout::{self, FIXED_SIZE, SECTIONS, TAIL};

/// A record's bytes, which are read only where they are.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    bytes: &'r [u8],
    sections: [&'r [u8]; SECTIONS],
}

impl<'r> Reader<'r> {
    pub(super) fn new(bytes: &'r [u8]) -> Self {
        Reader { bytes, sections: [&[]; SECTIONS] }
    }

    pub(super) fn expect(self, expected: usize) -> Result<(), RecordError> {
        if self.bytes.len() < expected {
            return Err(RecordError::TooShort { expected, found: self.bytes.len() });
        }
        Ok(())
    }

    /// The same bytes, with the tail cut into its sections; none is longer than its limit, and nothing is left over.
    pub(super) fn cut(mut self, limits: &[SectionLimit; SECTIONS]) -> Result<Self, RecordError> {
        self.expect(TAIL)?;
        let mut tail = self.bytes.get(TAIL..).unwrap_or_default();
        for (index, (&(name, limit), section)) in limits.iter().zip(&mut self.sections).enumerate() {
            let length = Reader::new(self.bytes).u32(layout::record::SECTIONS + 4 * index)? as usize;
            match tail.split_at_checked(length) {
                Some((this, rest)) if length <= limit => (*section, tail) = (this, rest),
                _ => return Err(RecordError::Section { section: name, length }),
            }
        }
        match tail.len() {
            0 => Ok(self),
            length => Err(RecordError::Section { section: "tail", length }),
        }
    }

    /// A section of the tail; empty before [`Reader::cut`].
    pub(super) fn section(self, index: usize) -> Result<&'r [u8], RecordError> {
        self.sections.get(index).copied().ok_or(RecordError::Section { section: "none", length: 0 })
    }

    pub(super) fn array<const N: usize>(self, offset: usize) -> Result<[u8; N], RecordError> {
        let short = RecordError::TooShort { expected: offset.saturating_add(N), found: self.bytes.len() };
        self.bytes.get(offset..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(short)
    }

    pub(super) fn u16(self, offset: usize) -> Result<u16, RecordError> {
        Ok(u16::from_le_bytes(self.array(offset)?))
    }

    pub(super) fn u32(self, offset: usize) -> Result<u32, RecordError> {
        Ok(u32::from_le_bytes(self.array(offset)?))
    }

    pub(super) fn u64(self, offset: usize) -> Result<u64, RecordError> {
        Ok(u64::from_le_bytes(self.array(offset)?))
    }

    /// Bytes of the fixed part, by their place there.
    pub(super) fn fixed_array<const N: usize>(self, offset: usize) -> Result<[u8; N], RecordError> {
        self.array(layout::record::FIXED + offset)
    }

    /// A number of the fixed part, by its place there.
    pub(super) fn fixed_u16(self, offset: usize) -> Result<u16, RecordError> {
        self.u16(layout::record::FIXED + offset)
    }

    /// A number of the fixed part, by its place there.
    pub(super) fn fixed_u32(self, offset: usize) -> Result<u32, RecordError> {
        self.u32(layout::record::FIXED + offset)
    }

    /// A number of the fixed part, by its place there.
    pub(super) fn fixed_u64(self, offset: usize) -> Result<u64, RecordError> {
        self.u64(layout::record::FIXED + offset)
    }
}

/// A record being written.
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Writer { bytes: vec![0; TAIL] }
    }

    pub(super) fn put(&mut self, offset: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(offset..offset + value.len()) {
            place.copy_from_slice(value);
        }
    }

    pub(super) fn fixed(&mut self, offset: usize, value: &[u8]) {
        assert!(offset + value.len() <= FIXED_SIZE, "the fixed part has no such place");
        self.put(layout::record::FIXED + offset, value);
    }

    /// Appends a section; sections are to be written in their order.
    pub(super) fn section(&mut self, index: usize, section: &[u8]) {
        self.put(layout::record::SECTIONS + 4 * index, &(section.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(section);
    }

    /// The record, its length written into its header.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.put(layout::header::LENGTH, &length.to_le_bytes());
        self.bytes
    }
}
