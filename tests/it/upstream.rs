//! A scripted upstream: answers each request with a list of steps, logs every request and every
//! close.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

pub use crate::wire::*;

/// A test that waits longer than this has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the upstream does with one request.
#[derive(Clone)]
pub enum Step {
    /// Writes bytes as they are.
    Raw(Vec<u8>),
    /// Writes one HTTP chunk.
    Chunk(Vec<u8>),
    /// Ends a chunked body properly.
    EndOfBody,
    /// Lets others have their turn: what is written next may well be another read.
    Yield,
    /// Waits until the test opens the gate.
    Gate(Gate),
    /// Says nothing more until the peer closes.
    Silence,
    /// Goes on when the peer sends something, before reading it: no peer should, in mid-answer.
    Interrupted,
    /// Closes the connection, at whatever point of the body it is.
    Close,
    /// Resets the connection.
    Reset,
}

/// Something that the test opens when it is time.
#[derive(Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    pub fn new() -> Self {
        Self(watch::channel(false).0)
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn pass(&self) {
        let mut state = self.0.subscribe();
        let _ = state.wait_for(|open| *open).await;
    }
}

/// One request as the upstream saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub head: String,
    pub body: String,
    /// How many requests came before it on its connection.
    pub earlier: usize,
}

impl Seen {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_owned())
    }
}

#[derive(Default)]
struct Log {
    chats: Vec<Seen>,
    /// Chats whose answer was not yet over when the gateway closed the connection.
    aborted: usize,
    running: usize,
    most_running: usize,
    connections: usize,
    /// Of these, those that are open.
    open: usize,
    /// Questions that are no chats.
    probes: usize,
    /// Of these, those for metrics.
    scrapes: usize,
    /// What is said to them.
    metrics: Option<String>,
    /// What carries such a key is refused, whatever it asks.
    unwanted_keys: Vec<String>,
}

const UNWANTED_KEY: &str = r#"{"error":{"message":"no such key"}}"#;

type Script = Box<dyn Fn(&Seen) -> Vec<Step> + Send + Sync>;

struct Shared {
    log: Mutex<Log>,
    changed: Notify,
    script: Script,
}

/// The scripted upstream.
#[derive(Clone)]
pub struct Upstream {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Upstream {
    /// Starts an upstream that answers every chat request by `script`. `/v1/models`, `/health`,
    /// `/api/tags` and `/metrics` are answered by themselves.
    #[allow(clippy::unused_async, reason = "must run within the actix system")]
    pub async fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(4096).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            log: Mutex::default(),
            changed: Notify::new(),
            script: Box::new(script),
        });
        actix_rt::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared }
    }

    /// Starts an upstream whose answers say `one`, wait for the gate, and say ` two`.
    pub async fn gated(gate: &Gate) -> Self {
        let gate = gate.clone();
        Self::start(move |_| {
            let mut steps = vec![sse_head(), openai_token("one"), Step::Gate(gate.clone())];
            steps.push(openai_token(" two"));
            steps.extend(openai_end(7, 2));
            steps
        })
        .await
    }

    pub fn openai_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub fn ollama_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn chats(&self) -> Vec<Seen> {
        self.shared.log.lock().unwrap().chats.clone()
    }

    /// What `/metrics` says from now on; at first there is no such place.
    pub fn tell_metrics(&self, text: Option<&str>) {
        self.shared.note(|log| log.metrics = text.map(str::to_owned));
    }

    /// Refuses with 401 whatever carries this key, probes too.
    pub fn refuse_key(&self, key: &str) {
        self.shared.note(|log| log.unwanted_keys.push(format!("Bearer {key}")));
    }

    /// How often its metrics were asked for.
    pub fn scrapes(&self) -> usize {
        self.shared.log.lock().unwrap().scrapes
    }

    /// Waits until so many questions have come in all that are no chats.
    pub async fn wait_for_probes(&self, count: usize) {
        self.wait_until(&format!("{count} probes"), |log| log.probes >= count).await;
    }

    pub fn most_running(&self) -> usize {
        self.shared.log.lock().unwrap().most_running
    }

    pub fn connections(&self) -> usize {
        self.shared.log.lock().unwrap().connections
    }

    /// Chats whose answer is not over.
    pub fn running(&self) -> usize {
        self.shared.log.lock().unwrap().running
    }

    pub fn aborted(&self) -> usize {
        self.shared.log.lock().unwrap().aborted
    }

    /// Waits until so many chat requests have arrived in all.
    pub async fn wait_for_chats(&self, count: usize) {
        self.wait_until(&format!("{count} chats"), |log| log.chats.len() >= count).await;
    }

    /// Waits until the gateway has closed so many connections in mid-answer.
    pub async fn wait_for_aborts(&self, count: usize) {
        self.wait_until(&format!("{count} aborts"), |log| log.aborted >= count).await;
    }

    /// Waits until the gateway has closed all its connections.
    pub async fn wait_for_rest(&self) {
        self.wait_until("the last connection closed", |log| log.open == 0).await;
    }

    async fn wait_until(&self, what: &str, holds: impl Fn(&Log) -> bool) {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                if holds(&self.shared.log.lock().unwrap()) {
                    return;
                }
                changed.await;
            }
        };
        let done = timeout(PATIENCE, waiting).await;
        assert!(done.is_ok(), "the upstream never saw {what}");
    }
}

impl Shared {
    fn note(&self, change: impl FnOnce(&mut Log)) {
        change(&mut self.log.lock().unwrap());
        self.changed.notify_waiters();
    }

    fn refuses(&self, seen: &Seen) -> bool {
        let key = seen.header("authorization");
        key.is_some_and(|key| self.log.lock().unwrap().unwanted_keys.contains(&key))
    }

    /// What is said to a question that is no chat.
    fn answer_to_probe(&self, seen: &Seen) -> Option<Vec<u8>> {
        let json = |text| whole(200, "application/json", text);
        let answer = match seen.path.as_str() {
            "/v1/models" => json(r#"{"object":"list","data":[{"id":"test","object":"model"}]}"#),
            "/health" => json("{}"),
            "/api/tags" => json(r#"{"models":[{"name":"test"}]}"#),
            "/metrics" => match &self.log.lock().unwrap().metrics {
                Some(text) => whole(200, "text/plain; version=0.0.4", text),
                None => whole(404, "application/json", "{}"),
            },
            _ => return None,
        };
        self.note(|log| {
            log.probes += 1;
            log.scrapes += usize::from(seen.path == "/metrics");
        });
        Some(if self.refuses(seen) { whole(401, "application/json", UNWANTED_KEY) } else { answer })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        socket.set_nodelay(true).unwrap();
        shared.note(|log| {
            log.connections += 1;
            log.open += 1;
        });
        let shared = Arc::clone(&shared);
        actix_rt::spawn(async move {
            converse(socket, Arc::clone(&shared)).await;
            shared.note(|log| log.open -= 1);
        });
    }
}

async fn converse(mut socket: TcpStream, shared: Arc<Shared>) {
    let mut earlier = 0;
    while let Some(mut seen) = read_request(&mut socket).await {
        seen.earlier = earlier;
        earlier += 1;
        if let Some(answer) = shared.answer_to_probe(&seen) {
            if socket.write_all(&answer).await.is_err() {
                return;
            }
            continue;
        }
        let refused = shared.refuses(&seen).then(|| refusal(401, "", UNWANTED_KEY));
        let steps = refused.unwrap_or_else(|| (shared.script)(&seen));
        shared.note(|log| {
            log.chats.push(seen);
            log.running += 1;
            log.most_running = log.most_running.max(log.running);
        });
        let went_on = play(&mut socket, steps).await;
        shared.note(|log| {
            log.running -= 1;
            log.aborted += usize::from(!went_on);
        });
        if !went_on {
            return;
        }
    }
}

/// Plays the steps; `false` when the connection is over, by the peer's doing or by ours.
async fn play(socket: &mut TcpStream, steps: Vec<Step>) -> bool {
    for step in steps {
        let went_well = match step {
            Step::Raw(bytes) => socket.write_all(&bytes).await.is_ok(),
            Step::Chunk(bytes) => socket.write_all(&chunk(&bytes)).await.is_ok(),
            Step::EndOfBody => socket.write_all(b"0\r\n\r\n").await.is_ok(),
            Step::Yield => {
                tokio::task::yield_now().await;
                true
            }
            Step::Gate(gate) => unless_closed(socket, gate.pass()).await,
            Step::Interrupted => matches!(socket.peek(&mut [0]).await, Ok(1)),
            Step::Silence => unless_closed(socket, std::future::pending()).await,
            Step::Close => false,
            Step::Reset => {
                socket2::SockRef::from(&*socket).set_linger(Some(Duration::ZERO)).unwrap();
                false
            }
        };
        if !went_well {
            return false;
        }
    }
    true
}

/// Waits for `event`; `false` when the peer closes first.
async fn unless_closed(socket: &mut TcpStream, event: impl Future<Output = ()>) -> bool {
    let mut byte = [0; 1];
    tokio::select! {
        () = event => true,
        _ = socket.read(&mut byte) => false,
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut words = head.split_whitespace();
    let path = words.nth(1)?.to_owned();
    let mut seen = Seen { path, head, body: String::new(), earlier: 0 };
    let length = seen.header("content-length").map_or(0, |value| value.parse().unwrap());
    while bytes.len() < head_end + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = String::from_utf8(bytes[head_end..head_end + length].to_vec()).ok()?;
    Some(seen)
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    framed
}
