//! The words that operators and clients see: codes, outcomes, ids.

use std::collections::HashSet;

use tidegate_protocol::{ErrorKind, Outcome, StreamId};

/// Every kind with the outcome that metrics and logs show for it.
const KINDS: [(ErrorKind, Outcome); 32] = [
    (ErrorKind::InvalidRequest, Outcome::Rejected),
    (ErrorKind::Unauthorized, Outcome::Rejected),
    (ErrorKind::NotFound, Outcome::Rejected),
    (ErrorKind::ModelNotFound, Outcome::Rejected),
    (ErrorKind::MethodNotAllowed, Outcome::Rejected),
    (ErrorKind::UnsupportedMediaType, Outcome::Rejected),
    (ErrorKind::PayloadTooLarge, Outcome::Rejected),
    (ErrorKind::RateLimited, Outcome::Rejected),
    (ErrorKind::Capacity, Outcome::Rejected),
    (ErrorKind::ConnectionLimit, Outcome::Rejected),
    (ErrorKind::QueueFull, Outcome::Rejected),
    (ErrorKind::Forbidden, Outcome::Rejected),
    (ErrorKind::Gone, Outcome::Rejected),
    (ErrorKind::KeyReused, Outcome::Rejected),
    // The fault is the request's: whoever watches the upstreams is not to be woken up by it.
    (ErrorKind::UpstreamRejected, Outcome::Rejected),
    (ErrorKind::NoTarget, Outcome::UpstreamError),
    (ErrorKind::TooSlow, Outcome::Cancelled),
    (ErrorKind::RequestTimeout, Outcome::TimedOut),
    (ErrorKind::QueueTimeout, Outcome::Rejected),
    (ErrorKind::UpstreamTimeout, Outcome::TimedOut),
    (ErrorKind::Draining, Outcome::Drained),
    (ErrorKind::Drained, Outcome::Drained),
    (ErrorKind::UpstreamUnreachable, Outcome::UpstreamError),
    (ErrorKind::UpstreamRateLimited, Outcome::UpstreamError),
    (ErrorKind::UpstreamOverloaded, Outcome::UpstreamError),
    (ErrorKind::UpstreamNotFound, Outcome::UpstreamError),
    (ErrorKind::UpstreamUnauthorized, Outcome::UpstreamError),
    (ErrorKind::UpstreamError, Outcome::UpstreamError),
    (ErrorKind::UpstreamProtocol, Outcome::UpstreamError),
    (ErrorKind::Truncated, Outcome::Truncated),
    (ErrorKind::Cancelled, Outcome::Cancelled),
    (ErrorKind::Internal, Outcome::InternalError),
];

#[test]
fn each_kind_has_a_code_of_its_own_and_the_outcome_it_stands_for() {
    let mut codes = HashSet::new();
    for (kind, outcome) in KINDS {
        assert_eq!(kind.outcome(), outcome, "{kind:?}");
        let code = kind.code();
        assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
        assert!(codes.insert(code), "{code} twice");
    }
    assert!(codes.contains("UPSTREAM_TIMEOUT") && codes.contains("INTERNAL_ERROR"));
}

#[test]
fn each_outcome_has_a_word_of_its_own() {
    let words: HashSet<_> = Outcome::ALL.map(Outcome::as_str).into();
    assert_eq!(words.len(), Outcome::ALL.len());
    assert!(words.contains("completed") && words.contains("internal_error"));
    // They are counted by their places.
    for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, place);
    }
}

#[test]
fn an_id_reads_the_same_wherever_it_is_written() {
    let id = StreamId::new(0xa7, 0xff12_3456_789a_bcde_f012_3456_789a_bcde);
    // The first byte names the worker; what was random there is dropped.
    assert_eq!(id.to_string(), "a7123456789abcdef0123456789abcde");
    assert_eq!(format!("{id:?}"), id.to_string());
    assert_eq!(id.worker(), 0xa7);
    assert_eq!(StreamId::new(0, 0).to_string(), "0".repeat(32));
}
