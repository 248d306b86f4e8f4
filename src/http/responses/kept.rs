//! What has become of a response: retrieve, delete and cancel it; the items it answered.

use std::time::Duration;

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate_protocol::responses::{Item, ItemList};
use tidegate_protocol::{ErrorKind, Failure, FieldFault, StreamId};
use tokio::time::timeout;

use super::stream_id;
use crate::access::Caller;
use crate::http::arrival::Arrival;
use crate::http::attach::{Reader, take_up};
use crate::http::caller::identify;
use crate::http::error::ApiError;
use crate::http::offer::Here;
use crate::http::openai::OpenAi;
use crate::http::worker::Worker;
use crate::registry::Directory;
use crate::store::{Found, Store};
use crate::stream::Part;

/// How long a cancelled response may take to say how it ended. It takes milliseconds.
const LAST_WORDS: Duration = Duration::from_secs(5);
const PAGE: usize = 20;
const MAX_PAGE: usize = 100;

type Answer = Result<HttpResponse, ApiError<OpenAi>>;

fn unknown() -> Failure {
    Failure::new(ErrorKind::NotFound, "no response is kept under this id")
}

fn invalid(field: &str, message: &str) -> Failure {
    Failure::invalid(vec![FieldFault { field: field.to_owned(), message: message.to_owned() }])
}

fn json(body: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}

/// A response that is kept, or will be. The same failure for an unknown id, a malformed one and
/// another's.
fn find(store: &Store, id: StreamId, caller: &Caller) -> Result<Found, Failure> {
    match store.find(id, caller) {
        Some(Found::Running(running)) if !running.store => Err(unknown()),
        found => found.ok_or_else(unknown),
    }
}

#[derive(Deserialize)]
struct Wanted {
    stream: Option<String>,
    starting_after: Option<u64>,
}

/// `GET /v1/responses/{id}`: the response, or, with `stream=true`, what follows of its events.
///
/// # Errors
/// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidRequest`] for a stream of a response that was not
/// created as one, and for a place that there is not; [`ErrorKind::Gone`] for events that are kept no
/// longer.
pub async fn retrieve(
    http: HttpRequest,
    payload: Payload,
    id: Path<String>,
    here: Here,
    store: Data<Store>,
    worker: Data<Worker>,
) -> Answer {
    let caller = identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let id = stream_id(&id).ok_or_else(unknown)?;
    let found = find(&store, id, &caller)?;
    let wanted = Query::<Wanted>::from_query(http.query_string());
    let wanted = wanted.map_err(|_| invalid("starting_after", "must be a sequence number"))?;
    if wanted.stream.as_deref().is_some_and(|stream| stream != "false") {
        let after = wanted.starting_after.map_or(0, |number| number.saturating_add(1));
        let arrival = Arrival::of(&http)?;
        arrival.caller(&caller);
        let (version, record) = (http.version(), arrival.record);
        let reader = Reader { part: Part::Client, after, version, record };
        let taken_up = take_up(id, reader, payload, &caller, &worker).await;
        return Ok(taken_up.map_err(in_its_words)?);
    }
    Ok(json(match found {
        Found::Running(running) => running.body,
        Found::Kept(kept) => kept.body.clone(),
    }))
}

/// What is wrong with the stream that is asked for, by the names that the dialect has for it.
fn in_its_words(failure: Failure) -> Failure {
    match failure.kind {
        ErrorKind::NotFound => invalid("stream", "this response was not created as a stream"),
        ErrorKind::InvalidRequest => {
            let message = failure.details.into_iter().next().map(|fault| fault.message);
            invalid("starting_after", &message.unwrap_or(failure.message))
        }
        _ => failure,
    }
}

#[derive(Serialize)]
struct Deletion {
    id: String,
    object: &'static str,
    deleted: bool,
}

/// `DELETE /v1/responses/{id}`
///
/// # Errors
/// [`ErrorKind::NotFound`].
pub async fn delete(
    http: HttpRequest,
    id: Path<String>,
    here: Here,
    store: Data<Store>,
    worker: Data<Worker>,
) -> Answer {
    let caller = identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let known = stream_id(&id).is_some_and(|id| {
        worker.journals.remove(id, &caller);
        store.remove(id, &caller)
    });
    if !known {
        return Err(unknown().into());
    }
    Ok(HttpResponse::Ok().json(Deletion { id: id.into_inner(), object: "response", deleted: true }))
}

/// `POST /v1/responses/{id}/cancel`: ends a response that is running, kept or not.
///
/// # Errors
/// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidRequest`] for one that has ended.
pub async fn cancel(
    http: HttpRequest,
    id: Path<String>,
    here: Here,
    directory: Data<Directory>,
    store: Data<Store>,
) -> Answer {
    let caller = identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let id = stream_id(&id).ok_or_else(unknown)?;
    let ended = || {
        invalid(
            "response_id",
            "names a response that has ended; only one that is in progress can be cancelled",
        )
    };
    let Some(found) = store.find(id, &caller) else { return Err(unknown().into()) };
    let Found::Running(mut running) = found else { return Err(ended().into()) };
    if !directory.cancel(id, caller).await {
        return Err(ended().into());
    }
    // Not the response as it stood, but as it ended: that may have come first.
    let told = timeout(LAST_WORDS, running.ended.wait_for(Option::is_some)).await;
    let body = told.ok().and_then(Result::ok).and_then(|body| body.clone());
    let lost = || Failure::new(ErrorKind::Internal, "the response ended without a word");
    Ok(json(body.ok_or_else(lost)?))
}

/// Which of the items are listed.
#[derive(Deserialize)]
pub struct Page {
    limit: Option<usize>,
    order: Option<String>,
    after: Option<String>,
}

/// `GET /v1/responses/{id}/input_items`
///
/// # Errors
/// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidRequest`] for a page that there cannot be.
pub async fn input_items(
    http: HttpRequest,
    id: Path<String>,
    page: Result<Query<Page>, actix_web::Error>,
    here: Here,
    store: Data<Store>,
) -> Answer {
    let caller = identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let page = page.map_err(|_| invalid("limit", "must be a whole number from 1 to 100"))?;
    let id = stream_id(&id).ok_or_else(unknown)?;
    Ok(match find(&store, id, &caller)? {
        Found::Running(running) => list(&running.input, &page)?,
        Found::Kept(kept) => list(kept.input(), &page)?,
    })
}

fn list(items: &[Item], page: &Page) -> Result<HttpResponse, Failure> {
    let limit = page.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(invalid("limit", "must be a whole number from 1 to 100"));
    }
    let mut ordered: Vec<&Item> = items.iter().collect();
    match page.order.as_deref() {
        None | Some("desc") => ordered.reverse(),
        Some("asc") => {}
        Some(_) => return Err(invalid("order", "must be \"asc\" or \"desc\"")),
    }
    if let Some(after) = &page.after {
        let at = ordered.iter().position(|item| item.id() == after);
        let at = at.ok_or_else(|| invalid("after", "no item of this response has this id"))?;
        ordered.drain(..=at);
    }
    let has_more = ordered.len() > limit;
    ordered.truncate(limit);
    Ok(HttpResponse::Ok().json(ItemList::new(&ordered, has_more)))
}
