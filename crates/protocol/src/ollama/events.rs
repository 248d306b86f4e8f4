//! The NDJSON answers to `/api/chat` and `/api/generate` as events.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ending::Ending;
use crate::codec::{Batch, Decoder};
use crate::error::Failure;
use crate::event::{Event, ToolCallDelta};
use crate::ids::StreamId;
use crate::ndjson::NdjsonDecoder;
use crate::openai::errors::decode_error_value;
use crate::whole_body::malformed;

/// Turns Ollama's lines into events.
#[derive(Debug)]
pub struct EventDecoder {
    lines: NdjsonDecoder,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    /// Tool calls seen: each comes whole, and mostly without an id.
    calls: u32,
    /// Makes the ids of calls that have none unlike those of other answers.
    answer: Option<StreamId>,
    /// The last line, an error or a failure has come: what follows is ignored.
    closed: bool,
}

impl EventDecoder {
    #[must_use]
    pub fn new(max_line_bytes: usize) -> Self {
        Self { lines: NdjsonDecoder::new(max_line_bytes), state: State::default() }
    }

    /// Calls that come without an id get one that names `answer`: a conversation holds the calls
    /// of many answers.
    #[must_use]
    pub fn of_answer(mut self, answer: StreamId) -> Self {
        self.state.answer = Some(answer);
        self
    }

    fn read(&mut self, read: Bytes, batch: &mut Batch) -> Result<(), Failure> {
        self.lines.feed(read);
        while !self.state.closed
            && let Some(line) = self.lines.next_line()?
        {
            self.state.tell(line, batch)?;
        }
        Ok(())
    }
}

impl Decoder for EventDecoder {
    fn decode(&mut self, read: Bytes) -> Result<Batch, Failure> {
        let mut batch = Batch::default();
        if self.state.closed {
            return Ok(batch);
        }
        let result = self.read(read, &mut batch);
        self.state.closed |= result.is_err();
        batch.or_failure(result)
    }

    /// A last line that was cut is no fault of its own: the answer lacks its end anyway.
    fn finish(&mut self) -> Result<Batch, Failure> {
        let mut batch = Batch::default();
        if !self.state.closed
            && let Ok(Some(line)) = self.lines.finish()
            && (!line.trim_ascii_start().starts_with('{') || Line::decode(line).is_ok())
        {
            self.state.tell(line, &mut batch)?;
        }
        self.state.closed = true;
        Ok(batch)
    }
}

impl State {
    fn tell(&mut self, line: &str, batch: &mut Batch) -> Result<(), Failure> {
        // Plain text where JSON was expected is passed on as what it most likely is.
        if !line.trim_ascii_start().starts_with('{') {
            batch.chunks += 1;
            batch.events.push(Event::Text(line.to_owned()));
            return Ok(());
        }
        let text = line;
        let mut line = Line::decode(text)?;
        if let Some(error) = line.error {
            self.closed = true;
            batch.events.push(Event::Error(decode_error_value(error)));
            return Ok(());
        }
        let before = batch.events.len();
        let generated = Message {
            content: line.response.take(),
            thinking: line.thinking.take(),
            ..Message::default()
        };
        self.tell_message(line.message.take().unwrap_or(generated), &mut batch.events);
        batch.chunks += u32::from(batch.events.len() > before);
        if line.done {
            self.closed = true;
            let ending: Ending = serde_json::from_str(text).map_err(|_| malformed())?;
            ending.tell(self.calls > 0, &mut batch.events);
        }
        Ok(())
    }

    fn call_id(&self, index: u32) -> String {
        match self.answer {
            Some(answer) => format!("call_{answer}_{index}"),
            None => format!("call_{index}"),
        }
    }

    fn tell_message(&mut self, message: Message<'_>, events: &mut Vec<Event>) {
        let spoken = |text: &String| !text.is_empty();
        events.extend(message.thinking.filter(spoken).map(Event::Reasoning));
        events.extend(message.content.filter(spoken).map(Event::Text));
        for call in message.tool_calls.unwrap_or_default() {
            let index = self.calls;
            self.calls += 1;
            let id = call.id.filter(spoken).unwrap_or_else(|| self.call_id(index));
            let arguments = call.function.arguments.map_or("{}", RawValue::get).to_owned();
            let (id, name) = (Some(id), Some(call.function.name));
            events.push(Event::ToolCall(ToolCallDelta { index, id, name, arguments }));
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    /// What `/api/generate` says in place of a message.
    response: Option<String>,
    thinking: Option<String>,
    #[serde(default)]
    done: bool,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Line<'a> {
    fn decode(line: &'a str) -> Result<Self, Failure> {
        serde_json::from_str(line).map_err(|_| malformed())
    }
}

#[derive(Deserialize, Default)]
struct Message<'a> {
    content: Option<String>,
    thinking: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    id: Option<String>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}
