//! Error bodies.

use serde::Serialize;

use crate::error::{Failure, FieldFault};

#[derive(Serialize)]
struct ErrorBody<'a> {
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

/// A failure as the body of a response.
#[must_use]
pub fn error_body(failure: &Failure) -> Vec<u8> {
    let body = ErrorBody {
        error: failure.kind.code(),
        message: &failure.message,
        details: failure.details.iter().map(Detail::from).collect(),
    };
    // Strings only: there is nothing that could fail.
    serde_json::to_vec(&body).unwrap_or_default()
}
