//! The handler of all endpoints that have a model answer, generic over the dialect.

use std::time::Duration;

use actix_web::http::Version;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures::StreamExt;
use tidegate_protocol::{ErrorKind, Failure, Request, StreamId};
use tokio::time::timeout;

use super::body::{BodyLimits, read_body, was_reset};
use super::caller::{TrustedProxies, identify};
use super::dialect::Dialect;
use super::disconnect::disconnect_wish;
use super::error::ApiError;
use super::event_stream::{LiveAnswer, whole_body};
use super::note::{AccessNote, Arrival};
use super::worker::Worker;
use crate::access::Caller;
use crate::admission::Admission;
use crate::config::{Chat, Model, OnDisconnect};
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
    let Arrival { id, at, note } = arrival(&http)?;
    let caller = identify(&http, admission.keys(), &limits.proxies)?;
    note.caller(&caller);
    pace::<D>(&admission, &caller, &note)?;
    let wish = disconnect_wish(http.headers())?;
    let body = read_body::<D>(&http, &mut payload, limits.body).await?;
    let mut request = D::decode(&body, &limits.chat)?;
    drop(body);
    request.model = request.model.map(|name| known_name::<D>(name, &admission));
    let ticket = admission.admit(caller, &request)?;
    note.model(&ticket.route.model.name);
    let ignored = provider::ignored(ticket.route.model.provider, &request)?;
    if let Some(body) = at_once::<D>(&request, &ticket.route.model) {
        return Ok(HttpResponse::Ok().content_type("application/json").body(body));
    }
    let wants_stream = request.stream;
    let disconnect = wish.within(&ticket.route.model.disconnect);
    let goes_on = disconnect.policy != OnDisconnect::Cancel;
    let subscription = worker.open::<D>(id, at, ticket, request, disconnect).await?;
    note.opened(goes_on);
    let mut response = if wants_stream {
        let answer = streamed::<D>(subscription, id, worker.heartbeat, note).await?;
        let limit = (http.version() == Version::HTTP_2).then_some(worker.write_timeout);
        D::stream(answer.within(limit))
    } else {
        whole(subscription, payload, worker.heartbeat, &note).await?
    };
    name_ignored(&mut response, &ignored);
    Ok(response)
}

/// The name by which the gateway knows the model, where the dialect has another for it.
fn known_name<D: Dialect>(name: String, admission: &Admission) -> String {
    if admission.knows(&name) {
        return name;
    }
    D::other_name(&name).filter(|other| admission.knows(other)).unwrap_or(name)
}

/// The answer that the gateway gives by itself. An upstream of the client's own dialect is asked.
fn at_once<D: Dialect>(request: &Request, model: &Model) -> Option<Vec<u8>> {
    if provider::relays(model.provider, request) {
        return None;
    }
    D::at_once(request, &model.name)
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
async fn streamed<D: Dialect>(
    mut subscription: Subscription,
    id: StreamId,
    heartbeat: Duration,
    note: AccessNote,
) -> Result<LiveAnswer, ApiError<D>> {
    let first = match timeout(heartbeat, subscription.next()).await {
        Err(_) | Ok(None) => None,
        Ok(Some(Delivery::Frames(frames))) => Some(frames),
        Ok(Some(Delivery::End(closing))) => {
            note.ended(&closing);
            if let Some(failure) = closing.failure {
                return Err(failure.into());
            }
            Some(closing.frames.into())
        }
    };
    Ok(LiveAnswer::new(id, heartbeat, first, subscription, D::last_words, note))
}

/// Waits for the end and gives the answer as one body. Asks at every heartbeat whether anybody
/// still wants it.
async fn whole<D: Dialect>(
    mut subscription: Subscription,
    mut payload: Payload,
    heartbeat: Duration,
    note: &AccessNote,
) -> Result<HttpResponse, ApiError<D>> {
    loop {
        let closing = match timeout(heartbeat, subscription.next()).await {
            Ok(Some(Delivery::End(closing))) => closing,
            Err(_) if was_reset(&mut payload) => {
                return Err(Failure::new(ErrorKind::Cancelled, "the client left").into());
            }
            Ok(Some(Delivery::Frames(_))) | Err(_) => continue,
            Ok(None) => break,
        };
        note.ended(&closing);
        if let Some(failure) = closing.failure {
            return Err(failure.into());
        }
        return Ok(HttpResponse::Ok().content_type("application/json").body(whole_body(closing)));
    }
    Err(Failure::new(ErrorKind::Internal, "the stream ended without a word").into())
}
