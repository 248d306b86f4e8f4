//! One block after another.
//!
//! An upstream may begin a second tool call before the first is whole, or say something in between.
//! Here blocks must not overlap: what comes while a call is open that is not whole yet waits, in
//! its order, until that call is.

use std::collections::{BTreeSet, VecDeque};

use super::answer::Input;
use super::events::BlockWriter;
use crate::event::ToolCallDelta;

/// What is said in blocks without arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    Thinking,
    Text,
}

#[derive(Debug)]
enum Block {
    Said(Voice, String),
    Call(Call),
}

/// A tool call as far as it has come.
#[derive(Debug, Default)]
struct Call {
    index: u32,
    id: String,
    name: String,
    arguments: String,
    nesting: Nesting,
}

/// Gives blocks their order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    writer: BlockWriter,
    /// Being written; of what was said, the text is with the client already.
    open: Option<Block>,
    waiting: VecDeque<Block>,
    /// Calls that are with the client, by the upstream's index.
    closed: BTreeSet<u32>,
    /// A call that is with the client has turned out to be none.
    broken: bool,
    /// What made-up ids begin with.
    id_stem: String,
}

impl Queue {
    pub fn new(id_stem: String) -> Self {
        Self { id_stem, ..Self::default() }
    }

    /// Takes a piece of text or thinking.
    pub fn say(&mut self, voice: Voice, text: &str, out: &mut Vec<u8>) {
        if self.holds() {
            match self.waiting.back_mut() {
                Some(Block::Said(last, said)) if *last == voice => said.push_str(text),
                _ => self.waiting.push_back(Block::Said(voice, text.to_owned())),
            }
        } else {
            self.write_said(voice, text, out);
        }
    }

    /// Whether what comes now must wait.
    fn holds(&self) -> bool {
        let unfinished = matches!(&self.open, Some(Block::Call(call)) if !call.nesting.is_closed());
        unfinished || !self.waiting.is_empty()
    }

    /// Takes a fragment of a tool call.
    pub fn call(&mut self, fragment: &ToolCallDelta, out: &mut Vec<u8>) {
        let index = fragment.index;
        let is_it = |block: &&mut Block| matches!(block, Block::Call(call) if call.index == index);
        if let Some(Block::Call(call)) = self.open.as_mut().filter(is_it) {
            call.add(fragment);
            self.writer.delta(&fragment.arguments, out);
        } else if let Some(Block::Call(call)) = self.waiting.iter_mut().rfind(is_it) {
            call.add(fragment);
        } else if self.closed.contains(&index) {
            self.broken |= !fragment.arguments.trim_ascii().is_empty();
        } else {
            let mut call = Call { index, ..Call::default() };
            call.add(fragment);
            self.waiting.push_back(Block::Call(call));
        }
        self.advance(out);
    }

    /// Writes what need not wait any longer.
    fn advance(&mut self, out: &mut Vec<u8>) {
        while !matches!(&self.open, Some(Block::Call(call)) if !call.nesting.is_closed()) {
            match self.waiting.pop_front() {
                Some(Block::Call(call)) if call.name.is_empty() => {
                    // A block begins with the name, which may be yet to come.
                    self.waiting.push_front(Block::Call(call));
                    return;
                }
                Some(block) => self.write(block, out),
                None => return,
            }
        }
    }

    fn write(&mut self, block: Block, out: &mut Vec<u8>) {
        match block {
            Block::Said(voice, text) => self.write_said(voice, &text, out),
            Block::Call(mut call) => {
                self.close(out);
                if call.id.is_empty() {
                    call.id = format!("toolu_{}_{}", self.id_stem, call.index);
                }
                self.writer.start_call(&call.id, &call.name, out);
                self.writer.delta(&call.arguments, out);
                self.open = Some(Block::Call(call));
            }
        }
    }

    fn write_said(&mut self, voice: Voice, text: &str, out: &mut Vec<u8>) {
        if !matches!(&self.open, Some(Block::Said(open, _)) if *open == voice) {
            self.close(out);
            match voice {
                Voice::Thinking => self.writer.start_thinking(out),
                Voice::Text => self.writer.start_text(out),
            }
            self.open = Some(Block::Said(voice, String::new()));
        }
        self.writer.delta(text, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(block) = self.open.take() else { return };
        self.writer.stop(out);
        if let Block::Call(call) = block {
            self.broken |= !call.is_whole();
            self.closed.insert(call.index);
        }
    }

    /// Whether a call is not what a call must be. One that is merely not at its end is no fault
    /// where the answer was cut for its length.
    pub fn is_faulty(&self, cut: bool) -> bool {
        let calls = self.open.iter().chain(&self.waiting);
        let faulty = |block: &Block| matches!(block, Block::Call(call) if !call.is_whole());
        self.broken || (!cut && calls.into_iter().any(faulty))
    }

    /// Ends the last block, behind all that waits. Calls that never became whole are left out; one
    /// that is open stays, as in Anthropic's own answers: the stop reason tells.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        while let Some(block) = self.waiting.pop_front() {
            if !matches!(&block, Block::Call(call) if !call.is_whole()) {
                self.write(block, out);
            }
        }
        self.close(out);
    }

    /// Whether a call is with the client.
    pub fn has_called(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Bytes of memory that wait, or are kept to be checked.
    pub fn held_bytes(&self) -> usize {
        let blocks = self.open.iter().chain(&self.waiting);
        let held = blocks.map(|block| match block {
            Block::Said(_, text) => size_of::<Block>() + text.len(),
            Block::Call(Call { id, name, arguments, .. }) => {
                size_of::<Block>() + id.len() + name.len() + arguments.len()
            }
        });
        held.sum::<usize>() + self.closed.len() * size_of::<u32>()
    }
}

impl Call {
    fn add(&mut self, fragment: &ToolCallDelta) {
        // Some servers repeat these on every fragment.
        for (known, told) in [(&mut self.id, &fragment.id), (&mut self.name, &fragment.name)] {
            if known.is_empty() {
                *known = told.clone().unwrap_or_default();
            }
        }
        self.arguments.push_str(&fragment.arguments);
        self.nesting.read(&fragment.arguments);
    }

    fn is_whole(&self) -> bool {
        !self.name.is_empty() && Input::of(&self.arguments).is_some()
    }
}

/// How deep a JSON text is, read piece by piece. Whether it is JSON at all is asked at its end.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Nesting {
    fn read(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.depth += 1;
                    self.begun = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether what was opened is closed again.
    fn is_closed(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}
