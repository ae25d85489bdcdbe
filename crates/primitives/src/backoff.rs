//! The wait before another attempt, and the pauses between looks at the world.

use core::time::Duration;

/// Full jitter: anything from nothing to `base * 2^retry`, and never more than `max`. `retry` counts from zero.
//= S-09
pub fn full_jitter(base: Duration, max: Duration, retry: u32, entropy: u64) -> Duration {
    let ceiling = doubled(base, max, retry);
    let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    // The upper half of a product is a fair share of the range without division's bias towards small numbers.
    Duration::from_nanos(((u128::from(entropy) * u128::from(nanos)) >> 64) as u64)
}

/// `base * 2^times`, and never more than `max`.
pub fn doubled(base: Duration, max: Duration, times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    base.checked_mul(factor).map_or(max, |span| span.min(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(200);
    const MAX: Duration = Duration::from_secs(5);

    //= S-09
    #[test]
    fn a_wait_is_never_longer_than_the_doubled_base_or_the_maximum() {
        for retry in 0..80 {
            let longest = full_jitter(BASE, MAX, retry, u64::MAX);
            assert!(longest <= doubled(BASE, MAX, retry) && longest <= MAX, "{retry}: {longest:?}");
        }
        assert_eq!(full_jitter(BASE, MAX, 0, 0), Duration::ZERO);
        assert_eq!(full_jitter(BASE, MAX, 1, 1 << 63), Duration::from_millis(200));
    }

    #[test]
    fn doubling_stops_at_the_maximum_and_does_not_overflow() {
        let pauses = [0, 1, 4, 40, u32::MAX].map(|times| doubled(BASE, MAX, times).as_millis());
        assert_eq!(pauses, [200, 400, 3200, 5000, 5000]);
    }
}
