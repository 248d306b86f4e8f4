//! True answers, frame by frame, as each kind of upstream writes them.

use serde_json::{Value, json};

/// The kind of upstream, as the configuration spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    OpenAi,
    Vllm,
    Ollama,
}

impl Provider {
    pub const ALL: [Self; 3] = [Self::OpenAi, Self::Vllm, Self::Ollama];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Vllm => "vllm",
            Self::Ollama => "ollama",
        }
    }
}

/// What the client speaks, and whether it wants the answer as a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    NativeStream,
    NativeWhole,
    OpenAiStream,
    OpenAiWhole,
    AnthropicStream,
    AnthropicWhole,
    ResponsesStream,
    ResponsesWhole,
    OllamaStream,
    OllamaWhole,
}

impl Dialect {
    pub const ALL: [Self; 10] = [
        Self::NativeStream,
        Self::NativeWhole,
        Self::OpenAiStream,
        Self::OpenAiWhole,
        Self::AnthropicStream,
        Self::AnthropicWhole,
        Self::ResponsesStream,
        Self::ResponsesWhole,
        Self::OllamaStream,
        Self::OllamaWhole,
    ];

    pub fn streams(self) -> bool {
        matches!(
            self,
            Self::NativeStream
                | Self::OpenAiStream
                | Self::AnthropicStream
                | Self::ResponsesStream
                | Self::OllamaStream
        )
    }

    pub fn is_ollama(self) -> bool {
        matches!(self, Self::OllamaStream | Self::OllamaWhole)
    }

    pub fn is_native(self) -> bool {
        matches!(self, Self::NativeStream | Self::NativeWhole)
    }
}

/// The wire format of an upstream's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Sse,
    Ndjson,
    /// The whole answer in one document.
    Json,
}

impl Wire {
    /// What an upstream of this kind answers with when a client of this dialect asks.
    pub fn of(provider: Provider, dialect: Dialect) -> Self {
        match (provider, dialect) {
            (Provider::Ollama, Dialect::OllamaWhole) => Self::Json,
            (Provider::Ollama, _) => Self::Ndjson,
            (_, Dialect::OpenAiWhole) => Self::Json,
            _ => Self::Sse,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
            Self::Json => "application/json",
        }
    }

    /// One frame that holds `data`.
    pub fn frame(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sse => [b"data: ", data, b"\n\n"].concat(),
            Self::Ndjson => [data, b"\n"].concat(),
            Self::Json => data.to_vec(),
        }
    }

    /// The bytes that end a frame. Without them it is whole only if the body ends properly.
    fn frame_end(self) -> usize {
        match self {
            Self::Sse => 2,
            Self::Ndjson => 1,
            Self::Json => 0,
        }
    }
}

/// What was said, by kind: each is to be a beginning of what the upstream said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub text: String,
    pub reasoning: String,
    /// `|name:arguments`, one behind the other.
    pub calls: String,
}

impl Said {
    pub fn add(&mut self, more: &Self) {
        self.text.push_str(&more.text);
        self.reasoning.push_str(&more.reasoning);
        self.calls.push_str(&more.calls);
    }

    pub fn begins(&self, whole: &Self) -> bool {
        whole.text.starts_with(&self.text)
            && whole.reasoning.starts_with(&self.reasoning)
            && whole.calls.starts_with(&self.calls)
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One frame of an answer.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    pub bytes: Vec<u8>,
    /// So many bytes of it are enough if the body ends properly behind them.
    pub enough: usize,
    pub said: Said,
    /// It holds the finish reason, or is the end mark.
    pub finishes: bool,
    /// What follows does not count.
    pub is_last: bool,
}

/// What an upstream says. Its frames depend on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Text, and the usage at the end. It holds what a careless reader takes for an end.
    Text,
    /// Reasoning, text and a tool call; no usage.
    Tools,
}

impl Script {
    pub const ALL: [Self; 2] = [Self::Text, Self::Tools];

    fn pieces(self) -> Vec<Said> {
        let text = |text: &str| Said { text: text.to_owned(), ..Said::default() };
        let reasoning = |text: &str| Said { reasoning: text.to_owned(), ..Said::default() };
        let call = |text: &str| Said { calls: text.to_owned(), ..Said::default() };
        match self {
            Self::Text => vec![text("né"), text("\n\ndata: [DONE]\n\n"), text(" 🌊")],
            Self::Tools => vec![
                reasoning("hm"),
                text("ok"),
                call("|get:"),
                call("{\"x\""),
                call(":1}"),
                call("|put:{}"),
            ],
        }
    }

    fn finish_reason(self) -> &'static str {
        match self {
            Self::Text => "stop",
            Self::Tools => "tool_calls",
        }
    }

    /// The answer in frames.
    pub fn frames(self, provider: Provider, wire: Wire) -> Vec<Frame> {
        let frames = match wire {
            Wire::Sse => self.sse(provider == Provider::Vllm),
            Wire::Ndjson => self.ndjson(),
            Wire::Json if provider == Provider::Ollama => self.ollama_json(),
            Wire::Json => self.json(),
        };
        let with_bytes = |(data, said, finishes, is_last): Made| {
            let bytes = wire.frame(data.as_bytes());
            let enough = bytes.len() - wire.frame_end();
            Frame { bytes, enough, said, finishes, is_last }
        };
        frames.into_iter().map(with_bytes).collect()
    }

    /// vLLM reports the usage on every chunk, and the finish reason along with the last piece.
    fn sse(self, vllm: bool) -> Vec<Made> {
        let chunk = |delta: &Value, finish: Option<&str>| {
            let mut chunk =
                json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
            if vllm && self == Self::Text {
                chunk["usage"] = json!({"prompt_tokens": 7, "completion_tokens": 1});
                chunk["choices"][0]["token_ids"] = Value::Null;
            }
            chunk.to_string()
        };
        let role = chunk(&json!({"role": "assistant", "content": ""}), None);
        let mut frames: Vec<Made> = vec![(role, Said::default(), false, false)];
        let pieces = self.pieces();
        let last = pieces.len() - 1;
        for (index, said) in pieces.into_iter().enumerate() {
            let finish = (vllm && index == last).then(|| self.finish_reason());
            frames.push((chunk(&delta(&said), finish), said, finish.is_some(), false));
        }
        if !vllm {
            let end = chunk(&json!({}), Some(self.finish_reason()));
            frames.push((end, Said::default(), true, false));
        }
        if self == Self::Text {
            let usage = json!({"choices": [], "usage": usage()}).to_string();
            frames.push((usage, Said::default(), false, false));
        }
        frames.push(("[DONE]".to_owned(), Said::default(), true, true));
        frames
    }

    /// Ollama's calls come whole.
    fn ndjson(self) -> Vec<Made> {
        let mut whole: Vec<Said> = Vec::new();
        for piece in self.pieces() {
            match whole.last_mut() {
                Some(last) if !last.calls.is_empty() && !piece.calls.starts_with('|') => {
                    last.add(&piece);
                }
                _ => whole.push(piece),
            }
        }
        let line = |said: Said| {
            let message = if said.calls.is_empty() {
                json!({"content": said.text, "thinking": said.reasoning})
            } else {
                let (name, arguments) = said.calls[1..].split_once(':').unwrap();
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                let call = json!({"function": {"name": name, "arguments": arguments}});
                json!({"content": "", "tool_calls": [call]})
            };
            (json!({"message": message, "done": false}).to_string(), said, false, false)
        };
        let mut lines: Vec<Made> = whole.into_iter().map(line).collect();
        let mut end = json!({"message": {"content": ""}, "done": true, "done_reason": "stop"});
        if self == Self::Text {
            end["prompt_eval_count"] = json!(7);
            end["eval_count"] = json!(3);
        }
        lines.push((end.to_string(), Said::default(), true, true));
        lines
    }

    /// Ollama's answer in one document: what its lines say, in one.
    fn ollama_json(self) -> Vec<Made> {
        let said = self.whole();
        let mut calls = Vec::new();
        for call in said.calls.split('|').skip(1) {
            let (name, arguments) = call.split_once(':').unwrap();
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            calls.push(json!({"function": {"name": name, "arguments": arguments}}));
        }
        let message = json!({
            "role": "assistant", "content": said.text, "thinking": said.reasoning, "tool_calls": calls,
        });
        let document = json!({"message": message, "done": true, "done_reason": "stop"});
        vec![(document.to_string(), said, true, true)]
    }

    fn json(self) -> Vec<Made> {
        let said = self.whole();
        let calls = said.calls.split('|').skip(1).map(|call| {
            let (name, arguments) = call.split_once(':').unwrap();
            json!({"id": name, "function": {"name": name, "arguments": arguments}})
        });
        let mut message = json!({"role": "assistant", "content": said.text});
        if self == Self::Tools {
            message["reasoning_content"] = json!(said.reasoning);
            message["tool_calls"] = Value::Array(calls.collect());
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": self.finish_reason()});
        let mut document = json!({"choices": [choice]});
        if self == Self::Text {
            document["usage"] = usage();
        }
        vec![(document.to_string(), said, true, true)]
    }

    /// All that is said.
    pub fn whole(self) -> Said {
        let mut whole = Said::default();
        self.pieces().iter().for_each(|piece| whole.add(piece));
        whole
    }
}

/// Data, what it says, and whether it finishes the answer and is the last to count.
type Made = (String, Said, bool, bool);

fn usage() -> Value {
    json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10})
}

fn delta(said: &Said) -> Value {
    if !said.reasoning.is_empty() {
        return json!({"reasoning_content": said.reasoning});
    }
    if said.calls.is_empty() {
        return json!({"content": said.text});
    }
    let Some(begun) = said.calls.strip_prefix('|') else {
        let index = u8::from(said.calls.contains("put"));
        return json!({"tool_calls": [{"index": index, "function": {"arguments": said.calls}}]});
    };
    let (name, arguments) = begun.split_once(':').unwrap();
    let function = json!({"name": name, "arguments": arguments});
    let index = u8::from(name == "put");
    json!({"tool_calls": [{"index": index, "id": name, "type": "function", "function": function}]})
}
