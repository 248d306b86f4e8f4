//! What the last line of an answer reports.

use serde::Deserialize;

use crate::event::{Event, FinishReason, Timings, Usage};

/// The fields of a last line, or of an answer in one piece.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Ending {
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    total_duration: Option<u64>,
    load_duration: Option<u64>,
    prompt_eval_duration: Option<u64>,
    eval_duration: Option<u64>,
}

impl Ending {
    /// Tells all of it, the end mark last. Ollama says `stop` where OpenAI says `tool_calls`.
    pub fn tell(&self, called_tools: bool, events: &mut Vec<Event>) {
        let word = self.done_reason.as_deref().filter(|word| !word.is_empty());
        let reason = word.map(|word| match FinishReason::from(word) {
            FinishReason::Stop if called_tools => FinishReason::ToolCalls,
            reason => reason,
        });
        events.extend(reason.map(Event::Finish));
        events.extend(self.usage().map(Event::Usage));
        events.extend(self.timings().map(Event::Timings));
        events.push(Event::Done);
    }

    /// A prompt that was cached whole is not counted by older servers: its count is missing.
    fn usage(&self) -> Option<Usage> {
        let completion_tokens = self.eval_count?;
        let prompt_tokens = self.prompt_eval_count.unwrap_or_default();
        Some(Usage { prompt_tokens, completion_tokens, ..Usage::default() })
    }

    fn timings(&self) -> Option<Timings> {
        let timings = Timings {
            total_ns: self.total_duration,
            load_ns: self.load_duration,
            prompt_ns: self.prompt_eval_duration,
            generation_ns: self.eval_duration,
        };
        (timings != Timings::default()).then_some(timings)
    }
}
