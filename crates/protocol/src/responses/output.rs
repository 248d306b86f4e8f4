//! The items of an answer, as they come to be: told as events, and kept for the whole response.
//!
//! Text and reasoning stand one behind the other, and each is done where the next begins. Calls
//! may come in turns, a fragment of one and a fragment of another: they are done at the end.

use serde::de::IgnoredAny;

use super::frames::{Frames, OfArguments, OfItem, OfPart, OfText};
use super::wire::{WireItem, WirePart};
use crate::event::ToolCallDelta;

const IN_PROGRESS: &str = "in_progress";
const COMPLETED: &str = "completed";
const INCOMPLETE: &str = "incomplete";
/// What an item takes besides its texts.
const ITEM_BYTES: usize = 128;

#[derive(Debug)]
enum Kind {
    Message,
    Reasoning,
    Call { index: u32, call_id: String, name: String },
}

#[derive(Debug)]
struct Entry {
    id: String,
    kind: Kind,
    /// What is said or thought, or a call's arguments.
    text: String,
    status: &'static str,
    /// A call that nobody can tell to be whole.
    left_out: bool,
}

/// All items so far, by their output index.
#[derive(Debug)]
pub(super) struct Output {
    /// What ids are made of: the stream's id.
    stream: String,
    entries: Vec<Entry>,
    /// The text or reasoning that goes on.
    speaking: Option<usize>,
    /// Fragments of calls whose name has not come yet.
    nameless: Vec<ToolCallDelta>,
    bytes: usize,
}

impl Output {
    pub fn new(stream: String) -> Self {
        Self { stream, entries: Vec::new(), speaking: None, nameless: Vec::new(), bytes: 0 }
    }

    /// Bytes of memory the items hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether some call never got a name.
    pub fn has_nameless_call(&self) -> bool {
        !self.nameless.is_empty()
    }

    pub fn say(&mut self, text: &str, frames: &mut Frames) {
        self.speak(Kind::Message, "msg", text, frames);
    }

    pub fn think(&mut self, text: &str, frames: &mut Frames) {
        self.speak(Kind::Reasoning, "rs", text, frames);
    }

    fn speak(&mut self, kind: Kind, prefix: &str, text: &str, frames: &mut Frames) {
        if text.is_empty() {
            return;
        }
        let going_on = self.speaking.filter(|at| {
            let kind_of = self.entries.get(*at).map(|entry| std::mem::discriminant(&entry.kind));
            kind_of == Some(std::mem::discriminant(&kind))
        });
        let at = going_on.unwrap_or_else(|| {
            self.hush(COMPLETED, frames);
            let at = self.open(kind, prefix, frames);
            self.speaking = Some(at);
            at
        });
        self.extend(at, text, frames);
    }

    /// A fragment of a call. A call is opened once its name is known.
    pub fn call(&mut self, delta: &ToolCallDelta, frames: &mut Frames) {
        let known = self.entries.iter().rposition(
            |entry| matches!(entry.kind, Kind::Call { index, .. } if index == delta.index),
        );
        if let Some(at) = known {
            self.extend(at, &delta.arguments, frames);
            return;
        }
        let held = self.nameless.iter().position(|held| held.index == delta.index);
        let mut call = match held {
            Some(held) => self.nameless.swap_remove(held),
            None => ToolCallDelta { index: delta.index, ..ToolCallDelta::default() },
        };
        call.id = call.id.or_else(|| delta.id.clone()).filter(|id| !id.is_empty());
        call.name = call.name.or_else(|| delta.name.clone()).filter(|name| !name.is_empty());
        call.arguments.push_str(&delta.arguments);
        self.bytes += delta.arguments.len();
        let Some(name) = call.name.take() else {
            self.nameless.push(call);
            return;
        };
        self.bytes -= call.arguments.len();
        self.hush(COMPLETED, frames);
        let call_id = call.id.unwrap_or_else(|| self.id("call"));
        self.bytes += call_id.len() + name.len();
        let at = self.open(Kind::Call { index: call.index, call_id, name }, "fc", frames);
        self.extend(at, &call.arguments, frames);
    }

    fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{}_{}", self.stream, self.entries.len())
    }

    fn open(&mut self, kind: Kind, prefix: &str, frames: &mut Frames) -> usize {
        let (at, id) = (self.entries.len(), self.id(prefix));
        self.bytes += ITEM_BYTES + id.len();
        let entry = Entry { id, kind, text: String::new(), status: IN_PROGRESS, left_out: false };
        frames
            .write("response.output_item.added", &OfItem { output_index: at, item: entry.item() });
        if let Some(part) = entry.part() {
            frames.write("response.content_part.added", &entry.of_part(at, part));
        }
        if self.entries.is_empty() {
            // Mostly it stays alone.
            self.entries.reserve_exact(1);
        }
        self.entries.push(entry);
        at
    }

    fn extend(&mut self, at: usize, piece: &str, frames: &mut Frames) {
        let Some(entry) = self.entries.get_mut(at).filter(|_| !piece.is_empty()) else { return };
        self.bytes += piece.len();
        match &entry.kind {
            Kind::Message => {
                frames.write("response.output_text.delta", &entry.of_text(at, Some(piece)));
            }
            Kind::Reasoning => {
                frames.write("response.reasoning_text.delta", &entry.of_text(at, Some(piece)));
            }
            Kind::Call { .. } => {
                let (item_id, delta) = (entry.id.as_str(), Some(piece));
                let body = OfArguments { item_id, output_index: at, delta, arguments: None };
                frames.write("response.function_call_arguments.delta", &body);
            }
        }
        entry.text.push_str(piece);
    }

    /// What was being said is done.
    fn hush(&mut self, status: &'static str, frames: &mut Frames) {
        if let Some(at) = self.speaking.take() {
            self.done(at, status, frames);
        }
    }

    fn done(&mut self, at: usize, status: &'static str, frames: &mut Frames) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        entry.status = status;
        match &entry.kind {
            Kind::Message => frames.write("response.output_text.done", &entry.of_text(at, None)),
            Kind::Reasoning => {
                frames.write("response.reasoning_text.done", &entry.of_text(at, None));
            }
            Kind::Call { .. } => {
                let (item_id, arguments) = (entry.id.as_str(), Some(entry.text.as_str()));
                let body = OfArguments { item_id, output_index: at, delta: None, arguments };
                frames.write("response.function_call_arguments.done", &body);
            }
        }
        if let Some(part) = entry.part() {
            frames.write("response.content_part.done", &entry.of_part(at, part));
        }
        let body = OfItem { output_index: at, item: entry.item() };
        frames.write("response.output_item.done", &body);
    }

    /// The upstream said that this is the end. Where it cut the answer, a call that is half there
    /// is left out: it must not be taken for a whole one.
    pub fn close(&mut self, cut: bool, frames: &mut Frames) {
        self.hush(if cut { INCOMPLETE } else { COMPLETED }, frames);
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.is_open()) else {
                continue;
            };
            if cut && !is_object(&entry.text) {
                entry.left_out = true;
            } else {
                self.done(at, COMPLETED, frames);
            }
        }
    }

    /// The answer broke off: what was not done stays so, and no call is known to be whole.
    pub fn abandon(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.is_open()) {
            entry.status = INCOMPLETE;
            entry.left_out = matches!(entry.kind, Kind::Call { .. });
        }
    }

    /// The items of the response, with their ids.
    pub fn items(&self) -> impl Iterator<Item = (&str, WireItem<'_>)> {
        let kept = self.entries.iter().filter(|entry| !entry.left_out);
        kept.map(|entry| (entry.id.as_str(), entry.item()))
    }
}

impl Entry {
    fn is_open(&self) -> bool {
        self.status == IN_PROGRESS
    }

    fn item(&self) -> WireItem<'_> {
        let (id, status) = (self.id.as_str(), self.status);
        // An item that has just begun has no content yet.
        let content = self.part().filter(|_| !(self.is_open() && self.text.is_empty()));
        let content: Vec<_> = content.into_iter().collect();
        match &self.kind {
            Kind::Message => WireItem::Message { id, status, role: "assistant", content },
            Kind::Reasoning => WireItem::Reasoning { id, status, summary: [], content },
            Kind::Call { call_id, name, .. } => {
                WireItem::FunctionCall { id, status, call_id, name, arguments: &self.text }
            }
        }
    }

    fn part(&self) -> Option<WirePart<'_>> {
        match self.kind {
            Kind::Message => Some(WirePart::said(&self.text)),
            Kind::Reasoning => Some(WirePart::ReasoningText { text: &self.text }),
            Kind::Call { .. } => None,
        }
    }

    fn of_part<'a>(&'a self, output_index: usize, part: WirePart<'a>) -> OfPart<'a> {
        OfPart { item_id: &self.id, output_index, content_index: 0, part }
    }

    /// A piece of the text, or all of it.
    fn of_text<'a>(&'a self, output_index: usize, delta: Option<&'a str>) -> OfText<'a> {
        OfText {
            item_id: &self.id,
            output_index,
            content_index: 0,
            delta,
            text: delta.is_none().then_some(self.text.as_str()),
            logprobs: matches!(self.kind, Kind::Message).then_some([]),
        }
    }
}

fn is_object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok()
}
