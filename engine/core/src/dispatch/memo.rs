//! What texts found lately: most values of a host's events come again and again, and looking one up costs less than folding
//! it and running an automaton over it.
//!
//! In: a text and the index of a field, then what it found there. Out: the same again, while it is remembered. A place holds
//! one text; the next that falls on it takes it. For a field whose texts hardly come again it steps aside for a while.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The longest text that is remembered, in bytes.
const MAX_TEXT: usize = 152;
/// The most lists of postings that a remembered text finds.
pub(super) const MAX_LISTS: usize = 8;
/// How many texts there is room for: 768 KiB.
const PLACES: usize = 4096;

/// After so many looks at one field's texts it is decided anew whether that is worth it.
const LOOKS: u16 = 1024;
/// It is when this share of them was found: 1 of so many.
const WORTH: u16 = 3;
/// If not, so many texts of the field are not looked for.
const PAUSE: u16 = 16_384;

/// Numbers of lists of postings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lists {
    numbers: [u32; MAX_LISTS],
    /// How many there are; more than there is room for when they were too many.
    count: u8,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// One more than the number of the field's index, 0 for a free place.
    index: u32,
    length: u8,
    lists: Lists,
    text: [u8; MAX_TEXT],
}

/// Whether a field's texts come again.
#[derive(Debug, Clone, Copy, Default)]
struct Worth {
    looks: u16,
    found: u16,
    pause: u16,
}

/// Texts and what they found.
#[derive(Debug, Default)]
pub(super) struct Memo {
    /// Empty until the first text is looked for.
    places: Vec<Place>,
    /// By the number of the field's index.
    worth: Vec<Worth>,
}

/// The answer of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It found this.
    Found(Lists),
    /// It is not known; tell what it finds, for this place.
    Unknown(usize),
    /// Nothing is remembered of such a text.
    Aside,
}

impl Lists {
    pub(super) fn push(&mut self, list: u32) {
        if let Some(place) = self.numbers.get_mut(usize::from(self.count)) {
            *place = list;
            self.count += 1;
        } else {
            self.count = MAX_LISTS as u8 + 1;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.numbers.iter().take(usize::from(self.count)).copied()
    }
}

impl Memo {
    /// Forgets everything: the indexes are others now.
    pub(super) fn clear(&mut self) {
        self.places.iter_mut().for_each(|place| place.index = 0);
        self.worth.clear();
    }

    /// Looks for a text of the field whose index has this number.
    #[inline]
    pub(super) fn look(&mut self, index: u32, text: &str) -> Look {
        if text.len() > MAX_TEXT || !self.is_worth_it(index) {
            return Look::Aside;
        }
        if self.places.is_empty() {
            let free = Place { index: 0, length: 0, lists: Lists::default(), text: [0; MAX_TEXT] };
            self.places = vec![free; PLACES];
        }
        let at = xxh3_64_with_seed(text.as_bytes(), u64::from(index)) as usize % PLACES;
        match self.places.get(at) {
            Some(place)
                if place.index == index + 1 && place.text.get(..usize::from(place.length)) == Some(text.as_bytes()) =>
            {
                if let Some(worth) = self.worth.get_mut(index as usize) {
                    worth.found += 1;
                }
                Look::Found(place.lists)
            }
            _ => Look::Unknown(at),
        }
    }

    fn is_worth_it(&mut self, index: u32) -> bool {
        let index = index as usize;
        if index >= self.worth.len() {
            self.worth.resize(index + 1, Worth::default());
        }
        let Some(worth) = self.worth.get_mut(index) else { return false };
        if worth.pause > 0 {
            worth.pause -= 1;
            return false;
        }
        if worth.looks == LOOKS {
            let pause = if worth.found < LOOKS / WORTH { PAUSE } else { 0 };
            *worth = Worth { pause, ..Worth::default() };
        }
        worth.looks += 1;
        true
    }

    /// Remembers what a text found, at the place that [`Memo::look`] gave for it.
    pub(super) fn remember(&mut self, at: usize, index: u32, text: &str, lists: Lists) {
        let Some(place) = self.places.get_mut(at).filter(|_| usize::from(lists.count) <= MAX_LISTS) else { return };
        let (Some(room), Ok(length)) = (place.text.get_mut(..text.len()), u8::try_from(text.len())) else { return };
        room.copy_from_slice(text.as_bytes());
        (place.index, place.length, place.lists) = (index + 1, length, lists);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(numbers: impl IntoIterator<Item = u32>) -> Lists {
        let mut lists = Lists::default();
        numbers.into_iter().for_each(|number| lists.push(number));
        lists
    }

    #[test]
    fn a_text_finds_what_it_found_in_its_field_alone() {
        let mut memo = Memo::default();
        let Look::Unknown(place) = memo.look(3, "/bin/sh") else { panic!("nothing is known yet") };
        memo.remember(place, 3, "/bin/sh", lists([4, 9]));
        assert_eq!(memo.look(3, "/bin/sh"), Look::Found(lists([4, 9])));
        assert!(matches!(memo.look(2, "/bin/sh"), Look::Unknown(_)));
        assert!(matches!(memo.look(3, "/bin/SH"), Look::Unknown(_)));
        let Look::Unknown(place) = memo.look(0, "") else { panic!("the empty text is a text") };
        memo.remember(place, 0, "", lists([]));
        assert_eq!(memo.look(0, ""), Look::Found(lists([])));
        memo.clear();
        assert!(matches!(memo.look(3, "/bin/sh"), Look::Unknown(_)));
    }

    #[test]
    fn what_is_too_long_or_finds_too_much_is_not_remembered() {
        let mut memo = Memo::default();
        assert_eq!(memo.look(0, &"x".repeat(MAX_TEXT + 1)), Look::Aside);
        let text = "x".repeat(MAX_TEXT);
        for found in [MAX_LISTS + 1, MAX_LISTS + 300] {
            let Look::Unknown(place) = memo.look(0, &text) else { panic!("it was not remembered") };
            memo.remember(place, 0, &text, lists(0..found as u32));
        }
        let Look::Unknown(place) = memo.look(0, &text) else { panic!("it was not remembered") };
        memo.remember(place, 0, &text, lists(0..MAX_LISTS as u32));
        assert_eq!(memo.look(0, &text), Look::Found(lists(0..MAX_LISTS as u32)));
    }

    #[test]
    fn texts_that_never_come_again_are_left_alone_for_a_while() {
        let mut memo = Memo::default();
        let mut aside = 0;
        for number in 0..40_000 {
            let text = number.to_string();
            match memo.look(7, &text) {
                Look::Unknown(place) => memo.remember(place, 7, &text, lists([1])),
                Look::Found(_) => panic!("{text} was never there"),
                Look::Aside => aside += 1,
            }
        }
        assert!(aside > 30_000, "{aside}");
        assert!(matches!(memo.look(8, "other fields go on"), Look::Unknown(_)));
    }
}
