//! Medians and histograms.

/// Returns the median: the middle value, or the mean of the two in the middle; NaN if there are none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len => (sorted[(len - 1) / 2] + sorted[len / 2]) / 2.0,
    }
}

/// Returns the index of the value nearest to the median; 0 if there are none.
#[must_use]
pub fn median_index(values: &[f64]) -> usize {
    let median = median(values);
    let distance = |index: &usize| (values[*index] - median).abs();
    (0..values.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
}

/// Rounds to three decimals, for reports.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Values below this have one bucket each.
const EXACT: u64 = 4096;
/// Buckets for each doubling above.
const STEPS_BITS: u32 = 6;

/// Counts of durations: exact below 4096 ticks, to 1/64 above.
#[derive(Clone, Debug)]
pub struct Histogram {
    exact: Vec<u64>,
    coarse: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// Creates an empty histogram whose memory is already mapped.
    #[must_use]
    pub fn new() -> Self {
        Histogram { exact: vec![0; EXACT as usize], coarse: vec![0; 64 << STEPS_BITS], count: 0, max: 0 }
    }

    /// Counts a value.
    #[inline(always)]
    pub fn add(&mut self, value: u64) {
        self.count += 1;
        match self.exact.get_mut(value as usize) {
            Some(bucket) => *bucket += 1,
            None => self.add_coarse(value),
        }
    }

    #[cold]
    fn add_coarse(&mut self, value: u64) {
        self.max = self.max.max(value);
        self.coarse[Self::bucket(value)] += 1;
    }

    fn bucket(value: u64) -> usize {
        let exponent = value.ilog2();
        let step = (value >> (exponent - STEPS_BITS)) & ((1 << STEPS_BITS) - 1);
        (exponent as usize) << STEPS_BITS | step as usize
    }

    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the largest value.
    #[must_use]
    pub fn max(&self) -> u64 {
        let exact = self.exact.iter().rposition(|&count| count > 0).unwrap_or(0) as u64;
        self.max.max(exact)
    }

    /// Returns the least value that a `share` (0 to 1) of all values does not exceed; above 4095 the start of its
    /// bucket.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (value, count) in self.exact.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return value as u64;
            }
        }
        for (bucket, count) in self.coarse.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                let (exponent, step) = (bucket >> STEPS_BITS, bucket & ((1 << STEPS_BITS) - 1));
                return (1 << exponent) | (step as u64) << (exponent as u32 - STEPS_BITS);
            }
        }
        self.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
        assert_eq!(median_index(&[9.0, 1.0, 2.0]), 2);
        assert_eq!(median_index(&[]), 0);
    }

    #[test]
    fn quantiles_of_known_values() {
        let mut histogram = Histogram::new();
        assert_eq!((histogram.quantile(0.5), histogram.max()), (0, 0));
        (1..=1000).for_each(|value| histogram.add(value));
        assert_eq!((histogram.quantile(0.5), histogram.quantile(0.999), histogram.quantile(1.0)), (500, 999, 1000));
        assert_eq!((histogram.count(), histogram.max()), (1000, 1000));
    }

    #[test]
    fn large_values_are_exact_to_a_64th() {
        for value in [4096, 5000, 123_456_789, u64::MAX / 3, u64::MAX] {
            let mut histogram = Histogram::new();
            histogram.add(value);
            let found = histogram.quantile(0.5);
            assert!(found <= value && value - found <= value / 64, "{value} was found as {found}");
            assert_eq!(histogram.max(), value);
        }
    }
}
