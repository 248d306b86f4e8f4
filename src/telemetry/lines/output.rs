//! Where lines go: standard error, or the end of a file, which may be moved away, full, or not to be opened.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file that cannot be written is told of so often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Where lines go.
pub(super) enum Output {
    /// The log's own way out: there is nowhere to tell that it fails.
    Standard(io::Stderr),
    File(LineFile),
}

impl Output {
    /// Opens the file anew, by its name.
    pub(super) fn reopen(&mut self) {
        if let Self::File(file) = self {
            file.reopen();
        }
    }

    /// Writes lines, and gives how many of them are not written whole.
    pub(super) fn write(&mut self, lines: &[u8]) -> u64 {
        match self {
            Self::Standard(stderr) => count(put(stderr, lines).0),
            Self::File(file) => file.write(lines),
        }
    }
}

/// A file that gets lines at its end.
pub(super) struct LineFile {
    path: PathBuf,
    /// None where it cannot be opened or written: the next lines try it again.
    file: Option<File>,
    /// It ends within a line.
    is_torn: bool,
    /// Lines lost that nobody was told of.
    lost_untold: u64,
    /// The last word is that it cannot be written.
    is_told: bool,
    told: Option<Instant>,
}

impl LineFile {
    /// It is made if it is not there.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = Some(append_to(&path)?);
        Ok(Self { path, file, is_torn: false, lost_untold: 0, is_told: false, told: None })
    }

    fn reopen(&mut self) {
        self.file = None;
        match self.anew() {
            Ok(file) => self.file = Some(file),
            Err(error) => self.tell(&error),
        }
    }

    fn anew(&mut self) -> io::Result<File> {
        let file = append_to(&self.path)?;
        // What was torn may have been moved away.
        self.is_torn &= file.metadata()?.len() > 0;
        Ok(file)
    }

    fn write(&mut self, lines: &[u8]) -> u64 {
        let (rest, written) = self.append(lines);
        let lost = count(rest);
        self.lost_untold += lost;
        match written {
            Ok(file) => {
                self.file = Some(file);
                self.tell_of_success();
            }
            Err(error) => self.tell(&error),
        }
        lost
    }

    /// Gives what could not be written, and the file as long as it is good.
    fn append<'a>(&mut self, lines: &'a [u8]) -> (&'a [u8], io::Result<File>) {
        let mut file = match self.file.take().map_or_else(|| self.anew(), Ok) {
            Ok(file) => file,
            Err(error) => return (lines, Err(error)),
        };
        // What could be written of a line that did not fit is no part of the next one.
        if self.is_torn
            && let (_, Err(error)) = put(&mut file, b"\n")
        {
            return (lines, Err(error));
        }
        let (rest, written) = put(&mut file, lines);
        let done = lines.strip_suffix(rest).unwrap_or_default();
        self.is_torn = done.last().is_some_and(|byte| *byte != b'\n');
        (rest, written.map(|()| file))
    }

    fn tell_of_success(&mut self) {
        if std::mem::take(&mut self.is_told) {
            let lost = std::mem::take(&mut self.lost_untold);
            tracing::info!(file = %self.path.display(), lost, "the file can be written again");
        }
    }

    /// A line a minute, however often it fails.
    fn tell(&mut self, error: &io::Error) {
        if self.told.is_some_and(|told| told.elapsed() < TOLD_EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        self.is_told = true;
        let lost = std::mem::take(&mut self.lost_untold);
        tracing::warn!(file = %self.path.display(), lost, %error, "the file cannot be written");
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Writes as much as it takes; gives the rest, and why there is one.
fn put<'a>(to: &mut impl Write, bytes: &'a [u8]) -> (&'a [u8], io::Result<()>) {
    let mut rest = bytes;
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(0) => return (rest, Err(io::ErrorKind::WriteZero.into())),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (rest, Err(error)),
        }
    }
    (rest, Ok(()))
}

/// How many lines end there.
fn count(bytes: &[u8]) -> u64 {
    bytes.split_inclusive(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::{env, fs, process};

    use super::*;

    fn path(name: &str) -> PathBuf {
        env::temp_dir().join(format!("tidegate-output-{}-{name}", process::id()))
    }

    /// What is logged meanwhile.
    fn logged(run: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<u8>>>);
        impl Write for Log {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let log = Log::default();
        let kept = Arc::clone(&log.0);
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || log.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, run);
        String::from_utf8(kept.lock().unwrap().clone()).unwrap()
    }

    /// Takes so many bytes, as a disk does that is full then.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_are_written_before_the_disk_is_full_are_not_lost() {
        for (room, lost) in [(0, 3), (3, 3), (4, 2), (6, 2), (12, 1), (14, 0)] {
            let (rest, written) = put(&mut Full(room), b"one\ntwo\nthree\n");
            assert_eq!((count(rest), written.is_err()), (lost, lost > 0), "{room} bytes");
        }
    }

    #[test]
    fn a_line_that_was_cut_is_no_part_of_the_next_in_its_file_and_none_of_another() {
        let (path, moved) = (path("torn"), path("torn.1"));
        let mut file = LineFile::open(path.clone()).unwrap();
        let cut = |file: &mut LineFile| {
            file.file.as_mut().unwrap().write_all(b"half").unwrap();
            file.is_torn = true;
        };
        cut(&mut file);
        file.reopen();
        assert_eq!(file.write(b"one\n"), 0);
        cut(&mut file);
        fs::rename(&path, &moved).unwrap();
        file.reopen();
        assert_eq!(file.write(b"two\n"), 0);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "half\none\nhalf");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        for path in [path, moved] {
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn why_a_file_cannot_be_written_is_told_once_and_that_it_can_be_again() {
        let (path, moved) = (path("told"), path("told.1"));
        let mut file = LineFile::open(path.clone()).unwrap();
        fs::rename(&path, &moved).unwrap();
        fs::create_dir(&path).unwrap();
        let told = logged(|| {
            file.reopen();
            assert_eq!(file.write(b"one\ntwo\n"), 2);
            assert_eq!(file.write(b"three\n"), 1);
        });
        assert_eq!(told.matches("the file cannot be written").count(), 1, "{told}");
        assert!(told.contains("directory"), "{told}");
        fs::remove_dir(&path).unwrap();
        let told = logged(|| {
            assert_eq!(file.write(b"four\n"), 0);
            assert_eq!(file.write(b"five\n"), 0);
        });
        assert_eq!(told.matches("the file can be written again").count(), 1, "{told}");
        assert!(told.contains("lost=3"), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\nfive\n");
        for path in [path, moved] {
            fs::remove_file(path).unwrap();
        }
    }
}
