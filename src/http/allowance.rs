//! How much a caller may still ask, in the headers that SDKs read.

use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};

use crate::access::Allowance;
use crate::telemetry::clock::unix_nanos;

/// Headers of a response.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// OpenAI's names.
pub const OPENAI: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];

/// Anthropic's names.
pub const ANTHROPIC: [HeaderName; 3] = [
    HeaderName::from_static("anthropic-ratelimit-requests-limit"),
    HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
    HeaderName::from_static("anthropic-ratelimit-requests-reset"),
];

/// As OpenAI tells it: the reset as a length of time, such as `6m0s`.
#[must_use]
pub fn openai(allowance: &Allowance) -> Headers {
    headers(OPENAI, allowance, &length(whole_seconds(allowance.full_in)))
}

/// As Anthropic tells it: the reset as a point in time (RFC 3339).
#[must_use]
pub fn anthropic(allowance: &Allowance) -> Headers {
    let now = Duration::from_nanos(unix_nanos());
    let reset = whole_seconds(now.saturating_add(allowance.full_in));
    headers(ANTHROPIC, allowance, &point_in_time(reset))
}

fn headers(names: [HeaderName; 3], allowance: &Allowance, reset: &str) -> Headers {
    let [limit, remaining, until] = names;
    let mut headers =
        vec![(limit, allowance.limit.into()), (remaining, allowance.remaining.into())];
    headers.extend(HeaderValue::from_str(reset).ok().map(|reset| (until, reset)));
    headers
}

/// Rounded up: what is full then is so indeed.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// As Go writes it.
fn length(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Seconds since 1970 as RFC 3339 writes them in UTC.
fn point_in_time(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    // Years from March on, in eras of 400 years: the leap day comes last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &Headers) -> Vec<String> {
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn both_dialects_tell_the_same() {
        let full_in = Duration::from_millis(359_500);
        let allowance = Allowance { limit: 10, remaining: 4, full_in };
        let expected = [
            "x-ratelimit-limit-requests: 10",
            "x-ratelimit-remaining-requests: 4",
            "x-ratelimit-reset-requests: 6m0s",
        ];
        assert_eq!(told(&openai(&allowance)), expected);
        let told = told(&anthropic(&allowance));
        assert_eq!(
            told[..2],
            ["anthropic-ratelimit-requests-limit: 10", "anthropic-ratelimit-requests-remaining: 4",]
        );
        assert!(
            told[2].starts_with("anthropic-ratelimit-requests-reset: 2") && told[2].ends_with('Z')
        );
    }

    #[test]
    fn lengths_are_as_go_writes_them() {
        for (seconds, text) in
            [(0, "0s"), (1, "1s"), (59, "59s"), (60, "1m0s"), (3600, "1h0m0s"), (3725, "1h2m5s")]
        {
            assert_eq!(length(seconds), text);
        }
    }

    /// As `date -u -d @N +%FT%TZ` has them.
    #[test]
    fn points_in_time_are_as_the_calendar_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(point_in_time(seconds), text);
        }
    }
}
