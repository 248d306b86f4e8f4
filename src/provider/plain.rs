//! HTTP/1.1 to upstreams without TLS, made to hold next to nothing per stream.
//!
//! An awc connection keeps a read buffer that grows to 32 KiB, a write buffer of 8 KiB and a clock
//! of its own that ticks twice a second. For thousands of slow answers that is most of the
//! gateway's memory and much of its time. Here all connections of a worker read into one buffer,
//! what arrived is copied out at its size, and there is one clock. The wire format is actix's own
//! codec, the same that awc uses.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use actix_http::body::BodySize;
use actix_http::error::PayloadError;
use actix_http::h1::{ClientCodec, Message, MessageType};
use actix_http::{RequestHead, ResponseHead, ServiceConfig};
use actix_rt::net::TcpStream;
use actix_tls::connect::ConnectInfo;
use actix_web::dev::Service;
use actix_web::http::Uri;
use actix_web::http::uri::Authority;
use awc::error::{ConnectError, SendRequestError};
use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use futures::stream::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio_util::codec::{Decoder, Encoder};
use tokio_util::io::poll_read_buf;

use super::answer::BATCH_BYTES;
use super::client::{POOL_IDLE, POOL_LIFETIME, Pool, Reply};
use super::connector::UpstreamConnector;
use super::framing::{Framing, Standing};
use super::refused::SendFault;

/// actix's codec replaces a buffer that has less than 2 KiB left by one of 32 KiB.
const SPARE_BYTES: usize = 2 * 1024;
/// Room for a response's head; most need a tenth of it.
const HEAD_BYTES: usize = 4 * 1024;

/// The plain connections of one worker; clones share them.
#[derive(Clone)]
pub struct PlainClient(Rc<Shared>);

struct Shared {
    connector: UpstreamConnector,
    /// Holds the one clock.
    config: ServiceConfig,
    /// The last one used is last.
    idle: RefCell<HashMap<Authority, Vec<Connection>>>,
    /// Whether [`sweep`] runs.
    sweeps: Cell<bool>,
    /// Empty between two polls: whoever reads into it takes all of it out.
    read: RefCell<BytesMut>,
}

struct Connection {
    io: TcpStream,
    created: Instant,
    used: Instant,
}

impl Connection {
    fn is_fresh(&self) -> bool {
        self.used.elapsed() < POOL_IDLE && self.created.elapsed() < POOL_LIFETIME
    }

    /// An idle connection on which something can be read was closed, or is out of step.
    fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = tokio::io::ReadBuf::new(&mut byte);
        let read =
            poll_fn(|cx| tokio::io::AsyncRead::poll_read(Pin::new(&mut self.io), cx, &mut buffer));
        read.now_or_never().is_none()
    }
}

impl PlainClient {
    pub fn new(connector: UpstreamConnector) -> Self {
        Self(Rc::new(Shared {
            connector,
            config: ServiceConfig::default(),
            idle: RefCell::default(),
            sweeps: Cell::default(),
            read: RefCell::default(),
        }))
    }

    /// Sends a request; resolves with the head of the response.
    ///
    /// # Errors
    /// As awc's own.
    pub async fn send(
        &self,
        head: RequestHead,
        body: Bytes,
        pool: Pool,
    ) -> Result<Reply, SendFault> {
        let authority = head.uri.authority().cloned();
        let authority = authority.ok_or(SendRequestError::Connect(ConnectError::Unresolved))?;
        let idle = if pool == Pool::Use { self.idle(&authority) } else { None };
        let reused = idle.is_some();
        let mut connection = match idle {
            Some(idle) => idle,
            None => self.connect(&head.uri).await?,
        };
        let mut codec = ClientCodec::new(self.0.config.clone());
        let asked = ask(&mut connection.io, &mut codec, head, body).await;
        let (mut head, mut read) = asked.map_err(|error| SendFault { error, reused })?;
        let mut framing = Framing::of(&head, codec);
        let (first, standing) = framing.unpack(&mut read);
        let connection = Some(connection);
        let client = self.clone();
        let mut body = PlainBody { client, authority, connection, framing, first, fault: None };
        body.stand(standing, &read);
        Ok(Reply {
            status: head.status,
            headers: std::mem::take(head.headers_mut()),
            body: body.boxed_local(),
        })
    }

    /// An idle connection that is still good, the last one used first.
    fn idle(&self, authority: &Authority) -> Option<Connection> {
        while let Some(mut idle) = self.take_idle(authority) {
            if idle.is_fresh() && idle.is_quiet() {
                return Some(idle);
            }
        }
        None
    }

    async fn connect(&self, uri: &Uri) -> Result<Connection, SendRequestError> {
        let connected = self.0.connector.call(ConnectInfo::new(uri.clone())).await;
        let (io, _) =
            connected.map_err(|error| SendRequestError::Connect(error.into()))?.into_parts();
        let now = Instant::now();
        Ok(Connection { io, created: now, used: now })
    }

    fn take_idle(&self, authority: &Authority) -> Option<Connection> {
        self.0.idle.borrow_mut().get_mut(authority)?.pop()
    }

    fn keep(&self, authority: &Authority, mut connection: Connection) {
        connection.used = Instant::now();
        self.0.idle.borrow_mut().entry(authority.clone()).or_default().push(connection);
        if !self.0.sweeps.replace(true) {
            actix_rt::spawn(sweep(Rc::downgrade(&self.0)));
        }
    }
}

/// Closes what was idle for too long, until nothing is idle.
async fn sweep(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(POOL_IDLE).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut idle = shared.idle.borrow_mut();
        idle.retain(|_, connections| {
            connections.retain(Connection::is_fresh);
            !connections.is_empty()
        });
        if idle.is_empty() {
            shared.sweeps.set(false);
            return;
        }
    }
}

/// Sends a request and waits for the head of its answer.
async fn ask(
    io: &mut TcpStream,
    codec: &mut ClientCodec,
    head: RequestHead,
    body: Bytes,
) -> Result<(ResponseHead, BytesMut), SendRequestError> {
    write(io, codec, head, body).await.map_err(SendRequestError::Send)?;
    read_head(io, codec).await
}

async fn write(
    io: &mut TcpStream,
    codec: &mut ClientCodec,
    head: RequestHead,
    body: Bytes,
) -> std::io::Result<()> {
    let size = BodySize::Sized(body.len() as u64);
    let mut out = BytesMut::with_capacity(HEAD_BYTES);
    codec.encode(Message::Item((head.into(), size)), &mut out)?;
    codec.encode(Message::Chunk(Some(body)), &mut out)?;
    io.write_all_buf(&mut out).await
}

/// The head, and what was read of the body along with it. Heads that only announce another one
/// are passed over.
async fn read_head(
    io: &mut TcpStream,
    codec: &mut ClientCodec,
) -> Result<(ResponseHead, BytesMut), SendRequestError> {
    let mut read = BytesMut::with_capacity(HEAD_BYTES);
    let mut answered = false;
    loop {
        let reading = poll_fn(|cx| poll_read_buf(Pin::new(&mut *io), cx, &mut read));
        match reading.await {
            Ok(0) if !answered => {
                return Err(SendRequestError::Connect(ConnectError::Disconnected));
            }
            Err(error) if !answered => return Err(SendRequestError::Send(error)),
            // An upstream that has begun to answer has begun to work: this is not to be taken for
            // a pooled connection that was closed.
            Ok(0) | Err(_) => {
                return Err(SendRequestError::Send(std::io::Error::other("cut within the head")));
            }
            Ok(_) => answered = true,
        }
        while let Some(head) = codec.decode(&mut read).map_err(SendRequestError::Response)? {
            let has_body = !matches!(codec.message_type(), MessageType::None);
            if has_body || !head.status.is_informational() {
                return Ok((head, read));
            }
        }
    }
}

/// A response's body. Dropped before its end it closes the connection.
struct PlainBody {
    client: PlainClient,
    authority: Authority,
    /// None once the body has ended.
    connection: Option<Connection>,
    framing: Framing,
    /// What has come and is to be given first: what came with the head, then a fault.
    first: Bytes,
    fault: Option<PayloadError>,
}

impl PlainBody {
    /// Takes note of where the body stands; `rest` is what was read and is not of it.
    fn stand(&mut self, standing: Standing, rest: &BytesMut) {
        match standing {
            Standing::Open => {}
            Standing::Ended => {
                if let Some(connection) = self.connection.take()
                    && rest.is_empty()
                    && self.framing.keep_alive()
                {
                    self.client.keep(&self.authority, connection);
                }
            }
            Standing::Broken(error) => {
                self.connection = None;
                self.fault = Some(error);
            }
        }
    }

    /// Reads once; the bytes of the body among it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let client = self.client.clone();
        let mut read = client.0.read.borrow_mut();
        let Some(connection) = &mut self.connection else { return Poll::Ready(Bytes::new()) };
        read.clear();
        // One read takes no more than a batch holds.
        read.reserve(BATCH_BYTES + SPARE_BYTES);
        let mut room = (&mut *read).limit(BATCH_BYTES);
        match ready!(poll_read_buf(Pin::new(&mut connection.io), cx, &mut room)) {
            // As with awc a clean end, which proves nothing.
            Ok(0) => self.connection = None,
            Ok(_) => {
                let (bytes, standing) = self.framing.unpack(&mut read);
                self.stand(standing, &read);
                return Poll::Ready(bytes);
            }
            Err(error) => self.stand(Standing::Broken(error.into()), &read),
        }
        Poll::Ready(Bytes::new())
    }
}

impl Stream for PlainBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut bytes = std::mem::take(&mut self.first);
        loop {
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.connection.is_none() {
                return Poll::Ready(self.fault.take().map(Err));
            }
            bytes = ready!(self.poll_read(cx));
        }
    }
}
