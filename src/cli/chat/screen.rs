//! What of an answer is shown where: the text on standard output, its progress on standard error.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::event::{Done, Event, Said};
use super::follow::News;
use super::output::Output;
use super::progress::{Progress, StatusLine};
use crate::cli::output::tell;
use crate::cli::{Problem, printable};

const TICK: Duration = Duration::from_millis(200);

/// What standard output is. Two writers on one terminal would spoil each other's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    Terminal,
    /// A file: nothing of it is seen beside the progress.
    File,
    /// Whoever reads it may write to the terminal, and when is not known.
    Pipe,
}

impl Sink {
    fn of(output: &(impl AsFd + IsTerminal)) -> Self {
        if output.is_terminal() {
            return Self::Terminal;
        }
        let metadata = output.as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
        // A device that is no terminal is `/dev/null` or the like.
        let is_quiet = |kind: std::fs::FileType| kind.is_file() || kind.is_char_device();
        if metadata.is_ok_and(|it| is_quiet(it.file_type())) { Self::File } else { Self::Pipe }
    }
}

/// Where the answer and its progress are shown.
pub struct Screen {
    json: bool,
    sink: Sink,
    output: Output,
    progress: Progress,
    /// Whether anything is told of it on standard error.
    is_told: bool,
    /// None where lines cannot be written anew.
    status: Option<StatusLine<io::Stderr>>,
    written: Written,
}

/// What was written so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Nothing,
    /// Up to the end of a line.
    Lines,
    /// Up to somewhere within one.
    WithinLine,
}

impl Screen {
    #[must_use]
    pub fn new(json: bool) -> Self {
        let is_told = io::stderr().is_terminal();
        let is_able = is_told && std::env::var_os("TERM").is_none_or(|name| name != "dumb");
        Self {
            json,
            sink: Sink::of(&io::stdout()),
            output: Output::start(io::stdout()),
            progress: Progress::new(Instant::now()),
            is_told,
            status: is_able.then(|| StatusLine::new(io::stderr(), columns)),
            written: Written::Nothing,
        }
    }

    /// Shows an answer to its end.
    ///
    /// # Errors
    /// Why it has no end, or was not written.
    pub async fn tell_all(&mut self, news: Receiver<News>) -> Result<(), Problem> {
        let end = self.follow(news).await;
        // However it ended: what has come is to be seen.
        let written = self.output.close().await;
        let done = end?;
        written?;
        let summary = self.progress.summary(&done, Instant::now());
        self.clear();
        if self.is_told {
            if self.sink == Sink::Pipe && self.written != Written::Nothing {
                // The reader may be within a line still.
                let _ = writeln!(io::stderr());
            }
            tell(&printable::name(&summary));
        }
        Ok(())
    }

    async fn follow(&mut self, mut news: Receiver<News>) -> Result<Done, Problem> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let news = tokio::select! {
                news = news.recv() => news,
                fault = self.output.fault() => return Err(fault.into()),
                _ = tick.tick(), if self.shows_progress() => {
                    self.show(&self.progress.status(Instant::now()));
                    continue;
                }
            };
            match news {
                Some(News::Event(event)) => {
                    if let Some(done) = self.tell(event).await? {
                        return Ok(done);
                    }
                }
                Some(News::Lost(problem)) => {
                    self.progress.lost();
                    self.show(&format!("{}; going on", problem.line()));
                }
                Some(News::Failed(problem)) => return Err(problem),
                None => return Err(Problem::Lost("without a word".to_owned())),
            }
        }
    }

    /// Writes an event; gives the last one.
    async fn tell(&mut self, event: Event) -> Result<Option<Done>, Problem> {
        self.progress.saw(&event, Instant::now());
        if self.json {
            self.write(shown(line(&event)?, self.sink)).await?;
        }
        match event.said {
            Said::Piece(piece) if !self.json && !piece.content.is_empty() => {
                self.write(shown(piece.content, self.sink)).await?;
            }
            Said::Done(done) => {
                if self.written == Written::WithinLine {
                    self.write("\n".to_owned()).await?;
                }
                return Ok(Some(done));
            }
            Said::Ended(ended) => {
                return Err(Problem::Ended { code: ended.code, message: ended.message });
            }
            _ => {}
        }
        Ok(None)
    }

    async fn write(&mut self, text: String) -> Result<(), Problem> {
        if self.sink != Sink::File {
            self.clear();
        }
        self.written = if text.ends_with('\n') { Written::Lines } else { Written::WithinLine };
        Ok(self.output.write(text).await?)
    }

    fn shows_progress(&self) -> bool {
        let is_free = match self.sink {
            Sink::Terminal => self.written != Written::WithinLine,
            Sink::File => true,
            Sink::Pipe => self.written == Written::Nothing,
        };
        self.status.is_some() && is_free
    }

    fn show(&mut self, text: &str) {
        if self.shows_progress()
            && let Some(status) = &mut self.status
        {
            let _ = status.show(&printable::name(text));
        }
    }

    /// What is told next begins on a line of its own.
    pub fn leave(&mut self) {
        self.clear();
        if self.is_told && self.sink != Sink::File && self.written == Written::WithinLine {
            let _ = writeln!(io::stderr());
        }
    }

    fn clear(&mut self) {
        if let Some(status) = &mut self.status {
            // An error on standard error has nowhere to be told.
            let _ = status.clear();
        }
    }
}

/// How wide the terminal is that progress is shown on.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    Some(size.ws_col.into()).filter(|columns| *columns > 0)
}

/// A piece of the answer as it is written: as it came, but for terminals, which obey.
fn shown(content: String, sink: Sink) -> String {
    if sink == Sink::Terminal { printable::text(&content).into_owned() } else { content }
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'a str,
    data: &'a RawValue,
}

fn line(event: &Event) -> Result<String, Problem> {
    let data: &RawValue = serde_json::from_str(&event.data).map_err(io::Error::from)?;
    let line =
        serde_json::to_string(&Line { event: &event.name, data }).map_err(io::Error::from)?;
    Ok(format!("{line}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_is_kept_from_what_it_would_obey() {
        let evil = "a\u{1b}[2J\r\n";
        assert_eq!(shown(evil.to_owned(), Sink::File), evil);
        assert_eq!(shown(evil.to_owned(), Sink::Pipe), evil);
        assert_eq!(shown(evil.to_owned(), Sink::Terminal), "a\u{fffd}[2J\u{fffd}\n");
    }
}
