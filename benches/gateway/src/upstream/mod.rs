//! The scripted upstream: speaks OpenAI's and Ollama's wire formats and writes every token by
//! itself, as engines do. Runs in a thread of its own, pinned to a core.

pub mod misbehave;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::alarm::Alarm;
use crate::machine;
use crate::mishap::Mishap;
use crate::pulse::Pulse;
use crate::script::{Dialect, Frames, Script};

/// What the upstream saw, by the ids of the scripts.
#[derive(Debug)]
pub struct Seen {
    /// Of the thread in which the upstream runs.
    pub pulse: Pulse,
    /// When connections were closed in mid-answer.
    closed: Mutex<HashMap<u64, Instant>>,
    tokens: AtomicU64,
    asked: AtomicU64,
    /// Requests that are left without a word.
    silent: Mutex<HashSet<u64>>,
    running: AtomicUsize,
}

impl Seen {
    fn new() -> Self {
        Self {
            pulse: Pulse::new(),
            closed: Mutex::default(),
            tokens: AtomicU64::default(),
            asked: AtomicU64::default(),
            silent: Mutex::default(),
            running: AtomicUsize::default(),
        }
    }

    /// When the connection of that request was closed in mid-answer, if it was.
    pub fn closed(&self, id: u64) -> Option<Instant> {
        self.closes().get(&id).copied()
    }

    /// How many tokens were written so far, in all.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// How many answers it was asked for so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// Whether that request arrived, to be left without a word. Says so once.
    pub fn takes_silent(&self, id: u64) -> bool {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// How many answers are being written.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    fn closes(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running upstream; it ends with the process.
pub struct Upstream {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
}

/// Starts the upstream on a free port of this machine.
pub fn start(core: usize) -> io::Result<Upstream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(async { listen() })?;
    let address = listener.local_addr()?;
    let seen = Arc::new(Seen::new());
    let log = Arc::clone(&seen);
    machine::spawn_pinned(core, move || runtime.block_on(accept(listener, log)))?;
    Ok(Upstream { address, seen })
}

/// What the kernel holds of what was written to one connection. Plenty for this machine's own
/// addresses; left to grow, clients that do not read would be sent gigabytes before it is full.
const SEND_BUFFER: u32 = 32 * 1024;

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(4096)
}

async fn accept(listener: TcpListener, seen: Arc<Seen>) -> io::Result<()> {
    let beating = Arc::clone(&seen);
    tokio::spawn(async move { beating.pulse.beat().await });
    loop {
        let (stream, _) = listener.accept().await?;
        let seen = Arc::clone(&seen);
        // A connection that breaks is the measurement's business: it misses tokens.
        tokio::spawn(async move { Connection::new(stream, seen)?.serve().await });
    }
}

/// What a client asks for.
enum Request {
    Answer(Dialect, Script),
    /// The same, in one piece.
    Whole(Script),
    /// Anything else: health probes, lists of models.
    Other,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    alarm: Alarm,
    seen: Arc<Seen>,
}

impl Connection {
    fn new(stream: TcpStream, seen: Arc<Seen>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new(), alarm: Alarm::default(), seen })
    }

    async fn serve(mut self) -> io::Result<()> {
        while let Some(request) = self.request().await? {
            match request {
                Request::Answer(dialect, script) => self.answer(Some(dialect), script).await?,
                Request::Whole(script) => self.answer(None, script).await?,
                Request::Other => {
                    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
                    self.stream.write_all(reply).await?;
                }
            }
        }
        Ok(())
    }

    /// The next request, or `None` at the end of the connection.
    async fn request(&mut self) -> io::Result<Option<Request>> {
        loop {
            if let Some((request, length)) = parse(&self.received)? {
                self.received.drain(..length);
                return Ok(Some(request));
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Without a dialect, in one piece.
    async fn answer(&mut self, dialect: Option<Dialect>, script: Script) -> io::Result<()> {
        self.seen.running.fetch_add(1, Ordering::AcqRel);
        self.seen.asked.fetch_add(1, Ordering::AcqRel);
        let answered = match dialect {
            Some(dialect) if script.mishap == Mishap::None => self.write(dialect, script).await,
            Some(dialect) => self.misbehave(dialect, script).await,
            None => self.misbehave_whole(script).await,
        };
        self.seen.running.fetch_sub(1, Ordering::AcqRel);
        if answered.is_err() {
            self.seen.closes().insert(script.id, Instant::now());
        }
        answered
    }

    async fn write(&mut self, dialect: Dialect, script: Script) -> io::Result<()> {
        let mut frames = Frames::new(dialect);
        self.stream.write_all(frames.head().as_bytes()).await?;
        self.tokens(&mut frames, script, 0..script.tokens).await?;
        self.stream.write_all(frames.end(script.tokens)).await
    }

    /// Writes these tokens at the script's pace.
    async fn tokens(
        &mut self,
        frames: &mut Frames,
        script: Script,
        indices: Range<u64>,
    ) -> io::Result<()> {
        let mut due = Instant::now();
        let mut next = indices.start;
        while next < indices.end {
            if !script.interval.is_zero() {
                self.wait(due).await?;
                due += script.interval;
            }
            let end = indices.end.min(next + script.burst.max(1));
            self.stream.write_all(frames.tokens(next..end)).await?;
            self.seen.tokens.fetch_add(end - next, Ordering::Relaxed);
            next = end;
        }
        Ok(())
    }

    /// Waits for the moment, or fails as soon as the connection is closed.
    async fn wait(&mut self, due: Instant) -> io::Result<()> {
        let mut byte = [0];
        tokio::select! {
            biased;
            peeked = self.stream.peek(&mut byte) => {
                peeked?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            waited = self.alarm.until(due) => waited,
        }
    }
}

/// The request at the start of `bytes` and its length, if all of it is there.
fn parse(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    let length = content_length(request.headers);
    let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
    let dialect = match request.path {
        Some("/v1/chat/completions") => Dialect::OpenAi,
        _ => Dialect::Ollama,
    };
    let is_whole = memmem::find(body, br#""stream":false"#).is_some();
    let asked = match Script::find(body) {
        Some(script) if is_whole => Request::Whole(script),
        Some(script) => Request::Answer(dialect, script),
        None => Request::Other,
    };
    Ok(Some((asked, head + length)))
}

fn content_length(headers: &[httparse::Header<'_>]) -> usize {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let value = header.and_then(|header| std::str::from_utf8(header.value).ok());
    value.and_then(|text| text.parse().ok()).unwrap_or(0)
}
