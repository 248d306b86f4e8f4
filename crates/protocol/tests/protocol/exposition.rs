//! What servers say of their load: real ones, several engines at once, and anything at all.

use proptest::prelude::*;
use tidegate_protocol::ErrorKind;
use tidegate_protocol::exposition::{EngineLoad, decode_load};

const VLLM: &str = include_str!("../wire/vllm-metrics.txt");
const LLAMA: &str = include_str!("../wire/llama-metrics.txt");

fn load(text: &str) -> (u32, Option<f64>) {
    let EngineLoad { waiting, cache, .. } = decode_load(text.as_bytes()).unwrap();
    (waiting, cache)
}

fn told(waiting: u32, cache: impl Into<Option<f64>>) -> (u32, Option<f64>) {
    (waiting, cache.into())
}

fn running(text: &str) -> u32 {
    decode_load(text.as_bytes()).unwrap().running
}

/// The same capture, with another value in one of its lines.
fn with(capture: &str, line: &str, value: &str) -> String {
    let found = capture.lines().find(|found| found.starts_with(line)).unwrap();
    let (labels, _) = found.rsplit_once(' ').unwrap();
    capture.replace(found, &format!("{labels} {value}"))
}

#[test]
fn vllm_tells_who_waits_and_how_full_its_cache_is() {
    assert_eq!(load(VLLM), told(0, 0.0));
    let busy = with(VLLM, "vllm:num_requests_waiting{", "7.0");
    // Not to be taken for those that wait.
    let busy = with(&busy, "vllm:num_requests_waiting_by_reason{", "70.0");
    let busy = with(&busy, "vllm:num_requests_running{", "700.0");
    assert_eq!(load(&with(&busy, "vllm:kv_cache_usage_perc{", "0.25")), told(7, 0.25));
    let older = VLLM.replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc");
    assert_eq!(load(&with(&older, "vllm:gpu_cache_usage_perc{", "0.5")), told(0, 0.5));
}

#[test]
fn llama_tells_who_waits() {
    assert_eq!(load(LLAMA), told(3, None));
    assert_eq!(load(&with(LLAMA, "llamacpp:requests_deferred", "0")), told(0, None));
    let older = format!("{LLAMA}\nllamacpp:kv_cache_usage_ratio 0.75\n");
    assert_eq!(load(&older), told(3, 0.75));
}

#[test]
fn what_is_worked_on_is_told_where_it_is() {
    assert_eq!((running(LLAMA), running(VLLM)), (1, 0));
    assert_eq!(running(&with(VLLM, "vllm:num_requests_running{", "12")), 12);
    assert_eq!(running("vllm:num_requests_waiting 4"), 0);
}

#[test]
fn engines_are_taken_together_and_the_fullest_cache_counts() {
    let text = "vllm:num_requests_waiting{engine=\"0\"} 2\n\
                vllm:num_requests_waiting{engine=\"1\"} 3.0 1700000000000\n\
                vllm:kv_cache_usage_perc{engine=\"0\"} 0.9\n\
                vllm:kv_cache_usage_perc{engine=\"1\"} 0.1\n";
    assert_eq!(load(text), told(5, 0.9));
    assert_eq!(load(&text.replace('\n', "\r\n")), told(5, 0.9));
}

#[test]
fn labels_may_hold_anything_within_their_quotes() {
    for labels in [r#"a="}""#, r#"a="\"} 9 ""#, r#"a="\\",b="x y""#, r#" a = "1" , "#, ""] {
        let text = format!("vllm:num_requests_waiting{{{labels}}} 4");
        assert_eq!(load(&text), told(4, None), "{text}");
    }
}

#[test]
fn what_is_no_number_of_requests_is_passed_over() {
    for value in ["NaN", "+Inf", "-1", "", "four", "\"4\""] {
        let text = format!("vllm:num_requests_waiting {value}");
        assert!(decode_load(text.as_bytes()).is_err(), "{text}");
        let text = format!("{text}\nvllm:num_requests_waiting 4\n");
        assert_eq!(load(&text), told(4, None), "{text}");
    }
    assert_eq!(load("vllm:num_requests_waiting 1e300"), told(u32::MAX, None));
    let full = "llamacpp:requests_deferred 0\nllamacpp:kv_cache_usage_ratio 17";
    assert_eq!(load(full), told(0, 1.0));
}

#[test]
fn a_server_of_another_kind_tells_nothing() {
    for text in ["", "ok", "<html>", "# HELP vllm:num_requests_waiting 4", "up 1\nx{"] {
        let failure = decode_load(text.as_bytes()).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::UpstreamProtocol, "{text}");
    }
    assert!(decode_load(b"vllm:kv_cache_usage_perc 0.5").is_err(), "who waits is not told");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(
        prop_oneof![
            Just(b'\n'), Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b' '), any::<u8>()
        ],
        0..200,
    )) {
        let name = b"\nvllm:num_requests_waiting";
        for text in [bytes.clone(), [name.as_slice(), &bytes].concat()] {
            if let Ok(load) = decode_load(&text) {
                prop_assert!(load.cache.is_none_or(|cache| (0.0..=1.0).contains(&cache)));
            }
        }
    }

    /// Whatever else there is, and whatever labels say.
    #[test]
    fn what_is_told_is_found(
        waiting in prop::collection::vec(0u32..1_000_000, 1..8),
        label in "[^\n]{0,12}",
        noise in "[^\n]{0,40}",
    ) {
        prop_assume!(decode_load(noise.as_bytes()).is_err());
        let escaped = label.replace('\\', "\\\\").replace('"', "\\\"");
        let line = |count: &u32| {
            format!("{noise}\nvllm:num_requests_waiting{{engine=\"{escaped}\"}} {count}\n")
        };
        let text: String = waiting.iter().map(line).collect();
        prop_assert_eq!(load(&text), told(waiting.iter().sum(), None));
    }
}
