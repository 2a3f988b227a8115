//! The characters that an expression tells apart.
//!
//! In: the classes of an expression. Out: groups of characters such that each class holds a group whole or not at all. An
//! automaton has one column for a group, however many characters are in it.

use std::collections::{BTreeSet, HashMap};

use super::derive::TooComplex;

/// A class: ranges of characters, both ends included.
pub(super) type Ranges = Vec<(char, char)>;

/// One past the last character.
const END: u32 = 0x11_0000;
/// Where no characters are: the surrogates.
const GAP: [u32; 2] = [0xD800, 0xE000];

/// A partition of all characters.
#[derive(Debug)]
pub(super) struct Alphabet {
    /// The group of each ASCII character.
    ascii: [u16; 128],
    /// The first character of each run of one group, ascending from 0, with the group.
    runs: Vec<(u32, u16)>,
    groups: usize,
}

/// A set of groups, a bit for each.
pub(super) type Groups = Box<[u64]>;

impl Alphabet {
    /// The groups that these classes tell apart. `room` is what this may cost.
    pub(super) fn new(classes: &BTreeSet<Ranges>, room: &mut Room) -> Result<Alphabet, TooComplex> {
        let ranges = classes.iter().flatten();
        let borders = ranges.flat_map(|&(low, high)| [u32::from(low), u32::from(high) + 1]);
        let borders: BTreeSet<u32> = borders.chain(GAP).chain([0]).filter(|&border| border < END).collect();
        let mut runs: Vec<(u32, u32)> = borders.into_iter().map(|border| (border, 0)).collect();
        let mut next = 1;
        for class in classes {
            // What was one group and lies within the class becomes a new one.
            let mut split = HashMap::new();
            for &(low, high) in class {
                let first = runs.partition_point(|&(start, _)| start < u32::from(low));
                let end = runs.partition_point(|&(start, _)| start <= u32::from(high));
                room.take(end - first)?;
                for (_, group) in &mut runs[first..end] {
                    *group = *split.entry(*group).or_insert_with(|| {
                        next += 1;
                        next - 1
                    });
                }
            }
        }
        runs.retain(|&(start, _)| start != GAP[0]);
        let mut numbers: HashMap<u32, u16> = HashMap::new();
        let mut numbered: Vec<(u32, u16)> = Vec::new();
        for (start, group) in runs {
            let count = u16::try_from(numbers.len()).map_err(|_| TooComplex)?;
            let group = *numbers.entry(group).or_insert(count);
            if numbered.last().is_none_or(|&(_, last)| last != group) {
                numbered.push((start, group));
            }
        }
        let mut alphabet = Alphabet { ascii: [0; 128], runs: numbered, groups: numbers.len() };
        alphabet.ascii = std::array::from_fn(|index| alphabet.search(index as u32));
        Ok(alphabet)
    }

    /// How many groups there are.
    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    /// The group of a character.
    pub(super) fn group(&self, character: char) -> usize {
        let code = u32::from(character);
        let group = self.ascii.get(code as usize).copied().unwrap_or_else(|| self.search(code));
        usize::from(group)
    }

    fn search(&self, code: u32) -> u16 {
        let behind = self.runs.partition_point(|&(start, _)| start <= code);
        behind.checked_sub(1).and_then(|index| self.runs.get(index)).map_or(0, |&(_, group)| group)
    }

    /// The groups of a class that was among those that made this alphabet.
    pub(super) fn class(&self, class: &[(char, char)], room: &mut Room) -> Result<Groups, TooComplex> {
        let mut groups = vec![0; self.groups.div_ceil(64)];
        for &(low, high) in class {
            let first = self.runs.partition_point(|&(run, _)| run <= u32::from(low)).saturating_sub(1);
            let end = self.runs.partition_point(|&(run, _)| run <= u32::from(high));
            room.take(end.saturating_sub(first))?;
            for &(_, group) in self.runs.get(first..end).unwrap_or_default() {
                groups[usize::from(group) / 64] |= 1 << (group % 64);
            }
        }
        Ok(groups.into_boxed_slice())
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> usize {
        size_of::<Alphabet>() + self.runs.len() * size_of::<(u32, u16)>()
    }
}

/// What is left of the work that an expression may cost, in steps of about the same size.
#[derive(Debug)]
pub(super) struct Room(pub(super) usize);

impl Room {
    /// Takes some steps.
    pub(super) fn take(&mut self, steps: usize) -> Result<(), TooComplex> {
        self.0 = self.0.checked_sub(steps).ok_or(TooComplex)?;
        Ok(())
    }
}
