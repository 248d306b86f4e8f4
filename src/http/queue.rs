//! What a request wants of its model's queue, and where it stands there: `X-Priority`,
//! `X-Queue-Timeout-Ms`, `X-Queue-Position`, `X-Queue-Estimated-Wait-Ms`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderMap, HeaderName};
use tidegate_protocol::{Failure, FieldFault, QueuePlace};

use crate::access::Caller;
use crate::backend::{Claimant, Place};
use crate::config::Priority;

const PRIORITY: HeaderName = HeaderName::from_static("x-priority");
const TIMEOUT: HeaderName = HeaderName::from_static("x-queue-timeout-ms");
/// More digits than any limit has: no overflow, and nothing endless.
const TIMEOUT_DIGITS: usize = 9;

/// The position and the estimated wait, while a request waits as its response begins.
pub const QUEUE_PLACE: [HeaderName; 2] = [
    HeaderName::from_static("x-queue-position"),
    HeaderName::from_static("x-queue-estimated-wait-ms"),
];

/// What a request wants; nothing leaves it to the key and the model.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct QueueWish {
    priority: Option<Priority>,
    timeout: Option<Duration>,
}

impl QueueWish {
    /// The wish, within what the caller's key allows.
    #[must_use]
    pub fn of(&self, caller: &Caller, auth_is_on: bool) -> Claimant {
        Claimant {
            caller: caller.party(auth_is_on),
            class: self.priority.map_or(caller.priority, |wanted| wanted.min(caller.priority)),
            patience: self.timeout,
            place: Place::default(),
        }
    }
}

/// Reads the wish.
///
/// # Errors
/// For words and numbers that are none; all of them at once.
pub fn queue_wish(headers: &HeaderMap) -> Result<QueueWish, Failure> {
    let mut faults = Vec::new();
    let wish = QueueWish {
        priority: read(headers, &PRIORITY, "X-Priority", priority, &mut faults),
        timeout: read(headers, &TIMEOUT, "X-Queue-Timeout-Ms", millis, &mut faults),
    };
    if faults.is_empty() { Ok(wish) } else { Err(Failure::invalid(faults)) }
}

fn priority(text: &str) -> Result<Priority, &'static str> {
    let found = Priority::ALL.into_iter().find(|priority| priority.as_str() == text);
    found.ok_or("must be high, normal or low")
}

fn millis(text: &str) -> Result<Duration, &'static str> {
    let is_number = text.len() <= TIMEOUT_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number
        .map(Duration::from_millis)
        .ok_or("must be a whole number of milliseconds, 0 to 999999999")
}

/// A header that stands there once, if at all.
fn read<T>(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &str,
    parse: fn(&str) -> Result<T, &'static str>,
    faults: &mut Vec<FieldFault>,
) -> Option<T> {
    let mut values = headers.get_all(name);
    let text = values.next()?.to_str().unwrap_or_default();
    let read = if values.next().is_none() { parse(text) } else { Err("must be given once") };
    read.map_err(|message| {
        faults.push(FieldFault { field: shown.to_owned(), message: message.to_owned() });
    })
    .ok()
}

/// Tells a client whose response begins while its request waits where it stands.
pub fn name_place(response: &mut HttpResponse, place: &Place) {
    let Some(QueuePlace { position, wait }) = place.get() else { return };
    let [at, until] = QUEUE_PLACE;
    response.headers_mut().insert(at, position.into());
    if let Some(wait) = wait {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        response.headers_mut().insert(until, millis.into());
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn wish(lines: &[(&'static str, &str)]) -> Result<QueueWish, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        queue_wish(&headers)
    }

    fn class(allowed: Priority, wanted: &[(&'static str, &str)]) -> Priority {
        let (owner, address) = ("a".into(), None);
        let caller = Caller { owner, admin: false, priority: allowed, address };
        wish(wanted).unwrap().of(&caller, true).class
    }

    #[test]
    fn a_request_may_go_down_and_not_up() {
        for (allowed, wanted, expected) in [
            (Priority::High, "low", Priority::Low),
            (Priority::High, "high", Priority::High),
            (Priority::Normal, "high", Priority::Normal),
            (Priority::Low, "normal", Priority::Low),
        ] {
            assert_eq!(class(allowed, &[("x-priority", wanted)]), expected, "{allowed:?} {wanted}");
            assert_eq!(class(allowed, &[]), allowed);
        }
    }

    #[test]
    fn a_time_is_a_whole_number() {
        for (text, millis) in [("0", 0), ("1500", 1500), ("999999999", 999_999_999)] {
            let timeout = wish(&[("x-queue-timeout-ms", text)]).unwrap().timeout;
            assert_eq!(timeout, Some(Duration::from_millis(millis)));
        }
    }

    #[test]
    fn what_is_no_wish_is_refused_in_words() {
        for (name, field) in
            [("x-priority", "X-Priority"), ("x-queue-timeout-ms", "X-Queue-Timeout-Ms")]
        {
            for text in ["", "High", "urgent", "-1", "+1", "1.5", "1000000000", " "] {
                let failure = wish(&[(name, text)]).unwrap_err();
                assert!(failure.message.starts_with(&format!("{field}: must be ")), "{failure}");
            }
        }
        let both = wish(&[("x-priority", "x"), ("x-queue-timeout-ms", "x")]).unwrap_err();
        assert_eq!(both.details.len(), 2, "both are told");
        let twice = wish(&[("x-priority", "low"), ("x-priority", "low")]).unwrap_err();
        assert!(twice.message.contains("must be given once"), "{twice}");
    }
}
