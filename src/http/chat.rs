//! The handler of all endpoints that have a model answer, generic over the dialect.

use std::time::Duration;

use actix_web::http::Version;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures::StreamExt;
use tidegate_protocol::{Encoder, ErrorKind, Failure, Request, StreamId};
use tokio::time::timeout;

use super::attach::{self, Reader, given, take_up, write_limit};
use super::body::{BodyLimits, read_body, was_reset};
use super::caller::{TrustedProxies, identify};
use super::dialect::{AnswerContext, Dialect};
use super::disconnect::{Wish, disconnect_wish};
use super::error::ApiError;
use super::event_stream::{LastWords, LiveAnswer, whole_body};
use super::note::{AccessNote, Arrival};
use super::queue::{QueueWish, name_place, queue_wish};
use super::resume::{Asked, EventId, Fingerprints, Kept, Resumption};
use super::worker::{Opening, Worker, answer_context};
use crate::access::Caller;
use crate::admission::Admission;
use crate::backend::Place;
use crate::config::{Chat, OnDisconnect};
use crate::provider;
use crate::registry::Opened;
use crate::stream::{Delivery, Standing, Subscription};

/// What bounds a chat request.
pub struct ChatLimits {
    pub body: BodyLimits,
    pub chat: Chat,
    pub proxies: TrustedProxies,
    pub fingerprints: Fingerprints,
}

/// Answers a request for a chat, a completion or embeddings, streamed or whole.
///
/// # Errors
/// Every failure that comes before the first byte of the answer, with the status it deserves.
pub async fn chat<D: Dialect>(
    http: HttpRequest,
    mut payload: Payload,
    admission: Data<Admission>,
    limits: Data<ChatLimits>,
    worker: Data<Worker>,
) -> Result<HttpResponse, ApiError<D>> {
    let (arrived, body) = receive::<D>(&http, &mut payload, &admission, &limits).await?;
    let mut request = D::decode(&body, &limits.chat)?;
    drop(body);
    request.model = request.model.map(|name| known_name::<D>(name, &admission));
    let manner = Manner::of::<D>();
    let answering = arrived.open(request, &manner, D::encoder, &admission, &worker).await?;
    Ok(answering.respond(payload, &manner, &worker).await?)
}

/// A request whose caller is known, and allowed to ask.
pub(super) struct Arrived {
    arrival: Arrival,
    pub caller: Caller,
    wish: Wish,
    resumption: Resumption,
    /// Of what is asked, where that is needed.
    fingerprint: Option<u64>,
    queue: QueueWish,
    version: Version,
}

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

/// Takes a request in: who asks, whether it may, and what.
///
/// # Errors
/// Where it may not, or where its body does not come.
pub(super) async fn receive<D: Dialect>(
    http: &HttpRequest,
    payload: &mut Payload,
    admission: &Admission,
    limits: &ChatLimits,
) -> Result<(Arrived, Bytes), Failure> {
    let arrival = arrival(http)?;
    let caller = identify(http, admission.keys(), &limits.proxies)?;
    arrival.note.caller(&caller);
    pace::<D>(admission, &caller, &arrival.note)?;
    let arrived = Arrived::new(arrival, caller, http.headers(), http.version())?;
    let body = read_body::<D>(http, payload, limits.body).await?;
    Ok((arrived.asking(http.path(), &body, admission, limits), body))
}

impl Arrived {
    /// What its headers say.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] where one of them cannot be understood.
    pub fn new(
        arrival: Arrival,
        caller: Caller,
        headers: &HeaderMap,
        version: Version,
    ) -> Result<Self, Failure> {
        let wish = disconnect_wish(headers)?;
        let resumption = Resumption::read(headers)?;
        let queue = queue_wish(headers)?;
        Ok(Self { arrival, caller, wish, resumption, fingerprint: None, queue, version })
    }

    /// Takes note of what is asked, where that is to be compared with other requests.
    #[must_use]
    pub fn asking(
        mut self,
        path: &str,
        body: &[u8],
        admission: &Admission,
        limits: &ChatLimits,
    ) -> Self {
        let is_compared = self.resumption.key.is_some() || admission.coalesces();
        self.fingerprint = is_compared.then(|| limits.fingerprints.of(path, body));
        self
    }

    /// The id of the stream that will answer.
    pub fn id(&self) -> StreamId {
        self.arrival.id
    }

    /// The answer goes on whatever its client does.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.wish = Wish::detached();
        self
    }

    /// Begins the answer, once the request is understood; `encoder` makes what writes it.
    ///
    /// # Errors
    /// Every failure that comes before an upstream is asked.
    pub async fn open(
        self,
        request: Request,
        manner: &Manner,
        encoder: impl FnOnce(&Request, &AnswerContext<'_>) -> Box<dyn Encoder>,
        admission: &Admission,
        worker: &Worker,
    ) -> Result<Answering, Failure> {
        let Self { arrival: Arrival { id, at, note }, caller, version, resumption, .. } = self;
        if let Some(EventId { stream, number }) = resumption.last_event {
            let reader = Reader { after: number, version, note };
            return Ok(Answering::Again { stream, caller, reader });
        }
        let claimant = self.queue.of(&caller, admission.keys().is_on());
        let place = claimant.place.clone();
        let ticket = admission.admit(caller, &request)?;
        let model = &ticket.route.model;
        note.model(&model.name);
        let ignored = provider::ignored(model.provider, &request)?;
        // An upstream of the client's own dialect is asked all the same.
        if !provider::relays(model.provider, &request)
            && let Some(body) = (manner.at_once)(&request, &model.name)
        {
            return Ok(Answering::AtOnce(body));
        }
        let asked = Asked { resumption: &resumption, fingerprint: self.fingerprint };
        let keeping = asked.keeping(manner.kept, &request, model, &ticket.caller);
        let keeping = keeping.filter(|_| worker.journals.limits().is_on());
        let streams = request.stream;
        let kept = keeping.as_ref().map(|keeping| keeping.numbered);
        let comes_back = kept.is_some() && resumption.is_wanted();
        let disconnect = self.wish.within(&model.disconnect, comes_back);
        note.opened(disconnect.policy != OnDisconnect::Cancel);
        let encoder = encoder(&request, &answer_context(id, model, &request));
        let dialect = manner.name;
        let opening = Opening { id, arrived: at, dialect, encoder, disconnect, claimant, keeping };
        let Opened { subscription, joined } = worker.open(opening, ticket, request).await?;
        Ok(match joined {
            Some(standing) => {
                let reader = Reader { after: 0, version, note };
                Answering::Joined { standing, subscription, reader }
            }
            None => Answering::Live(Live {
                id,
                subscription,
                streams,
                kept,
                version,
                note,
                place,
                ignored,
            }),
        })
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
    subscription: Subscription,
    streams: bool,
    /// Whether it is kept, and its events get ids.
    kept: Option<bool>,
    version: Version,
    note: AccessNote,
    place: Place,
    ignored: Vec<String>,
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
                reader.note.opened(true);
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
        let Self { id, subscription, streams, kept, version, note, place, ignored } = self;
        let mut response = if streams {
            let words = manner.last_words;
            let answer = streamed(subscription, id, worker.heartbeat, words, note).await?;
            let answer = answer.numbered(kept == Some(true));
            (manner.stream)(answer.within(write_limit(version, worker)))
        } else {
            whole(subscription, payload, worker.heartbeat, &note).await?
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

/// The name by which the gateway knows the model, where the dialect has another for it.
fn known_name<D: Dialect>(name: String, admission: &Admission) -> String {
    if admission.knows(&name) {
        return name;
    }
    D::other_name(&name).filter(|other| admission.knows(other)).unwrap_or(name)
}

/// Takes one request from the caller's allowance, and has the response tell what is left of it.
///
/// # Errors
/// As [`Admission::pace`].
pub fn pace<D: Dialect>(
    admission: &Admission,
    caller: &Caller,
    note: &AccessNote,
) -> Result<(), Failure> {
    let paced = admission.pace(caller);
    let left = paced.as_ref().map_or_else(|_| admission.used_up(), |left| *left);
    note.allowance(left.as_ref().map(D::allowance).unwrap_or_default());
    paced.map(|_| ())
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

pub(super) fn arrival(http: &HttpRequest) -> Result<Arrival, Failure> {
    let arrival = http.extensions().get::<Arrival>().cloned();
    arrival.ok_or_else(|| Failure::new(ErrorKind::Internal, "the request was not registered"))
}

/// The head is held back until the first frame, so that a failure before it gets its own status,
/// but no longer than a heartbeat: clients give up on silent servers.
async fn streamed(
    mut subscription: Subscription,
    id: StreamId,
    heartbeat: Duration,
    last_words: LastWords,
    note: AccessNote,
) -> Result<LiveAnswer, Failure> {
    let first = match timeout(heartbeat, subscription.next()).await {
        Err(_) | Ok(None) => None,
        Ok(Some(Delivery::Frames(frames))) => Some(frames),
        Ok(Some(Delivery::End(closing))) => {
            note.ended(&closing);
            if let Some(failure) = closing.failure {
                return Err(failure);
            }
            Some(closing.frames.into())
        }
    };
    Ok(LiveAnswer::new(id, heartbeat, first, subscription, last_words, note))
}

/// Waits for the end and gives the answer as one body. Asks at every heartbeat whether anybody
/// still wants it.
pub(super) async fn whole(
    mut subscription: Subscription,
    mut payload: Payload,
    heartbeat: Duration,
    note: &AccessNote,
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
        note.ended(&closing);
        if let Some(failure) = closing.failure {
            return Err(failure);
        }
        return Ok(HttpResponse::Ok().content_type("application/json").body(whole_body(closing)));
    }
    Err(Failure::new(ErrorKind::Internal, "the stream ended without a word"))
}
