//! When an upstream wants to be asked again: `Retry-After`, RFC 9110, section 10.2.3.

use std::time::SystemTime;

use actix_web::http::header::{DATE, HeaderMap, HttpDate, RETRY_AFTER};

/// A longer wait is cut to this: an hour is as good as no answer.
const CAP_SECONDS: u32 = 3600;

/// The seconds to wait, whether given as a number or as a date. Nothing where it is neither.
pub fn retry_after(headers: &HeaderMap) -> Option<u32> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    seconds(value).or_else(|| Some(until(value.parse().ok()?, headers)))
}

/// Whole seconds by the standard; some servers send fractions.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and the cap")]
fn seconds(value: &str) -> Option<u32> {
    let begins_right = value.starts_with(|c: char| c.is_ascii_digit());
    let seconds: f64 = value.parse().ok().filter(|_| begins_right)?;
    Some(seconds.ceil().min(f64::from(CAP_SECONDS)) as u32)
}

/// Counted from the upstream's own clock where it tells its time: ours may differ.
fn until(date: HttpDate, headers: &HeaderMap) -> u32 {
    let told = headers.get(DATE).and_then(|value| value.to_str().ok()?.parse::<HttpDate>().ok());
    let now = told.map_or_else(SystemTime::now, SystemTime::from);
    let wait = SystemTime::from(date).duration_since(now).unwrap_or_default();
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(whole).unwrap_or(CAP_SECONDS).min(CAP_SECONDS)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn read(value: &str) -> Option<u32> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        retry_after(&headers)
    }

    #[test]
    fn numbers_are_rounded_up_and_cut() {
        for (value, expected) in [("0", 0), ("7", 7), (" 7 ", 7), ("1.2", 2)] {
            assert_eq!(read(value), Some(expected), "{value}");
        }
        for value in ["3601", "1000000000", "99999999999999999999999999", "9e999"] {
            assert_eq!(read(value), Some(3600), "{value}");
        }
    }

    #[test]
    fn dates_count_from_the_upstreams_clock() {
        assert_eq!(read("Sun, 06 Nov 1994 08:49:57 GMT"), Some(20));
        assert_eq!(read("Sunday, 06-Nov-94 08:49:57 GMT"), Some(20));
        assert_eq!(read("Sun Nov  6 08:49:57 1994"), Some(20));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:36 GMT"), Some(0), "past");
        assert_eq!(read("Thu, 31 Dec 2099 23:59:59 GMT"), Some(3600), "far");
    }

    #[test]
    fn a_date_without_a_clock_beside_it_counts_from_ours() {
        let date = HttpDate::from(SystemTime::now() + std::time::Duration::from_secs(30));
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(&date.to_string()).unwrap());
        let seconds = retry_after(&headers).unwrap();
        assert!((20..=30).contains(&seconds), "{seconds}");
    }

    #[test]
    fn what_is_neither_is_left_out() {
        for value in ["", "soon", "-1", "-0", "nan", "inf", "+5", "5 s", "Sun, 99 Nov 1994"] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
