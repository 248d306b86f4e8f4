//! The gateway's own dialect: server-sent events through actix-web-lab, and plain JSON.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web_lab::sse::{Data, Event, Sse};
use bytes::Bytes;
use bytestring::ByteString;
use futures::future::ready;
use futures::stream::{self, Stream, StreamExt};
use tidegate_protocol::native::{self, EventEncoder, Limits, WholeEncoder};
use tidegate_protocol::{Encoder, Failure, Framing, Outcome, Payload, Request, sse};

use super::dialect::{AnswerContext, Dialect, only_the_end};
use super::event_stream::{ACCEL_BUFFERING, EventIds, Live, LiveAnswer};
use super::resume::Kept;
use crate::config::Chat;
use crate::stream::Frame;

/// `POST /api/chat`.
pub struct Native;

impl Dialect for Native {
    const NAME: &'static str = "native";
    const KEPT: Kept = Kept { framing: Framing::Events, always: true };

    fn decode(body: &[u8], limits: &Chat) -> Result<Request, Failure> {
        let limits = Limits {
            max_content_chars: limits.max_content_chars,
            max_messages: limits.max_messages,
            default_temperature: limits.default_temperature,
            default_max_tokens: limits.default_max_tokens,
            max_tokens: limits.max_tokens,
        };
        native::decode_request(body, &limits)
    }

    fn encoder(request: &Request, context: &AnswerContext<'_>) -> Box<dyn Encoder> {
        let model = context.model.to_owned();
        if request.stream {
            Box::new(EventEncoder::new(model))
        } else {
            Box::new(WholeEncoder::new(context.id.to_string(), model))
        }
    }

    fn last_words(outcome: Outcome, failure: &Failure) -> Vec<Payload> {
        only_the_end(EventEncoder::new(String::new()), outcome, failure)
    }

    fn error_body(failure: &Failure, _status: u16) -> Vec<u8> {
        native::error_body(failure)
    }

    fn stream(answer: LiveAnswer) -> HttpResponse {
        let ids = EventIds::new(answer.id);
        let events = answer.flat_map(move |live| events(&ids, live));
        HttpResponse::Ok()
            .content_type("text/event-stream")
            .insert_header(("cache-control", "no-cache"))
            .insert_header((ACCEL_BUFFERING, "no"))
            .body(Events(Sse::from_infallible_stream(events)))
    }
}

/// Events as they are written, but for comments. To actix-web-lab the blank line that ends an event
/// ends a comment too; fetch-event-source takes every blank line for an event, and pages fail on
/// one without data.
struct Events<B>(B);

impl<B: MessageBody + Unpin> MessageBody for Events<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.0.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, B::Error>>> {
        let next = std::task::ready!(Pin::new(&mut self.0).poll_next(cx));
        Poll::Ready(next.map(|written| written.map(without_blank_comments)))
    }
}

fn without_blank_comments(written: Bytes) -> Bytes {
    if written.starts_with(b":") { Bytes::from_static(sse::KEEP_ALIVE) } else { written }
}

/// Made one by one as they are written: a client that does not read holds frames, not events.
fn events(ids: &EventIds, live: Live) -> impl Stream<Item = Event> + use<> {
    match live {
        Live::Frames(frames) => {
            let ids = ids.clone();
            let events = frames.into_iter().filter_map(move |frame| event(&ids, frame));
            stream::iter(events).left_stream()
        }
        Live::Idle => {
            let comment = Event::Comment(ByteString::from_static("k"));
            stream::once(ready(comment)).right_stream()
        }
    }
}

/// A frame as an event whose id names both the stream and the place in it.
fn event(ids: &EventIds, frame: Frame) -> Option<Event> {
    let Frame { number, payload: Payload::Event { name, data } } = frame else { return None };
    let data = Data::new(data).event(ByteString::from_static(name.as_str()));
    Some(data.id(ids.of(number)).into())
}
