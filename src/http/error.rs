//! Failures as responses: the one place that knows both error kinds and status codes.

use std::fmt;
use std::marker::PhantomData;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use tidegate_protocol::{ErrorKind, Failure};

use super::dialect::Dialect;

/// OpenAI's SDKs, and those made like them, go by it before they go by the status.
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The status code of a kind of failure.
#[must_use]
pub fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::UpstreamRejected => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound | ErrorKind::ModelNotFound => StatusCode::NOT_FOUND,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::RateLimited
        | ErrorKind::Capacity
        | ErrorKind::ConnectionLimit
        | ErrorKind::QueueFull
        | ErrorKind::UpstreamRateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::QueueTimeout
        | ErrorKind::NoTarget
        | ErrorKind::Draining
        | ErrorKind::Drained
        | ErrorKind::UpstreamOverloaded => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::UpstreamUnreachable
        | ErrorKind::UpstreamUnauthorized
        | ErrorKind::UpstreamNotFound
        | ErrorKind::UpstreamError
        | ErrorKind::UpstreamProtocol
        | ErrorKind::Truncated => StatusCode::BAD_GATEWAY,
        // 499: the client closed the request. Seen only when somebody else cancelled it.
        ErrorKind::Cancelled | ErrorKind::TooSlow => {
            StatusCode::from_u16(499).unwrap_or(StatusCode::CONFLICT)
        }
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether SDKs are kept from asking again. The gateway has asked as often as is good for the
/// upstream, which may have worked on the request; three tries of an SDK would multiply that. What
/// the gateway itself refused has cost nobody anything and may well be asked again.
fn is_final(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NoTarget
            | ErrorKind::UpstreamUnreachable
            | ErrorKind::UpstreamTimeout
            | ErrorKind::UpstreamRateLimited
            | ErrorKind::UpstreamOverloaded
            | ErrorKind::UpstreamRejected
            | ErrorKind::UpstreamNotFound
            | ErrorKind::UpstreamUnauthorized
            | ErrorKind::UpstreamError
            | ErrorKind::UpstreamProtocol
            | ErrorKind::Truncated
            | ErrorKind::Cancelled
            | ErrorKind::Internal
    )
}

/// A failure as a response in the dialect `D`.
pub struct ApiError<D> {
    pub failure: Failure,
    dialect: PhantomData<D>,
}

impl<D> From<Failure> for ApiError<D> {
    fn from(failure: Failure) -> Self {
        Self { failure, dialect: PhantomData }
    }
}

impl<D> fmt::Debug for ApiError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.failure, f)
    }
}

impl<D> fmt::Display for ApiError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.failure, f)
    }
}

impl<D: Dialect> ResponseError for ApiError<D> {
    fn status_code(&self) -> StatusCode {
        status_of(self.failure.kind)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        failure_response::<D>(&self.failure)
    }
}

/// The response that tells `failure` in the dialect `D`.
#[must_use]
pub fn failure_response<D: Dialect>(failure: &Failure) -> HttpResponse {
    let status = status_of(failure.kind);
    let mut response = HttpResponse::build(status);
    if let Some(seconds) = failure.retry_after_seconds {
        response.insert_header((RETRY_AFTER, seconds));
    }
    if is_final(failure.kind) {
        response.insert_header((SHOULD_RETRY, "false"));
    }
    if failure.kind == ErrorKind::Unauthorized {
        response.insert_header((WWW_AUTHENTICATE, "Bearer"));
    }
    let mut response =
        response.content_type("application/json").body(D::error_body(failure, status.as_u16()));
    response.extensions_mut().insert(failure.kind);
    response
}

/// 405 with the methods that would do.
#[must_use]
pub fn method_not_allowed<D: Dialect>(allowed: &'static str) -> HttpResponse {
    let failure =
        Failure::new(ErrorKind::MethodNotAllowed, format!("this endpoint answers {allowed} only"));
    let mut response = failure_response::<D>(&failure);
    let value = actix_web::http::header::HeaderValue::from_static(allowed);
    response.headers_mut().insert(ALLOW, value);
    response
}
