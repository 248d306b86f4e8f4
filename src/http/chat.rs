//! The handler of all chat endpoints, generic over the dialect.

use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures::StreamExt;
use tidegate_protocol::{ChatRequest, Encoder, ErrorKind, Failure};
use tokio::time::timeout;

use super::body::{BodyLimits, read_json};
use super::caller::{TrustedProxies, identify};
use super::dialect::Dialect;
use super::error::ApiError;
use super::event_stream::{LiveAnswer, whole_body};
use super::note::{AccessNote, Arrival};
use super::worker::{Worker, answer_context};
use crate::admission::Admission;
use crate::config::Chat;
use crate::stream::{Delivery, Subscription};

/// What bounds a chat request.
pub struct ChatLimits {
    pub body: BodyLimits,
    pub chat: Chat,
    pub proxies: TrustedProxies,
}

/// Answers a chat request, streamed or whole.
///
/// # Errors
/// Every failure that comes before the first byte of the answer, with the status it deserves.
pub async fn chat<D: Dialect>(
    http: HttpRequest,
    payload: Payload,
    admission: Data<Admission>,
    limits: Data<ChatLimits>,
    worker: Data<Worker>,
) -> Result<HttpResponse, ApiError<D>> {
    let Arrival { id, at, note } = arrival(&http)?;
    let caller = identify(&http, admission.keys(), &limits.proxies)?;
    note.caller(&caller);
    admission.pace(&caller)?;
    let body = read_json(&http, payload, limits.body).await?;
    let request = D::decode(&body, &limits.chat)?;
    drop(body);
    let ticket = admission.admit(caller, request.model.as_deref())?;
    note.model(&ticket.route.model.name);
    let streamed = request.stream;
    let last_words = last_words::<D>(&request, &answer_context(id, &ticket, &request));
    let subscription = worker.open::<D>(id, at, ticket, request).await?;
    note.opened();
    if streamed {
        let answer = Opening { id, worker: &worker, last_words, note };
        answer.stream::<D>(subscription).await
    } else {
        whole(subscription, &note).await
    }
}

fn arrival(http: &HttpRequest) -> Result<Arrival, Failure> {
    let arrival = http.extensions().get::<Arrival>().cloned();
    arrival.ok_or_else(|| Failure::new(ErrorKind::Internal, "the request was not registered"))
}

/// An encoder that can say the terminal when the stream's own actor cannot any more.
fn last_words<D: Dialect>(
    request: &ChatRequest,
    context: &super::dialect::AnswerContext<'_>,
) -> Box<dyn Encoder> {
    D::encoder(request, context)
}

/// A streamed answer before its first byte.
struct Opening<'a> {
    id: tidegate_protocol::StreamId,
    worker: &'a Worker,
    last_words: Box<dyn Encoder>,
    note: AccessNote,
}

impl Opening<'_> {
    /// The head is held back until the first frame, so that a failure before it gets its own
    /// status, but no longer than a heartbeat: clients give up on silent servers.
    async fn stream<D: Dialect>(
        self,
        mut subscription: Subscription,
    ) -> Result<HttpResponse, ApiError<D>> {
        let heartbeat = self.worker.heartbeat;
        let first = match timeout(heartbeat, subscription.next()).await {
            Err(_) | Ok(None) => None,
            Ok(Some(Delivery::Frames(frames))) => Some(frames),
            Ok(Some(Delivery::End(closing))) => {
                self.note.ended(&closing);
                if let Some(failure) = closing.failure {
                    return Err(failure.into());
                }
                Some(closing.frames.into())
            }
        };
        let Self { id, last_words, note, .. } = self;
        Ok(D::stream(LiveAnswer::new(id, heartbeat, first, subscription, last_words, note)))
    }
}

/// Waits for the end and gives the answer as one body.
async fn whole<D: Dialect>(
    mut subscription: Subscription,
    note: &AccessNote,
) -> Result<HttpResponse, ApiError<D>> {
    while let Some(delivery) = subscription.next().await {
        let Delivery::End(closing) = delivery else { continue };
        note.ended(&closing);
        if let Some(failure) = closing.failure {
            return Err(failure.into());
        }
        return Ok(HttpResponse::Ok().content_type("application/json").body(whole_body(closing)));
    }
    Err(Failure::new(ErrorKind::Internal, "the stream ended without a word").into())
}
