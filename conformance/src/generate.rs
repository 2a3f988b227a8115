//! Generators, seeded: the same seed gives the same cases on every machine.
//!
//! ```text
//! fields ─▶ atoms, values ─▶ packs (IR) ─┐
//! queries ─ the compiler ────────────────┴─▶ events, drawn from the pack's own constants
//! streams: patterns and events for the sequence machine
//! ```

pub mod atoms;
pub mod events;
pub mod fields;
pub mod packs;
pub mod queries;
pub mod rules;
pub mod streams;
pub mod values;
pub mod words;

/// A small generator of numbers (xorshift64*, Vigna 2016): enough for tests, the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that starts from `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`, which is at least 1.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.bits() >> 33) as usize % limit.max(1)
    }

    /// True once in `times` on average.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// True so often in a hundred.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// One of several, at least one.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// The seed of part `number` of a run: parts can be made in any order, on any thread, and each by itself.
pub fn derive(seed: u64, number: u64) -> u64 {
    let mut random = Random::new(seed ^ number.wrapping_mul(0xD134_2543_DE82_EF95).rotate_left(17));
    random.bits() ^ random.bits().rotate_left(32)
}

/// The seed of a test run: `KESTREL_SEED`, or the one given.
pub fn seed(default: u64) -> u64 {
    std::env::var("KESTREL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
