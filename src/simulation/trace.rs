//! Traffic as it was recorded: a JSON object a line, `{"at_seconds": 0.5, "prompt_tokens": 900,
//! "completion_tokens": 120, "session": "a"}`, where only the session may be missing.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::SimulationError;
use super::traffic::{Conversation, Traffic, hash_of};

/// A longer line is no request.
const MAX_LINE_BYTES: u64 = 65_536;
/// A recording of more than ten years is none.
const MAX_SECONDS: f64 = 3e8;

#[derive(Deserialize)]
struct Line {
    at_seconds: f64,
    prompt_tokens: u32,
    completion_tokens: u32,
    session: Option<String>,
}

/// Reads up to `most` requests of a file.
pub fn read(path: &Path, most: usize) -> Result<Traffic, SimulationError> {
    parse(BufReader::new(File::open(path)?), most)
}

fn parse(mut from: impl BufRead, most: usize) -> Result<Traffic, SimulationError> {
    let mut traffic = Traffic::default();
    let mut conversations = HashMap::new();
    let (mut text, mut number) = (String::new(), 0);
    while traffic.requests.len() < most {
        text.clear();
        number += 1;
        if from.by_ref().take(MAX_LINE_BYTES + 1).read_line(&mut text)? == 0 {
            break;
        }
        let wrong = |why: String| SimulationError::Line { line: number, why };
        if text.len() as u64 > MAX_LINE_BYTES {
            return Err(wrong(format!("it is longer than {MAX_LINE_BYTES} bytes")));
        }
        if text.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if !(0.0..=MAX_SECONDS).contains(&line.at_seconds) {
            return Err(wrong("at_seconds must be 0 or more".to_owned()));
        }
        let session = line.session.map_or_else(|| hash_of(number), hash_of);
        let conversation =
            conversations.entry(session).or_insert_with(|| Conversation::recorded(session));
        // Who asks with less than there was has begun anew.
        if line.prompt_tokens <= conversation.length() {
            *conversation = Conversation::recorded(session.wrapping_add(number as u64));
        }
        let question = line.prompt_tokens - conversation.length().min(line.prompt_tokens);
        let at = Duration::from_secs_f64(line.at_seconds);
        traffic.requests.push(conversation.ask(at, question, line.completion_tokens.max(1)));
    }
    traffic.requests.sort_by_key(|asked| asked.at);
    Ok(traffic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: f64, prompt: u32, session: &str) -> String {
        format!(
            "{{\"at_seconds\":{at},\"prompt_tokens\":{prompt},\"completion_tokens\":20,\"session\":\"{session}\"}}\n"
        )
    }

    #[test]
    fn a_session_that_goes_on_begins_as_it_began() {
        let text =
            [line(1.0, 100, "a"), line(0.5, 100, "b"), line(3.0, 150, "a"), line(4.0, 50, "a")];
        let traffic = parse(text.concat().as_bytes(), 10).unwrap();
        let [b, first, second, anew] = &traffic.requests[..] else { panic!("{traffic:?}") };
        assert_eq!((b.at, first.need.prompt_tokens), (Duration::from_millis(500), 100));
        assert_eq!(second.need.prefixes[..1], first.need.prefixes[..]);
        assert_eq!(second.lengths, [100, 120, 150]);
        assert!(!anew.need.prefixes.contains(&first.need.prefixes[0]));
        assert!(!b.need.prefixes.contains(&first.need.prefixes[0]));
    }

    #[test]
    fn no_more_is_read_than_asked_for_and_no_line_without_end() {
        let text = line(1.0, 100, "a").repeat(5);
        assert_eq!(parse(text.as_bytes(), 3).unwrap().requests.len(), 3);
        for (text, fault) in [
            (format!("{}x\n", line(1.0, 1, "a")), "line 2 of the recording"),
            (" ".repeat(1 << 20) + "{}", "longer than 65536 bytes"),
            (line(-1.0, 1, "a"), "at_seconds"),
            ("{\"at_seconds\":1}".to_owned(), "missing field"),
        ] {
            let error = parse(text.as_bytes(), 10).unwrap_err().to_string();
            assert!(error.contains(fault), "{error}");
        }
    }
}
