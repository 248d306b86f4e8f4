//! A live answer as a response body.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::HeaderName;
use actix_web::{Error, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures::stream::{Stream, StreamExt};
use tidegate_protocol::{ErrorKind, Failure, Outcome, Payload, StreamId};
use tokio::time::{Instant, Sleep, sleep};

use super::arrival::told;
use super::write_limit::WriteLimit;
use crate::stream::{Closing, Delivery, Frame, Subscription};
use crate::telemetry::AccessRecord;

/// What a live answer has to say.
pub enum Live {
    /// All that has come in; the last of all is the terminal.
    Frames(VecDeque<Frame>),
    /// Nothing came for a heartbeat: a sign of life is due.
    Idle,
}

/// Says the terminal in place of an actor that died before it could.
pub type LastWords = fn(Outcome, &Failure) -> Vec<Payload>;

/// A stream's frames as they come, and signs of life in between. Whoever drops it before the end
/// cancels the stream.
pub struct LiveAnswer {
    pub id: StreamId,
    heartbeat: Heartbeat,
    first: Option<VecDeque<Frame>>,
    rest: Subscription,
    /// Says the terminal if the stream's own actor died before it could.
    last_words: LastWords,
    last_number: u64,
    /// Of its events, though its dialect has none.
    ids: Option<EventIds>,
    record: AccessRecord,
    write_limit: Option<WriteLimit>,
}

impl LiveAnswer {
    /// `first` is what has come already.
    #[must_use]
    pub fn new(
        id: StreamId,
        heartbeat: Duration,
        first: Option<VecDeque<Frame>>,
        rest: Subscription,
        last_words: LastWords,
        record: AccessRecord,
    ) -> Self {
        let heartbeat = Heartbeat::new(heartbeat);
        let (last_number, ids, write_limit) = (0, None, None);
        Self { id, heartbeat, first, rest, last_words, last_number, ids, record, write_limit }
    }

    /// Its client has had the events up to that number.
    #[must_use]
    pub fn behind(mut self, number: u64) -> Self {
        self.last_number = number;
        self
    }

    /// Whether its events get ids.
    #[must_use]
    pub fn numbered(mut self, numbered: bool) -> Self {
        self.ids = numbered.then(|| EventIds::new(self.id));
        self
    }

    /// Limits how long its client may take nothing. Over HTTP/1 the kernel does.
    #[must_use]
    pub fn within(mut self, limit: Option<Duration>) -> Self {
        self.write_limit = limit.map(|limit| WriteLimit::start(limit, self.rest.leaver()));
        self
    }

    fn terminal(&mut self, closing: Closing) -> VecDeque<Frame> {
        told(&self.record, &closing);
        match closing.failure {
            Some(failure) if closing.frames.is_empty() => {
                // Who is sent away comes back to where he was: the next number is another event's.
                let number = self.last_number + u64::from(failure.kind != ErrorKind::TooSlow);
                let said = (self.last_words)(closing.outcome, &failure).into_iter();
                said.map(|payload| Frame { number, payload }).collect()
            }
            _ => closing.frames.into(),
        }
    }
}

impl Drop for LiveAnswer {
    /// An end that its client did not take is the answer's end all the same.
    fn drop(&mut self) {
        if let Some(closing) = self.rest.the_end() {
            told(&self.record, &closing);
        }
    }
}

impl Stream for LiveAnswer {
    type Item = Live;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Live>> {
        if let Some(limit) = &self.write_limit {
            limit.written();
        }
        let live = self.poll_live(cx);
        if let (Some(limit), Poll::Ready(Some(_))) = (&self.write_limit, &live) {
            limit.given();
        }
        live
    }
}

impl LiveAnswer {
    fn poll_live(&mut self, cx: &mut Context<'_>) -> Poll<Option<Live>> {
        let this = self;
        let frames = match this.first.take() {
            Some(frames) => frames,
            None => match this.rest.poll_next_unpin(cx) {
                Poll::Pending => return this.heartbeat.poll_due(cx).map(|()| Some(Live::Idle)),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Delivery::Frames(frames))) => frames,
                Poll::Ready(Some(Delivery::End(closing))) => this.terminal(closing),
            },
        };
        this.heartbeat.restart();
        if let Some(last) = frames.back() {
            this.last_number = last.number;
        }
        Poll::Ready(Some(Live::Frames(frames)))
    }
}

/// Fires when nothing was said for a while. The timer is moved only when it fires, so that a busy
/// stream does not touch it.
pub(super) struct Heartbeat {
    period: Duration,
    timer: Pin<Box<Sleep>>,
    last: Instant,
}

impl Heartbeat {
    pub fn new(period: Duration) -> Self {
        Self { period, timer: Box::pin(sleep(period)), last: Instant::now() }
    }

    pub fn restart(&mut self) {
        self.last = Instant::now();
    }

    pub fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let due = self.last + self.period;
            let now = Instant::now();
            if due <= now {
                self.last = now;
                self.timer.as_mut().reset(now + self.period);
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

/// A live answer as server-sent events that its dialect has framed already.
#[must_use]
pub fn wire_events(answer: LiveAnswer, keep_alive: &'static [u8]) -> HttpResponse {
    wire_body(answer, "text/event-stream", keep_alive)
}

/// A live answer in frames of its dialect's own.
#[must_use]
pub fn wire_body(
    answer: LiveAnswer,
    content_type: &'static str,
    keep_alive: &'static [u8],
) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header(("cache-control", "no-cache"))
        .insert_header((ACCEL_BUFFERING, "no"))
        .body(WireBody { answer, keep_alive })
}

/// Tells nginx not to hold events back.
pub const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A body of wire bytes; what is there goes out in one write.
pub struct WireBody {
    pub answer: LiveAnswer,
    /// What a sign of life is in the dialect; nothing where it has none.
    pub keep_alive: &'static [u8],
}

impl MessageBody for WireBody {
    type Error = Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let bytes = match self.answer.poll_next_unpin(cx) {
                Poll::Ready(Some(Live::Frames(frames))) => join(frames, self.answer.ids.as_ref()),
                Poll::Ready(Some(Live::Idle)) => Bytes::from_static(self.keep_alive),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            // An empty chunk would end the body.
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
    }
}

/// One piece stays as it is; many become one. With ids, each gets its own.
fn join(mut frames: VecDeque<Frame>, ids: Option<&EventIds>) -> Bytes {
    if frames.len() == 1
        && ids.is_none()
        && let Some(Frame { payload: Payload::Wire(bytes), .. }) = frames.pop_front()
    {
        return bytes;
    }
    let size: usize = frames.iter().map(|frame| frame.payload.len()).sum();
    let mut joined = BytesMut::with_capacity(size + ids.map_or(0, |_| ID_BYTES * frames.len()));
    for Frame { number, payload } in frames {
        if let Some(ids) = ids {
            joined.extend_from_slice(b"id: ");
            joined.extend_from_slice(ids.of(number).as_bytes());
            joined.extend_from_slice(b"\n");
        }
        if let Payload::Wire(bytes) = payload {
            joined.extend_from_slice(&bytes);
        }
    }
    joined.freeze()
}

/// The line that names an event: a stream's id and a number.
const ID_BYTES: usize = 48;

/// The ids of a stream's events: its own, which is written once, and a number.
#[derive(Clone)]
pub struct EventIds(Rc<str>);

impl EventIds {
    #[must_use]
    pub fn new(id: StreamId) -> Self {
        Self(format!("{id}:").into())
    }

    #[must_use]
    pub fn of(&self, number: u64) -> String {
        let mut id = String::with_capacity(ID_BYTES);
        id.push_str(&self.0);
        // Writing to memory does not fail.
        let _ = write!(id, "{number}");
        id
    }
}

/// The body of an unstreamed answer.
#[must_use]
pub fn whole_body(closing: Closing) -> Bytes {
    join(closing.frames.into(), None)
}
