//! The wall clock, for moments that are shown. It may jump: no limit goes by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// This moment, for spans.
#[must_use]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// The moment so long ago.
#[must_use]
pub fn ago(duration: Duration) -> SystemTime {
    let now = now();
    now.checked_sub(duration).unwrap_or(now)
}

/// Unix time in seconds.
#[must_use]
pub fn unix_seconds() -> u64 {
    unix_nanos() / 1_000_000_000
}

/// Unix time in nanoseconds.
#[must_use]
pub fn unix_nanos() -> u64 {
    unix_nanos_ago(Duration::ZERO)
}

/// Unix time in nanoseconds, so long ago.
#[must_use]
pub fn unix_nanos_ago(duration: Duration) -> u64 {
    let then = ago(duration).duration_since(UNIX_EPOCH);
    then.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
