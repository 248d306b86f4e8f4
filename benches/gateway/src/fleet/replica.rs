//! One replica of a model: it answers as its behaviour says, or does not.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinHandle, spawn_local};
use tokio::time::sleep;

use crate::script::{Dialect, Frames, Script};

/// Until the first token, where the replica is in order and has nothing else to do.
pub const FIRST_TOKEN: Duration = Duration::from_millis(40);
/// It works on so many requests before each waits for the others.
const SLOTS: usize = 16;
const SLOW_FACTOR: u32 = 10;
const FAILS_PERCENT: u64 = 20;

/// What a replica is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Healthy,
    /// Ten times as long to the first token.
    Slow,
    /// 20 of 100 requests get a 500.
    Fails,
    /// No answer ever begins.
    Hangs,
    /// Is gone for a while.
    Dies,
}

/// A replica, and what it has seen.
pub struct Replica {
    pub address: SocketAddr,
    pub behaviour: Behaviour,
    pub seen: Arc<Seen>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
pub struct Seen {
    pub requests: AtomicU64,
    running: AtomicUsize,
    /// When the first request came since it is back.
    back: Mutex<Option<Instant>>,
    waits: AtomicBool,
}

impl Seen {
    fn request(&self) -> u64 {
        if self.waits.swap(false, Ordering::AcqRel) {
            *self.back.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        self.requests.fetch_add(1, Ordering::AcqRel)
    }

    /// When the first request came since it is back.
    pub fn first_since_back(&self) -> Option<Instant> {
        *self.back.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replica {
    pub fn start(behaviour: Behaviour) -> io::Result<Self> {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let (seen, connections) = (Arc::<Seen>::default(), Arc::default());
        let accepting = accept(listener, behaviour, Arc::clone(&seen), Arc::clone(&connections));
        Ok(Self { address, behaviour, seen, connections, accepting })
    }

    /// Closes its port and every connection.
    pub fn die(&self) {
        self.accepting.abort();
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.drain(..).for_each(|connection| connection.abort());
    }

    /// Comes back on the same port.
    pub fn come_back(&mut self) -> io::Result<()> {
        let listener = listen(self.address)?;
        self.seen.waits.store(true, Ordering::Release);
        let (seen, connections) = (Arc::clone(&self.seen), Arc::clone(&self.connections));
        self.accepting = accept(listener, self.behaviour, seen, connections);
        Ok(())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.die();
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn accept(
    listener: TcpListener,
    behaviour: Behaviour,
    seen: Arc<Seen>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
) -> JoinHandle<()> {
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            // A connection that breaks is the gateway's affair.
            let serving = spawn_local(async move { serve(stream, behaviour, &seen).await });
            let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.retain(|connection: &AbortHandle| !connection.is_finished());
            connections.push(serving.abort_handle());
        }
    })
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, seen: &Seen) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    loop {
        let Some(body) = request(&mut stream, &mut received).await? else { return Ok(()) };
        let Some(script) = Script::find(&body) else {
            let list = r#"{"object":"list","data":[{"id":"bench","object":"model"}]}"#;
            stream.write_all(whole(200, list).as_bytes()).await?;
            continue;
        };
        let number = seen.request();
        let _running = Running::begin(seen);
        match behaviour {
            Behaviour::Fails if number * 7919 % 100 < FAILS_PERCENT => {
                let error = r#"{"error":{"message":"the replica fails"}}"#;
                stream.write_all(whole(500, error).as_bytes()).await?;
            }
            Behaviour::Hangs => return until_closed(&mut stream).await,
            _ => answer(&mut stream, script, said(&body), behaviour, seen).await?,
        }
    }
}

/// A request at work; counted until it is dropped.
struct Running<'a>(&'a Seen);

impl<'a> Running<'a> {
    fn begin(seen: &'a Seen) -> Self {
        seen.running.fetch_add(1, Ordering::AcqRel);
        Self(seen)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The first token waits for its turn, and varies as prompts do: between 0.6 and 1.4 times the base.
async fn answer(
    stream: &mut TcpStream,
    script: Script,
    said: u64,
    behaviour: Behaviour,
    seen: &Seen,
) -> io::Result<()> {
    let base = if behaviour == Behaviour::Slow { FIRST_TOKEN * SLOW_FACTOR } else { FIRST_TOKEN };
    let varied = base * u32::try_from(60 + script.id * 7919 % 81).unwrap_or(100) / 100;
    let crowd = seen.running.load(Ordering::Acquire).saturating_sub(1) / SLOTS;
    let turns = u32::try_from(crowd + 1).unwrap_or(u32::MAX);
    let waiting = sleep(varied.saturating_mul(turns));
    tokio::select! {
        () = waiting => {}
        closed = until_closed(stream) => return closed,
    }
    let mut frames = Frames::new(Dialect::OpenAi);
    stream.write_all(frames.head().as_bytes()).await?;
    for index in said..script.tokens {
        if index > said {
            sleep(script.interval).await;
        }
        stream.write_all(frames.tokens(index..index + 1)).await?;
    }
    stream.write_all(frames.end(script.tokens.saturating_sub(said))).await
}

/// How much of the answer stands in the conversation already, to be gone on with.
fn said(body: &[u8]) -> u64 {
    let text = memmem::find(body, br#""t0 "#).and_then(|at| body.get(at + 1..)).unwrap_or_default();
    let text = text.split(|byte| *byte == b'"').next().unwrap_or_default();
    memmem::find_iter(text, b" ").count() as u64
}

async fn until_closed(stream: &mut TcpStream) -> io::Result<()> {
    stream.peek(&mut [0]).await?;
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// The body of the next request; none at the end of the connection.
async fn request(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(head) = memmem::find(received, b"\r\n\r\n") {
            let length = content_length(&received[..head]);
            let end = head + 4 + length;
            if received.len() >= end {
                let body = received[head + 4..end].to_vec();
                received.drain(..end);
                return Ok(Some(body));
            }
        }
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn whole(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Bench\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}
