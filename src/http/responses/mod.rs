//! OpenAI's Responses: `POST /v1/responses`, and what has become of a response.
//!
//! - `recorded`: keeps a response when its answer ends.
//! - [`kept`]: retrieve, delete and cancel; the items it answered.

pub mod kept;
mod recorded;

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use tidegate_protocol::responses::{Asked, Item, ResponseEncoder, decode_request, last_words};
use tidegate_protocol::{Encoder, ErrorKind, Failure, Framing, Outcome, Request, StreamId, sse};

use super::answering::{Answering, Manner};
use super::arrival::Arrival;
use super::chat::receive;
use super::dialect::AnswerContext;
use super::error::ApiError;
use super::event_stream::wire_events;
use super::offer::Here;
use super::openai::OpenAi;
use super::resume::Kept;
use super::worker::Worker;
use crate::access::Caller;
use crate::store::{Begun, Found, Store};
use recorded::Recorded;

/// What a response's id begins with; the stream's id follows.
const PREFIX: &str = "resp_";

/// The number of an event is that of its sequence, and one more.
const KEPT: Kept = Kept { framing: Framing::Events, always: true };

pub(super) const MANNER: Manner = Manner {
    name: "responses",
    at_once: |_, _| None,
    last_words: |_: Outcome, failure: &Failure| vec![last_words(failure)],
    stream: |answer| wire_events(answer, sse::KEEP_ALIVE),
    kept: KEPT,
};

/// `POST /v1/responses`
///
/// # Errors
/// Every failure that comes before the first byte of the answer, with the status it deserves.
pub async fn create(
    http: HttpRequest,
    mut payload: Payload,
    here: Here,
    worker: Data<Worker>,
    store: Data<Store>,
) -> Result<HttpResponse, ApiError<OpenAi>> {
    let arrival = Arrival::of(&http)?;
    let store = store.into_inner();
    let admission = async {
        let (arrived, body) =
            receive::<OpenAi>(arrival.clone(), &http, &mut payload, &here).await?;
        let (id, caller) = (arrived.id(), arrived.caller.clone());
        let asked = decode_request(&body, id, |id| earlier(&store, id, &caller))?;
        drop(body);
        let Asked { request, echo, items } = asked;
        let (store_it, background) = (echo.store(), echo.background());
        let polled = background && !request.stream;
        let kept = Kept { always: store_it, ..KEPT };
        let manner = Manner { kept, ..MANNER };
        let encoder = |request: &Request, context: &AnswerContext<'_>| -> Box<dyn Encoder> {
            let (id, model) = (context.id, context.model.to_owned());
            let encoder = ResponseEncoder::new(id, model, context.created, echo, request.stream);
            let body = encoder.in_progress();
            let begun = Begun { body, input: items.into(), store: store_it, background };
            let seat = store.begin(id, Arc::clone(&caller.owner), begun);
            Box::new(Recorded::new(encoder, seat))
        };
        let arrived = if background { arrived.detached() } else { arrived };
        let answering = arrived.open(request, &manner, encoder, &here, &worker).await?;
        Ok((answering, manner, polled.then_some(caller)))
    };
    match arrival.admitted_by(admission).await? {
        (Answering::Live(live), _, Some(caller)) => {
            let body = begun(&store, live.id, &caller)?;
            Ok(live.left(body))
        }
        (answering, manner, _) => Ok(answering.respond(payload, &manner, &worker).await?),
    }
}

/// A response that nobody waits for, as it stands.
fn begun(store: &Store, id: StreamId, caller: &Caller) -> Result<Bytes, Failure> {
    match store.find(id, caller) {
        Some(Found::Running(running)) => Ok(running.body),
        Some(Found::Kept(kept)) => Ok(kept.body.clone()),
        None => Err(Failure::new(ErrorKind::Internal, "the response was not kept")),
    }
}

/// The conversation up to and with a response.
fn earlier(store: &Store, id: &str, caller: &Caller) -> Result<Vec<Item>, String> {
    let found = stream_id(id).and_then(|id| store.find(id, caller));
    match found {
        Some(Found::Kept(kept)) if kept.standing.has_ended_well() => Ok(kept.conversation.clone()),
        Some(Found::Kept(kept)) => {
            let standing = kept.standing.as_str();
            Err(format!("names a response that is {standing}: nothing can go on from it"))
        }
        Some(Found::Running(running)) if running.store => {
            Err("names a response that is still in progress".to_owned())
        }
        Some(Found::Running(_)) | None => {
            Err("no response is kept under this id: send the whole conversation".to_owned())
        }
    }
}

/// The stream that generates, or generated, a response.
fn stream_id(id: &str) -> Option<StreamId> {
    id.strip_prefix(PREFIX)?.parse().ok()
}
