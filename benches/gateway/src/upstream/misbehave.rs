//! What the upstream does when something is to happen to an answer.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;

use super::Connection;
use crate::mishap::Mishap;
use crate::script::{Dialect, Frames, Script, mark};

/// Longer than the soak's heartbeats, shorter than its time limits.
const PAUSE: Duration = Duration::from_millis(1_300);

/// What a frame or a line is filled with until it is longer than the gateway takes.
const TOO_LONG: usize = 64 * 1024;

const ERROR: &str = r#"{"error":{"message":"out of memory"}}"#;
const GARBAGE: &str = r#"{"choices":[{"#;
/// Not only a document that ends too early.
const GARBAGE_WHOLE: &str = r#"{"choices":]}"#;
const JSON: &str = "Content-Type: application/json\r\n";

impl Connection {
    /// Plays a streamed answer to which something happens. An error closes the connection.
    pub(super) async fn misbehave(&mut self, dialect: Dialect, script: Script) -> io::Result<()> {
        let Script { id, mishap, at, tokens, .. } = script;
        if self.refuses(script).await? {
            return Ok(());
        }
        let mut frames = Frames::marked(dialect, id);
        self.stream.write_all(frames.head().as_bytes()).await?;
        self.tokens(&mut frames, script, 0..at).await?;
        match mishap {
            Mishap::NoFirstToken | Mishap::Stall => self.hold().await,
            Mishap::Endless => self.tokens(&mut frames, script, at..u64::MAX).await,
            Mishap::FinBeforeFrame | Mishap::RstBeforeFrame => self.cut(mishap),
            Mishap::FinInsideFrame | Mishap::RstInsideFrame => {
                let frame = frames.tokens(at..at + 1);
                let half = frame.len() / 2;
                self.stream.write_all(&frame[..half]).await?;
                self.cut(mishap)
            }
            Mishap::FinAfterFrame | Mishap::RstAfterFrame => {
                let frame = frames.tokens(at..at + 1);
                // All but the line end of the HTTP chunk.
                let end = frame.len() - 2;
                self.stream.write_all(&frame[..end]).await?;
                self.cut(mishap)
            }
            Mishap::FinAfterFinish => {
                let finish = match dialect {
                    Dialect::Ollama => {
                        r#"{"message":{"content":""},"done":true,"done_reason":"stop"}"#
                    }
                    _ => r#"{"choices":[{"finish_reason":"stop","index":0,"delta":{}}]}"#,
                };
                self.frame(dialect, finish.as_bytes()).await?;
                self.cut(mishap)
            }
            Mishap::NoEndMark => self.stream.write_all(b"0\r\n\r\n").await,
            Mishap::ErrorObject => {
                self.frame(dialect, ERROR.as_bytes()).await?;
                self.stream.write_all(b"0\r\n\r\n").await
            }
            Mishap::Garbage => self.broken_frame(dialect, GARBAGE.as_bytes()).await,
            Mishap::InvalidUtf8 => {
                self.broken_frame(dialect, b"{\"choices\":[],\"x\":\"\xff\xfe\"}").await
            }
            Mishap::TooLong => {
                let long = format!(r#"{{"x":"{}"}}"#, "y".repeat(TOO_LONG));
                self.broken_frame(dialect, long.as_bytes()).await
            }
            _ => {
                self.pause(mishap).await?;
                self.finish(dialect, &mut frames, script, at..tokens).await
            }
        }
    }

    /// Plays an answer in one piece, as OpenAI's.
    pub(super) async fn misbehave_whole(&mut self, script: Script) -> io::Result<()> {
        let Script { mishap, .. } = script;
        if self.refuses(script).await? {
            return Ok(());
        }
        self.pause(mishap).await?;
        let body = match mishap {
            Mishap::ErrorObject => ERROR.as_bytes().to_vec(),
            Mishap::Garbage => GARBAGE_WHOLE.as_bytes().to_vec(),
            Mishap::InvalidUtf8 => b"{\"choices\":[],\"x\":\"\xff\xfe\"}".to_vec(),
            _ => whole(script).into_bytes(),
        };
        let sent = match mishap {
            Mishap::NoFirstToken | Mishap::FinBeforeFrame => 0,
            Mishap::Stall | Mishap::FinInsideFrame | Mishap::RstInsideFrame => body.len() / 2,
            _ => body.len(),
        };
        let head = format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: {}\r\n\r\n", body.len());
        let stray = trailing(mishap);
        self.stream.write_all(&[head.as_bytes(), &body[..sent], stray].concat()).await?;
        match mishap {
            Mishap::NoFirstToken | Mishap::Stall => self.hold().await,
            _ if sent < body.len() => self.cut(mishap),
            _ => Ok(()),
        }
    }

    /// What happens before there is an answer; whether there is none.
    async fn refuses(&mut self, script: Script) -> io::Result<bool> {
        let head = match script.mishap {
            Mishap::HangUp => return Err(io::ErrorKind::ConnectionAborted.into()),
            Mishap::NoHead => {
                let silent = self.seen.silent.lock();
                silent.unwrap_or_else(PoisonError::into_inner).insert(script.id);
                return self.hold().await.map(|()| true);
            }
            Mishap::TooManyRequests => "429 Too Many Requests\r\nRetry-After: 1",
            Mishap::ServerError => "500 Internal Server Error",
            Mishap::Unavailable => "503 Service Unavailable",
            _ => return Ok(false),
        };
        let length = ERROR.len();
        let refusal = format!("HTTP/1.1 {head}\r\n{JSON}Content-Length: {length}\r\n\r\n{ERROR}");
        self.stream.write_all(refusal.as_bytes()).await?;
        Ok(true)
    }

    async fn finish(
        &mut self,
        dialect: Dialect,
        frames: &mut Frames,
        script: Script,
        rest: Range<u64>,
    ) -> io::Result<()> {
        self.tokens(frames, script, rest).await?;
        let end = frames.end(script.tokens);
        if script.mishap != Mishap::TrailingFrames {
            // In one write: nobody could know bytes that come later from an answer to what was
            // asked in between.
            let all = [end, trailing(script.mishap)].concat();
            return self.stream.write_all(&all).await;
        }
        // Without the last chunk, which is to follow.
        let open = end.len() - b"0\r\n\r\n".len();
        self.stream.write_all(&end[..open]).await?;
        let stray =
            Frames::marked(dialect, script.id).tokens(script.tokens..script.tokens + 1).to_vec();
        self.stream.write_all(&stray).await?;
        self.stream.write_all(b"0\r\n\r\n").await
    }

    async fn pause(&mut self, mishap: Mishap) -> io::Result<()> {
        if mishap == Mishap::Quiet {
            self.wait(Instant::now() + PAUSE).await?;
        }
        Ok(())
    }

    /// One frame in one HTTP chunk.
    async fn frame(&mut self, dialect: Dialect, json: &[u8]) -> io::Result<()> {
        let (before, after): (&[u8], &[u8]) = match dialect {
            Dialect::Ollama => (b"", b"\n"),
            _ => (b"data: ", b"\n\n"),
        };
        let frame = [before, json, after].concat();
        let chunk = [format!("{:x}\r\n", frame.len()).as_bytes(), &frame, b"\r\n"].concat();
        self.stream.write_all(&chunk).await
    }

    /// A frame behind which the upstream waits for the gateway to give up.
    async fn broken_frame(&mut self, dialect: Dialect, json: &[u8]) -> io::Result<()> {
        self.frame(dialect, json).await?;
        self.hold().await
    }

    /// Says nothing more until the connection is closed.
    async fn hold(&mut self) -> io::Result<()> {
        self.wait(Instant::now() + Duration::from_secs(3600)).await
    }

    /// Closes the connection here, by a reset where the mishap says so.
    fn cut(&self, mishap: Mishap) -> io::Result<()> {
        let resets = [Mishap::RstBeforeFrame, Mishap::RstInsideFrame, Mishap::RstAfterFrame];
        if resets.contains(&mishap) {
            SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}

/// What follows the body.
const fn trailing(mishap: Mishap) -> &'static [u8] {
    match mishap {
        Mishap::TrailingBytes => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
        _ => b"",
    }
}

/// The content of a whole answer.
pub fn content(script: Script) -> String {
    let mark = mark(script.id);
    let mut content = String::new();
    for index in 0..script.tokens {
        // Writing to a string cannot fail.
        let _ = write!(content, "t{index}{mark} ");
    }
    content
}

fn whole(script: Script) -> String {
    let content = content(script);
    format!(
        r#"{{"id":"chatcmpl-soak","object":"chat.completion","created":1,"model":"soak","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}"}},"finish_reason":"stop"}}]}}"#
    )
}
