//! The handler of all endpoints that have a model answer, generic over the dialect.

use std::time::Duration;

use actix_web::http::Version;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures::StreamExt;
use tidegate_protocol::{Encoder, ErrorKind, Failure, Request, StreamId};
use tokio::time::timeout;

use super::body::{BodyLimits, read_body, was_reset};
use super::caller::{TrustedProxies, identify};
use super::dialect::{AnswerContext, Dialect};
use super::disconnect::{Wish, disconnect_wish};
use super::error::ApiError;
use super::event_stream::{LastWords, LiveAnswer, whole_body};
use super::note::{AccessNote, Arrival};
use super::worker::{Opening, Worker, answer_context};
use crate::access::Caller;
use crate::admission::Admission;
use crate::config::{Chat, OnDisconnect};
use crate::provider;
use crate::stream::{Delivery, Subscription};

/// What bounds a chat request.
pub struct ChatLimits {
    pub body: BodyLimits,
    pub chat: Chat,
    pub proxies: TrustedProxies,
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
    let manner =
        Manner { name: D::NAME, at_once: D::at_once, last_words: D::last_words, stream: D::stream };
    Ok(arrived.answer(payload, request, &manner, D::encoder, &admission, &worker).await?)
}

/// A request whose caller is known, and allowed to ask.
pub(super) struct Arrived {
    arrival: Arrival,
    pub caller: Caller,
    wish: Wish,
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
    let wish = disconnect_wish(http.headers())?;
    let body = read_body::<D>(http, payload, limits.body).await?;
    Ok((Arrived { arrival, caller, wish, version: http.version() }, body))
}

impl Arrived {
    /// The id of the stream that will answer.
    pub fn id(&self) -> StreamId {
        self.arrival.id
    }

    /// Answers, once the request is understood; `encoder` makes what writes the answer.
    ///
    /// # Errors
    /// Every failure that comes before the first byte of the answer.
    pub async fn answer(
        self,
        payload: Payload,
        request: Request,
        manner: &Manner,
        encoder: impl FnOnce(&Request, &AnswerContext<'_>) -> Box<dyn Encoder>,
        admission: &Admission,
        worker: &Worker,
    ) -> Result<HttpResponse, Failure> {
        let Self { arrival: Arrival { id, at, note }, caller, wish, version } = self;
        let ticket = admission.admit(caller, &request)?;
        let model = &ticket.route.model;
        note.model(&model.name);
        let ignored = provider::ignored(model.provider, &request)?;
        // An upstream of the client's own dialect is asked all the same.
        if !provider::relays(model.provider, &request)
            && let Some(body) = (manner.at_once)(&request, &model.name)
        {
            return Ok(HttpResponse::Ok().content_type("application/json").body(body));
        }
        let wants_stream = request.stream;
        let disconnect = wish.within(&model.disconnect);
        let goes_on = disconnect.policy != OnDisconnect::Cancel;
        let encoder = encoder(&request, &answer_context(id, model, &request));
        let opening = Opening { id, arrived: at, dialect: manner.name, encoder, disconnect };
        let subscription = worker.open(opening, ticket, request).await?;
        note.opened(goes_on);
        let mut response = if wants_stream {
            let words = manner.last_words;
            let answer = streamed(subscription, id, worker.heartbeat, words, note).await?;
            let limit = (version == Version::HTTP_2).then_some(worker.write_timeout);
            (manner.stream)(answer.within(limit))
        } else {
            whole(subscription, payload, worker.heartbeat, &note).await?
        };
        name_ignored(&mut response, &ignored);
        Ok(response)
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
async fn whole(
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
