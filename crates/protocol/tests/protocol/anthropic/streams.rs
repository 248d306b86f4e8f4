//! Recorded answers of each wire, as this dialect streams them: a golden file each, the same
//! whatever the reads.

use bytes::Bytes;
use tidegate_protocol::anthropic::StreamEncoder;
use tidegate_protocol::{Decoder, Encoder, End, Failure, ollama, openai};

use super::reader::read;
use crate::held::{folder, hold};
use crate::support::{OLLAMA_CHAT, ROOM, Told, completed, cut, failed, stream, wire};

const INTERLEAVED: &[u8] = include_bytes!("../../wire/interleaved-tools.sse");
const VLLM_STOP: &[u8] = include_bytes!("../../wire/vllm-stop.sse");
const OLLAMA_TOOLS: &[u8] = include_bytes!("../../wire/ollama-tools.ndjson");

#[derive(Clone, Copy)]
enum Upstream {
    OpenAi,
    Ollama,
}

/// What a gateway makes of an upstream's reads.
fn translate(upstream: Upstream, reads: &[Bytes]) -> String {
    let mut decoder: Box<dyn Decoder> = match upstream {
        Upstream::OpenAi => Box::new(openai::EventDecoder::new(ROOM)),
        Upstream::Ollama => Box::new(ollama::EventDecoder::new(ROOM)),
    };
    let mut encoder = StreamEncoder::new("1", "model \"x\"".to_owned());
    let mut told = Told::default();
    for read in reads.iter().cloned() {
        told.take(decoder.decode(read).unwrap(), &mut encoder);
    }
    told.take(decoder.finish().unwrap(), &mut encoder);
    let cut = Failure::new(tidegate_protocol::ErrorKind::Truncated, "cut");
    let objection = encoder.objection(told.finish.as_ref());
    let failure = objection.or((!told.whole).then_some(cut));
    let end: End<'_> = match &failure {
        Some(failure) => failed(failure),
        None => completed(told.finish.clone(), told.usage),
    };
    encoder.end(&end, &mut told.out);
    wire(&told.out)
}

#[test]
fn recorded_answers() {
    for (name, upstream, body) in [
        ("llama-length", Upstream::OpenAi, stream("llama-length")),
        ("llama-usage", Upstream::OpenAi, stream("llama-usage")),
        ("llama-killed", Upstream::OpenAi, stream("llama-killed")),
        ("vllm-usage", Upstream::OpenAi, stream("vllm-usage")),
        ("vllm-continuous-usage", Upstream::OpenAi, stream("vllm-continuous-usage")),
        ("vllm-tools", Upstream::OpenAi, stream("vllm-tools")),
        ("vllm-stop", Upstream::OpenAi, VLLM_STOP),
        ("odd", Upstream::OpenAi, stream("odd")),
        ("interleaved-tools", Upstream::OpenAi, INTERLEAVED),
        ("ollama-chat", Upstream::Ollama, OLLAMA_CHAT),
        ("ollama-tools", Upstream::Ollama, OLLAMA_TOOLS),
    ] {
        let whole = translate(upstream, &cut(body, &[]));
        read(&whole);
        hold(&folder("anthropic/streams").join(format!("{name}.sse")), &whole);
        // The long ones differ from the short ones in length only.
        for place in 0..body.len().min(8 * 1024) {
            assert_eq!(translate(upstream, &cut(body, &[place])), whole, "{name} cut at {place}");
        }
    }
}
