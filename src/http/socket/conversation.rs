//! The two halves of a socket. The reading half never waits for a client that does not read, but to
//! answer it; the writing half takes turns between the streams.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::time::Duration;

use actix_ws::{
    AggregatedMessage, CloseCode, CloseReason, Message, MessageStream, ProtocolError, Session,
};
use bytes::Bytes;
use bytestring::ByteString;
use futures::SinkExt;
use futures::stream::{SelectAll, StreamExt};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::desk::{Desk, Reply};
use super::feed::Feed;
use super::places::Place;
use crate::http::event_stream::Heartbeat;
use crate::http::status::Draining;

/// Beyond so many replies that a client has not taken, no more of its messages are read.
const REPLIES: usize = 16;
/// What surrounds the request in a message that begins a stream.
const AROUND_REQUEST_BYTES: usize = 4096;
/// The first message of a client that is not known yet: a key, and no more.
const FIRST_MESSAGE_BYTES: usize = 4096;
/// A client that answers so few of the pings on a silent socket is gone.
const MAX_UNANSWERED: u32 = 2;
/// How long a client may take to be told that its socket is closed.
const CLOSING: Duration = Duration::from_secs(1);

/// One socket, as long as it is open.
pub struct Conversation {
    pub session: Session,
    pub place: Place,
    pub heartbeat: Duration,
    pub auth_timeout: Duration,
    /// The largest request.
    pub message_bytes: usize,
    pub draining: Draining,
}

/// What the reading half has the writing half do.
enum Task {
    Send(ByteString),
    Pong(Bytes),
    Follow(Box<Feed>),
    Close(CloseReason),
}

impl Conversation {
    /// Holds it to its end. What it followed is left then, whatever that ends.
    pub async fn hold(self, messages: MessageStream, desk: Desk) {
        let Self { session, place, heartbeat, auth_timeout, message_bytes, draining } = self;
        let unanswered = Cell::new(0);
        let (tell, told) = channel(REPLIES);
        let reader = Reader { tell, unanswered: &unanswered, message_bytes };
        let writer = Writer { session: session.clone(), unanswered: &unanswered, draining };
        let reason = tokio::select! {
            reason = reader.read(messages, desk, auth_timeout) => reason,
            reason = writer.write(told, heartbeat) => reason,
        };
        // A client that does not read misses it.
        let _ = timeout(CLOSING, session.close(reason)).await;
        drop(place);
    }
}

fn closing(code: CloseCode, why: impl Into<String>) -> CloseReason {
    CloseReason { code, description: Some(why.into()) }
}

struct Reader<'a> {
    tell: Sender<Task>,
    unanswered: &'a Cell<u32>,
    message_bytes: usize,
}

impl Reader<'_> {
    /// Resolves when the client has closed the socket, or is gone.
    async fn read(
        self,
        messages: MessageStream,
        mut desk: Desk,
        auth_timeout: Duration,
    ) -> Option<CloseReason> {
        let mut messages = messages.max_frame_size(FIRST_MESSAGE_BYTES);
        if !desk.knows_its_caller() {
            let Ok(first) = timeout(auth_timeout, messages.recv()).await else {
                return self.close(CloseCode::Policy, "no key came in time").await;
            };
            if let Ok(Message::Text(text)) = first? {
                self.pass_on(desk.answer(&text).await).await;
            }
            if !desk.knows_its_caller() {
                return self.close(CloseCode::Policy, "a key is needed").await;
            }
        }
        let most = self.message_bytes.saturating_add(AROUND_REQUEST_BYTES);
        let messages = messages.max_frame_size(most).aggregate_continuations();
        let mut messages = messages.max_continuation_size(most);
        loop {
            let message = match messages.recv().await? {
                Ok(message) => message,
                Err(ProtocolError::Overflow) => {
                    let why = format!("a message may have {most} bytes");
                    return self.close(CloseCode::Size, why).await;
                }
                Err(ProtocolError::Io(_)) => return None,
                Err(error) => return self.close(CloseCode::Protocol, error.to_string()).await,
            };
            self.unanswered.set(0);
            match message {
                AggregatedMessage::Text(text) => self.pass_on(desk.answer(&text).await).await,
                AggregatedMessage::Ping(bytes) => self.have(Task::Pong(bytes)).await,
                AggregatedMessage::Pong(_) => {}
                AggregatedMessage::Close(reason) => return reason,
                AggregatedMessage::Binary(_) => {
                    return self.close(CloseCode::Unsupported, "messages are JSON texts").await;
                }
            }
        }
    }

    async fn pass_on(&self, reply: Option<Reply>) {
        match reply {
            Some(Reply::Message(text)) => self.have(Task::Send(text)).await,
            Some(Reply::Feed(feed)) => self.have(Task::Follow(feed)).await,
            None => {}
        }
    }

    /// A writer that is gone ends the reader too.
    async fn have(&self, task: Task) {
        let _ = self.tell.send(task).await;
    }

    /// Has the client told why, behind all that it was to be told before.
    async fn close(&self, code: CloseCode, why: impl Into<String>) -> Option<CloseReason> {
        self.have(Task::Close(closing(code, why))).await;
        pending().await
    }
}

struct Writer<'a> {
    session: Session,
    unanswered: &'a Cell<u32>,
    draining: Draining,
}

impl Writer<'_> {
    /// Resolves when the socket is to be closed, or is.
    async fn write(mut self, mut told: Receiver<Task>, heartbeat: Duration) -> Option<CloseReason> {
        let mut feeds = SelectAll::<Feed>::new();
        let mut heartbeat = Heartbeat::new(heartbeat);
        loop {
            let message = tokio::select! {
                task = told.recv() => match task? {
                    Task::Send(text) => Message::Text(text),
                    Task::Pong(bytes) => Message::Pong(bytes),
                    Task::Close(reason) => return Some(reason),
                    Task::Follow(feed) => {
                        feeds.push(*feed);
                        continue;
                    }
                },
                text = feeds.next(), if !feeds.is_empty() => match text {
                    Some(text) => Message::Text(text),
                    // The last has ended.
                    None => continue,
                },
                () = poll_fn(|cx| heartbeat.poll_due(cx)) => {
                    if self.unanswered.get() >= MAX_UNANSWERED {
                        return None;
                    }
                    self.unanswered.set(self.unanswered.get() + 1);
                    Message::Ping(Bytes::new())
                }
                () = self.draining.begun(), if feeds.is_empty() => {
                    return Some(closing(CloseCode::Away, "the gateway is shutting down"));
                }
            };
            heartbeat.restart();
            self.session.send(message).await.ok()?;
        }
    }
}
