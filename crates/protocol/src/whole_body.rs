//! An upstream's answer that comes as one JSON document.

use bytes::{Bytes, BytesMut};
use serde::de::IgnoredAny;

use crate::error::{ErrorKind, Failure};

/// Collects a body up to a bound.
#[derive(Debug)]
pub(crate) struct WholeBody {
    max_bytes: usize,
    body: BytesMut,
}

impl WholeBody {
    /// A larger body is a failure.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, body: BytesMut::new() }
    }

    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`] when the body outgrows its bound.
    pub fn take(&mut self, read: Bytes) -> Result<(), Failure> {
        if read.len() > self.max_bytes.saturating_sub(self.body.len()) {
            let message = format!("the upstream's answer is larger than {} bytes", self.max_bytes);
            return Err(Failure::new(ErrorKind::UpstreamProtocol, message));
        }
        if self.body.is_empty() {
            // The common case of one read: taken over without copying where nobody else holds it.
            self.body = BytesMut::from(read);
        } else {
            self.body.extend_from_slice(&read);
        }
        Ok(())
    }

    /// The body at its end. `read` understands its text, which begins as an object.
    ///
    /// # Errors
    /// What is wrong with it when `read` gives nothing: mostly it was cut.
    pub fn end<T>(&mut self, read: impl FnOnce(&str) -> Option<T>) -> Result<(T, Bytes), Failure> {
        let body = std::mem::take(&mut self.body).freeze();
        let text = std::str::from_utf8(&body).ok();
        let text = text.filter(|text| text.trim_ascii_start().starts_with('{'));
        match text.and_then(read) {
            Some(found) => Ok((found, body)),
            None => Err(fault(&body)),
        }
    }
}

fn fault(body: &[u8]) -> Failure {
    match serde_json::from_slice::<IgnoredAny>(body) {
        Err(error) if error.is_eof() => {
            Failure::new(ErrorKind::Truncated, "the upstream's answer ends before its end")
        }
        _ => malformed(),
    }
}

pub(crate) fn malformed() -> Failure {
    Failure::new(ErrorKind::UpstreamProtocol, "the upstream sent JSON that cannot be understood")
}
