//! A small fast random generator, the same for every allocator and every run with the same seed.

/// xorshift64: three shifts and no multiplication, so that the loop around an allocator costs next to nothing.
pub struct Random(u64);

impl Random {
    /// A generator that depends on `seed` alone.
    pub fn new(seed: u64) -> Self {
        // Spread the seed over all bits; the state must not be zero.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 64 bits.
    #[inline(always)]
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 up to, not including, `limit` (at most 2^32).
    #[inline(always)]
    pub fn below(&mut self, limit: usize) -> usize {
        (((self.draw() >> 32) * limit as u64) >> 32) as usize
    }

    /// A number from `low` to `high`, both included.
    #[inline(always)]
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// A number from `low` to `high` of which every doubling is as likely as the next.
    #[inline]
    pub fn scaled_between(&mut self, low: usize, high: usize) -> usize {
        let doublings = (high / low).ilog2() as usize;
        let start = low << self.below(doublings.max(1));
        self.between(start, (start * 2).min(high))
    }

    /// The numbers below `count`, in a random order.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for end in (1..count).rev() {
            order.swap(end, self.below(end + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn numbers_stay_in_their_range_and_reach_its_ends() {
        let mut random = Random::new(7);
        let drawn: Vec<usize> = (0..1000).map(|_| random.between(3, 6)).collect();
        assert_eq!(drawn.iter().min(), Some(&3));
        assert_eq!(drawn.iter().max(), Some(&6));
    }

    #[test]
    fn scaled_numbers_stay_in_their_range_and_prefer_no_doubling() {
        let mut random = Random::new(7);
        let drawn: Vec<usize> = (0..10_000).map(|_| random.scaled_between(32, 32_768)).collect();
        assert!(drawn.iter().all(|number| (32..=32_768).contains(number)));
        let small = drawn.iter().filter(|number| **number < 1024).count();
        assert!((4000..6000).contains(&small), "{small} of 10,000 lie in the lower five doublings of ten");
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_seed_others() {
        let draw = |seed| Random::new(seed).draw();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
