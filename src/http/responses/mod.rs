//! OpenAI's Responses: `POST /v1/responses`, and what has become of a response.
//!
//! - `recorded`: keeps a response when its answer ends.
//! - [`kept`]: retrieve, delete and cancel; the items it answered.

pub mod kept;
mod recorded;

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tidegate_protocol::responses::{Asked, Item, ResponseEncoder, decode_request, last_words};
use tidegate_protocol::{Encoder, Failure, Outcome, Request, StreamId, sse};

use super::chat::{ChatLimits, Manner, receive};
use super::dialect::AnswerContext;
use super::error::ApiError;
use super::event_stream::wire_events;
use super::openai::OpenAi;
use super::worker::Worker;
use crate::access::Caller;
use crate::admission::Admission;
use crate::store::{Found, Store};
use recorded::Recorded;

/// What a response's id begins with; the stream's id follows.
const PREFIX: &str = "resp_";

const MANNER: Manner = Manner {
    name: "responses",
    at_once: |_, _| None,
    last_words: |_: Outcome, failure: &Failure| vec![last_words(failure)],
    stream: |answer| wire_events(answer, sse::KEEP_ALIVE),
};

/// `POST /v1/responses`
///
/// # Errors
/// Every failure that comes before the first byte of the answer, with the status it deserves.
pub async fn create(
    http: HttpRequest,
    mut payload: Payload,
    admission: Data<Admission>,
    limits: Data<ChatLimits>,
    worker: Data<Worker>,
    store: Data<Store>,
) -> Result<HttpResponse, ApiError<OpenAi>> {
    let (arrived, body) = receive::<OpenAi>(&http, &mut payload, &admission, &limits).await?;
    let caller = arrived.caller.clone();
    let asked = decode_request(&body, arrived.id(), |id| earlier(&store, id, &caller))?;
    drop(body);
    let store = store.into_inner();
    let Asked { request, echo, items } = asked;
    let encoder = |request: &Request, context: &AnswerContext<'_>| -> Box<dyn Encoder> {
        let (id, model) = (context.id, context.model.to_owned());
        let keep = echo.store();
        let encoder = ResponseEncoder::new(id, model, context.created, echo, request.stream);
        let begun = encoder.in_progress();
        let seat = store.begin(id, Arc::clone(&caller.owner), begun, items.into(), keep);
        Box::new(Recorded::new(encoder, seat))
    };
    Ok(arrived.answer(payload, request, &MANNER, encoder, &admission, &worker).await?)
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
