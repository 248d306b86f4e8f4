//! How long a wait will be.

use std::time::Duration;

/// Of the newest answer so much goes into the mean: about the last ten count.
const NEWEST: f64 = 0.2;

/// The mean time that recent answers held their permit.
#[derive(Debug, Default)]
pub struct Pace {
    seconds: Option<f64>,
}

impl Pace {
    /// An answer gave its permit back after so long.
    pub fn note(&mut self, held: Duration) {
        let held = held.as_secs_f64();
        self.seconds = Some(self.seconds.map_or(held, |mean| mean + NEWEST * (held - mean)));
    }

    /// When the turn of the request at a place comes, with so many permits. Nothing is known before
    /// the first answer.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn wait(&self, place: usize, permits: usize) -> Option<Duration> {
        let seconds = self.seconds? * place as f64 / permits.max(1) as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}
