//! The frames of one stream, numbered, with any number of readers. Plain logic: it knows nothing of
//! locks, wakers and clocks.
//!
//! A journal gives its frames away to those who read along. One that is kept keeps a packed copy
//! (`pack`) for whoever comes later, until that is too many bytes; the oldest go.
//!
//! - `readers`: who reads it, and who is too slow.

mod readers;

use std::collections::VecDeque;

use tidegate_protocol::Payload;

use super::delivery::{Closing, Frame};
use super::pack::Pack;
use readers::Readers;

pub use readers::{Part, ReaderKey};

/// A reader is given no more than about this at once: what is replayed to it is unpacked for it.
const AT_ONCE_BYTES: usize = 16 * 1024;

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

/// The frames of one stream.
#[derive(Debug)]
pub struct Journal {
    bounds: Bounds,
    /// Where it is kept: the frames that all who read along have had.
    pack: Option<Box<Pack>>,
    /// The frames behind those.
    frames: VecDeque<Frame>,
    /// The number of the next frame.
    next: u64,
    /// The weight of all frames there ever were, and of those before `frames`.
    published: u64,
    taken: u64,
    readers: Readers,
    closing: Option<Closing>,
}

impl Journal {
    /// A journal with its first reader.
    #[must_use]
    pub fn new(bounds: Bounds) -> (Self, ReaderKey) {
        let mut journal = Self {
            bounds,
            pack: bounds.keep.map(|_| Box::new(Pack::new(1))),
            frames: VecDeque::new(),
            next: 1,
            published: 0,
            taken: 0,
            readers: Readers::default(),
            closing: None,
        };
        let key = journal.join(Part::Client, 1, 0);
        (journal, key)
    }

    /// Whether frames are held for readers to come.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.pack.is_some()
    }

    /// Adds frames. Those that nobody will read are not held. Gives how many readers are read no more
    /// for being too slow.
    pub fn publish(&mut self, payloads: impl IntoIterator<Item = Payload>) -> usize {
        let is_read = self.is_kept() || self.readers.any();
        for payload in payloads {
            let frame = Frame { number: self.next, payload };
            self.next += 1;
            if is_read {
                self.published += weight(&frame);
                self.frames.push_back(frame);
            }
        }
        self.pack_unread();
        let Some(most) = self.bounds.keep else { return 0 };
        while self.held_before_end() > most && self.forget_first().is_some() {}
        self.readers.leave_the_slow(self.published, self.first_number())
    }

    /// Packs what there is nobody to take.
    fn pack_unread(&mut self) {
        if !self.readers.any() {
            self.take(self.frames.len());
        }
    }

    /// Takes so many frames, of which a copy is kept if any are.
    fn take(&mut self, count: usize) -> VecDeque<Frame> {
        let rest = self.frames.split_off(count.min(self.frames.len()));
        let taken = std::mem::replace(&mut self.frames, rest);
        self.taken += taken.iter().map(weight).sum::<u64>();
        if let Some(pack) = &mut self.pack {
            for frame in &taken {
                pack.push(&frame.payload);
            }
        }
        taken
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
    pub fn attach(&mut self, part: Part, after: u64) -> Result<ReaderKey, NotThere> {
        let last = self.last_number();
        if after > last {
            return Err(NotThere::Beyond { last });
        }
        let next = after + 1;
        let first = self.first_number();
        if next < first {
            return Err(NotThere::Evicted { first });
        }
        let packed = self.pack.as_ref().map_or(0, |pack| pack.weight_from(next));
        let behind = self.frames.iter().rev().take_while(|frame| frame.number >= next);
        let backlog = packed + behind.map(weight).sum::<u64>();
        Ok(self.join(part, next, backlog))
    }

    fn join(&mut self, part: Part, next: u64, backlog: u64) -> ReaderKey {
        let allowed = backlog + self.bounds.lag as u64;
        self.readers.join(part, next, self.published - backlog, allowed)
    }

    /// A reader is gone. `true` where it was the last client.
    pub fn leave(&mut self, key: ReaderKey) -> bool {
        let was_last = self.readers.leave(key);
        self.pack_unread();
        was_last
    }

    /// What a reader gets next. It has written what it was given before.
    pub fn read(&mut self, key: ReaderKey) -> Reading {
        let first = self.first_number();
        let Some(reader) = self.readers.find(key) else { return Reading::TooSlow };
        reader.has_written();
        let next = reader.next;
        if reader.too_slow || next < first {
            return Reading::TooSlow;
        }
        if next >= self.next {
            return self.end_behind(next).map_or(Reading::Nothing, Reading::End);
        }
        let frames = self.frames_from(next);
        if let Some(reader) = self.readers.find(key) {
            reader.is_given(frames.len(), frames.iter().map(weight).sum());
        }
        self.pack_before(next + frames.len() as u64);
        Reading::Frames(frames)
    }

    /// The frames that begin with that number, as many as a reader is given at once.
    fn frames_from(&mut self, number: u64) -> VecDeque<Frame> {
        let Some(pack) = &self.pack else { return self.take(self.frames.len()) };
        let (mut frames, mut next) = (VecDeque::new(), number);
        if next < pack.next() {
            frames = pack.read(number, AT_ONCE_BYTES);
            next += frames.len() as u64;
        }
        if next < pack.next() {
            return frames;
        }
        let first = usize::try_from(next - pack.next()).unwrap_or(usize::MAX);
        let mut bytes = frames.iter().map(|frame| frame.payload.len()).sum::<usize>();
        let wanted = self.frames.iter().skip(first).take_while(|frame| {
            let is_wanted = bytes < AT_ONCE_BYTES;
            bytes += frame.payload.len();
            is_wanted
        });
        if frames.is_empty() && first == 0 && self.readers.count() == 1 {
            return self.take(wanted.count());
        }
        frames.extend(wanted.cloned());
        frames
    }

    /// Packs what a reader has had that goes on with `next`, but for what others will take soon.
    fn pack_before(&mut self, next: u64) {
        if self.frames.is_empty() {
            return;
        }
        let needed = self.readers.first_needed_soon(self.published, self.bounds.room as u64);
        let needed = needed.map_or(next, |needed| needed.min(next));
        let had = self.frames.iter().take_while(|frame| frame.number < needed).count();
        if had > 0 {
            self.take(had);
        }
    }

    /// The end for a reader that goes on with `next`: it may have seen a part of it.
    fn end_behind(&mut self, next: u64) -> Option<Closing> {
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

    /// Whether the upstream may go on: the fastest client wants more, or there is none.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let room = self.bounds.room as u64;
        self.readers.lags(self.published).is_none_or(|(least, _)| least <= room)
    }

    /// Bytes that the slowest client has not written yet.
    #[must_use]
    pub fn unread(&self) -> usize {
        let most = self.readers.lags(self.published).map_or(0, |(_, most)| most);
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// Bytes held, for whomever.
    #[must_use]
    pub fn held(&self) -> usize {
        let terminal = self.closing.iter().flat_map(|closing| &closing.frames).map(Frame::weight);
        self.held_before_end() + terminal.sum::<usize>()
    }

    fn held_before_end(&self) -> usize {
        let packed = self.pack.as_ref().map_or(0, |pack| pack.held());
        packed + usize::try_from(self.published - self.taken).unwrap_or(usize::MAX)
    }

    #[must_use]
    pub fn readers(&self) -> usize {
        self.readers.count()
    }

    #[must_use]
    pub fn clients(&self) -> usize {
        self.readers.clients()
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
        let needed = self.readers.first_needed().unwrap_or(self.next);
        let mut freed = 0;
        while freed < excess
            && self.first_number() < needed
            && let Some(more) = self.forget_first()
        {
            freed += more;
        }
    }

    /// Moves all frames into memory of their own size. What an upstream sent is read into larger
    /// blocks, and a frame of a few bytes keeps all of its block.
    pub fn compact(&mut self) {
        if self.is_kept() {
            self.take(self.frames.len());
        }
        if let Some(pack) = &mut self.pack {
            pack.finish();
        }
        if let Some(closing) = &mut self.closing {
            closing.compact();
        }
    }

    fn first_number(&self) -> u64 {
        match &self.pack {
            Some(pack) => pack.first(),
            None => self.frames.front().map_or(self.next, |frame| frame.number),
        }
    }

    /// Lets the oldest frame go. Gives how many bytes it took.
    fn forget_first(&mut self) -> Option<usize> {
        if let Some(pack) = &mut self.pack
            && let Some(freed) = pack.forget_first()
        {
            return Some(freed);
        }
        let frame = self.take(1).pop_front()?;
        if let Some(pack) = &mut self.pack {
            pack.forget_first();
        }
        Some(frame.weight())
    }
}

fn weight(frame: &Frame) -> u64 {
    frame.weight() as u64
}

#[cfg(test)]
mod any_order;
#[cfg(test)]
mod tests;
