//! Recorded answers of each wire, as this dialect streams them: a golden file each, the same
//! whatever the reads; and the same answer in one piece.

use bytes::Bytes;
use serde_json::Value;
use tidegate_protocol::{Decoder, Encoder, End, ErrorKind, Failure, ollama, openai};

use super::encoder;
use super::reader::read;
use crate::held::{folder, hold};
use crate::support::{OLLAMA_CHAT, ROOM, Told, completed, cut, failed, stream, wire};

const INTERLEAVED: &[u8] = include_bytes!("../../wire/interleaved-tools.sse");
const OLLAMA_TOOLS: &[u8] = include_bytes!("../../wire/ollama-tools.ndjson");

#[derive(Clone, Copy)]
enum Upstream {
    OpenAi,
    Ollama,
}

/// What a gateway makes of an upstream's reads.
fn translate(upstream: Upstream, reads: &[Bytes], streams: bool) -> String {
    let mut decoder: Box<dyn Decoder> = match upstream {
        Upstream::OpenAi => Box::new(openai::EventDecoder::new(ROOM)),
        Upstream::Ollama => Box::new(ollama::EventDecoder::new(ROOM)),
    };
    let mut encoder = encoder(streams);
    let mut told = Told::default();
    for read in reads.iter().cloned() {
        told.take(decoder.decode(read).unwrap(), &mut encoder);
    }
    told.take(decoder.finish().unwrap(), &mut encoder);
    let cut = Failure::new(ErrorKind::Truncated, "cut");
    let end: End<'_> =
        if told.whole { completed(told.finish.clone(), told.usage) } else { failed(&cut) };
    encoder.end(&end, &mut told.out);
    wire(&told.out)
}

#[test]
fn recorded_answers() {
    for (name, upstream, body) in [
        ("llama-length", Upstream::OpenAi, stream("llama-length")),
        ("llama-usage", Upstream::OpenAi, stream("llama-usage")),
        ("llama-killed", Upstream::OpenAi, stream("llama-killed")),
        ("vllm-continuous-usage", Upstream::OpenAi, stream("vllm-continuous-usage")),
        ("vllm-tools", Upstream::OpenAi, stream("vllm-tools")),
        ("odd", Upstream::OpenAi, stream("odd")),
        ("interleaved-tools", Upstream::OpenAi, INTERLEAVED),
        ("ollama-chat", Upstream::Ollama, OLLAMA_CHAT),
        ("ollama-tools", Upstream::Ollama, OLLAMA_TOOLS),
    ] {
        let whole = translate(upstream, &cut(body, &[]), true);
        let told = read(&whole);
        hold(&folder("responses/streams").join(format!("{name}.sse")), &whole);
        // The long ones differ from the short ones in length only.
        for place in (0..body.len().min(8 * 1024)).step_by(3) {
            let again = translate(upstream, &cut(body, &[place]), true);
            assert_eq!(again, whole, "{name} cut at {place}");
        }
        // An answer that failed has no body: the HTTP layer tells the failure.
        let at_once = translate(upstream, &cut(body, &[]), false);
        if told.terminal == "response.failed" {
            assert_eq!(at_once, "");
        } else {
            assert_eq!(serde_json::from_str::<Value>(&at_once).unwrap(), told.response, "{name}");
        }
    }
}
