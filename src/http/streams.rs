//! The live streams: list them, end one.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tidegate_protocol::{ErrorKind, Failure, StreamId};

use super::caller::identify;
use super::error::ApiError;
use super::native::Native;
use super::offer::Here;
use crate::registry::Directory;
use crate::stream::StreamInfo;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamList {
    /// Streams of the whole gateway.
    active_count: usize,
    stats: Stats,
    /// Those that the caller may see, oldest first.
    streams: Vec<StreamInfo>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    max_streams: usize,
    queued: usize,
    connecting: usize,
    waiting: usize,
    streaming: usize,
    bytes_buffered: usize,
}

/// `GET /api/chat/streams`
///
/// # Errors
/// [`ErrorKind::Unauthorized`]; [`ErrorKind::Forbidden`] for who could be a page of another site, since
/// whoever knows a stream's id may read it.
pub async fn list(
    http: HttpRequest,
    here: Here,
    directory: Data<Directory>,
) -> Result<HttpResponse, ApiError<Native>> {
    here.names.check(&http)?;
    let caller = identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let streams = directory.list(&caller).await;
    let count = |state: &str| streams.iter().filter(|stream| stream.state == state).count();
    let stats = Stats {
        max_streams: directory.cap().limit(),
        queued: count("queued"),
        connecting: count("connecting"),
        waiting: count("waiting"),
        streaming: count("streaming"),
        bytes_buffered: streams.iter().map(|stream| stream.bytes_buffered).sum(),
    };
    let active_count = directory.cap().active();
    Ok(HttpResponse::Ok().json(StreamList { active_count, stats, streams }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled {
    success: bool,
    request_id: String,
}

/// `DELETE /api/chat/{id}`
///
/// # Errors
/// [`ErrorKind::NotFound`], the same for an unknown id, a malformed one and another's.
pub async fn cancel(
    http: HttpRequest,
    id: Path<String>,
    here: Here,
    directory: Data<Directory>,
) -> Result<HttpResponse, ApiError<Native>> {
    let caller = identify(&http, here.admission.keys(), &here.limits.proxies)?;
    let not_found = || Failure::new(ErrorKind::NotFound, "no live stream has this id");
    let id: StreamId = id.parse().map_err(|_| not_found())?;
    if !directory.cancel(id, caller).await {
        return Err(not_found().into());
    }
    Ok(HttpResponse::Ok().json(Cancelled { success: true, request_id: id.to_string() }))
}
