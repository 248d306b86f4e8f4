//! The frames of a journal that some client was given already, kept small for those to come.
//!
//! They lie one behind the other in blocks of a few KiB, each as what it does not share with the
//! one before it (`delta`): mostly its text and a dozen bytes. The first of a block shares nothing,
//! so that reading begins near to where it is asked to. Old frames go one by one, their memory
//! block by block.

use std::collections::VecDeque;

use bytes::Bytes;
use bytestring::ByteString;
use tidegate_protocol::{EventName, Payload};

use super::delivery::Frame;
use super::delta;

/// A block that is this large takes no more frames.
const BLOCK_BYTES: usize = 4000;
/// What a frame may take besides its bytes.
const LENGTHS_BYTES: usize = 16;
/// So much room is kept for the last frame, which is enough for one of a piece of text.
const LAST_BYTES: usize = 320;

/// Frames in a row, numbered without a gap.
#[derive(Debug)]
pub struct Pack {
    /// The last one is written to.
    blocks: VecDeque<Block>,
    /// What the last frame is made of.
    last: Vec<u8>,
    /// The number of the first frame, and that of the next.
    first: u64,
    next: u64,
    held: usize,
}

#[derive(Debug, Default)]
struct Block {
    /// Of each frame a byte that says what it is, and what is written of it.
    bytes: Vec<u8>,
    /// So many frames are gone; the others begin here.
    gone: u64,
    start: usize,
    /// How many the others are, and what they [weigh](Frame::weight).
    frames: u64,
    weight: u64,
}

impl Pack {
    /// Nothing yet; the first frame will have that number.
    #[must_use]
    pub fn new(next: u64) -> Self {
        let blocks = VecDeque::with_capacity(1);
        Self { blocks, last: Vec::new(), first: next, next, held: 0 }
    }

    /// Bytes of all frames, as they lie here.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The number of the first frame, or of the next where there is none.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the frame that would be added next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Adds the next frame.
    pub fn push(&mut self, payload: &Payload) {
        let (kind, piece) = parts(payload);
        let is_full = |block: &Block| block.bytes.len() >= BLOCK_BYTES;
        if self.last.is_empty() || self.blocks.back().is_none_or(is_full) {
            self.last.clear();
            self.blocks.push_back(Block::default());
        }
        let Some(block) = self.blocks.back_mut() else { return };
        let before = block.bytes.len();
        // Doubled, it would mostly be half empty: most streams have one block.
        if block.bytes.capacity() - before < piece.len() + LENGTHS_BYTES {
            block.bytes.reserve_exact(piece.len() + LENGTHS_BYTES + before / 8);
        }
        block.bytes.push(kind);
        delta::write(&self.last, piece, &mut block.bytes);
        block.frames += 1;
        block.weight += Frame::weight_of(piece.len()) as u64;
        self.held += block.bytes.len() - before;
        self.next += 1;
        self.last.clear();
        let room = piece.len().max(LAST_BYTES);
        if self.last.capacity() > 2 * room {
            self.last.shrink_to(room);
        }
        self.last.reserve_exact(piece.len());
        self.last.extend_from_slice(piece);
    }

    /// Gives back what is held ready for more frames.
    pub fn finish(&mut self) {
        self.last = Vec::new();
        if let Some(block) = self.blocks.back_mut() {
            // Shrinking would keep the memory as long as half of it is used: mimalloc's does.
            block.bytes = block.bytes.as_slice().into();
        }
    }

    /// What all frames from that number on weigh.
    #[must_use]
    pub fn weight_from(&self, number: u64) -> u64 {
        let mut first = self.first;
        let weights = self.blocks.iter().map(|block| {
            let before = number.saturating_sub(first).min(block.frames);
            first += block.frames;
            if before == block.frames { 0 } else { block.weight - block.weight_of_first(before) }
        });
        weights.sum()
    }

    /// The frames from that number on, up to the one with which they have `most` bytes.
    #[must_use]
    pub fn read(&self, number: u64, most: usize) -> VecDeque<Frame> {
        let (mut frames, mut bytes, mut end) = (VecDeque::new(), 0, self.first);
        for block in &self.blocks {
            let first = end;
            end += block.frames;
            if number >= end || bytes >= most {
                continue;
            }
            let mut unpacked = Unpacked::of(block);
            let before = block.gone + number.saturating_sub(first);
            let mut next = number.max(first);
            let skipped = (0..before).all(|_| unpacked.advance().is_some());
            while skipped
                && bytes < most
                && let Some(kind) = unpacked.advance()
            {
                bytes += unpacked.piece.len();
                let payload = payload(kind, Bytes::copy_from_slice(&unpacked.piece));
                frames.push_back(Frame { number: next, payload });
                next += 1;
            }
        }
        frames
    }

    /// Lets the first frame go. Gives how many bytes it took.
    pub fn forget_first(&mut self) -> Option<usize> {
        let block = self.blocks.front_mut()?;
        let freed = block.forget_first()?;
        if block.frames == 0 {
            self.blocks.pop_front();
        }
        self.first += 1;
        self.held -= freed;
        Some(freed)
    }
}

impl Block {
    fn forget_first(&mut self) -> Option<usize> {
        let (weight, behind) = first_of(self.bytes.get(self.start..)?)?;
        let start = self.bytes.len() - behind.len();
        let freed = start - self.start;
        (self.start, self.gone) = (start, self.gone + 1);
        (self.frames, self.weight) = (self.frames - 1, self.weight - weight);
        Some(freed)
    }

    fn weight_of_first(&self, count: u64) -> u64 {
        let mut rest = self.bytes.get(self.start..).unwrap_or_default();
        let weights = (0..count).map_while(|_| {
            let (weight, behind) = first_of(rest)?;
            rest = behind;
            Some(weight)
        });
        weights.sum()
    }
}

/// What the first frame weighs, and what lies behind it.
fn first_of(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (_, written) = bytes.split_first()?;
    let (length, behind) = delta::skip(written)?;
    Some((Frame::weight_of(length) as u64, behind))
}

/// The frames of one block, one after another.
struct Unpacked<'b> {
    rest: &'b [u8],
    piece: Vec<u8>,
    before: Vec<u8>,
}

impl<'b> Unpacked<'b> {
    fn of(block: &'b Block) -> Self {
        Self { rest: &block.bytes, piece: Vec::new(), before: Vec::new() }
    }

    /// Makes the next frame's bytes the piece. Gives what it is.
    fn advance(&mut self) -> Option<u8> {
        let (kind, written) = self.rest.split_first()?;
        std::mem::swap(&mut self.before, &mut self.piece);
        self.piece.clear();
        self.rest = delta::read(written, &self.before, &mut self.piece)?;
        Some(*kind)
    }
}

/// What a payload is, and its bytes: zero is wire, the others are names.
fn parts(payload: &Payload) -> (u8, &[u8]) {
    match payload {
        Payload::Wire(bytes) => (0, bytes),
        Payload::Event { name, data } => (1 + *name as u8, data.as_bytes()),
    }
}

fn payload(kind: u8, bytes: Bytes) -> Payload {
    let name = usize::from(kind).checked_sub(1).and_then(|at| EventName::ALL.get(at));
    match name {
        None => Payload::Wire(bytes),
        Some(name) => {
            Payload::Event { name: *name, data: ByteString::try_from(bytes).unwrap_or_default() }
        }
    }
}

#[cfg(test)]
mod tests;
