//! Error bodies.

use serde::Serialize;

use crate::error::{Failure, FieldFault};

/// A failure as clients are told it.
#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    error: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail<'a>>,
}

/// A faulty field of the request.
#[derive(Serialize)]
struct Detail<'a> {
    field: &'a str,
    message: &'a str,
}

impl<'a> From<&'a FieldFault> for Detail<'a> {
    fn from(fault: &'a FieldFault) -> Self {
        Self { field: &fault.field, message: &fault.message }
    }
}

impl<'a> From<&'a Failure> for ErrorBody<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            error: failure.kind.code(),
            message: &failure.message,
            details: failure.details.iter().map(Detail::from).collect(),
        }
    }
}

/// A failure as the body of a response.
#[must_use]
pub fn error_body(failure: &Failure) -> Vec<u8> {
    // Strings only: there is nothing that could fail.
    serde_json::to_vec(&ErrorBody::from(failure)).unwrap_or_default()
}
