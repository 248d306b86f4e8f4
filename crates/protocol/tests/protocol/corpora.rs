//! The inputs that fuzzing found worth keeping, replayed.

use std::fs;
use std::path::Path;

use crate::properties::{
    anthropic_bodies, ndjson, ollama_frames, openai_frames, request_bodies, responses_bodies, sse,
};

/// Runs a target on its corpus, which must not be lost.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 20, "{} holds {} inputs", folder.display(), files.len());
    for file in files {
        let input = fs::read(&file).unwrap();
        let checked = std::panic::catch_unwind(|| check(&input));
        assert!(checked.is_ok(), "{}", file.display());
    }
}

#[test]
fn event_streams() {
    replay("sse", sse::check);
}

#[test]
fn lines() {
    replay("ndjson", ndjson::check);
}

#[test]
fn openai_streams() {
    replay("openai_frames", openai_frames::check);
}

#[test]
fn ollama_streams() {
    replay("ollama_frames", ollama_frames::check);
}

#[test]
fn bodies() {
    replay("request_bodies", request_bodies::check);
}

#[test]
fn anthropic_requests() {
    replay("anthropic_bodies", anthropic_bodies::check);
}

#[test]
fn requests_for_responses() {
    replay("responses_bodies", responses_bodies::check);
}
