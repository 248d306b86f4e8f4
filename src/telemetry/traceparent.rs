//! W3C Trace Context: the headers by which traces go from one service to the next.
//!
//! What they say is believed only as far as the recommendation allows it; the rest counts as absent. See
//! <https://www.w3.org/TR/trace-context/>.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LENGTH: usize = 55;
/// What level 2 knows: sampled, and that the trace's id is random. Others must not be passed on.
const KNOWN_FLAGS: u8 = 0b11;
/// What everybody has to carry; of more the last members go.
const MAX_STATE_BYTES: usize = 512;
const MAX_STATE_MEMBERS: usize = 32;

/// The place in a trace that the headers of a request name.
pub(super) fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    let header = traceparent.as_bytes();
    let (known, behind) = header.split_at_checked(LENGTH)?;
    let version = hex(&known[..2])?;
    let ends = match version {
        0 => behind.is_empty(),
        0xff => false,
        // A later version may have more, and begins as this one does.
        _ => behind.is_empty() || behind[0] == b'-',
    };
    let parted = [2, 35, 52].iter().all(|at| known[*at] == b'-');
    if !ends || !parted {
        return None;
    }
    let trace_id = TraceId::from(hex(&known[3..35])?);
    let span_id = SpanId::from(u64::try_from(hex(&known[36..52])?).ok()?);
    let flags = u8::try_from(hex(&known[53..])?).ok()? & KNOWN_FLAGS;
    let state = tracestate.map(state).unwrap_or_default();
    let context = SpanContext::new(trace_id, span_id, TraceFlags::new(flags), true, state);
    // Zeros are no ids.
    context.is_valid().then_some(context)
}

/// The header that names this place.
pub(super) fn write(context: &SpanContext) -> String {
    let flags = context.trace_flags().to_u8() & KNOWN_FLAGS;
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

/// Up to 32 digits, lower case only.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// What vendors want carried along. As soon as one member is none, nobody knows what the others are.
fn state(header: &str) -> TraceState {
    let members = header.split(',').map(|member| member.trim_matches([' ', '\t']));
    let mut pairs = Vec::new();
    let mut bytes = 0;
    for member in members.filter(|member| !member.is_empty()) {
        let Some((key, value)) = member.split_once('=') else { return TraceState::default() };
        let plain = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !plain || value.is_empty() || key.is_empty() || pairs.len() == MAX_STATE_MEMBERS {
            return TraceState::default();
        }
        bytes += member.len() + usize::from(!pairs.is_empty());
        if bytes > MAX_STATE_BYTES {
            break;
        }
        pairs.push((key, value));
    }
    TraceState::from_key_value(pairs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn parent(version: &str, trace: &str, span: &str, flags: &str) -> String {
        format!("{version}-{trace}-{span}-{flags}")
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for (flags, kept, sampled) in
            [("00", "00", false), ("01", "01", true), ("03", "03", true), ("fe", "02", false)]
        {
            let place = parse(&parent("00", TRACE, SPAN, flags), None).unwrap();
            assert_eq!(place.is_sampled(), sampled, "{flags}");
            assert_eq!(write(&place), parent("00", TRACE, SPAN, kept));
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = parent("cc", TRACE, SPAN, "01");
        for more in ["", "-", "-what-the-future-will-be-like"] {
            let place = parse(&format!("{later}{more}"), None).unwrap();
            assert_eq!(write(&place), parent("00", TRACE, SPAN, "01"), "{more}");
        }
        assert_eq!(parse(&format!("{later}."), None), None);
    }

    #[test]
    fn anything_else_is_no_place() {
        let good = parent("00", TRACE, SPAN, "01");
        for bad in [
            String::new(),
            format!("{good}-"),
            format!("{good}-00"),
            format!(" {good}"),
            good[..54].to_owned(),
            good.replace('-', "_"),
            parent("ff", TRACE, SPAN, "01"),
            parent("0x", TRACE, SPAN, "01"),
            parent("00", &TRACE.to_uppercase(), SPAN, "01"),
            parent("00", TRACE, &SPAN.to_uppercase(), "01"),
            parent("00", TRACE, SPAN, "0A"),
            parent("00", TRACE, SPAN, "+1"),
            parent("00", &"0".repeat(32), SPAN, "01"),
            parent("00", TRACE, &"0".repeat(16), "01"),
            parent("00", &TRACE[1..], SPAN, "01a"),
            format!("00-{TRACE}-{SPAN}-\u{e9}"),
            format!("00-{}\u{e9}-{SPAN}-01", &TRACE[2..]),
        ] {
            assert_eq!(parse(&bad, None), None, "{bad}");
        }
    }

    #[test]
    fn what_vendors_want_carried_is_carried_within_bounds() {
        let carried = |header: &str| state(header).header();
        let long = |key: &str, length| format!("{key}={}", "x".repeat(length));
        let many = |count| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        for (header, expected) in [
            ("a=1,b@c=2", "a=1,b@c=2".to_owned()),
            (" a=1 ,\t, b=2,", "a=1,b=2".to_owned()),
            ("a=1,b", String::new()),
            ("a=1,=2", String::new()),
            ("A=1", String::new()),
            ("a=\u{7f}", String::new()),
            ("a=1=2", String::new()),
            (&many(32), many(32)),
            (&many(33), String::new()),
            (
                &[long("a", 254), long("b", 253)].join(","),
                [long("a", 254), long("b", 253)].join(","),
            ),
            (&[long("a", 254), long("b", 254)].join(","), long("a", 254)),
            (&long("a", 257), String::new()),
        ] {
            assert_eq!(carried(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_ignored(parent in "\\PC*", state in "\\PC*") {
            let _ = parse(&parent, Some(&state));
        }

        #[test]
        fn whatever_looks_like_a_place_is_read_or_ignored(
            parent in "[0-9a-f]{2}-[0-9a-fA-F]{32}-[0-9a-f+]{16}-[0-9a-f]{2}(-.{0,4})?",
            state in "[a-z@=, ]{0,600}",
        ) {
            if let Some(place) = parse(&parent, Some(&state)) {
                prop_assert!(parent[2..].starts_with(&write(&place)[2..53]));
                prop_assert!(place.trace_state().header().len() <= MAX_STATE_BYTES);
                let again = parse(&write(&place), Some(&place.trace_state().header()));
                prop_assert_eq!(again, Some(place));
            }
        }

        #[test]
        fn every_place_survives_the_way(
            trace in 1_u128..,
            span in 1_u64..,
            flags in 0_u8..=3,
            pairs in prop::collection::vec(("[a-z][a-z0-9_*/-]{0,6}", "[!-+.-<>-~]{1,7}"), 0..=32),
        ) {
            let flags = TraceFlags::new(flags);
            let state = TraceState::from_key_value(pairs).unwrap();
            let place = SpanContext::new(trace.into(), span.into(), flags, true, state);
            let header = place.trace_state().header();
            prop_assert_eq!(parse(&write(&place), Some(&header)), Some(place));
        }
    }
}
