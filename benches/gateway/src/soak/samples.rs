//! What the gateway's process uses, over time.

use std::time::Duration;

/// One look.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub at: Duration,
    /// Resident, in bytes.
    pub memory: u64,
    pub active: u64,
    pub files: usize,
}

/// Every look, and the CPU time used in all.
#[derive(Debug, Default)]
pub struct Samples {
    all: Vec<Sample>,
    pub cpu: Duration,
    pub took: Duration,
}

/// Bytes as mebibytes.
#[allow(clippy::cast_precision_loss, reason = "a process has less than 2^52 bytes")]
pub const fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

impl Samples {
    pub fn add(&mut self, sample: Sample) {
        self.all.push(sample);
    }

    pub const fn count(&self) -> usize {
        self.all.len()
    }

    pub fn most_active(&self) -> u64 {
        self.all.iter().map(|sample| sample.active).max().unwrap_or_default()
    }

    pub fn most_files(&self) -> usize {
        self.all.iter().map(|sample| sample.files).max().unwrap_or_default()
    }

    /// The median of the resident memory in each third of the time, in MiB.
    pub fn thirds(&self) -> [f64; 3] {
        let third = self.all.len() / 3;
        [0, 1, 2].map(|part| {
            let mut memory: Vec<_> =
                self.all.iter().skip(part * third).take(third).map(Sample::mebibytes).collect();
            memory.sort_by(f64::total_cmp);
            memory.get(memory.len() / 2).copied().unwrap_or_default()
        })
    }

    /// How the memory grows in the last two thirds, in MiB an hour: the line of least squares.
    pub fn slope(&self) -> f64 {
        let late = &self.all[self.all.len() / 3..];
        let hours = |sample: &Sample| sample.at.as_secs_f64() / 3600.0;
        let mean = |of: &dyn Fn(&Sample) -> f64| {
            late.iter().map(of).sum::<f64>() / late.iter().map(|_| 1.0).sum::<f64>().max(1.0)
        };
        let (middle, level) = (mean(&hours), mean(&Sample::mebibytes));
        let spread = mean(&|sample| (hours(sample) - middle).powi(2));
        let shared = mean(&|sample| (hours(sample) - middle) * (sample.mebibytes() - level));
        if spread > 0.0 { shared / spread } else { 0.0 }
    }
}

impl Sample {
    const fn mebibytes(&self) -> f64 {
        mebibytes(self.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(memory: impl Fn(u64) -> u64) -> Samples {
        let mut samples = Samples::default();
        for second in 0..3600 {
            let at = Duration::from_secs(second);
            samples.add(Sample { at, memory: memory(second) << 20, active: 0, files: 0 });
        }
        samples
    }

    #[test]
    fn growth_is_told_from_a_plateau() {
        let flat = samples(|second| if second < 600 { second / 60 } else { 20 });
        assert!(flat.slope().abs() < 0.01, "{}", flat.slope());
        assert!((flat.thirds()[2] - flat.thirds()[1]).abs() < 0.01);
        let growing = samples(|second| 20 + second / 60);
        assert!((growing.slope() - 60.0).abs() < 1.0, "{}", growing.slope());
    }
}
