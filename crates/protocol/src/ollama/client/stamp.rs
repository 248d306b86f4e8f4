//! Moments as Ollama writes them: RFC 3339, UTC, with nanoseconds.

/// Tells the time: Unix time in nanoseconds. The wire formats have no clock of their own.
pub type Clock = fn() -> u64;

const NANOS: u64 = 1_000_000_000;
const DAY: u64 = 24 * 60 * 60;

/// A moment in Unix nanoseconds as text, such as `2026-11-23T03:17:09.262632805Z`.
#[must_use]
pub fn rfc3339(unix_ns: u64) -> String {
    let (seconds, nanos) = (unix_ns / NANOS, unix_ns % NANOS);
    let (days, second) = (seconds / DAY, seconds % DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// The date so many days after 1970-01-01, in the Gregorian calendar. Years are counted from
/// March, so that the leap day is a year's last; eras have 400 years.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    let days = days + 719_468;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let leaps = day_of_era / 1460;
    let year_of_era = (day_of_era - leaps + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}
