//! An Ollama's lines passed on to clients that speak to it as they would to Ollama.
//!
//! Runs of lines leave as one slice of the read they came in; each is scanned, none is rewritten.

use bytes::Bytes;

use super::client::LineWriter;
use super::scan::{self, Scanned};
use crate::codec::{Batch, Decoder};
use crate::error::Failure;
use crate::event::Event;
use crate::ndjson::{Line, NdjsonDecoder};
use crate::runs::Runs;

/// Passes on the answers to `/api/chat` and `/api/generate` line by line.
///
/// Taken out: errors. The line that ends the answer is a frame of its own, the last one, and comes
/// along with [`Event::Done`]: [`RelayEncoder`](super::RelayEncoder) holds it back until the
/// stream's end is decided.
#[derive(Debug)]
pub struct RelayDecoder {
    lines: NdjsonDecoder,
    sorter: Sorter,
}

impl RelayDecoder {
    /// `own` writes the lines that are made of plain text.
    #[must_use]
    pub fn new(max_line_bytes: usize, own: LineWriter) -> Self {
        let sorter = Sorter { own, hears: false, called_tools: false, closed: false };
        Self { lines: NdjsonDecoder::new(max_line_bytes), sorter }
    }

    /// The batch tells what its lines say, or that it cannot.
    #[must_use]
    pub fn hearing(mut self, hears: bool) -> Self {
        self.sorter.hears = hears;
        self
    }

    fn read(&mut self, read: Bytes, out: &mut Outgoing) -> Result<(), Failure> {
        self.lines.feed(read);
        while !self.sorter.closed
            && let Some(line) = self.lines.next_placed()?
        {
            self.sorter.sort(&line, out)?;
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

    /// A last line that was cut is no fault of its own: the answer lacks its end anyway.
    fn finish(&mut self) -> Result<Batch, Failure> {
        let mut out = Outgoing::default();
        if !self.sorter.closed
            && let Ok(Some(text)) = self.lines.finish()
            && (!is_json(text) || Scanned::of(text).is_ok())
        {
            self.sorter.sort(&Line { text, raw: text.as_bytes(), plain: None }, &mut out)?;
        }
        self.sorter.closed = true;
        Ok(out.into_batch())
    }
}

fn is_json(line: &str) -> bool {
    line.trim_ascii_start().starts_with('{')
}

/// Decides of each line whether it is passed on, and what the gateway learns from it.
#[derive(Debug)]
struct Sorter {
    own: LineWriter,
    /// What lines say is told beside them.
    hears: bool,
    called_tools: bool,
    /// The last line, an error or a failure has come: what follows is ignored.
    closed: bool,
}

impl Sorter {
    fn sort(&mut self, line: &Line<'_>, out: &mut Outgoing) -> Result<(), Failure> {
        // Plain text where JSON was expected is passed on as what it most likely is.
        if !is_json(line.text) {
            out.batch.chunks += 1;
            out.runs.push(self.own.text(line.text));
            if self.hears {
                out.batch.events.push(Event::Text(line.text.to_owned()));
            }
            return Ok(());
        }
        let scanned = Scanned::of(line.text)?;
        if let Some(failure) = scanned.error {
            self.closed = true;
            out.batch.events.push(Event::Error(failure));
            return Ok(());
        }
        self.called_tools |= scanned.calls_tools;
        out.batch.chunks += u32::from(scanned.has_piece);
        if self.hears {
            out.batch.opaque |= !scan::pieces(line.text, &mut out.batch.events);
        }
        match scanned.ending {
            None => out.pass(line),
            Some(ending) => {
                self.closed = true;
                out.runs.push(own_frame(line));
                ending.tell(self.called_tools, &mut out.batch.events);
            }
        }
        Ok(())
    }
}

fn own_frame(line: &Line<'_>) -> Bytes {
    match &line.plain {
        Some(plain) => plain.source.slice(plain.range.clone()),
        None => Bytes::from([line.raw, b"\n"].concat()),
    }
}

/// What leaves for the client, and what the gateway learns.
#[derive(Default)]
struct Outgoing {
    batch: Batch,
    runs: Runs,
}

impl Outgoing {
    fn pass(&mut self, line: &Line<'_>) {
        match &line.plain {
            Some(plain) => self.runs.extend(plain),
            None => self.runs.push(own_frame(line)),
        }
    }

    fn into_batch(self) -> Batch {
        Batch { frames: self.runs.into_frames(), ..self.batch }
    }
}
