//! Upstreams' answers: one file each, with what comes in and what each dialect is told, as a stream
//! and in one piece.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tidegate_protocol::ollama::client::{self, Endpoint, LineEncoder};
use tidegate_protocol::{Encoder, Event, Payload, anthropic, native, ollama, openai};

use crate::held::{folder, hold_all};
use crate::ollama_client::lines;
use crate::support::{ROOM, encode, finished, run_whole};

const CREATED: u64 = 1_700_000_000;

#[test]
fn every_documented_answer_is_told_in_every_dialect() {
    hold_all(&folder("documented/answers"), 15, |path, golden| {
        let upstream: Vec<_> =
            golden["upstream"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
        let body = upstream.join("\n");
        let seen = match golden["wire"].as_str().unwrap() {
            "openai" => run_whole(openai::EventDecoder::new(ROOM), body.as_bytes()),
            "openai-whole" => run_whole(openai::WholeDecoder::new(ROOM, false), body.as_bytes()),
            "ollama" => run_whole(ollama::EventDecoder::new(ROOM), body.as_bytes()),
            wire => panic!("{wire}"),
        };
        assert_eq!(seen.events.last(), Some(&Event::Done), "{}: {seen:?}", path.display());
        let mut found = golden.clone();
        for (dialect, mut stream, mut whole) in encoders() {
            let told = |encoder: &mut dyn Encoder| {
                lines_of(&encode(encoder, &seen.events, &finished(&seen.events)))
            };
            let (stream, whole) = (told(&mut *stream), told(&mut *whole));
            found[dialect] = json!({"stream": stream, "whole": whole});
        }
        found
    });
}

type Named = (&'static str, Box<dyn Encoder>, Box<dyn Encoder>);

/// The encoders of every dialect: of streams, and of answers in one piece.
fn encoders() -> [Named; 5] {
    let model = || "m".to_owned();
    let id = || "1".to_owned();
    let response = |streams| Box::new(crate::responses::encoder(streams));
    let chat = || lines(Endpoint::Chat);
    [
        (
            "openai",
            Box::new(openai::ChunkEncoder::new(id(), model(), CREATED, true)),
            Box::new(openai::WholeEncoder::new(id(), model(), CREATED)),
        ),
        ("responses", response(true), response(false)),
        (
            "anthropic",
            Box::new(anthropic::StreamEncoder::new("1", model())),
            Box::new(anthropic::WholeEncoder::new("1", model())),
        ),
        ("ollama", Box::new(LineEncoder::new(chat())), Box::new(client::WholeEncoder::new(chat()))),
        (
            "native",
            Box::new(native::EventEncoder::new(model())),
            Box::new(native::WholeEncoder::new(id(), model())),
        ),
    ]
}

fn lines_of(payloads: &[Payload]) -> Vec<Value> {
    let mut wire = String::new();
    for payload in payloads {
        match payload {
            Payload::Wire(bytes) => wire.push_str(std::str::from_utf8(bytes).unwrap()),
            Payload::Event { name, data } => {
                write!(wire, "event: {name}\ndata: {data}\n\n").unwrap();
            }
        }
    }
    wire.lines().map(Value::from).collect()
}
