//! Chance that comes from a seed alone.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A stream of numbers; the same seed gives the same stream (splitmix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// A stream of its own, which goes on whatever is drawn from this one later.
    pub fn branch(&mut self) -> Chance {
        Chance(self.number())
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of a range.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        low + self.number() % (high - low + 1)
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        (self.number() >> 11) as f64 / ((1_u64 << 53) as f64) < probability
    }

    /// One of several; none of none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let last = from.len().checked_sub(1)? as u64;
        from.get(self.within(0..=last) as usize)
    }

    /// A time of so many milliseconds.
    pub fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// A moment, a while, or longer than leases last.
    pub fn while_of_any_kind(&mut self) -> Duration {
        match self.within(0..=9) {
            0..=2 => self.millis(0..=2_000),
            3..=6 => self.millis(2_000..=30_000),
            _ => self.millis(30_000..=150_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..9).map(|_| chance.within(3..=7)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().all(|number| (3..=7).contains(number)));
    }
}
