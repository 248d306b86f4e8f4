//! A client of HTTP/2 that writes its frames itself: what a library would not do, it can.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::gateway::TestGateway;
use crate::upstream::PATIENCE;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// RFC 9113, section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;
const CANCEL: u32 = 8;
/// As every stream's window is unless it is told otherwise.
pub const WINDOW: u32 = 65_535;

/// A connection. The windows that it opens are never opened again.
pub struct Http2 {
    io: TlsStream<TcpStream>,
}

pub struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Http2 {
    /// Connects; answers hold no more than `window` bytes.
    pub async fn connect(
        gateway: &TestGateway,
        trusted: &CertificateDer<'static>,
        window: u32,
    ) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let mut config =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpStream::connect(gateway.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut io = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        io.write_all(PREFACE).await.unwrap();
        let mut client = Self { io };
        let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat();
        client.write(SETTINGS, 0, 0, &setting).await;
        client
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.io.write_all(&[&head, payload].concat()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Posts a document on a stream of an odd number.
    pub async fn post(&mut self, stream: u32, path: &str, body: &Value) {
        // Literals of RFC 7541 with names of its table: method POST and scheme https are whole
        // entries, 1 is the authority, 4 the path, 31 the content type.
        let mut fields = vec![0x83, 0x87];
        for (name, value) in
            [(&[1][..], "localhost"), (&[4], path), (&[0x0f, 16], "application/json")]
        {
            fields.extend_from_slice(name);
            fields.push(u8::try_from(value.len()).unwrap());
            fields.extend_from_slice(value.as_bytes());
        }
        self.write(HEADERS, END_HEADERS, stream, &fields).await;
        self.write(DATA, END_STREAM, stream, body.to_string().as_bytes()).await;
    }

    pub async fn reset(&mut self, stream: u32) {
        self.write(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()).await;
    }

    /// Says that it goes, without an error.
    pub async fn go_away(&mut self) {
        self.write(GOAWAY, 0, 0, &[0; 8]).await;
    }

    /// The next frame, but for those of the connection itself, which are answered.
    async fn read(&mut self) -> Frame {
        loop {
            let frame = self.read_any().await;
            match (frame.kind, frame.flags & ACK) {
                (SETTINGS, 0) => self.write(SETTINGS, ACK, 0, &[]).await,
                (PING, 0) => self.write(PING, ACK, 0, &frame.payload).await,
                _ if frame.stream != 0 => return frame,
                _ => {}
            }
        }
    }

    async fn read_any(&mut self) -> Frame {
        let mut head = [0; 9];
        let reading = timeout(PATIENCE, self.io.read_exact(&mut head)).await;
        reading.expect("the gateway sent nothing for too long").unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.io.read_exact(&mut payload).await.unwrap();
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Frame { kind: head[3], flags: head[4], stream, payload }
    }

    /// Reads a stream's body up to `text`; of other streams nothing may come.
    pub async fn read_until(&mut self, stream: u32, text: &str) -> String {
        let mut body = String::new();
        while !body.contains(text) {
            let frame = self.read().await;
            assert_eq!(frame.stream, stream);
            assert_ne!(frame.kind, RST_STREAM, "{body}");
            if frame.kind == DATA {
                body.push_str(std::str::from_utf8(&frame.payload).unwrap());
            }
        }
        body
    }

    /// Reads what comes and opens no window, for good.
    pub async fn keep_reading(mut self) {
        loop {
            self.read().await;
        }
    }
}
