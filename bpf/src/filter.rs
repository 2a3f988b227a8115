//! The tables of the kernel's filter, as `include/kestrel_filter.h` reads them.
//!
//! In: keys of one kind of events. Out: the bytes of a [`FilterTable`], a Bloom filter in which two bits stand for each key,
//! and what names must have in them to match patterns; and, for tests, the same question that the kernel asks of a record. A table may let events through that nobody asked for;
//! it never refuses one that has a key. Texts are compared without regard to the case of ASCII letters.

use std::net::SocketAddr;

use crate::record::{Body, FileName, Flags, Network, Record, Role};

mod ranges;

use ranges::{RANGES, Ranges};

/// The bits of a table, a power of two.
pub const BITS: usize = 32_768;
const WORDS: usize = BITS / 64;
/// Patterns of a table; what comes beyond makes one of them weaker.
const PATTERNS: usize = 64;
/// The bytes of a table in the kernel's map.
pub const TABLE_SIZE: usize = COUNTS * 4 + WORDS * 8 + 2 * PATTERNS * 16 + 2 * RANGES * 32 + 2 * RANGES * 4;
/// What a table begins with: its tests, and how many there are of what is behind its bits.
const COUNTS: usize = 8;
/// Longer paths pass unseen, and so do those with more components.
pub const SCAN_LIMIT: usize = 384;
/// See [`SCAN_LIMIT`].
pub const COMPONENTS: usize = 32;

const HASH_BASE: u64 = 0x100_0000_01b3;
const HASH_MIX: u64 = 0x9e37_79b9_7f4a_7c15;
const FEATURE_MIX: u32 = 0x9e37_79b1;
/// Folders from the root on that the kernel knows of an executable's path.
const ACTOR_FOLDERS: usize = 4;

/// The key of what is never compared and therefore passes, once the kernel looks at paths at all.
pub const INCOMPARABLE: &str = "\\";
/// Set in a table that may have no key.
const CLOSED: u32 = 64;
const OF_FILES: u32 = 15 | Test::FilePattern as u32;
const OF_NETWORKS: u32 = 15 * Test::SourceAddress as u32;
const OF_PROCESSES: u32 = Test::ProcessName as u32 | Test::ProcessPattern as u32 | Test::ProcessFolder as u32;

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
    /// The last component of the file's path, a pattern in which `*` is any run of characters.
    FilePattern = 128,
    /// The name of the process that acts, such a pattern.
    ProcessPattern = 256,
    /// The folders from the root on in which the executable of the process that acts is, with `/` between them. What is
    /// deeper than the kernel knows is not compared.
    ProcessFolder = 512,
    /// The address of a connection's source, blocks in CIDR notation with spaces between; `!` before them: all but these.
    SourceAddress = 1024,
    /// The address of its destination.
    DestinationAddress = 2048,
    /// The port of its source, numbers and ranges such as `1-1023` with spaces between; `!` before them: all but these.
    SourcePort = 4096,
    /// The port of its destination.
    DestinationPort = 8192,
}

impl Test {
    /// Whether only records of connections, sockets and lookups can be compared.
    pub fn is_of_networks(self) -> bool {
        self as u32 & OF_NETWORKS != 0
    }
}

/// What a name has in it: a bit for each two letters that follow each other, two for its begin and two for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Features([u64; 2]);

impl Features {
    fn of_name(name: &[u8]) -> Features {
        let mut features = Features::default();
        features.add_part(name, true, true);
        features
    }

    /// What all names have in them that a pattern matches.
    fn of_pattern(pattern: &str) -> Features {
        let mut features = Features::default();
        let last = pattern.matches('*').count();
        for (place, part) in pattern.split('*').enumerate() {
            features.add_part(part.as_bytes(), place == 0, place == last);
        }
        features
    }

    fn add_part(&mut self, part: &[u8], begins: bool, ends: bool) {
        let lower = |byte: &u8| u32::from(byte.to_ascii_lowercase());
        if let Some(first) = part.first().filter(|_| begins) {
            self.add(1, lower(first));
            self.add(2, lower(first));
        }
        for (first, second) in part.iter().zip(part.iter().skip(1)) {
            self.add(lower(first), lower(second));
        }
        if let Some(last) = part.last().filter(|_| ends) {
            self.add(lower(last), 1);
            self.add(lower(last), 2);
        }
    }

    fn add(&mut self, first: u32, second: u32) {
        let place = (first << 8 | second).wrapping_mul(FEATURE_MIX) >> 25;
        self.0[place as usize / 64] |= 1 << (place % 64);
    }

    fn both(self, other: Features) -> Features {
        Features([self.0[0] & other.0[0], self.0[1] & other.0[1]])
    }

    fn count(self) -> u32 {
        self.0[0].count_ones() + self.0[1].count_ones()
    }
}

/// What names must have in them to be let through: all of one of these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Patterns(Vec<Features>);

impl Patterns {
    /// `false` when nothing is asked of a name any more.
    fn insert(&mut self, pattern: Features) -> bool {
        if pattern.count() == 0 {
            return false;
        }
        if self.pass(pattern) {
            return true; // what has all of this has all of a weaker one
        }
        if self.0.len() < PATTERNS {
            self.0.push(pattern);
            return true;
        }
        // No room: the one that is nearest comes to stand for both.
        let nearest = self.0.iter_mut().max_by_key(|known| known.both(pattern).count());
        nearest.is_some_and(|known| {
            *known = known.both(pattern);
            known.count() > 0
        })
    }

    fn pass(&self, name: Features) -> bool {
        self.0.iter().any(|pattern| pattern.both(name) == *pattern)
    }

    fn bytes(&self) -> impl Iterator<Item = [u8; 8]> + '_ {
        self.0.iter().flat_map(|pattern| pattern.0).map(u64::to_le_bytes)
    }
}

/// What the kernel side knows of a process: `kestrel_actor`, without the time at which the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    name: u64,
    features: Features,
    folders: [u64; ACTOR_FOLDERS],
}

impl Actor {
    /// That of a process whose executable has this path; `None` for one that is not compared, whose process always passes.
    pub fn of_executable(path: &str) -> Option<Actor> {
        let components: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let (name, above) = components.split_last()?;
        if path.len() > SCAN_LIMIT || path.contains(':') || components.len() > COMPONENTS {
            return None;
        }
        if components.iter().any(|component| matches!(*component, "." | "..")) {
            return None;
        }
        let hashes = above.iter().map(|folder| text_hash(folder)).collect::<Option<Vec<u64>>>()?;
        let mut folders = [0; ACTOR_FOLDERS];
        let mut beginning = 0;
        for (known, hash) in folders.iter_mut().zip(hashes) {
            beginning = longer(beginning, hash);
            *known = beginning;
        }
        Some(Actor { name: text_hash(name)?, features: Features::of_name(name.as_bytes()), folders })
    }

    /// The element of the kernel's map for a process that began at `start_ticks` (as `/proc/PID/stat` counts them).
    pub fn words(&self, start_ticks: u64) -> [u64; ACTOR_WORDS] {
        let Actor { name, features: Features([low, high]), folders: [one, two, three, four] } = *self;
        [start_ticks, name, low, high, one, two, three, four]
    }
}

/// The size of an element of the kernel's map of processes, in words of 8 bytes.
pub const ACTOR_WORDS: usize = 4 + ACTOR_FOLDERS;

/// The keys of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterTable {
    tests: u32,
    bits: Box<[u64; WORDS]>,
    files: Patterns,
    processes: Patterns,
    /// Of the source and of the destination.
    addresses: [Ranges; 2],
    ports: [Ranges; 2],
}

impl Default for FilterTable {
    /// The table that lets everything through.
    fn default() -> FilterTable {
        FilterTable {
            tests: 0,
            bits: Box::new([0; WORDS]),
            files: Patterns::default(),
            processes: Patterns::default(),
            addresses: Default::default(),
            ports: Default::default(),
        }
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
            Test::FilePattern | Test::ProcessPattern => return self.insert_pattern(test, text),
            Test::SourceAddress | Test::DestinationAddress | Test::SourcePort | Test::DestinationPort => {
                return self.insert_ranges(test, text);
            }
            Test::PathPrefix => beginning(text.split('/')),
            Test::ProcessFolder => beginning(text.split('/').take(ACTOR_FOLDERS)),
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

    fn insert_pattern(&mut self, test: Test, pattern: &str) -> bool {
        if !pattern.split('*').all(|part| part.is_empty() || text_hash(part).is_some()) {
            return false;
        }
        self.tests |= test as u32;
        let patterns = if test == Test::FilePattern { &mut self.files } else { &mut self.processes };
        patterns.insert(Features::of_pattern(pattern))
    }

    fn insert_ranges(&mut self, test: Test, text: &str) -> bool {
        let (sides, ranges) = match test {
            Test::SourceAddress | Test::DestinationAddress => (&mut self.addresses, Ranges::of_addresses(text)),
            _ => (&mut self.ports, Ranges::of_ports(text)),
        };
        let [source, destination] = sides;
        let side = if matches!(test, Test::SourceAddress | Test::SourcePort) { source } else { destination };
        let Some(ranges) = ranges else { return false };
        side.add(ranges);
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
        let mut rest = bytes.as_mut_slice();
        let mut next = |length: usize, part: &mut dyn Iterator<Item = Vec<u8>>| {
            let (place, behind) = std::mem::take(&mut rest).split_at_mut(length);
            let written: Vec<u8> = part.flatten().collect();
            place[..written.len()].copy_from_slice(&written);
            rest = behind;
        };
        let [sources, destinations] = &self.addresses;
        let [source_ports, destination_ports] = &self.ports;
        let lists = [sources.len(), destinations.len(), source_ports.len(), destination_ports.len()];
        let patterns = [self.files.0.len(), self.processes.0.len()];
        let counts = [self.tests].into_iter().chain(patterns.into_iter().chain(lists).map(|count| count as u32));
        next(COUNTS * 4, &mut counts.map(|count| count.to_le_bytes().to_vec()));
        next(WORDS * 8, &mut self.bits.iter().map(|word| word.to_le_bytes().to_vec()));
        for patterns in [&self.files, &self.processes] {
            next(PATTERNS * 16, &mut patterns.bytes().map(|word| word.to_vec()));
        }
        for addresses in &self.addresses {
            // The upper half first, as the kernel's struct has it.
            let word = |number: u128| [(number >> 64) as u64, number as u64];
            let words = addresses.iter().flat_map(|(first, last)| word(first).into_iter().chain(word(last)));
            next(RANGES * 32, &mut words.map(|word| word.to_le_bytes().to_vec()));
        }
        for ports in &self.ports {
            let numbers = ports.iter().flat_map(|(first, last)| [first as u16, last as u16]);
            next(RANGES * 4, &mut numbers.map(|port| port.to_le_bytes().to_vec()));
        }
        bytes
    }

    fn has(&self, test: Test, hash: u64) -> bool {
        self.asks(test) && places(test, hash).into_iter().all(|bit| self.bits[bit / 64] >> (bit % 64) & 1 == 1)
    }

    fn asks(&self, test: Test) -> bool {
        self.tests & test as u32 != 0
    }

    /// Whether the kernel lets a record through that names `file`, if it names one; `actor` is what is known of the
    /// process, if it can be compared.
    pub fn passes(&self, record: &Record<'_>, file: Option<FileName<'_>>, actor: Option<Actor>) -> bool {
        if self.is_open() {
            return true;
        }
        if self.tests & OF_PROCESSES != 0 && actor.is_none_or(|actor| self.passes_process(&actor)) {
            return true;
        }
        if self.has(Test::UserId, record.task.effective_user_id.into()) {
            return true;
        }
        if let Body::Network(network) = &record.body
            && self.tests & OF_NETWORKS != 0
            && (record.header.flags.0 & Flags::VALUE_UNREADABLE.0 != 0 || self.passes_network(network))
        {
            return true;
        }
        self.tests & OF_FILES != 0 && file.is_none_or(|file| self.passes_file(record, file))
    }

    fn passes_network(&self, network: &Network<'_>) -> bool {
        let (source, destination) = match network.role {
            Role::Accepted => (network.remote, network.local),
            Role::Connected | Role::Unknown => (network.local, network.remote),
        };
        let address =
            |test, ranges: &Ranges, end: SocketAddr| self.asks(test) && ranges.contains(ranges::number(end.ip()));
        // A port that is not known is none.
        let port = |test, ranges: &Ranges, end: SocketAddr| {
            self.asks(test) && (end.port() == 0 || ranges.contains(end.port().into()))
        };
        address(Test::SourceAddress, &self.addresses[0], source)
            || address(Test::DestinationAddress, &self.addresses[1], destination)
            || port(Test::SourcePort, &self.ports[0], source)
            || port(Test::DestinationPort, &self.ports[1], destination)
    }

    fn passes_process(&self, actor: &Actor) -> bool {
        let folders = actor.folders.into_iter().filter(|&folder| folder != 0);
        self.has(Test::ProcessName, actor.name)
            || self.asks(Test::ProcessPattern) && self.processes.pass(actor.features)
            || folders.into_iter().any(|folder| self.has(Test::ProcessFolder, folder))
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
        if self.asks(Test::FilePattern) && self.files.pass(name.features) {
            return true;
        }
        let mut beginning = 0;
        components.iter().any(|component| {
            beginning = longer(beginning, component.hash);
            self.has(Test::PathComponent, component.hash) || self.has(Test::PathPrefix, beginning)
        })
    }
}

struct Component {
    hash: u64,
    extension: Option<u64>,
    features: Features,
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
            Some(Component { hash: hash(part), extension, features: Features::of_name(part) })
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

/// The beginning of a path that consists of these components.
fn beginning<'t>(mut components: impl Iterator<Item = &'t str>) -> Option<u64> {
    components.try_fold(0, |beginning, component| Some(longer(beginning, text_hash(component)?)))
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
            ("KESTREL_TEST_FILE_PATTERN", Test::FilePattern as usize),
            ("KESTREL_TEST_PROCESS_PATTERN", Test::ProcessPattern as usize),
            ("KESTREL_TEST_PROCESS_FOLDER", Test::ProcessFolder as usize),
            ("KESTREL_TEST_SOURCE_ADDRESS", Test::SourceAddress as usize),
            ("KESTREL_TEST_DESTINATION_ADDRESS", Test::DestinationAddress as usize),
            ("KESTREL_TEST_SOURCE_PORT", Test::SourcePort as usize),
            ("KESTREL_TEST_DESTINATION_PORT", Test::DestinationPort as usize),
            ("KESTREL_TESTS_OF_NETWORKS", OF_NETWORKS as usize),
            ("KESTREL_FILTER_RANGES", RANGES),
            ("KESTREL_TEST_CLOSED", CLOSED as usize),
            ("KESTREL_TESTS_OF_FILES", OF_FILES as usize),
            ("KESTREL_TESTS_OF_PROCESSES", OF_PROCESSES as usize),
            ("KESTREL_FILTER_PATTERNS", PATTERNS),
            ("KESTREL_ACTOR_FOLDERS", ACTOR_FOLDERS),
        ] {
            assert_eq!(defined(name).parse::<usize>().ok(), Some(value), "{name}");
        }
        for (name, value) in [("KESTREL_HASH_BASE", HASH_BASE), ("KESTREL_HASH_MIX", HASH_MIX)] {
            assert_eq!(defined(name), format!("{value:#x}ULL"), "{name}");
        }
        assert_eq!(defined("KESTREL_FEATURE_MIX"), format!("{FEATURE_MIX:#x}"));
        let sizes = [("kestrel_filter", TABLE_SIZE), ("kestrel_actor", ACTOR_WORDS * 8)];
        for (name, size) in sizes {
            assert!(HEADERS[1].contains(&format!("KESTREL_SIZE({name}, {size});")), "{name}");
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
    fn what_a_pattern_matches_has_all_that_the_pattern_asks_for() {
        let mut table = FilterTable::closed();
        for pattern in ["ld.*", "*-linux-gnu-ld*", ".*", "*.cgi", "pam_*.so", "x*y"] {
            assert!(table.insert(Test::ProcessPattern, pattern), "{pattern}");
        }
        let passes = |path: &str| Actor::of_executable(path).is_none_or(|actor| table.passes_process(&actor));
        for name in
            ["ld.bfd", "LD.Gold", "ld.", "x86_64-linux-gnu-ld", "a-linux-gnu-ld.so", ".hidden", "x.CGI", "pam_.so"]
        {
            assert!(passes(&format!("/usr/bin/{name}")), "{name}");
        }
        for name in ["ld", "cc1", "collect2", "as", "gcc", "make", "ld-linux-x86-64.so.2", "cgi", "pam_unix.sox", "yx"]
        {
            assert!(!passes(&format!("/usr/bin/{name}")), "{name}");
        }
        assert!(passes("/memfd:cc1") && passes("cc1") && passes("/usr/../cc1") && passes("/usr/caf\u{e9}/cc1"));
        assert!(!table.insert(Test::FilePattern, "*") && !table.insert(Test::FilePattern, "a/*"));
    }

    #[test]
    fn folders_of_processes_are_compared_as_deep_as_they_are_known() {
        let mut table = FilterTable::closed();
        for folder in ["tmp", "usr/lib/jvm", "a/b/c/d/e/f"] {
            assert!(table.insert(Test::ProcessFolder, folder), "{folder}");
        }
        let passes = |path: &str| Actor::of_executable(path).is_some_and(|actor| table.passes_process(&actor));
        for path in ["/tmp/x", "/TMP/y/z", "/usr/lib/jvm/bin/java", "/a/b/c/d/other/x"] {
            assert!(passes(path), "{path}");
        }
        for path in ["/tmp", "/usr/lib/x", "/usr/lib/jvm", "/var/tmp/x", "/a/b/c/d"] {
            assert!(!passes(path), "{path}");
        }
    }

    #[test]
    fn patterns_beyond_the_room_let_more_through_and_never_less() {
        let mut table = FilterTable::closed();
        let pattern = |number: usize| format!("n{number}-*.x{number}y");
        let kept = (0..300).all(|number| table.insert(Test::FilePattern, &pattern(number)));
        assert!(kept && table.files.0.len() == PATTERNS);
        for number in 0..300 {
            let name = format!("n{number}-anything.x{number}y");
            assert!(table.files.pass(Features::of_name(name.as_bytes())), "{name}");
        }
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
