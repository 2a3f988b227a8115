//! A fixed table from names to numbers, made for names of some ten bytes that are looked up all the time: the keys of JSON
//! objects.
//!
//! In: names and their numbers, once. Out: a name's number. A name of up to 16 bytes is decided by its length and two
//! words, its first and its last eight bytes, which lie in the table itself: one look at one place in memory.

/// Names and their numbers, in an open-addressed hash table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// A power of two of places, at most half of them taken.
    places: Box<[Place]>,
    /// The names, in the order in which they were added.
    names: Vec<(Box<str>, u32)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    words: [u64; 2],
    length: u32,
    /// 0 for a free place, n for `names[n - 1]`.
    name: u32,
    number: u32,
}

/// The longest name that its words decide.
const DECIDED: usize = 16;

impl Names {
    /// Adds a name. One that is there keeps its number.
    pub(crate) fn insert(&mut self, name: &str, number: u32) {
        if self.get(name).is_some() {
            return;
        }
        self.names.push((name.into(), number));
        if self.names.len() * 2 > self.places.len() {
            self.places = vec![Place::default(); (self.names.len() * 4).next_power_of_two()].into();
            (0..self.names.len()).for_each(|index| self.place(index));
        } else {
            self.place(self.names.len() - 1);
        }
    }

    /// Puts a name into the first free place from its own on.
    fn place(&mut self, index: usize) {
        let (name, number) = &self.names[index];
        let (words, length) = (words(name.as_bytes()), name.len());
        let mask = self.places.len() - 1;
        let mut at = hash(words, length) as usize & mask;
        while self.places[at].name != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = Place { words, length: length as u32, name: index as u32 + 1, number: *number };
    }

    /// The number of a name.
    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<u32> {
        let words = words(name.as_bytes());
        let mask = self.places.len().wrapping_sub(1);
        let mut at = hash(words, name.len()) as usize & mask;
        loop {
            let place = self.places.get(at)?;
            if place.name == 0 {
                return None;
            }
            if place.words == words && place.length as usize == name.len() && self.decides(place, name) {
                return Some(place.number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Whether a name with the words and the length of a place's is that name.
    #[inline]
    fn decides(&self, place: &Place, name: &str) -> bool {
        name.len() <= DECIDED || self.names.get(place.name as usize - 1).is_some_and(|(known, _)| **known == *name)
    }
}

/// The first and the last eight bytes; of a shorter name all bytes, once or twice.
#[inline]
fn words(name: &[u8]) -> [u64; 2] {
    match (name.first_chunk(), name.last_chunk(), name) {
        (Some(first), Some(last), _) => [u64::from_le_bytes(*first), u64::from_le_bytes(*last)],
        (_, _, short) => match (short.first_chunk(), short.last_chunk(), short) {
            (Some(first), Some(last), _) => {
                [u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last))]
            }
            (_, _, [first, .., last]) => [u64::from(*first), u64::from(short[1]) << 8 | u64::from(*last)],
            (_, _, [only]) => [u64::from(*only), 0],
            _ => [0, 0],
        },
    }
}

#[inline]
fn hash([first, last]: [u64; 2], length: usize) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = (first ^ length as u64).wrapping_mul(MULTIPLIER) ^ last;
    let mixed = mixed.wrapping_mul(MULTIPLIER);
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_number_and_others_have_none() {
        let letters = "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz";
        let mut names = Names::default();
        assert_eq!(names.get(""), None);
        let wanted: Vec<String> = (0..40)
            .flat_map(|length| [letters[..length].to_owned(), letters[1..=length].to_owned(), "a".repeat(length)])
            .collect();
        for (number, name) in wanted.iter().enumerate() {
            names.insert(name, number as u32);
        }
        for name in &wanted {
            let first = wanted.iter().position(|other| other == name).map(|number| number as u32);
            assert_eq!(names.get(name), first, "{name}");
            // One byte other, one more, one less: at every place.
            for place in 0..name.len() {
                let mut other = name.clone();
                other.replace_range(place..=place, "Z");
                assert_eq!(names.get(&other), None, "{other}");
            }
            assert_eq!(names.get(&format!("{name}Z")), None);
        }
    }

    #[test]
    fn short_names_with_the_same_letters_are_told_apart() {
        let mut names = Names::default();
        let short =
            ["ab", "aab", "aabb", "abab", "aba", "bab", "ba", "a", "b", "aa", "\0", "\0\0", "\0\0\0", "pid", "pdi"];
        for (number, name) in short.iter().enumerate() {
            names.insert(name, number as u32);
        }
        for (number, name) in short.iter().enumerate() {
            assert_eq!(names.get(name), Some(number as u32), "{name:?}");
        }
        assert_eq!(names.get("abb"), None);
    }
}
