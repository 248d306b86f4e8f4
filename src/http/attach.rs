//! Streams that are there already: `GET /api/chat/{id}` and requests that are sent again.

use std::time::Duration;

use actix_web::http::Version;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use tidegate_protocol::{ErrorKind, Failure, FieldFault, StreamId};

use super::answering::{Manner, whole};
use super::anthropic::Anthropic;
use super::arrival::Arrival;
use super::caller::identify;
use super::error::ApiError;
use super::event_stream::LiveAnswer;
use super::native::Native;
use super::offer::Here;
use super::ollama::OllamaChat;
use super::openai::OpenAi;
use super::responses;
use super::resume::{EventId, LAST_EVENT_ID};
use super::worker::Worker;
use crate::access::Caller;
use crate::stream::{NotKept, Part, Standing, Subscription};
use crate::telemetry::AccessRecord;

/// The stream that answers, where that has another id than the request.
pub const STREAM_ID: HeaderName = HeaderName::from_static("x-stream-id");
/// Whether the stream was there before the request.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How the answers of a dialect are given to their clients.
fn manner_of(dialect: &str) -> Option<Manner> {
    [
        Manner::of::<Native>(),
        Manner::of::<OpenAi>(),
        Manner::of::<Anthropic>(),
        Manner::of::<OllamaChat>(),
        responses::MANNER,
    ]
    .into_iter()
    .find(|manner| manner.name == dialect)
}

/// Where a client takes a stream up, and how it is given to it.
pub(super) struct Reader {
    pub part: Part,
    pub after: u64,
    pub version: Version,
    pub record: AccessRecord,
}

#[derive(Deserialize, Default)]
struct Asked {
    after: Option<String>,
    observe: Option<String>,
}

/// `GET /api/chat/{id}`: what follows an event of a stream, to its end. Without one, all of it. Who
/// observes changes nothing: neither how fast it goes, nor whether it ends when its client leaves.
///
/// # Errors
/// [`ErrorKind::NotFound`] for an unknown id, a malformed one and another's; [`ErrorKind::Gone`] for
/// what is kept no longer; [`ErrorKind::InvalidRequest`] for a place that there is not;
/// [`ErrorKind::ConnectionLimit`] where too many read it.
pub async fn resume(
    http: HttpRequest,
    payload: Payload,
    id: Path<String>,
    here: Here,
    worker: Data<Worker>,
) -> Result<HttpResponse, ApiError<Native>> {
    let caller = identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let arrival = Arrival::of(&http)?;
    let id: StreamId = id.parse().map_err(|_| Failure::from(NotKept::Unknown))?;
    let asked = Query::<Asked>::from_query(http.query_string());
    let asked = asked.map(Query::into_inner).unwrap_or_default();
    let part = match asked.observe.as_deref() {
        None | Some("false") => Part::Client,
        Some("true") => Part::Observer,
        Some(_) => return Err(fault("observe", "must be true or false").into()),
    };
    let after = place(&http, asked.after.as_deref(), id)?;
    let reader = Reader { part, after, version: http.version(), record: arrival.record };
    Ok(take_up(id, reader, payload, &caller, &worker).await?)
}

/// Where to go on: the query is asked first, since `EventSource` sends its header by itself.
fn place(http: &HttpRequest, after: Option<&str>, id: StreamId) -> Result<u64, Failure> {
    let header = http.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let (field, text) = match after {
        Some(after) => ("after", after),
        None => match header {
            Some(header) if !header.is_empty() => ("last-event-id", header),
            _ => return Ok(0),
        },
    };
    let event = EventId::parse(text);
    let number = match event {
        Some(event) if event.stream == id => Some(event.number),
        Some(_) => None,
        None => text.parse().ok(),
    };
    number.ok_or_else(|| fault(field, "must be the id of an event of this stream, or its number"))
}

fn fault(field: &str, message: &str) -> Failure {
    let (field, message) = (field.to_owned(), message.to_owned());
    Failure::invalid(vec![FieldFault { field, message }])
}

/// Answers with what follows in a stream that is kept.
///
/// # Errors
/// As [`resume`].
pub(super) async fn take_up(
    id: StreamId,
    reader: Reader,
    payload: Payload,
    caller: &Caller,
    worker: &Worker,
) -> Result<HttpResponse, Failure> {
    match worker.journals.attach(id, caller, reader.part, reader.after) {
        // `EventSource` asks again and again, unless it is told that there is nothing.
        Err(NotKept::NothingLeft) => Ok(HttpResponse::NoContent().finish()),
        Err(not_kept) => Err(not_kept.into()),
        Ok((standing, subscription)) => {
            given(&standing, subscription, reader, payload, worker).await
        }
    }
}

/// A stream that was there already, as the response to a request that did not begin it.
///
/// # Errors
/// The failure that an unstreamed answer ends in.
pub(super) async fn given(
    standing: &Standing,
    subscription: Subscription,
    reader: Reader,
    payload: Payload,
    worker: &Worker,
) -> Result<HttpResponse, Failure> {
    let manner = manner_of(standing.dialect)
        .ok_or_else(|| Failure::new(ErrorKind::Internal, "the stream's dialect is not known"))?;
    let Reader { after, version, record, .. } = reader;
    record.reads(standing.id);
    let heartbeat = worker.heartbeat();
    let mut response = if standing.streams {
        let words = manner.last_words;
        let answer = LiveAnswer::new(standing.id, heartbeat, None, subscription, words, record);
        let answer = answer.behind(after).numbered(standing.numbered);
        (manner.stream)(answer.within(write_limit(version, worker)))
    } else {
        whole(subscription, payload, heartbeat, &record).await?
    };
    name(&mut response, standing.id);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Over HTTP/1 the kernel limits how long a client may take nothing.
pub(super) fn write_limit(version: Version, worker: &Worker) -> Option<Duration> {
    (version == Version::HTTP_2).then_some(worker.write_timeout)
}

/// Names the stream in the response's head.
pub(super) fn name(response: &mut HttpResponse, id: StreamId) {
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(STREAM_ID, id);
    }
}
