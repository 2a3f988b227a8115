//! Slabs: items behind small numbers, in memory that is reused and never moved.
//!
//! In: items. Out: a number for each, valid until it is removed. Memory grows by one chunk at a time, so that nothing is
//! copied and little is held in reserve; removed items leave places that the next ones take. A number says nothing of the
//! item behind it: whoever keeps one knows that its item is still there.

/// The number of no item.
pub(crate) const NONE: u32 = u32::MAX;

/// How many items a chunk holds.
const CHUNK: usize = 64;

/// Items of one size.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    /// How many numbers were given out, those that are free again included.
    given: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { chunks: Vec::new(), free: Vec::new(), given: 0 }
    }
}

impl<T> Slab<T> {
    /// Adds an item and gives its number; [`NONE`] when there are as many as numbers.
    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if let Some(number) = self.free.pop() {
            if let Some(place) = self.get_mut(number) {
                *place = item;
            }
            return number;
        }
        let number = self.given;
        if number == NONE {
            return NONE;
        }
        if (number as usize).is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
            // Removing must not allocate.
            self.free.reserve(self.chunks.len() * CHUNK);
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(item);
        }
        self.given += 1;
        number
    }

    /// The item behind a number.
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.chunks.get(number as usize / CHUNK)?.get(number as usize % CHUNK)
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.chunks.get_mut(number as usize / CHUNK)?.get_mut(number as usize % CHUNK)
    }

    /// Gives a number back. What is behind it stays until the next item takes its place.
    pub(crate) fn remove(&mut self, number: u32) {
        self.free.push(number);
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        self.given as usize - self.free.len()
    }

    /// The bytes of the items that there are, with what their places cost once they are free.
    pub(crate) fn bytes(&self) -> usize {
        self.len() * (size_of::<T>() + 2 * size_of::<u32>())
    }

    /// The bytes of the memory that is held for them.
    pub(crate) fn reserved(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

/// Runs of words, all of the same length.
#[derive(Debug)]
pub(crate) struct Runs {
    width: usize,
    chunks: Vec<Vec<u64>>,
    free: Vec<u32>,
    given: u32,
}

impl Runs {
    /// No run yet, of `width` words each.
    pub(crate) fn new(width: usize) -> Runs {
        Runs { width, chunks: Vec::new(), free: Vec::new(), given: 0 }
    }

    /// The length of a run.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Adds a run of zeros and gives its number.
    pub(crate) fn insert(&mut self) -> u32 {
        if let Some(number) = self.free.pop() {
            self.get_mut(number).fill(0);
            return number;
        }
        let number = self.given;
        if number == NONE {
            return NONE;
        }
        if (number as usize).is_multiple_of(CHUNK) {
            self.chunks.push(vec![0; self.width * CHUNK]);
            self.free.reserve(self.chunks.len() * CHUNK);
        }
        self.given += 1;
        number
    }

    /// The run behind a number.
    pub(crate) fn get(&self, number: u32) -> &[u64] {
        let start = number as usize % CHUNK * self.width;
        let chunk = self.chunks.get(number as usize / CHUNK);
        chunk.and_then(|chunk| chunk.get(start..start + self.width)).unwrap_or(&[])
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, number: u32) -> &mut [u64] {
        let start = number as usize % CHUNK * self.width;
        let chunk = self.chunks.get_mut(number as usize / CHUNK);
        chunk.and_then(|chunk| chunk.get_mut(start..start + self.width)).unwrap_or(&mut [])
    }

    /// Gives a number back.
    pub(crate) fn remove(&mut self, number: u32) {
        self.free.push(number);
    }

    /// The bytes of the memory that is held.
    pub(crate) fn reserved(&self) -> usize {
        self.chunks.len() * CHUNK * self.width * size_of::<u64>() + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_again() {
        let mut slab = Slab::default();
        let numbers: Vec<u32> = (0..200).map(|item| slab.insert(item)).collect();
        let reserved = slab.reserved();
        for round in 0..10 {
            numbers.iter().for_each(|&number| slab.remove(number));
            assert_eq!(slab.len(), 0);
            let again: Vec<u32> = (0..200).map(|item| slab.insert(item + round)).collect();
            assert!(again.iter().zip(0..).all(|(&number, item)| slab.get(number) == Some(&(item + round))));
        }
        assert_eq!((slab.len(), slab.reserved()), (200, reserved));
    }

    #[test]
    fn a_run_starts_as_zeros() {
        let mut runs = Runs::new(3);
        let first = runs.insert();
        runs.get_mut(first).fill(7);
        runs.remove(first);
        assert_eq!(runs.insert(), first);
        assert_eq!(runs.get(first), [0, 0, 0]);
    }
}
