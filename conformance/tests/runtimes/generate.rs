//! A small generator of random numbers (xorshift64*, Vigna 2016): the same numbers for the same seed, everywhere.

/// The state of the generator.
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        // The state must not be zero.
        Random { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    pub fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    pub fn pick<T: Copy>(&mut self, pool: &[T]) -> T {
        pool[self.below(pool.len())]
    }
}

/// The seed that `KESTREL_SEED` gives, or the usual one.
pub fn seed() -> u64 {
    std::env::var("KESTREL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_240_601)
}
