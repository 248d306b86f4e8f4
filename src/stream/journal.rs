//! The frames of one stream, numbered, with any number of readers. Plain logic: it knows nothing of
//! locks, wakers and clocks.
//!
//! A journal that is kept holds its frames until they are too many bytes; the oldest go. One that is
//! not has a single reader and gives its frames away.

use std::collections::VecDeque;

use tidegate_protocol::Payload;

use super::delivery::{Closing, Frame};

/// A reader is given no more than about this at once: what is replayed to it is joined in memory.
const AT_ONCE_BYTES: usize = 64 * 1024;

/// How much may be held, and for whom. All in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// What the fastest reader may not have taken before the upstream waits.
    pub room: usize,
    /// What another reader may fall behind by.
    pub lag: usize,
    /// What is kept of a stream; nothing is where there is no bound.
    pub keep: Option<usize>,
}

/// Names a reader of one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderKey(u32);

/// Why a journal cannot be read from a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotThere {
    /// What follows the place is no longer held.
    #[error(
        "the events behind this place are no longer kept: the first that is has the number {first}"
    )]
    Evicted { first: u64 },
    #[error("the stream has no such event: its last one has the number {last}")]
    Beyond { last: u64 },
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    Frames(VecDeque<Frame>),
    End(Closing),
    /// It has fallen too far behind, and reads no more.
    TooSlow,
    /// Nothing, for now.
    Nothing,
}

#[derive(Debug)]
struct Reader {
    key: ReaderKey,
    /// The number of the frame that it gets next.
    next: u64,
    /// The weight of all frames before that one, and before the last that its connection has
    /// written: what it was given counts until it comes back for more.
    given: u64,
    written: u64,
    /// It may be so far behind: a reader that begins with old frames has more to catch up with.
    allowed: u64,
    too_slow: bool,
}

/// The frames of one stream.
#[derive(Debug)]
pub struct Journal {
    bounds: Bounds,
    frames: VecDeque<Frame>,
    /// The number of the next frame.
    next: u64,
    /// The weight of all frames there ever were, and of those that are gone.
    published: u64,
    gone: u64,
    readers: Vec<Reader>,
    next_key: u32,
    closing: Option<Closing>,
}

impl Journal {
    /// A journal with its first reader.
    #[must_use]
    pub fn new(bounds: Bounds) -> (Self, ReaderKey) {
        let mut journal = Self {
            bounds,
            frames: VecDeque::new(),
            next: 1,
            published: 0,
            gone: 0,
            readers: Vec::with_capacity(1),
            next_key: 0,
            closing: None,
        };
        let key = journal.join(1, 0);
        (journal, key)
    }

    /// Whether frames are held for readers to come.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.bounds.keep.is_some()
    }

    /// Adds frames. Those that nobody will read are not held. Gives how many readers are read no more
    /// for being too slow.
    pub fn publish(&mut self, payloads: impl IntoIterator<Item = Payload>) -> usize {
        let is_read = self.is_kept() || !self.readers.is_empty();
        for payload in payloads {
            let frame = Frame { number: self.next, payload };
            self.next += 1;
            if is_read {
                self.published += weight(&frame);
                self.frames.push_back(frame);
            }
        }
        let Some(most) = self.bounds.keep else { return 0 };
        self.forget_beyond(most);
        self.leave_the_slow()
    }

    /// Says the end, once.
    pub fn close(&mut self, closing: Closing) {
        self.closing = Some(closing);
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closing.is_some()
    }

    /// The numbers that the frames of the terminal will have begin with this.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Adds a reader that gets what follows the frame of number `after`.
    ///
    /// # Errors
    /// When that is not there any more, or not yet.
    pub fn attach(&mut self, after: u64) -> Result<ReaderKey, NotThere> {
        let last = self.last_number();
        if after > last {
            return Err(NotThere::Beyond { last });
        }
        let next = after + 1;
        let first = self.first_number();
        if next < first {
            return Err(NotThere::Evicted { first });
        }
        let behind = self.frames.iter().rev().take_while(|frame| frame.number >= next);
        let backlog = behind.map(weight).sum();
        Ok(self.join(next, backlog))
    }

    fn join(&mut self, next: u64, backlog: u64) -> ReaderKey {
        let key = ReaderKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        let given = self.published - backlog;
        let allowed = backlog + self.bounds.lag as u64;
        self.readers.push(Reader { key, next, given, written: given, allowed, too_slow: false });
        key
    }

    /// A reader is gone. `true` where it was the last.
    pub fn leave(&mut self, key: ReaderKey) -> bool {
        let before = self.readers.len();
        self.readers.retain(|reader| reader.key != key);
        if self.readers.is_empty() && !self.is_kept() {
            self.forget(self.frames.len());
        }
        before > 0 && self.readers.is_empty()
    }

    /// What a reader gets next. It has written what it was given before.
    pub fn read(&mut self, key: ReaderKey) -> Reading {
        let Some(at) = self.readers.iter().position(|reader| reader.key == key) else {
            return Reading::TooSlow;
        };
        let first = self.first_number();
        let (kept, end) = (self.is_kept(), self.next);
        let Some(reader) = self.readers.get_mut(at) else { return Reading::TooSlow };
        reader.written = reader.given;
        if reader.too_slow || reader.next < first {
            return Reading::TooSlow;
        }
        if reader.next < end {
            let frames = if kept {
                let from = usize::try_from(reader.next - first).unwrap_or(usize::MAX);
                copies(&self.frames, from)
            } else {
                std::mem::take(&mut self.frames)
            };
            let given: u64 = frames.iter().map(weight).sum();
            reader.given += given;
            reader.next += frames.len() as u64;
            if !kept {
                self.gone = self.published;
            }
            return Reading::Frames(frames);
        }
        self.end_for(at).map_or(Reading::Nothing, Reading::End)
    }

    /// The end as the reader at that place has it before it: it may have seen a part of it.
    fn end_for(&mut self, at: usize) -> Option<Closing> {
        let next = self.readers.get(at)?.next;
        if !self.is_kept() {
            return self.closing.take_if(|_| true);
        }
        let mut closing = self.closing.clone()?;
        closing.frames.retain(|frame| frame.number >= next);
        Some(closing)
    }

    /// The end, if it is there, whatever comes before it.
    #[must_use]
    pub fn closing(&self) -> Option<&Closing> {
        self.closing.as_ref()
    }

    /// Whether the upstream may go on: the fastest reader wants more, or there is none.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let room = self.bounds.room as u64;
        let mut behind =
            self.readers.iter().filter(|reader| !reader.too_slow).map(|r| self.behind(r));
        behind.clone().next().is_none() || behind.any(|behind| behind <= room)
    }

    /// Bytes that the slowest reader has not written yet.
    #[must_use]
    pub fn unread(&self) -> usize {
        let behind = self.readers.iter().filter(|r| !r.too_slow).map(|reader| self.behind(reader));
        usize::try_from(behind.max().unwrap_or(0)).unwrap_or(usize::MAX)
    }

    /// Bytes held, for whomever.
    #[must_use]
    pub fn held(&self) -> usize {
        let terminal = self.closing.iter().flat_map(|closing| &closing.frames).map(Frame::weight);
        usize::try_from(self.published - self.gone).unwrap_or(usize::MAX) + terminal.sum::<usize>()
    }

    #[must_use]
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// Whether anything was said before the end.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.next > 1
    }

    /// The number of the last frame there is, of the terminal where that is there.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        let terminal = self.closing.iter().flat_map(|closing| &closing.frames).map(|f| f.number);
        terminal.max().unwrap_or(self.next - 1)
    }

    /// Lets the oldest frames go, but none that a reader still needs, until `excess` bytes are free.
    pub fn shed(&mut self, excess: usize) {
        let needed =
            self.readers.iter().filter(|reader| !reader.too_slow).map(|reader| reader.next);
        let needed = needed.min().unwrap_or(self.next);
        let (mut freed, mut count) = (0, 0);
        for frame in &self.frames {
            if freed >= excess || frame.number >= needed {
                break;
            }
            freed += frame.weight();
            count += 1;
        }
        self.forget(count);
    }

    /// Moves all frames into memory of their own size. What an upstream sent is read into larger
    /// blocks, and a frame of a few bytes keeps all of its block.
    pub fn compact(&mut self) {
        super::compact::compact(&mut self.frames);
        self.readers.shrink_to_fit();
    }

    fn first_number(&self) -> u64 {
        self.frames.front().map_or(self.next, |frame| frame.number)
    }

    fn behind(&self, reader: &Reader) -> u64 {
        self.published - reader.written
    }

    fn forget_beyond(&mut self, most: usize) {
        let mut excess = usize::try_from(self.published - self.gone).unwrap_or(usize::MAX);
        let mut count = 0;
        for frame in &self.frames {
            if excess <= most {
                break;
            }
            excess -= frame.weight();
            count += 1;
        }
        self.forget(count);
    }

    fn forget(&mut self, count: usize) {
        let forgotten: u64 = self.frames.drain(..count).map(|frame| weight(&frame)).sum();
        self.gone += forgotten;
    }

    /// Readers that are too far behind are read no more, unless all others are as far behind; so are
    /// those that need what is gone.
    fn leave_the_slow(&mut self) -> usize {
        let (published, first) = (self.published, self.first_number());
        let behind = |reader: &Reader| published - reader.written;
        let least = self.readers.iter().filter(|reader| !reader.too_slow).map(behind).min();
        let mut left = 0;
        for reader in self.readers.iter_mut().filter(|reader| !reader.too_slow) {
            let behind = published - reader.written;
            let lags = behind > reader.allowed && Some(behind) > least;
            reader.too_slow = lags || reader.next < first;
            left += usize::from(reader.too_slow);
        }
        left
    }
}

fn weight(frame: &Frame) -> u64 {
    frame.weight() as u64
}

/// Copies of the frames from that place on, as many as a reader is given at once.
fn copies(frames: &VecDeque<Frame>, from: usize) -> VecDeque<Frame> {
    let mut bytes = 0;
    let wanted = frames.range(from.min(frames.len())..).take_while(|frame| {
        let is_wanted = bytes < AT_ONCE_BYTES;
        bytes += frame.payload.len();
        is_wanted
    });
    wanted.cloned().collect()
}

#[cfg(test)]
mod any_order;
#[cfg(test)]
mod tests;
