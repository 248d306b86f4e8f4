//! An upstream's stream passed on in its own frames to clients of the same dialect.
//!
//! Runs of plain frames leave as one slice of the read they came in. A frame that differs from an
//! ordinary one in its text alone is not parsed.

use bytes::Bytes;

use super::chunks::{ChunkWriter, Shape};
use super::errors;
use super::events::is_whole;
use super::frame::Said;
use super::heard;
use super::scan::Scanned;
use super::template::Template;
use crate::codec::{Batch, Decoder};
use crate::error::Failure;
use crate::event::Event;
use crate::runs::Runs;
use crate::sse::{self, Frame, SseDecoder};

/// The id of chunks that no upstream has framed.
pub(super) const RELAYED_ID: &str = "chatcmpl-relay";

/// Passes on an OpenAI stream frame by frame.
///
/// Taken out: the end mark, errors, and (unless the client asked for it) the frame that only
/// reports usage. `chunks` counts the frames that carry a piece of the answer, an empty one too.
/// Of several choices the last to finish is reported: an answer of which one choice is whole is
/// not.
#[derive(Debug)]
pub struct RelayDecoder {
    sse: SseDecoder,
    sorter: Sorter,
}

impl RelayDecoder {
    /// `fallback_model` is named in chunks made of plain text.
    #[must_use]
    pub fn new(max_frame_bytes: usize, keep_usage: bool, fallback_model: &str) -> Self {
        let fallback_model = fallback_model.to_owned();
        let sorter = Sorter {
            template: Template::default(),
            keep_usage,
            shape: Shape::Chat,
            fallback_model,
            hears: false,
            choices: 1,
            finished: 0,
            closed: false,
        };
        Self { sse: SseDecoder::new(max_frame_bytes), sorter }
    }

    /// The answer is a completion: chunks made of plain text are of its kind.
    #[must_use]
    pub fn of_completion(mut self) -> Self {
        self.sorter.shape = Shape::Completion;
        self
    }

    /// The batch tells what its frames say, or that it cannot.
    #[must_use]
    pub fn hearing(mut self, hears: bool) -> Self {
        self.sorter.hears = hears;
        self
    }

    /// The request asked for so many choices (`n`, at most 128).
    #[must_use]
    pub fn with_choices(mut self, choices: u32) -> Self {
        self.sorter.choices = choices;
        self
    }

    fn read(&mut self, read: Bytes, out: &mut Outgoing) -> Result<(), Failure> {
        self.sse.feed(read);
        while !self.sorter.closed
            && let Some(frame) = self.sse.next_frame()?
        {
            self.sorter.sort(&frame, out)?;
        }
        Ok(())
    }
}

impl Decoder for RelayDecoder {
    fn decode(&mut self, read: Bytes) -> Result<Batch, Failure> {
        let mut out = Outgoing::default();
        if self.sorter.closed {
            return Ok(out.batch);
        }
        let result = self.read(read, &mut out);
        self.sorter.closed |= result.is_err();
        out.into_batch().or_failure(result)
    }

    fn finish(&mut self) -> Result<Batch, Failure> {
        let mut out = Outgoing::default();
        if !self.sorter.closed
            && let Some(frame) = self.sse.finish()
            && is_whole(&frame.data)
        {
            self.sorter.sort(&frame, &mut out)?;
        }
        self.sorter.closed = true;
        Ok(out.into_batch())
    }
}

/// Decides of each frame whether it is passed on, and what the gateway learns from it.
#[derive(Debug)]
struct Sorter {
    template: Template,
    keep_usage: bool,
    shape: Shape,
    fallback_model: String,
    /// What frames say is told beside them.
    hears: bool,
    choices: u32,
    /// One bit for each choice that is finished.
    finished: u128,
    /// The end mark, an error or a failure has come: what follows is ignored.
    closed: bool,
}

impl Sorter {
    fn sort(&mut self, frame: &Frame<'_>, out: &mut Outgoing) -> Result<(), Failure> {
        match Said::of(&frame.data)? {
            Said::Nothing => {}
            _ if frame.event == Some("error") => {
                self.close(Event::Error(errors::decode_error_event(&frame.data)), out);
            }
            Said::EndMark => self.close(Event::Done, out),
            Said::Text(text) => {
                out.batch.chunks += 1;
                let writer = ChunkWriter::new(self.shape, RELAYED_ID, &self.fallback_model, 0);
                out.runs.push(writer.text(text));
                if self.hears {
                    out.batch.events.push(Event::Text(text.to_owned()));
                }
            }
            Said::Json(json) if self.template.fits(json) => {
                out.batch.chunks += 1;
                self.hear(json, out);
                out.pass(frame, json);
            }
            Said::Json(json) => self.sort_scanned(Scanned::of(json)?, frame, json, out),
        }
        Ok(())
    }

    fn sort_scanned(
        &mut self,
        scanned: Scanned,
        frame: &Frame<'_>,
        json: &str,
        out: &mut Outgoing,
    ) {
        if scanned.is_ordinary() {
            self.template.learn(json);
        }
        if let Some(failure) = scanned.error {
            self.close(Event::Error(failure), out);
            return;
        }
        self.hear(json, out);
        for (index, reason) in scanned.finished {
            let before = self.finished.count_ones();
            self.finished |= 1u128.checked_shl(index).unwrap_or_default();
            let now = self.finished.count_ones();
            if now > before && now == self.choices {
                out.batch.events.push(Event::Finish(reason));
            }
        }
        out.batch.events.extend(scanned.usage.map(Event::Usage));
        out.batch.chunks += u32::from(scanned.has_piece);
        if self.keep_usage || !scanned.is_usage_only {
            out.pass(frame, json);
        }
    }

    fn hear(&self, json: &str, out: &mut Outgoing) {
        if self.hears {
            out.batch.opaque |= !heard::pieces(json, &mut out.batch.events);
        }
    }

    fn close(&mut self, event: Event, out: &mut Outgoing) {
        self.closed = true;
        out.batch.events.push(event);
    }
}

/// What leaves for the client, and what the gateway learns.
#[derive(Default)]
struct Outgoing {
    batch: Batch,
    runs: Runs,
}

impl Outgoing {
    fn pass(&mut self, frame: &Frame<'_>, json: &str) {
        match &frame.plain {
            Some(plain) => self.runs.extend(plain),
            None => self.runs.push(sse::encode_data(json)),
        }
    }

    fn into_batch(self) -> Batch {
        Batch { frames: self.runs.into_frames(), ..self.batch }
    }
}
