//! Standard output, written by a thread of its own: whoever reads it may stop to, and the answer must
//! be cancellable all the same.

use std::io::{self, Write};
use std::thread;

use tokio::sync::{mpsc, oneshot};

/// Pieces of text that wait to be written.
const AHEAD: usize = 64;

/// The way to an output.
pub struct Output {
    /// None once it is closed.
    to: Option<mpsc::Sender<String>>,
    /// None once it is known.
    written: Option<oneshot::Receiver<io::Result<()>>>,
}

impl Output {
    /// Starts the thread. It ends with the last writer, or with the first write that fails.
    #[must_use]
    pub fn start(mut sink: impl Write + Send + 'static) -> Self {
        let (to, mut texts) = mpsc::channel::<String>(AHEAD);
        let (tell, written) = oneshot::channel();
        thread::spawn(move || {
            let mut write_all = || {
                while let Some(text) = texts.blocking_recv() {
                    sink.write_all(text.as_bytes())?;
                    sink.flush()?;
                }
                Ok(())
            };
            let result = write_all();
            // Nobody waits for it where the command has ended by a signal.
            let _ = tell.send(result);
        });
        Self { to: Some(to), written: Some(written) }
    }

    /// Waits while too much is to be written already.
    ///
    /// # Errors
    /// What a write before failed with.
    pub async fn write(&mut self, text: String) -> io::Result<()> {
        // It may be known to be over before the other end of the channel is gone.
        let Some(to) = self.to.as_ref().filter(|_| self.written.is_some()) else {
            return Err(gone());
        };
        match to.send(text).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.fault().await),
        }
    }

    /// Waits for a write that fails.
    pub async fn fault(&mut self) -> io::Error {
        // Without a fault it only ends when it is closed.
        self.end().await.err().unwrap_or_else(gone)
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// What a write failed with.
    pub async fn close(&mut self) -> io::Result<()> {
        self.to = None;
        self.end().await
    }

    async fn end(&mut self) -> io::Result<()> {
        let Some(written) = &mut self.written else { return Err(gone()) };
        let end = written.await;
        self.written = None;
        end.unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[actix_web::test]
    async fn a_reader_that_leaves_is_noticed() {
        let mut output = Output::start(Closed);
        output.write("a".to_owned()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(output.fault().await.kind(), io::ErrorKind::BrokenPipe);
        }
        assert!(output.write("b".to_owned()).await.is_err() && output.close().await.is_err());
    }

    #[actix_web::test]
    async fn all_is_written_before_it_is_closed() {
        let (reader, writer) = io::pipe().unwrap();
        let mut output = Output::start(writer);
        for number in 0..200 {
            output.write(format!("{number} ")).await.unwrap();
        }
        output.close().await.unwrap();
        let text = io::read_to_string(reader).unwrap();
        assert_eq!(text.split_whitespace().count(), 200);
    }
}
