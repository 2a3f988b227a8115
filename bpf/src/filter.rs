//! The tables of the kernel's filter, as `include/kestrel_filter.h` reads them.
//!
//! In: keys of one kind of events. Out: the bytes of a [`FilterTable`], a Bloom filter in which two bits stand for each key;
//! and, for tests, the same question that the kernel asks of a record. A table may let events through that nobody asked for;
//! it never refuses one that has a key. Texts are compared without regard to the case of ASCII letters.

use crate::record::{FileName, Record};

/// The bits of a table, a power of two.
pub const BITS: usize = 32_768;
const WORDS: usize = BITS / 64;
/// The bytes of a table in the kernel's map.
pub const TABLE_SIZE: usize = 8 + WORDS * 8;
/// Longer paths pass unseen, and so do those with more components.
pub const SCAN_LIMIT: usize = 384;
/// See [`SCAN_LIMIT`].
pub const COMPONENTS: usize = 32;

const HASH_BASE: u64 = 0x100_0000_01b3;
const HASH_MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// The key of what is never compared and therefore passes, once the kernel looks at paths at all.
pub const INCOMPARABLE: &str = "\\";
/// Set in a table that may have no key.
const CLOSED: u32 = 64;

/// What a key is compared with; the numbers are those of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Test {
    /// The last component of the file's path.
    FileName = 1,
    /// What follows the last dot of that component.
    FileExtension = 2,
    /// Any component of the file's path.
    PathComponent = 4,
    /// The first components of the file's path, with `/` between them.
    PathPrefix = 8,
    /// The name of the process that acts.
    ProcessName = 16,
    /// The effective user of the process that acts, a decimal number.
    UserId = 32,
}

/// The keys of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterTable {
    tests: u32,
    bits: Box<[u64; WORDS]>,
}

impl Default for FilterTable {
    /// The table that lets everything through.
    fn default() -> FilterTable {
        FilterTable { tests: 0, bits: Box::new([0; WORDS]) }
    }
}

impl FilterTable {
    /// The table that lets nothing through, until it has keys.
    pub fn closed() -> FilterTable {
        FilterTable { tests: CLOSED, ..FilterTable::default() }
    }

    /// Adds a key. `false` when it cannot be compared, and then the kind must not be filtered.
    #[must_use]
    pub fn insert(&mut self, test: Test, text: &str) -> bool {
        if text == INCOMPARABLE {
            // It is enough that the kernel looks.
            self.tests |= test as u32;
            return true;
        }
        let hash = match test {
            Test::PathPrefix => {
                let mut beginning = 0;
                for component in text.split('/') {
                    let Some(hash) = text_hash(component) else { return false };
                    beginning = longer(beginning, hash);
                }
                Some(beginning)
            }
            Test::UserId => text.parse::<u32>().ok().map(u64::from),
            _ => text_hash(text),
        };
        let Some(hash) = hash else { return false };
        for bit in places(test, hash) {
            self.bits[bit / 64] |= 1 << (bit % 64);
        }
        self.tests |= test as u32;
        true
    }

    /// Whether everything passes.
    pub fn is_open(&self) -> bool {
        self.tests == 0
    }

    /// How many of the bits are set, from 0 to 1: the share of strange keys that pass is its square.
    pub fn fill(&self) -> f64 {
        let set: u32 = self.bits.iter().map(|word| word.count_ones()).sum();
        f64::from(set) / BITS as f64
    }

    /// The element of the kernel's map.
    pub fn bytes(&self) -> [u8; TABLE_SIZE] {
        let mut bytes = [0; TABLE_SIZE];
        bytes[..4].copy_from_slice(&self.tests.to_le_bytes());
        for (place, word) in bytes[8..].chunks_exact_mut(8).zip(self.bits.iter()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn has(&self, test: Test, hash: u64) -> bool {
        self.asks(test) && places(test, hash).into_iter().all(|bit| self.bits[bit / 64] >> (bit % 64) & 1 == 1)
    }

    fn asks(&self, test: Test) -> bool {
        self.tests & test as u32 != 0
    }

    /// Whether the kernel lets a record through that names `file`, if it names one; `actor` is what is known of the name of
    /// the process, as [`name_hash`] gives it.
    pub fn passes(&self, record: &Record<'_>, file: Option<FileName<'_>>, actor: Option<u64>) -> bool {
        if self.is_open() {
            return true;
        }
        if self.asks(Test::ProcessName) && actor.is_none_or(|name| self.has(Test::ProcessName, name)) {
            return true;
        }
        if self.has(Test::UserId, record.task.effective_user_id.into()) {
            return true;
        }
        const OF_FILES: u32 = 15;
        self.tests & OF_FILES != 0 && file.is_none_or(|file| self.passes_file(record, file))
    }

    fn passes_file(&self, record: &Record<'_>, file: FileName<'_>) -> bool {
        let flags = record.header.flags;
        if (0..2).any(|section| flags.section(section).0 != 0) {
            return true;
        }
        let Some(components) = components(file) else { return true };
        let Some(name) = components.last() else { return true };
        if self.has(Test::FileName, name.hash) || name.extension.is_some_and(|hash| self.has(Test::FileExtension, hash))
        {
            return true;
        }
        let mut beginning = 0;
        components.iter().any(|component| {
            beginning = longer(beginning, component.hash);
            self.has(Test::PathComponent, component.hash) || self.has(Test::PathPrefix, beginning)
        })
    }
}

/// What the kernel remembers of a process's name; `None` for one that it cannot compare, whose process then always passes.
pub fn name_hash(name: &str) -> Option<u64> {
    text_hash(name).filter(|_| name.len() < SCAN_LIMIT)
}

struct Component {
    hash: u64,
    extension: Option<u64>,
}

/// The components of a path from the root on; `None` for one that is not compared.
fn components(file: FileName<'_>) -> Option<Vec<Component>> {
    let folder = file.folder.as_bytes();
    let text = file.name;
    let in_text = |text: &[u8]| !text.is_empty();
    if folder.len() > SCAN_LIMIT || text.len() + usize::from(in_text(text)) > SCAN_LIMIT {
        return None;
    }
    if !folder.is_empty() && text.starts_with(b"/") {
        return None;
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    if !folder.is_empty() {
        parts.extend(folder.strip_suffix(b"\0")?.rsplit(|&byte| byte == 0));
    }
    if parts.len() > COMPONENTS {
        return None;
    }
    if in_text(text) {
        let own: Vec<&[u8]> = text.strip_prefix(b"/").unwrap_or(text).split(|&byte| byte == b'/').collect();
        if own.len() > COMPONENTS || own.iter().any(|part| matches!(*part, b"." | b"..")) {
            return None;
        }
        parts.extend(own);
    }
    parts
        .into_iter()
        .map(|part| {
            let comparable = |byte: &u8| byte.is_ascii() && !matches!(*byte, b'/' | b'\\');
            if part.is_empty() || !part.iter().all(comparable) {
                return None;
            }
            let dot = part.iter().rposition(|&byte| byte == b'.');
            let extension = dot.and_then(|dot| part.get(dot + 1..)).map(hash);
            Some(Component { hash: hash(part), extension })
        })
        .collect()
}

fn text_hash(text: &str) -> Option<u64> {
    let comparable = |byte: u8| byte.is_ascii() && !matches!(byte, b'/' | b'\\' | 0);
    (!text.is_empty() && text.bytes().all(comparable)).then(|| hash(text.as_bytes()))
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |hash: u64, byte| hash.wrapping_mul(HASH_BASE).wrapping_add(byte.to_ascii_lowercase().into()))
}

/// The beginning of a path, one component longer.
fn longer(beginning: u64, component: u64) -> u64 {
    mix(beginning.wrapping_add(component))
}

fn mix(mut value: u64) -> u64 {
    value ^= value >> 32;
    value = value.wrapping_mul(HASH_MIX);
    value ^ value >> 29
}

fn places(test: Test, hash: u64) -> [usize; 2] {
    let place = mix(hash.wrapping_mul(HASH_MIX).wrapping_add(test as u64));
    [place as usize % BITS, (place >> 32) as usize % BITS]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: [&str; 2] =
        [include_str!("../include/kestrel_filter.h"), include_str!("../include/kestrel_records.h")];

    fn defined(name: &str) -> &'static str {
        let value = |line: &'static str| line.strip_prefix("#define ")?.strip_prefix(name)?.strip_prefix(' ');
        HEADERS
            .iter()
            .flat_map(|header| header.lines())
            .find_map(value)
            .map(|text| text.split(" /*").next().unwrap_or(text))
            .unwrap_or_else(|| panic!("no `{name}`"))
    }

    #[test]
    fn the_numbers_are_those_of_the_kernel() {
        for (name, value) in [
            ("KESTREL_FILTER_BITS", BITS),
            ("KESTREL_SCAN_LIMIT", SCAN_LIMIT),
            ("KESTREL_TEST_FILE_NAME", Test::FileName as usize),
            ("KESTREL_TEST_FILE_EXTENSION", Test::FileExtension as usize),
            ("KESTREL_TEST_PATH_COMPONENT", Test::PathComponent as usize),
            ("KESTREL_TEST_PATH_PREFIX", Test::PathPrefix as usize),
            ("KESTREL_TEST_PROCESS_NAME", Test::ProcessName as usize),
            ("KESTREL_TEST_USER_ID", Test::UserId as usize),
            ("KESTREL_TEST_CLOSED", CLOSED as usize),
        ] {
            assert_eq!(defined(name).parse::<usize>().ok(), Some(value), "{name}");
        }
        for (name, value) in [("KESTREL_HASH_BASE", HASH_BASE), ("KESTREL_HASH_MIX", HASH_MIX)] {
            assert_eq!(defined(name), format!("{value:#x}ULL"), "{name}");
        }
    }

    #[test]
    fn a_table_has_its_keys_whatever_their_case_and_hardly_others() {
        assert!(FilterTable::default().is_open());
        let mut table = FilterTable::closed();
        assert!(!table.is_open());
        for number in 0..600 {
            assert!(table.insert(Test::FileName, &format!("Name{number}.Conf")));
        }
        assert!(!table.is_open());
        for number in 0..600 {
            assert!(table.has(Test::FileName, hash(format!("nAME{number}.conf").as_bytes())), "{number}");
        }
        let strange = (0..10_000).filter(|number| table.has(Test::FileName, hash(format!("x{number}").as_bytes())));
        let strange = strange.count();
        assert!(strange < 60, "{strange} of 10,000, with {} of the bits set", table.fill());
        assert!(!table.has(Test::FileExtension, hash(b"name0.conf")));
    }

    #[test]
    fn what_cannot_be_compared_is_no_key() {
        let mut table = FilterTable::default();
        for (test, text) in [
            (Test::FileName, ""),
            (Test::FileName, "caf\u{e9}"),
            (Test::FileName, "a/b"),
            (Test::PathPrefix, "etc//x"),
            (Test::UserId, "root"),
        ] {
            assert!(!table.insert(test, text), "{test:?} {text}");
        }
        assert!(table.is_open());
    }
}
