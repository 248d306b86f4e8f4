//! Frames on their way through a relay: neighbours in the same read leave as one slice of it.

use std::ops::Range;

use bytes::Bytes;

/// The place of a frame that may leave as it came, its end included.
#[derive(Debug, Clone)]
pub struct Plain<'a> {
    pub source: &'a Bytes,
    pub range: Range<usize>,
}

/// Frames in their order.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    frames: Vec<Bytes>,
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    source: Bytes,
    start: usize,
    end: usize,
}

impl Runs {
    /// A frame that leaves as it came.
    pub fn extend(&mut self, plain: &Plain<'_>) {
        let Plain { source, range } = plain;
        // Both are alive, so the same address is the same read.
        if let Some(run) = &mut self.run
            && run.end == range.start
            && run.source.as_ptr() == source.as_ptr()
        {
            run.end = range.end;
            return;
        }
        self.end_run();
        let source = Bytes::clone(source);
        self.run = Some(Run { source, start: range.start, end: range.end });
    }

    /// A frame of its own.
    pub fn push(&mut self, frame: Bytes) {
        self.end_run();
        self.frames.push(frame);
    }

    fn end_run(&mut self) {
        if let Some(Run { source, start, end }) = self.run.take() {
            self.frames.push(source.slice(start..end));
        }
    }

    pub fn into_frames(mut self) -> Vec<Bytes> {
        self.end_run();
        self.frames
    }
}
