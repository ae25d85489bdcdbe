//! Numbers from a seed: one generator for each component, so that a new component does not shift the draws of others.

/// xoshiro256++, seeded by splitmix64 from a seed and a name.
#[derive(Clone, Debug)]
pub struct Rng([u64; 4]);

impl Rng {
    pub fn of(seed: u64, component: &str) -> Self {
        let mut state = seed ^ 0x6a09_e667_f3bc_c908;
        for byte in component.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        Self([next(), next(), next(), next()])
    }

    pub const fn draw(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let drawn = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        drawn
    }

    /// A number below `bound`, which is not zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `parts` of a thousand cases.
    pub fn chance(&mut self, parts: u32) -> bool {
        self.below(1000) < u64::from(parts)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = usize::try_from(self.below((from.len() as u64).max(1))).unwrap_or(0);
        from.get(at).copied()
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below((length as u64).max(1))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_draws_the_same_whatever_the_others_do() {
        let mut one = Rng::of(7, "disk");
        let mut other = Rng::of(7, "network");
        let first: Vec<u64> = (0..4).map(|_| one.draw()).collect();
        other.draw();
        let mut again = Rng::of(7, "disk");
        assert_eq!(first, (0..4).map(|_| again.draw()).collect::<Vec<_>>());
        assert_ne!(first[0], Rng::of(8, "disk").draw());
    }
}
