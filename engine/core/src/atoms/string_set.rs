//! A fixed set of strings, asked whether it holds one.
//!
//! In: the strings, once. Out: yes or no, mostly after a look at the length alone. Nothing can be added later.

/// An open-addressed hash set, built once. Most rules ask for one to twenty short names, and most events hold another
/// name: a bit per length refuses those before anything is hashed.
#[derive(Debug)]
pub(super) struct StringSet {
    /// Bit n: there is a string of n bytes; bit 63 stands for all longer ones.
    lengths: u64,
    /// A power of two of places, at most half of them taken; 0 is free, n is `strings[n - 1]`.
    places: Box<[u32]>,
    strings: Box<[Box<str>]>,
}

/// Below this many strings they are compared one after another.
const HASHED_FROM: usize = 5;

impl StringSet {
    pub(super) fn new<'s>(strings: impl IntoIterator<Item = &'s str>) -> StringSet {
        let mut strings: Vec<Box<str>> = strings.into_iter().map(Box::from).collect();
        strings.sort_unstable();
        strings.dedup();
        let lengths = strings.iter().fold(0, |lengths, string| lengths | length_bit(string.len()));
        let mut set = StringSet { lengths, places: Box::default(), strings: strings.into() };
        if set.strings.len() >= HASHED_FROM {
            set.place_all();
        }
        set
    }

    fn place_all(&mut self) {
        let mut places = vec![0u32; (self.strings.len() * 2).next_power_of_two()];
        let mask = places.len() - 1;
        for (index, string) in self.strings.iter().enumerate() {
            let mut place = hash(string.as_bytes()) as usize & mask;
            while places[place] != 0 {
                place = (place + 1) & mask;
            }
            places[place] = index as u32 + 1;
        }
        self.places = places.into();
    }

    #[inline]
    pub(super) fn contains(&self, text: &str) -> bool {
        self.lengths & length_bit(text.len()) != 0 && self.holds(text)
    }

    fn holds(&self, text: &str) -> bool {
        if self.places.is_empty() {
            return self.strings.iter().any(|string| **string == *text);
        }
        let mask = self.places.len() - 1;
        let mut place = hash(text.as_bytes()) as usize & mask;
        // At most half of the places are taken, so that a free one ends the search.
        while let Some(index) = self.places[place].checked_sub(1) {
            if *self.strings[index as usize] == *text {
                return true;
            }
            place = (place + 1) & mask;
        }
        false
    }
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// Multiply and mix, eight bytes at a time. An event can't slow the set down by chosen collisions, because it never
/// adds anything: the longest chain is settled when the pack is loaded, so that SipHash would buy nothing.
fn hash(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
        state ^= state >> 32;
    }
    let mut word = [0; 8];
    for (byte, rest) in word.iter_mut().zip(chunks.remainder()) {
        *byte = *rest;
    }
    state = (state ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    state ^ state >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_its_strings_and_no_other() {
        for size in [0usize, 1, 4, 5, 6, 100, 1000] {
            let strings: Vec<String> = (0..size).map(|number| format!("{}{number}", "x".repeat(number % 90))).collect();
            let set = StringSet::new(strings.iter().map(String::as_str));
            for string in &strings {
                assert!(set.contains(string), "{string} in {size}");
                assert!(!set.contains(&format!("{string}y")), "{string}y in {size}");
            }
            assert!(!set.contains(""));
        }
        assert!(StringSet::new([""]).contains(""));
    }
}
