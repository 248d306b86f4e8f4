//! How an answer goes, for whoever waits for it: one line that is written anew, and one at the end.

use std::io::{self, Write};
use std::time::Duration;

use tokio::time::Instant;

use super::event::{Done, Event, Said};
use crate::cli::printable;

/// To the line's begin, and nothing on it.
const CLEAR: &str = "\r\u{1b}[2K";

/// What is known of an answer so far.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    first: Option<Instant>,
    pieces: u64,
    thinks: bool,
    queued: Option<(u64, Option<u64>)>,
    losses: u32,
}

impl Progress {
    #[must_use]
    pub fn new(begun: Instant) -> Self {
        Self { begun, first: None, pieces: 0, thinks: false, queued: None, losses: 0 }
    }

    pub fn saw(&mut self, event: &Event, now: Instant) {
        match &event.said {
            Said::Queued(queued) => self.queued = Some((queued.position, queued.estimated_wait_ms)),
            Said::Piece(piece) => {
                self.first = self.first.or(Some(now));
                self.pieces += 1;
                self.thinks = piece.content.is_empty() && piece.reasoning.is_some();
            }
            _ => {}
        }
    }

    pub fn lost(&mut self) {
        self.losses += 1;
    }

    /// The answer so far, on one line.
    #[must_use]
    pub fn status(&self, now: Instant) -> String {
        let Some(first) = self.first else {
            let waited = seconds(now - self.begun);
            return match self.queued {
                Some((position, Some(wait))) => {
                    let wait = seconds(Duration::from_millis(wait));
                    format!("queued at {position}, about {wait} to go; {waited}")
                }
                Some((position, None)) => format!("queued at {position}; {waited}"),
                None => format!("waiting; {waited}"),
            };
        };
        let what = if self.thinks { "thinking" } else { "answering" };
        let pieces = self.pieces;
        format!("{what}; {}", self.numbers(pieces, first, now))
    }

    /// The whole of it.
    #[must_use]
    pub fn summary(&self, done: &Done, now: Instant) -> String {
        let mut said = done.model.clone();
        if let Some(first) = self.first {
            said = format!("{said}: {}", self.numbers(done.eval_count, first, now));
        }
        if let Some(usage) = &done.usage {
            let (prompt, completion) = (usage.prompt_tokens, usage.completion_tokens);
            said = format!("{said}; used {prompt} + {completion}");
        }
        match done.finish_reason.as_deref() {
            Some("stop") | None => {}
            Some(reason) => said = format!("{said}; ended by {reason}"),
        }
        match self.losses {
            0 => said,
            losses => format!("{said}; {losses} connections lost"),
        }
    }

    fn numbers(&self, tokens: u64, first: Instant, now: Instant) -> String {
        let to_first = (first - self.begun).as_millis();
        format!("{tokens} tokens, first after {to_first} ms{}", rate(tokens, now - first))
    }
}

/// Tokens per second behind the first one.
fn rate(tokens: u64, time: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let rate = tokens.saturating_sub(1) as f64 / time.as_secs_f64();
    if rate.is_finite() && rate > 0.0 { format!(", {rate:.1} tokens/s") } else { String::new() }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A line that is written anew, on a terminal.
pub struct StatusLine<W> {
    terminal: W,
    /// How wide that is, at this moment; none where it does not tell.
    columns: fn() -> Option<usize>,
    is_shown: bool,
}

impl<W: Write> StatusLine<W> {
    #[must_use]
    pub fn new(terminal: W, columns: fn() -> Option<usize>) -> Self {
        Self { terminal, columns, is_shown: false }
    }

    /// Shows what of a text fits into the line: behind a wider one the terminal would begin another, and
    /// only that would be cleared.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        let Some(columns) = (self.columns)() else { return Ok(()) };
        self.is_shown = true;
        // The last column is the cursor's.
        let text = printable::column(text, columns.saturating_sub(1));
        write!(self.terminal, "{CLEAR}{}", text.trim_end())?;
        self.terminal.flush()
    }

    /// # Errors
    /// What writing fails with.
    pub fn clear(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_shown) {
            return Ok(());
        }
        write!(self.terminal, "{CLEAR}")?;
        self.terminal.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::chat::event::{Piece, Queued, Usage};

    fn event(said: Said) -> Event {
        Event { name: String::new(), data: String::new(), number: None, said }
    }

    fn piece(content: &str, reasoning: Option<&str>) -> Event {
        let reasoning = reasoning.map(str::to_owned);
        event(Said::Piece(Piece { content: content.to_owned(), reasoning }))
    }

    #[test]
    fn each_phase_is_told() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let mut progress = Progress::new(begun);
        assert_eq!(progress.status(at(500)), "waiting; 0.5 s");
        let queued = Queued { position: 3, estimated_wait_ms: Some(2000) };
        progress.saw(&event(Said::Queued(queued)), at(600));
        assert_eq!(progress.status(at(1000)), "queued at 3, about 2.0 s to go; 1.0 s");
        progress.saw(&piece("", Some("hm")), at(1200));
        assert_eq!(progress.status(at(1200)), "thinking; 1 tokens, first after 1200 ms");
        progress.saw(&piece("a", None), at(1700));
        let told = "answering; 2 tokens, first after 1200 ms, 2.0 tokens/s";
        assert_eq!(progress.status(at(1700)), told);
    }

    #[test]
    fn the_summary_has_the_gateways_own_counts() {
        let begun = Instant::now();
        let mut progress = Progress::new(begun);
        progress.saw(&piece("a", None), begun + Duration::from_millis(100));
        progress.lost();
        let done = Done {
            model: "m".to_owned(),
            eval_count: 11,
            finish_reason: Some("length".to_owned()),
            usage: Some(Usage { prompt_tokens: 7, completion_tokens: 11 }),
        };
        let summary = progress.summary(&done, begun + Duration::from_millis(1100));
        let told = "m: 11 tokens, first after 100 ms, 10.0 tokens/s; used 7 + 11; \
                    ended by length; 1 connections lost";
        assert_eq!(summary, told);
    }

    #[test]
    fn a_line_is_shorter_than_the_terminal_is_wide() {
        let mut line = StatusLine::new(Vec::new(), || Some(5));
        line.show("waiting").unwrap();
        line.show("日本語").unwrap();
        assert_eq!(line.terminal, "\r\u{1b}[2Kwait\r\u{1b}[2K日本".as_bytes());
        let mut line = StatusLine::new(Vec::new(), || None);
        line.show("waiting").unwrap();
        line.clear().unwrap();
        assert!(line.terminal.is_empty());
    }

    #[test]
    fn a_line_that_was_not_shown_is_not_cleared() {
        let mut line = StatusLine::new(Vec::new(), || Some(80));
        line.clear().unwrap();
        assert!(line.terminal.is_empty());
        line.show("a").unwrap();
        line.clear().unwrap();
        assert_eq!(line.terminal, "\r\u{1b}[2Ka\r\u{1b}[2K".as_bytes());
    }
}
