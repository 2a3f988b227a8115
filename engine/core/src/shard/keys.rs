//! The keys that have state in one shard: found by hash, each with a few words of state, in two orders of use.
//!
//! In: a rule's machine, a key's bytes, its hash. Out: a number for its entry. Looking up, adding, removing and telling the
//! key that was not used for longest (of a rule, or of all) cost the same with one key or a million.
//!
//! Use is remembered with a second chance: a key stands where it was added and notes that it was used; when it is the
//! last and has been used since, it goes to the front once more. A list in the exact order of use would read and write
//! the neighbours of every key that an event concerns, which are anywhere in memory.

use hashbrown::HashTable;

use super::blocks::Blocks;
use super::slab::{NONE, Runs, Slab};
use crate::plan::Plan;

/// Keys up to so many bytes lie in their entry.
const INLINE_KEY: usize = 46;
/// What a key's place in the table costs at most, in bytes: a number and a byte, in a table that is a quarter full.
const TABLE_PLACE: usize = 4 * 5;
/// How many keys get a second chance before one has to leave: it bounds what one event costs.
const CHANCES: usize = 16;
/// State up to so many words lies in the entry.
const INLINE_WORDS: usize = 2;

/// The keys of one shard.
#[derive(Debug)]
pub(crate) struct Keys {
    entries: Slab<KeyEntry>,
    table: HashTable<u32>,
    /// For how many keys the table was made.
    room: usize,
    shapes: Vec<Shape>,
    /// Words of state that do not fit into an entry, by length.
    runs: Vec<Runs>,
    words: usize,
    /// The keys of each machine, and those of all, by use.
    lists: Vec<List>,
    all: List,
}

/// How the state of a machine's keys is stored.
#[derive(Debug, Clone, Copy)]
struct Shape {
    width: usize,
    /// Which of the runs; `None` when it lies in the entry.
    runs: Option<usize>,
}

/// One key.
#[derive(Debug)]
pub(crate) struct KeyEntry {
    hash: u64,
    key: KeyBytes,
    words: [u64; INLINE_WORDS],
    run: u32,
    /// Whose key it is.
    pub(crate) machine: u32,
    /// How many partial matches stand in its slots.
    pub(crate) filled: u32,
    /// How many missing terms have come and are remembered.
    pub(crate) seen: u32,
    /// The candidates that wait for time to pass, by deadline.
    pub(crate) waiting: Waiting,
    /// The number of its deadline, or [`NONE`].
    pub(crate) timer: u32,
    /// When that is.
    pub(crate) deadline: i64,
    used_by_rule: bool,
    used_by_all: bool,
    /// The time at which it was used last.
    pub(crate) touched: i64,
    by_rule: Links,
    by_all: Links,
}

/// The ends of a key's list of candidates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) count: u32,
}

#[derive(Debug)]
enum KeyBytes {
    Inline { length: u8, bytes: [u8; INLINE_KEY] },
    Block(u32),
}

/// Neighbours in an order of use.
#[derive(Debug, Clone, Copy)]
struct Links {
    newer: u32,
    older: u32,
}

/// An order of use.
#[derive(Debug, Clone, Copy)]
struct List {
    newest: u32,
    oldest: u32,
    length: usize,
}

const ALONE: Links = Links { newer: NONE, older: NONE };
const EMPTY: List = List { newest: NONE, oldest: NONE, length: 0 };

impl KeyEntry {
    /// Whether nothing is remembered for the key.
    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0 && self.seen == 0 && self.waiting.count == 0
    }

    fn links(&mut self, all: bool) -> &mut Links {
        if all { &mut self.by_all } else { &mut self.by_rule }
    }
}

impl Keys {
    pub(crate) fn new(plan: &Plan) -> Keys {
        let mut runs: Vec<Runs> = Vec::new();
        let shapes = plan.machines.iter().map(|machine| {
            let width = machine.width;
            let place = (width > INLINE_WORDS).then(|| {
                runs.iter().position(|runs| runs.width() == width).unwrap_or_else(|| {
                    runs.push(Runs::new(width));
                    runs.len() - 1
                })
            });
            Shape { width, runs: place }
        });
        Keys {
            entries: Slab::default(),
            table: HashTable::new(),
            room: 0,
            shapes: shapes.collect(),
            lists: vec![EMPTY; plan.machines.len()],
            all: EMPTY,
            words: 0,
            runs,
        }
    }

    /// The entry of a machine's key.
    pub(crate) fn find(&self, hash: u64, machine: u32, key: &[u8], blocks: &Blocks) -> Option<u32> {
        let is_it = |number: &u32| {
            self.entries.get(*number).is_some_and(|entry| {
                entry.hash == hash && entry.machine == machine && bytes_of(&entry.key, blocks) == key
            })
        };
        self.table.find(hash, is_it).copied()
    }

    /// Adds an empty entry, in front of all.
    pub(crate) fn insert(&mut self, hash: u64, machine: u32, key: &[u8], blocks: &mut Blocks) -> u32 {
        let mut bytes = [0; INLINE_KEY];
        let key = match bytes.get_mut(..key.len()) {
            Some(place) => {
                place.copy_from_slice(key);
                KeyBytes::Inline { length: key.len() as u8, bytes }
            }
            None => KeyBytes::Block(blocks.insert(key)),
        };
        let shape = self.shapes.get(machine as usize).copied();
        let runs = shape.and_then(|shape| self.runs.get_mut(shape.runs?));
        let run = runs.map_or(NONE, Runs::insert);
        self.words += shape.map_or(0, |shape| if shape.runs.is_some() { shape.width } else { 0 });
        let number = self.entries.insert(KeyEntry {
            hash,
            key,
            words: [0; INLINE_WORDS],
            run,
            machine,
            filled: 0,
            seen: 0,
            waiting: Waiting { first: NONE, last: NONE, count: 0 },
            timer: NONE,
            deadline: i64::MAX,
            used_by_rule: false,
            used_by_all: false,
            touched: i64::MIN,
            by_rule: ALONE,
            by_all: ALONE,
        });
        let Keys { entries, table, room, .. } = self;
        let hash_of = |&number: &u32| entries.get(number).map_or(0, |entry| entry.hash);
        // A table that is never more than half full is put in order where it is when keys have come and gone; a fuller one
        // would be copied, at a time that nobody can tell.
        if 2 * (table.len() + 1) > *room {
            table.reserve(table.len() + 2, hash_of);
            *room = table.capacity();
        }
        table.insert_unique(hash, number, hash_of);
        self.link(number, machine, false);
        self.link(number, machine, true);
        number
    }

    /// Removes an entry. What its words stand for is gone before.
    pub(crate) fn remove(&mut self, number: u32, blocks: &mut Blocks) {
        let Some(entry) = self.entries.get(number) else { return };
        let (hash, machine, run) = (entry.hash, entry.machine, entry.run);
        if let KeyBytes::Block(block) = entry.key {
            blocks.release(block);
        }
        if let Ok(found) = self.table.find_entry(hash, |&other| other == number) {
            found.remove();
        }
        self.unlink(number, machine, false);
        self.unlink(number, machine, true);
        if let Some(shape) = self.shapes.get(machine as usize)
            && let Some(runs) = shape.runs.and_then(|runs| self.runs.get_mut(runs))
        {
            runs.remove(run);
            self.words -= shape.width;
        }
        self.entries.remove(number);
    }

    /// Notes that an entry is used.
    pub(crate) fn touch(&mut self, number: u32) {
        if let Some(entry) = self.entries.get_mut(number) {
            (entry.used_by_rule, entry.used_by_all) = (true, true);
        }
    }

    pub(crate) fn get(&self, number: u32) -> Option<&KeyEntry> {
        self.entries.get(number)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut KeyEntry> {
        self.entries.get_mut(number)
    }

    /// The bytes of an entry's key.
    pub(crate) fn key<'k>(&'k self, number: u32, blocks: &'k Blocks) -> &'k [u8] {
        self.entries.get(number).map_or(&[], |entry| bytes_of(&entry.key, blocks))
    }

    /// The words of an entry's state; zeros at first.
    pub(crate) fn words(&self, number: u32) -> &[u64] {
        let Some(entry) = self.entries.get(number) else { return &[] };
        let Some(shape) = self.shapes.get(entry.machine as usize) else { return &[] };
        match shape.runs.and_then(|runs| self.runs.get(runs)) {
            Some(runs) => runs.get(entry.run),
            None => entry.words.get(..shape.width).unwrap_or(&[]),
        }
    }

    /// The same, to change them.
    pub(crate) fn words_mut(&mut self, number: u32) -> &mut [u64] {
        let Some(entry) = self.entries.get_mut(number) else { return &mut [] };
        let Some(shape) = self.shapes.get(entry.machine as usize) else { return &mut [] };
        match shape.runs.and_then(|runs| self.runs.get_mut(runs)) {
            Some(runs) => runs.get_mut(entry.run),
            None => entry.words.get_mut(..shape.width).unwrap_or(&mut []),
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.all.length
    }

    /// How many keys a machine has.
    pub(crate) fn len_of(&self, machine: u32) -> usize {
        self.lists.get(machine as usize).map_or(0, |list| list.length)
    }

    /// The key that has to leave when there are too many.
    pub(crate) fn oldest(&mut self) -> Option<u32> {
        self.oldest_in(0, true)
    }

    /// The key that has to leave when a machine has too many.
    pub(crate) fn oldest_of(&mut self, machine: u32) -> Option<u32> {
        self.oldest_in(machine, false)
    }

    fn oldest_in(&mut self, machine: u32, all: bool) -> Option<u32> {
        for _ in 0..CHANCES {
            let oldest = self.list(machine, all)?.oldest;
            let entry = self.entries.get_mut(oldest)?;
            if !std::mem::take(if all { &mut entry.used_by_all } else { &mut entry.used_by_rule }) {
                return Some(oldest);
            }
            self.unlink(oldest, machine, all);
            self.link(oldest, machine, all);
        }
        self.list(machine, all).map(|list| list.oldest).filter(|&number| number != NONE)
    }

    /// A machine's keys, the newest first.
    pub(crate) fn of(&self, machine: u32) -> impl Iterator<Item = u32> {
        let newest = self.lists.get(machine as usize).map(|list| list.newest);
        std::iter::successors(newest, |&number| self.entries.get(number).map(|entry| entry.by_rule.older))
            .take_while(|&number| number != NONE)
    }

    /// The bytes of the keys that there are: entries, words, places in the table. Long keys are among the blocks.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.bytes() + self.words * size_of::<u64>() + self.len() * TABLE_PLACE
    }

    /// The bytes of the memory that is held.
    pub(crate) fn reserved(&self) -> usize {
        let runs: usize = self.runs.iter().map(Runs::reserved).sum();
        self.entries.reserved() + runs + self.table.allocation_size() + self.lists.capacity() * size_of::<List>()
    }

    fn list(&mut self, machine: u32, all: bool) -> Option<&mut List> {
        if all { Some(&mut self.all) } else { self.lists.get_mut(machine as usize) }
    }

    fn link(&mut self, number: u32, machine: u32, all: bool) {
        let Some(list) = self.list(machine, all) else { return };
        let older = std::mem::replace(&mut list.newest, number);
        list.length += 1;
        if older == NONE {
            list.oldest = number;
        }
        if let Some(older) = self.entries.get_mut(older) {
            older.links(all).newer = number;
        }
        if let Some(entry) = self.entries.get_mut(number) {
            *entry.links(all) = Links { newer: NONE, older };
        }
    }

    fn unlink(&mut self, number: u32, machine: u32, all: bool) {
        let Some(&mut Links { newer, older }) = self.entries.get_mut(number).map(|entry| entry.links(all)) else {
            return;
        };
        if let Some(newer) = self.entries.get_mut(newer) {
            newer.links(all).older = older;
        }
        if let Some(older) = self.entries.get_mut(older) {
            older.links(all).newer = newer;
        }
        let Some(list) = self.list(machine, all) else { return };
        list.length -= 1;
        if list.newest == number {
            list.newest = older;
        }
        if list.oldest == number {
            list.oldest = newer;
        }
    }
}

fn bytes_of<'k>(key: &'k KeyBytes, blocks: &'k Blocks) -> &'k [u8] {
    match key {
        KeyBytes::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(&[]),
        KeyBytes::Block(block) => blocks.get(*block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Machine, MachineKind};

    fn keys(widths: &[usize]) -> Keys {
        let machines = widths.iter().enumerate().map(|(rule, &width)| Machine {
            rule: rule as u32,
            kind: MachineKind::Sample,
            terms: width,
            slots: width,
            width,
        });
        Keys::new(&Plan { machines: machines.collect(), ..Plan::default() })
    }

    #[test]
    fn the_oldest_key_is_told_unless_it_was_used_since() {
        let (mut keys, mut blocks) = (keys(&[1, 1]), Blocks::default());
        let long = vec![b'x'; 5_000];
        let numbers: Vec<u32> = [(0, &b"a"[..]), (1, &b"a"[..]), (0, &long[..])]
            .into_iter()
            .map(|(machine, key)| keys.insert(7, machine, key, &mut blocks))
            .collect();
        assert_eq!(keys.find(7, 0, &long, &blocks), Some(numbers[2]));
        assert_eq!(keys.find(7, 1, &long, &blocks), None);
        assert_eq!((keys.oldest(), keys.oldest_of(1)), (Some(numbers[0]), Some(numbers[1])));
        keys.touch(numbers[0]);
        assert_eq!((keys.oldest(), keys.oldest_of(0)), (Some(numbers[1]), Some(numbers[2])));
        assert_eq!(keys.of(0).collect::<Vec<_>>(), [numbers[0], numbers[2]]);
        keys.remove(numbers[2], &mut blocks);
        assert_eq!((keys.len(), keys.len_of(0), blocks.bytes()), (2, 1, 0));
        assert_eq!(keys.find(7, 0, &long, &blocks), None);
        assert_eq!(keys.find(7, 0, b"a", &blocks), Some(numbers[0]));
    }

    #[test]
    fn one_key_leaves_even_if_all_were_used() {
        let (mut keys, mut blocks) = (keys(&[1]), Blocks::default());
        let numbers: Vec<u32> = (0..100_u32).map(|key| keys.insert(9, 0, &key.to_le_bytes(), &mut blocks)).collect();
        numbers.iter().for_each(|&number| keys.touch(number));
        assert_eq!(keys.oldest(), Some(numbers[CHANCES]));
        keys.remove(numbers[CHANCES], &mut blocks);
        assert_eq!(keys.oldest(), Some(numbers[2 * CHANCES + 1]));
    }

    #[test]
    fn state_is_zero_at_first_wherever_it_lies() {
        let (mut keys, mut blocks) = (keys(&[2, 5]), Blocks::default());
        for round in 0..3 {
            let numbers = [keys.insert(1, 0, b"k", &mut blocks), keys.insert(2, 1, b"k", &mut blocks)];
            assert_eq!((keys.words(numbers[0]), keys.words(numbers[1])), (&[0; 2][..], &[0; 5][..]), "round {round}");
            numbers.iter().for_each(|&number| keys.words_mut(number).fill(9));
            numbers.iter().for_each(|&number| keys.remove(number, &mut blocks));
            assert_eq!(keys.bytes(), 0);
        }
    }
}
