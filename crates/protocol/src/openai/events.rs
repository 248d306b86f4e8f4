//! An upstream's stream as events, for clients of another dialect.

use bytes::Bytes;

use super::errors;
use super::frame::{Chunk, Said};
use super::template::Template;
use crate::codec::{Batch, Decoder};
use crate::error::Failure;
use crate::event::Event;
use crate::sse::{Frame, SseDecoder};

/// Turns an OpenAI stream into events. Of several choices only the first is told.
#[derive(Debug)]
pub struct EventDecoder {
    sse: SseDecoder,
    template: Template,
    /// The end mark, an error or a failure has come: what follows is ignored.
    closed: bool,
}

impl EventDecoder {
    #[must_use]
    pub fn new(max_frame_bytes: usize) -> Self {
        Self { sse: SseDecoder::new(max_frame_bytes), template: Template::default(), closed: false }
    }

    fn read(&mut self, read: Bytes, batch: &mut Batch) -> Result<(), Failure> {
        self.sse.feed(read);
        while !self.closed
            && let Some(frame) = self.sse.next_frame()?
        {
            if frame.event.is_none()
                && let Some(text) = self.template.text_of(&frame.data)
            {
                if !text.is_empty() {
                    batch.chunks += 1;
                    batch.events.push(Event::Text(text.to_owned()));
                }
                continue;
            }
            let before = batch.events.len();
            tell(&frame, batch)?;
            if let Some([Event::Text(text)]) = batch.events.get(before..) {
                self.template.learn_text(&frame.data, text);
            }
            self.closed = matches!(batch.events.last(), Some(Event::Done | Event::Error(_)));
        }
        Ok(())
    }
}

impl Decoder for EventDecoder {
    fn decode(&mut self, read: Bytes) -> Result<Batch, Failure> {
        let mut batch = Batch::default();
        if self.closed {
            return Ok(batch);
        }
        let result = self.read(read, &mut batch);
        self.closed |= result.is_err();
        batch.or_failure(result)
    }

    fn finish(&mut self) -> Result<Batch, Failure> {
        let mut batch = Batch::default();
        if !self.closed
            && let Some(frame) = self.sse.finish()
            && is_whole(&frame.data)
        {
            tell(&frame, &mut batch)?;
        }
        self.closed = true;
        Ok(batch)
    }
}

/// Whether a frame without its blank line can be told to be whole all the same.
pub(super) fn is_whole(data: &str) -> bool {
    match Said::of(data) {
        Ok(Said::EndMark) => true,
        Ok(Said::Json(json)) => Chunk::decode(json).is_ok(),
        _ => false,
    }
}

fn tell(frame: &Frame<'_>, batch: &mut Batch) -> Result<(), Failure> {
    let events = &mut batch.events;
    let before = events.len();
    match Said::of(&frame.data)? {
        Said::Nothing => {}
        _ if frame.event == Some("error") => {
            events.push(Event::Error(errors::decode_error_event(&frame.data)));
        }
        Said::EndMark => events.push(Event::Done),
        Said::Text(text) => events.push(Event::Text(text.to_owned())),
        Said::Json(json) => Chunk::decode(json)?.tell(events),
    }
    let told = events.get(before..).unwrap_or_default();
    let is_piece =
        |event: &Event| matches!(event, Event::Text(_) | Event::Reasoning(_) | Event::ToolCall(_));
    batch.chunks += u32::from(told.iter().any(is_piece));
    Ok(())
}
