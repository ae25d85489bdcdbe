//! Numbers that look random and follow from their seed, so that the same inputs give the same outputs.

/// One number from a seed and a counter (SplitMix64).
pub const fn draw(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A seed from the bytes of a name.
pub const fn seed(name: [u8; 16]) -> u64 {
    // Two halves of a UUID, of which the first is mostly time: mixed, so that neighbours in time do not draw alike.
    let whole = u128::from_le_bytes(name);
    draw(whole as u64, (whole >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_and_counter_draw_the_same_number() {
        assert_eq!(draw(seed([7; 16]), 3), draw(seed([7; 16]), 3));
    }

    #[test]
    fn neighbours_draw_numbers_that_have_nothing_in_common() {
        let one = draw(seed([0; 16]), 1);
        let mut next = [0; 16];
        next[15] = 1;
        let differing = (one ^ draw(seed(next), 1)).count_ones();
        assert!((12..=52).contains(&differing), "{differing} of 64 bits differ");
        assert_ne!(one, draw(seed([0; 16]), 2));
    }
}
