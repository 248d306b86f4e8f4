//! Upstreams' answers: one file each, with what comes in and what each dialect is told, as a stream
//! and in one piece.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tidegate_protocol::ollama::client::{self, Endpoint, LineEncoder};
use tidegate_protocol::{Encoder, Event, Payload, anthropic, native, ollama, openai};

use crate::held::{folder, hold_all};
use crate::ollama_client::lines;
use crate::responses;
use crate::support::{ROOM, Seen, encode, finished, run_whole};

const CREATED: u64 = 1_700_000_000;

/// What is played by an upstream.
struct Played {
    wire: String,
    body: String,
    /// It continues a text, and answers no chat.
    text: bool,
}

impl Played {
    fn of(golden: &Value) -> Self {
        let lines = golden["upstream"].as_array().unwrap().iter();
        let lines: Vec<_> = lines.map(|line| line.as_str().unwrap()).collect();
        let wire = golden["wire"].as_str().unwrap().to_owned();
        Self { wire, body: lines.join("\n"), text: golden["text"] == true }
    }

    fn endpoint(&self) -> Endpoint {
        if self.text { Endpoint::Generate } else { Endpoint::Chat }
    }

    /// Read for a client of another dialect.
    fn translated(&self) -> Seen {
        match self.wire.as_str() {
            "openai" => run_whole(openai::EventDecoder::new(ROOM), self.body.as_bytes()),
            "openai-whole" => {
                run_whole(openai::WholeDecoder::new(ROOM, false), self.body.as_bytes())
            }
            _ => run_whole(ollama::EventDecoder::new(ROOM), self.body.as_bytes()),
        }
    }

    /// Read for a client of its own dialect.
    fn relayed(&self) -> Seen {
        match self.wire.as_str() {
            "openai" => run_whole(openai::RelayDecoder::new(ROOM, true, "m"), self.body.as_bytes()),
            "openai-whole" => {
                run_whole(openai::WholeDecoder::new(ROOM, true), self.body.as_bytes())
            }
            _ => {
                let decoder = ollama::RelayDecoder::new(ROOM, lines(self.endpoint()));
                run_whole(decoder, self.body.as_bytes())
            }
        }
    }

    /// The encoders of every dialect: of streams, and of answers in one piece.
    fn encoders(&self) -> [Named; 5] {
        let model = || "m".to_owned();
        let id = || "1".to_owned();
        let response = |streams| Box::new(responses::encoder(streams));
        let own = || lines(self.endpoint());
        let chunks = openai::ChunkEncoder::new(id(), model(), CREATED, true);
        let whole = openai::WholeEncoder::new(id(), model(), CREATED);
        let (chunks, whole) = if self.text {
            (chunks.of_completion(), whole.of_completion())
        } else {
            (chunks, whole)
        };
        [
            ("openai", Box::new(chunks), Box::new(whole)),
            ("responses", response(true), response(false)),
            (
                "anthropic",
                Box::new(anthropic::StreamEncoder::new("1", model())),
                Box::new(anthropic::WholeEncoder::new("1", model())),
            ),
            (
                "ollama",
                Box::new(LineEncoder::new(own())),
                Box::new(client::WholeEncoder::new(own())),
            ),
            (
                "native",
                Box::new(native::EventEncoder::new(model())),
                Box::new(native::WholeEncoder::new(id(), model())),
            ),
        ]
    }
}

type Named = (&'static str, Box<dyn Encoder>, Box<dyn Encoder>);

#[test]
fn every_documented_answer_is_told_in_every_dialect() {
    hold_all(&folder("documented/answers"), 15, |path, golden| {
        let played = Played::of(golden);
        let seen = played.translated();
        assert_eq!(seen.events.last(), Some(&Event::Done), "{}: {seen:?}", path.display());
        let mut found = golden.clone();
        for (dialect, mut stream, mut whole) in played.encoders() {
            let told = |encoder: &mut dyn Encoder| {
                lines_of(&encode(encoder, &seen.events, &finished(&seen.events)))
            };
            let (stream, whole) = (told(&mut *stream), told(&mut *whole));
            found[dialect] = json!({"stream": stream, "whole": whole});
        }
        found
    });
}

#[test]
fn every_documented_answer_is_passed_on_as_it_came() {
    for file in std::fs::read_dir(folder("documented/answers")).unwrap() {
        let path = file.unwrap().path();
        let golden = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let played = Played::of(&golden);
        let seen = played.relayed();
        // The end mark is the gateway's to write.
        let expected = played.body.replace("data: [DONE]\n\n", "");
        assert_eq!(seen.frames, expected, "{}", path.display());
        assert_eq!(seen.events.last(), Some(&Event::Done), "{}: {seen:?}", path.display());
    }
}

fn lines_of(payloads: &[Payload]) -> Vec<Value> {
    let mut wire = String::new();
    for payload in payloads {
        match payload {
            Payload::Wire(bytes) => wire.push_str(std::str::from_utf8(bytes).unwrap()),
            Payload::Event { name, data } => {
                write!(wire, "event: {}\ndata: {data}\n\n", name.as_str()).unwrap();
            }
        }
    }
    wire.lines().map(Value::from).collect()
}
