//! How a response's body is framed, and what a read holds of it.

use actix_http::ResponseHead;
use actix_http::error::PayloadError;
use actix_http::h1::{ClientCodec, ClientPayloadCodec, MessageType};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;

/// How a body ends.
pub enum Framing {
    /// By its length, or with its last chunk.
    Marked(ClientPayloadCodec),
    /// With the connection. actix's codec knows this of HTTP/1.0 only.
    UntilClose,
    NoBody {
        keep_alive: bool,
    },
}

/// Where a body stands after what was read.
pub enum Standing {
    Open,
    Ended,
    Broken(PayloadError),
}

impl Framing {
    /// As `head` says, which `codec` has read.
    pub fn of(head: &ResponseHead, codec: ClientCodec) -> Self {
        let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !matches!(codec.message_type(), MessageType::None) {
            Self::Marked(codec.into_payload_codec())
        } else if bodiless || head.headers().contains_key(CONTENT_LENGTH) {
            Self::NoBody { keep_alive: codec.keep_alive() }
        } else {
            Self::UntilClose
        }
    }

    /// Joins what `read` holds of the body. What came before a fault is not lost.
    pub fn unpack(&mut self, read: &mut BytesMut) -> (Bytes, Standing) {
        let codec = match self {
            Self::Marked(codec) => codec,
            Self::UntilClose => return (Bytes::copy_from_slice(&read.split()), Standing::Open),
            Self::NoBody { .. } => return (Bytes::new(), Standing::Ended),
        };
        let mut joined = BytesMut::new();
        let standing = loop {
            match codec.decode(read) {
                Ok(Some(Some(chunk))) => {
                    if joined.is_empty() {
                        joined.reserve(chunk.len() + read.len());
                    }
                    joined.extend_from_slice(&chunk);
                }
                Ok(Some(None)) => break Standing::Ended,
                Ok(None) => break Standing::Open,
                Err(error) => break Standing::Broken(error),
            }
        };
        (joined.freeze(), standing)
    }

    /// Whether the connection can be used again once the body has ended.
    pub fn keep_alive(&self) -> bool {
        match self {
            Self::Marked(codec) => codec.keep_alive(),
            Self::UntilClose => false,
            Self::NoBody { keep_alive } => *keep_alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_http::body::BodySize;
    use actix_http::h1::Message;
    use actix_http::{RequestHead, ServiceConfig};
    use tokio_util::codec::Encoder;

    use super::*;

    fn after(head: &str, body: &str) -> (Bytes, Standing) {
        let mut codec = ClientCodec::new(ServiceConfig::default());
        codec
            .encode(
                Message::Item((RequestHead::default().into(), BodySize::None)),
                &mut BytesMut::new(),
            )
            .unwrap();
        let mut read = BytesMut::from(format!("HTTP/1.1 {head}\r\n\r\n{body}").as_bytes());
        let head = codec.decode(&mut read).unwrap().unwrap();
        Framing::of(&head, codec).unpack(&mut read)
    }

    fn chunked(body: &str) -> (Bytes, Standing) {
        after("200 OK\r\nTransfer-Encoding: chunked", body)
    }

    #[actix_web::test]
    async fn chunks_that_came_together_are_joined() {
        let (bytes, standing) = chunked("2\r\nab\r\n1\r\nc\r\n");
        assert!(bytes == "abc" && matches!(standing, Standing::Open));
        let (bytes, standing) = chunked("2\r\nab\r\n0\r\n\r\n");
        assert!(bytes == "ab" && matches!(standing, Standing::Ended));
    }

    #[actix_web::test]
    async fn what_came_before_a_broken_chunk_is_not_lost() {
        let (bytes, standing) = chunked("2\r\nab\r\nno number\r\n");
        assert!(bytes == "ab" && matches!(standing, Standing::Broken(_)));
    }

    #[actix_web::test]
    async fn a_body_of_no_said_length_lasts_until_the_connection_ends() {
        let (bytes, standing) = after("200 OK", "ab");
        assert!(bytes == "ab" && matches!(standing, Standing::Open));
        for none in ["200 OK\r\nContent-Length: 0", "204 No Content", "304 Not Modified"] {
            let (bytes, standing) = after(none, "");
            assert!(bytes.is_empty() && matches!(standing, Standing::Ended), "{none}");
        }
    }
}
