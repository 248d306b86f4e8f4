//! Lines on their way to a terminal, a pipe or a file, written by a thread of their own: whoever says one
//! never waits for a disk or a reader. What would be more than the bound is dropped and counted.

mod output;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

use self::output::{LineFile, Output};

/// What waited in a burst is not kept as room for the next.
const KEPT_BYTES: usize = 64 * 1024;

/// Takes lines; clones share their way out.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// The writer waits for lines, and who flushes for the writer.
    changed: Condvar,
    max_bytes: usize,
    dropped: IntCounter,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    is_writing: bool,
    reopens: bool,
}

impl Lines {
    /// To standard error.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn to_stderr(max_bytes: usize, dropped: IntCounter) -> io::Result<Self> {
        Self::start(Output::Standard(io::stderr()), max_bytes, dropped)
    }

    /// To the end of a file, which is made if it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn to_file(path: PathBuf, max_bytes: usize, dropped: IntCounter) -> io::Result<Self> {
        Self::start(Output::File(LineFile::open(path)?), max_bytes, dropped)
    }

    fn start(mut output: Output, max_bytes: usize, dropped: IntCounter) -> io::Result<Self> {
        let waiting = Mutex::default();
        let shared = Arc::new(Shared { waiting, changed: Condvar::new(), max_bytes, dropped });
        let lines = Self(Arc::clone(&shared));
        thread::Builder::new().name("lines".to_owned()).spawn(move || {
            while Arc::strong_count(&shared) > 1 || !shared.lock().bytes.is_empty() {
                shared.write_next(&mut output);
            }
        })?;
        Ok(lines)
    }

    /// Takes one line, its end included.
    pub fn push(&self, line: &[u8]) {
        let Shared { changed, max_bytes, dropped, .. } = &*self.0;
        let mut waiting = self.0.lock();
        if waiting.bytes.len() + line.len() > *max_bytes {
            dropped.inc();
            return;
        }
        let wakes = waiting.bytes.is_empty() && !waiting.is_writing;
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if wakes {
            changed.notify_all();
        }
    }

    /// Has the file opened anew, by its name: it may have been moved away. Then it is made at once.
    pub fn reopen(&self) {
        self.0.lock().reopens = true;
        self.0.changed.notify_all();
    }

    /// Waits until all that was taken is written, and the file is open, but not for longer than `limit`.
    pub fn flush(&self, limit: Duration) {
        let at_work = |waiting: &mut Waiting| {
            waiting.is_writing || waiting.reopens || !waiting.bytes.is_empty()
        };
        drop(self.0.changed.wait_timeout_while(self.0.lock(), limit, at_work));
    }
}

impl Shared {
    /// What it guards cannot be left half done.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines and writes them, all at once.
    fn write_next(&self, output: &mut Output) {
        let idle = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.reopens;
        // Now and then it is looked whether anybody is left who could say something.
        let waited = self.changed.wait_timeout_while(self.lock(), Duration::from_secs(1), idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let bytes = std::mem::take(&mut waiting.bytes);
        waiting.is_writing = true;
        let reopens = std::mem::take(&mut waiting.reopens);
        drop(waiting);
        if reopens {
            output.reopen();
        }
        if !bytes.is_empty() {
            self.dropped.inc_by(output.write(&bytes));
        }
        let mut waiting = self.lock();
        waiting.is_writing = false;
        if waiting.bytes.is_empty() && bytes.capacity() <= KEPT_BYTES {
            waiting.bytes = bytes;
            waiting.bytes.clear();
        }
        drop(waiting);
        self.changed.notify_all();
    }
}

/// One event of the log: it is written whole.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::{env, process};

    use super::*;

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "of a test").unwrap()
    }

    fn path(name: &str) -> PathBuf {
        env::temp_dir().join(format!("tidegate-lines-{}-{name}", process::id()))
    }

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let (path, moved) = (path("moved"), path("moved.1"));
        let lines = Lines::to_file(path.clone(), 1024, counter()).unwrap();
        lines.push(b"one\n");
        lines.flush(LONG);
        fs::rename(&path, &moved).unwrap();
        lines.push(b"two\n");
        lines.flush(LONG);
        lines.reopen();
        lines.flush(LONG);
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "it is there before there is a line");
        lines.push(b"three\n");
        lines.flush(LONG);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        for path in [path, moved] {
            fs::remove_file(path).unwrap();
        }
    }

    /// Nobody reads the pipe, so its writer stands still.
    #[test]
    fn what_is_more_than_the_bound_is_dropped_and_nobody_waits() {
        let path = path("pipe");
        let made = process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        // With an end of our own open, the pipe takes what fits into it.
        let end = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let dropped = counter();
        let lines = Lines::to_file(path.clone(), 1000, dropped.clone()).unwrap();
        let (pipe, line) = (1024 * 1024 / 100, [b'x'; 100]);
        for _ in 0..pipe + 20 {
            lines.push(&line);
        }
        assert!(dropped.get() > 0, "what neither the pipe nor the bound had room for");
        drop((lines, end));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_cannot_be_written_counts_as_dropped_until_it_can_be() {
        let dropped = counter();
        let lines = Lines::to_file(PathBuf::from("/dev/full"), 1024, dropped.clone()).unwrap();
        lines.push(b"one\ntwo\n");
        lines.flush(LONG);
        assert_eq!(dropped.get(), 2);
    }
}
