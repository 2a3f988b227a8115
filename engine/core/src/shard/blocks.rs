//! Bytes that outlive their event: frames that partial matches keep as evidence, and keys too long for their entry.
//!
//! In: bytes. Out: a number, and the bytes behind it for as long as somebody holds it. An event that several partial
//! matches keep is stored once. Memory comes in classes of size, four to a doubling, and is used again within its class,
//! so that nothing is allocated once a stream has settled.

use super::slab::Slab;

/// The smallest class.
const MIN_BLOCK: usize = 64;

/// Blocks of bytes with counted holders.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    blocks: Slab<Block>,
    /// Memory of blocks that nobody holds, by class.
    spare: Vec<Vec<Box<[u8]>>>,
    spare_bytes: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Block {
    memory: Box<[u8]>,
    length: usize,
    holders: u32,
}

impl Blocks {
    /// Stores bytes for one holder.
    pub(crate) fn insert(&mut self, bytes: &[u8]) -> u32 {
        let (class, size) = class_of(bytes.len());
        let memory = match self.spare.get_mut(class).and_then(Vec::pop) {
            Some(memory) => {
                self.spare_bytes -= memory.len();
                memory
            }
            None => vec![0; size].into_boxed_slice(),
        };
        self.bytes += memory.len();
        let mut block = Block { memory, length: bytes.len(), holders: 1 };
        if let Some(place) = block.memory.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.blocks.insert(block)
    }

    /// One holder more. A block whose holders cannot be counted any further is stored again.
    pub(crate) fn share(&mut self, number: u32) -> u32 {
        if let Some(block) = self.blocks.get_mut(number)
            && block.holders < u32::MAX
        {
            block.holders += 1;
            return number;
        }
        let copy = self.get(number).to_vec();
        self.insert(&copy)
    }

    /// One holder less; the last one's leaving frees the block.
    pub(crate) fn release(&mut self, number: u32) {
        let Some(block) = self.blocks.get_mut(number) else { return };
        block.holders = block.holders.saturating_sub(1);
        if block.holders > 0 {
            return;
        }
        let memory = std::mem::take(&mut block.memory);
        self.blocks.remove(number);
        self.bytes -= memory.len();
        self.spare_bytes += memory.len();
        let (class, _) = class_of(memory.len());
        if class >= self.spare.len() {
            self.spare.resize_with(class + 1, Vec::new);
        }
        if let Some(spare) = self.spare.get_mut(class) {
            spare.push(memory);
        }
    }

    /// The bytes behind a number.
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        self.blocks.get(number).and_then(|block| block.memory.get(..block.length)).unwrap_or(&[])
    }

    /// The bytes that blocks in use take, their entries included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.blocks.bytes() + self.blocks.len() * size_of::<Box<[u8]>>()
    }

    /// The bytes of memory that waits to be used again.
    pub(crate) fn spare(&self) -> usize {
        self.spare_bytes
    }

    /// Gives memory that waits back to the system, the largest blocks first, until at most `limit` bytes wait.
    pub(crate) fn trim(&mut self, limit: usize) {
        for class in (0..self.spare.len()).rev() {
            while self.spare_bytes > limit
                && let Some(memory) = self.spare.get_mut(class).and_then(Vec::pop)
            {
                self.spare_bytes -= memory.len();
            }
        }
    }

    /// The bytes of all memory that is held.
    pub(crate) fn reserved(&self) -> usize {
        let lists: usize = self.spare.iter().map(|spare| spare.capacity() * size_of::<Box<[u8]>>()).sum();
        self.bytes + self.spare_bytes + lists + self.blocks.reserved()
    }
}

/// The class for so many bytes, and the size of its blocks. A block's own size is in its class.
fn class_of(length: usize) -> (usize, usize) {
    if length <= MIN_BLOCK {
        return (0, MIN_BLOCK);
    }
    let doubling = (length - 1).ilog2();
    let step = 1_usize << (doubling - 2);
    let size = length.next_multiple_of(step);
    let quarter = (size - (1 << doubling)) / step;
    ((doubling - MIN_BLOCK.ilog2()) as usize * 4 + quarter, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_their_sizes_and_waste_little() {
        let mut last = (0, MIN_BLOCK);
        for length in 1..100_000 {
            let (class, size) = class_of(length);
            assert!(size >= length && (size <= length + length / 4 + 1 || size == MIN_BLOCK), "{length}: {size}");
            assert_eq!(class_of(size), (class, size));
            assert!((class, size) == last || (class == last.0 + 1 && size > last.1), "{length}");
            last = (class, size);
        }
    }

    #[test]
    fn memory_is_used_again_and_can_be_given_back() {
        let mut blocks = Blocks::default();
        let first = blocks.insert(&[1; 1000]);
        assert_eq!(blocks.share(first), first);
        blocks.release(first);
        assert_eq!(blocks.get(first), [1; 1000]);
        let used = blocks.bytes();
        blocks.release(first);
        assert_eq!((blocks.bytes(), blocks.spare()), (0, 1024));
        let second = blocks.insert(&[2; 1001]);
        assert_eq!((blocks.get(second), blocks.bytes(), blocks.spare()), (&[2; 1001][..], used, 0));
        blocks.release(second);
        blocks.trim(1023);
        assert_eq!(blocks.spare(), 0);
    }
}
