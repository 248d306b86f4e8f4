//! One client connection, and what is counted and timed of its answers.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::answer::{Answer, Fault};

/// What a number of answers took, in nanoseconds.
#[derive(Debug)]
pub struct Stats {
    /// Streams of which a token has come.
    pub begun: u64,
    pub streams: u64,
    pub tokens: u64,
    /// From the moment a request was due to its first token.
    pub first_token: Histogram<u64>,
    /// From one token to the next; zero for tokens that came together.
    pub between_tokens: Histogram<u64>,
    /// From the moment a request was due to the end of its body.
    pub total: Histogram<u64>,
}

impl Stats {
    pub fn new() -> Self {
        Self {
            begun: 0,
            streams: 0,
            tokens: 0,
            first_token: histogram(),
            between_tokens: histogram(),
            total: histogram(),
        }
    }
}

/// A histogram of up to a minute of nanoseconds, to a tenth of a percent.
#[allow(clippy::expect_used, reason = "these bounds are allowed")]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 3).expect("bounds are allowed")
}

pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// When the tokens of one answer came.
#[derive(Debug)]
pub struct Clock {
    due: Instant,
    last: Option<Instant>,
}

impl Clock {
    /// For a request that was due at that moment, whether or not it could be sent then.
    pub const fn new(due: Instant) -> Self {
        Self { due, last: None }
    }

    fn tokens(&mut self, count: u64, stats: &mut Stats) {
        if count == 0 {
            return;
        }
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            stats.between_tokens.saturating_record(nanoseconds(now - last));
        } else {
            stats.begun += 1;
            stats.first_token.saturating_record(nanoseconds(now - self.due));
        }
        stats.between_tokens.saturating_record_n(0, count - 1);
        stats.tokens += count;
    }

    fn end(&self, stats: &mut Stats) {
        stats.streams += 1;
        stats.total.saturating_record(nanoseconds(self.due.elapsed()));
    }
}

/// How much is read at a time.
pub const READ: usize = 32 * 1024;

thread_local! {
    /// One buffer for all connections: thousands of them shall not cost the load a core's cache.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// A connection to whatever is measured.
pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// A connection as from another machine's client that reads little. Between two addresses of
    /// this machine segments are of 64 KiB, and the kernel would hold megabytes for each client.
    pub async fn open_narrow(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        SockRef::from(&socket).set_tcp_mss(1460)?;
        socket.set_recv_buffer_size(16 * 1024)?;
        Ok(Self { stream: socket.connect(address).await? })
    }

    /// Closes it by a reset.
    pub fn reset(self) -> io::Result<()> {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    pub async fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await
    }

    /// Reads the answer to its end.
    pub async fn read(
        &self,
        answer: &mut Answer,
        mut clock: Clock,
        stats: &RefCell<Stats>,
    ) -> Result<(), Fault> {
        while !answer.is_done() {
            let before = answer.tokens();
            self.read_some(answer).await?;
            clock.tokens(answer.tokens() - before, &mut stats.borrow_mut());
        }
        clock.end(&mut stats.borrow_mut());
        Ok(())
    }

    /// Reads what there is, waiting until there is something.
    pub async fn read_some(&self, answer: &mut Answer) -> Result<(), Fault> {
        if self.read_with(READ, |bytes| answer.feed(bytes)).await? == 0 {
            return Err(Fault::Closed(answer.tokens()));
        }
        Ok(())
    }

    /// Reads what there is, up to a limit, and says how much: nothing at the connection's end.
    pub async fn read_with(
        &self,
        limit: usize,
        mut take: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        loop {
            self.stream.readable().await?;
            let taken = BUFFER.with_borrow_mut(|buffer| {
                let length = self.stream.try_read(&mut buffer[..limit.min(READ)])?;
                Ok::<_, io::Error>(take(&buffer[..length]).map(|()| length))
            });
            match taken {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return taken?,
            }
        }
    }
}
