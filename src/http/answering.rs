//! What a request is answered with, as a response or otherwise: a stream that it has begun, one that
//! was there already, or no stream at all.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::Version;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Payload;
use bytes::Bytes;
use futures::StreamExt;
use tidegate_protocol::{ErrorKind, Failure, Request, StreamId};
use tokio::time::timeout;

use super::arrival::told;
use super::attach::{self, Reader, given, take_up, write_limit};
use super::body::was_reset;
use super::dialect::Dialect;
use super::event_stream::{LastWords, LiveAnswer, whole_body};
use super::queue::name_place;
use super::resume::Kept;
use super::worker::Worker;
use crate::access::Caller;
use crate::backend::Place;
use crate::stream::{Delivery, Standing, Subscription};
use crate::telemetry::AccessRecord;

/// How an answer is given to its client.
pub(super) struct Manner {
    /// As the stream list and logs spell the dialect.
    pub name: &'static str,
    /// The whole answer to a request that needs no upstream.
    pub at_once: fn(&Request, &str) -> Option<Vec<u8>>,
    pub last_words: LastWords,
    pub stream: fn(LiveAnswer) -> HttpResponse,
    pub kept: Kept,
}

impl Manner {
    /// Of a dialect.
    #[must_use]
    pub fn of<D: Dialect>() -> Self {
        Self {
            name: D::NAME,
            at_once: D::at_once,
            last_words: D::last_words,
            stream: D::stream,
            kept: D::KEPT,
        }
    }
}

/// What a request is answered with.
pub(super) enum Answering {
    /// A whole answer that needed no upstream.
    AtOnce(Vec<u8>),
    /// The rest of a stream that its client has read a part of.
    Again {
        stream: StreamId,
        caller: Caller,
        reader: Reader,
    },
    /// A stream that another request has begun.
    Joined {
        standing: Standing,
        subscription: Subscription,
        reader: Reader,
    },
    Live(Live),
}

/// An answer that has begun.
pub(super) struct Live {
    pub id: StreamId,
    pub subscription: Subscription,
    pub streams: bool,
    /// Whether it is kept, and its events get ids.
    pub kept: Option<bool>,
    pub version: Version,
    pub record: AccessRecord,
    pub place: Place,
    pub ignored: Vec<String>,
}

/// A stream, and the way from it.
pub(super) struct Followed {
    pub stream: StreamId,
    pub subscription: Subscription,
}

impl Answering {
    /// The stream that answers, for who reads it otherwise than as a response.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where there is none.
    pub fn followed(self) -> Result<Followed, Failure> {
        match self {
            Self::Live(Live { id: stream, subscription, .. }) => {
                Ok(Followed { stream, subscription })
            }
            Self::Joined { standing, subscription, reader } => {
                reader.record.reads(standing.id);
                Ok(Followed { stream: standing.id, subscription })
            }
            Self::AtOnce(_) | Self::Again { .. } => {
                Err(Failure::new(ErrorKind::Internal, "the request was answered by no stream"))
            }
        }
    }

    /// The response; its head is there once it is known how the answer begins.
    ///
    /// # Errors
    /// Every failure that comes before the first byte of the answer.
    pub async fn respond(
        self,
        payload: Payload,
        manner: &Manner,
        worker: &Worker,
    ) -> Result<HttpResponse, Failure> {
        match self {
            Self::AtOnce(body) => {
                Ok(HttpResponse::Ok().content_type("application/json").body(body))
            }
            Self::Again { stream, caller, reader } => {
                take_up(stream, reader, payload, &caller, worker).await
            }
            Self::Joined { standing, subscription, reader } => {
                given(&standing, subscription, reader, payload, worker).await
            }
            Self::Live(live) => live.respond(payload, manner, worker).await,
        }
    }
}

impl Live {
    async fn respond(
        self,
        payload: Payload,
        manner: &Manner,
        worker: &Worker,
    ) -> Result<HttpResponse, Failure> {
        let Self { id, subscription, streams, kept, version, record, place, ignored } = self;
        let mut response = if streams {
            let words = manner.last_words;
            let answer = streamed(subscription, id, worker.heartbeat(), words, record).await?;
            let answer = answer.numbered(kept == Some(true));
            (manner.stream)(answer.within(write_limit(version, worker)))
        } else {
            whole(subscription, payload, worker.heartbeat(), &record).await?
        };
        name_place(&mut response, &place);
        name_ignored(&mut response, &ignored);
        if kept.is_some() {
            attach::name(&mut response, id);
        }
        Ok(response)
    }

    /// The response where nobody waits for the answer.
    #[must_use]
    pub fn left(self, body: Bytes) -> HttpResponse {
        let mut response = HttpResponse::Ok().content_type("application/json").body(body);
        name_ignored(&mut response, &self.ignored);
        response
    }
}

/// The fields of the client's body that the upstream was not told.
pub const IGNORED_FIELDS: HeaderName = HeaderName::from_static("x-ignored-fields");
/// So much is told of them.
const IGNORED_BYTES: usize = 1024;

/// Names them in the response's head.
pub(super) fn name_ignored(response: &mut HttpResponse, ignored: &[String]) {
    if let Some(names) = listed(ignored) {
        response.headers_mut().insert(IGNORED_FIELDS, names);
    }
}

/// The names as a header may hold them.
fn listed(names: &[String]) -> Option<HeaderValue> {
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    let names: String = names.join(", ").chars().map(plain).take(IGNORED_BYTES).collect();
    if names.is_empty() { None } else { HeaderValue::from_str(&names).ok() }
}

/// The head is held back until the first frame, so that a failure before it gets its own status,
/// but no longer than a heartbeat: clients give up on silent servers.
async fn streamed(
    mut subscription: Subscription,
    id: StreamId,
    heartbeat: Duration,
    last_words: LastWords,
    record: AccessRecord,
) -> Result<LiveAnswer, Failure> {
    let first = match timeout(heartbeat, subscription.next()).await {
        Err(_) | Ok(None) => None,
        Ok(Some(Delivery::Frames(frames))) => Some(frames),
        Ok(Some(Delivery::End(closing))) => {
            told(&record, &closing);
            if let Some(failure) = closing.failure {
                return Err(failure);
            }
            Some(closing.frames.into())
        }
    };
    Ok(LiveAnswer::new(id, heartbeat, first, subscription, last_words, record))
}

/// Waits for the end and gives the answer as one body. Asks at every heartbeat whether anybody
/// still wants it.
pub(super) async fn whole(
    mut subscription: Subscription,
    mut payload: Payload,
    heartbeat: Duration,
    record: &AccessRecord,
) -> Result<HttpResponse, Failure> {
    loop {
        let closing = match timeout(heartbeat, subscription.next()).await {
            Ok(Some(Delivery::End(closing))) => closing,
            Err(_) if was_reset(&mut payload) => {
                return Err(Failure::new(ErrorKind::Cancelled, "the client left"));
            }
            Ok(Some(Delivery::Frames(_))) | Err(_) => continue,
            Ok(None) => break,
        };
        told(record, &closing);
        if let Some(failure) = closing.failure {
            return Err(failure);
        }
        return Ok(HttpResponse::Ok().content_type("application/json").body(whole_body(closing)));
    }
    Err(Failure::new(ErrorKind::Internal, "the stream ended without a word"))
}
