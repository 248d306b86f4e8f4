//! One stream as it is sent over a socket: as fast as it comes, or as fast as its client
//! acknowledges it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytestring::ByteString;
use futures::stream::{Stream, StreamExt};
use tidegate_protocol::native::socket::{EventHead, fault};
use tidegate_protocol::{ErrorKind, Failure, Payload, StreamId};

use crate::http::event_stream::{Live, LiveAnswer};
use crate::stream::Frame;

/// What a socket's reading half can do with a stream that its writing half sends.
pub struct Grip {
    pub stream: StreamId,
    /// How many events may be sent that the client has not acknowledged.
    window: Option<u32>,
    sent: Cell<u64>,
    acknowledged: Cell<u64>,
    is_left: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Grip {
    /// On a stream whose client has had the events up to `after`.
    fn new(stream: StreamId, after: u64, window: Option<u32>) -> Self {
        Self {
            stream,
            window,
            sent: Cell::new(after),
            acknowledged: Cell::new(after),
            is_left: Cell::new(false),
            waker: Cell::new(None),
        }
    }

    /// The client has dealt with the events up to that number.
    ///
    /// # Errors
    /// When they were not sent yet.
    pub fn acknowledge(&self, number: u64) -> Result<(), Failure> {
        let sent = self.sent.get();
        if number > sent {
            return Err(fault("number", format!("must not exceed {sent}, the last that was sent")));
        }
        self.acknowledged.set(self.acknowledged.get().max(number));
        self.wake();
        Ok(())
    }

    /// Nothing more is to be sent.
    fn leave(&self) {
        self.is_left.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn may_send(&self, number: u64) -> bool {
        let ahead = number.saturating_sub(self.acknowledged.get());
        self.window.is_none_or(|window| ahead <= u64::from(window))
    }
}

/// The streams that one socket follows, by its client's names for them.
#[derive(Clone)]
pub struct Feeds {
    grips: Rc<RefCell<HashMap<String, Rc<Grip>>>>,
    most: usize,
}

impl Feeds {
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { grips: Rc::default(), most }
    }

    /// Whether there may be one more, of that name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a name in use, [`ErrorKind::ConnectionLimit`] for one too many.
    pub fn check(&self, name: &str) -> Result<(), Failure> {
        let grips = self.grips.borrow();
        if grips.contains_key(name) {
            return Err(fault("ref", "names a stream that this socket follows already"));
        }
        if grips.len() >= self.most {
            let message = format!("this socket follows {} streams, and may no more", self.most);
            return Err(Failure::new(ErrorKind::ConnectionLimit, message));
        }
        Ok(())
    }

    /// The stream of that name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, or no longer.
    pub fn find(&self, name: &str) -> Result<Rc<Grip>, Failure> {
        let found = self.grips.borrow().get(name).cloned();
        let message = "this socket follows no stream of this ref";
        found.ok_or_else(|| Failure::new(ErrorKind::NotFound, message))
    }

    /// Follows one no longer; its name is free.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn leave(&self, name: &str) -> Result<(), Failure> {
        self.find(name)?.leave();
        self.grips.borrow_mut().remove(name);
        Ok(())
    }

    /// Follows one more.
    #[must_use]
    pub fn follow(
        &self,
        name: String,
        answer: LiveAnswer,
        after: u64,
        window: Option<u32>,
    ) -> Feed {
        let grip = Rc::new(Grip::new(answer.id, after, window));
        self.grips.borrow_mut().insert(name.clone(), Rc::clone(&grip));
        let head = EventHead::new(&name, answer.id);
        let answer = answer.behind(after);
        let seat = Seat { feeds: self.clone(), name, grip: Rc::clone(&grip) };
        Feed { head, answer, frames: VecDeque::new(), grip, _seat: seat }
    }
}

/// Frees a name when it is dropped.
struct Seat {
    feeds: Feeds,
    name: String,
    grip: Rc<Grip>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut grips = self.feeds.grips.borrow_mut();
        // It may be another stream's by now.
        if grips.get(&self.name).is_some_and(|grip| Rc::ptr_eq(grip, &self.grip)) {
            grips.remove(&self.name);
        }
    }
}

/// The messages of one stream. While its window is used up the stream is not read: what it then
/// holds is bounded as for any slow client, and slows its upstream.
pub struct Feed {
    head: EventHead,
    answer: LiveAnswer,
    /// Read, and not yet sent.
    frames: VecDeque<Frame>,
    grip: Rc<Grip>,
    _seat: Seat,
}

impl Stream for Feed {
    type Item = ByteString;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ByteString>> {
        let this = &mut *self;
        while !this.grip.is_left.get() {
            if let Some(number) = this.frames.front().map(|frame| frame.number) {
                if !this.grip.may_send(number) {
                    break;
                }
                this.grip.sent.set(number);
                if let Some(message) = this.frames.pop_front().and_then(|it| this.message(it)) {
                    return Poll::Ready(Some(message));
                }
                continue;
            }
            match this.answer.poll_next_unpin(cx) {
                Poll::Ready(Some(Live::Frames(frames))) => this.frames = frames,
                Poll::Ready(Some(Live::Idle)) => {}
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        if this.grip.is_left.get() {
            return Poll::Ready(None);
        }
        this.grip.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Feed {
    fn message(&self, frame: Frame) -> Option<ByteString> {
        let Frame { number, payload: Payload::Event { name, data } } = frame else { return None };
        Some(self.head.event(number, name.as_str(), &data))
    }
}
