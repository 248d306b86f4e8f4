//! The distributions that traffic and replicas follow.

use std::f64::consts::TAU;

use rand::Rng;
use rand::rngs::StdRng;

/// Mostly near `median`, and now and then far above.
pub fn log_normal(rng: &mut StdRng, median: f64, sigma: f64) -> f64 {
    // Two even draws make one normal one (Box and Muller).
    let (radius, angle): (f64, f64) = (rng.random(), rng.random());
    let normal = (-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos();
    median * (sigma * normal).exp()
}

/// The mean of [`log_normal`].
pub fn log_normal_mean(median: f64, sigma: f64) -> f64 {
    median * (sigma * sigma / 2.0).exp()
}

/// The time to the next of events that know nothing of each other.
pub fn exponential(rng: &mut StdRng, mean: f64) -> f64 {
    -mean * (1.0 - rng.random::<f64>()).ln()
}

/// A number of tokens, at least one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range")]
pub fn tokens(number: f64) -> u32 {
    number.clamp(1.0, 1e6) as u32
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_means_are_as_they_should_be() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut mean = |draw: fn(&mut StdRng) -> f64| {
            (0..100_000).map(|_| draw(&mut rng)).sum::<f64>() / 100_000.0
        };
        assert!((mean(|rng| exponential(rng, 3.0)) - 3.0).abs() < 0.05);
        let expected = log_normal_mean(200.0, 0.6);
        assert!((mean(|rng| log_normal(rng, 200.0, 0.6)) - expected).abs() < 5.0);
    }
}
