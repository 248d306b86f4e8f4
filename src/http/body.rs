//! The bounded reading of a request's body: in bytes, and in time, which actix-web leaves open.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::body::{BodyStream, to_bytes_limited};
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, ORIGIN};
use actix_web::web::Payload;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use tidegate_protocol::{ErrorKind, Failure};
use tokio::time::timeout;

use super::ahead::Ahead;
use super::dialect::Dialect;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How large a body may be and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    pub bytes: usize,
    pub time: Duration,
}

/// Reads a JSON body whole. `payload` is left for [`was_reset`].
///
/// # Errors
/// 415, 413, 408 by kind, or [`ErrorKind::InvalidRequest`] when the client broke off.
pub async fn read_json(
    request: &HttpRequest,
    payload: &mut Payload,
    limits: BodyLimits,
) -> Result<Bytes, Failure> {
    require_json(request)?;
    read_whole(request, payload, limits).await
}

/// As [`read_json`], but the body need not say that it is JSON where the dialect's clients do not.
///
/// # Errors
/// As [`read_json`].
pub async fn read_body<D: Dialect>(
    request: &HttpRequest,
    payload: &mut Payload,
    limits: BodyLimits,
) -> Result<Bytes, Failure> {
    if !D::ANY_CONTENT_TYPE || is_from_page(request) {
        require_json(request)?;
    }
    read_whole(request, payload, limits).await
}

async fn read_whole(
    request: &HttpRequest,
    payload: &mut Payload,
    limits: BodyLimits,
) -> Result<Bytes, Failure> {
    if announced_length(request).is_some_and(|length| length > limits.bytes as u64) {
        return Err(too_large(limits.bytes));
    }
    match timeout(limits.time, to_bytes_limited(BodyStream::new(payload), limits.bytes)).await {
        Ok(Ok(Ok(body))) => {
            Ahead::begin(request);
            Ok(body)
        }
        Ok(Ok(Err(_))) => {
            Err(Failure::new(ErrorKind::InvalidRequest, "the body could not be read to its end"))
        }
        Ok(Err(_)) => Err(too_large(limits.bytes)),
        Err(_) => Err(Failure::new(
            ErrorKind::RequestTimeout,
            format!("the body did not arrive within {:?}", limits.time),
        )),
    }
}

/// Whether the client took its request back after its body was read. Over HTTP/2 nothing else
/// tells as long as nothing is written; over HTTP/1 the request's handler is dropped then.
#[must_use]
pub fn was_reset(payload: &mut Payload) -> bool {
    matches!(payload.next().now_or_never(), Some(Some(Err(_))))
}

/// Whether a page in a browser sent it. A page of another site may send a form or plain text
/// unasked, but not JSON, and browsers say on all such requests where they come from.
fn is_from_page(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(ORIGIN) || headers.contains_key(FETCH_SITE)
}

fn require_json(request: &HttpRequest) -> Result<(), Failure> {
    let given = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let lower = essence.to_ascii_lowercase();
    if lower.starts_with("application/") && lower.ends_with("+json") {
        return Ok(());
    }
    Err(Failure::new(
        ErrorKind::UnsupportedMediaType,
        "the body must be JSON and say so: `Content-Type: application/json`",
    ))
}

fn announced_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: usize) -> Failure {
    Failure::new(ErrorKind::PayloadTooLarge, format!("the body is larger than {limit} bytes"))
}
