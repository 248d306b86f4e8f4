//! How far a client may send ahead of its answer over HTTP/1.
//!
//! While an answer is under way actix-http reads on, to see its client leave. Once its buffer is full
//! of a further request it reads no more, and does not see that any longer.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use actix_web::HttpRequest;
use actix_web::dev::ServiceRequest;
use actix_web::http::Version;

/// Further requests, to be answered in turn. Less than actix-http's buffer, which holds 128 KiB.
const AHEAD_BYTES: usize = 64 * 1024;

/// What a connection's client may still send before an answer is over, while there is one.
#[derive(Clone, Default)]
pub struct Ahead(Rc<Cell<Option<usize>>>);

impl Ahead {
    /// Counts from now on: the request was read to its end. HTTP/2 bounds it by its windows.
    pub fn begin(request: &HttpRequest) {
        if let Some(ahead) = request.conn_data::<Self>()
            && request.version() < Version::HTTP_2
        {
            ahead.0.set(Some(AHEAD_BYTES));
        }
    }

    /// So much has come.
    ///
    /// # Errors
    /// When it is too much: the connection is to end.
    pub fn take(&self, bytes: usize) -> io::Result<()> {
        let Some(left) = self.0.get() else { return Ok(()) };
        let Some(left) = left.checked_sub(bytes) else {
            tracing::warn!("a connection was dropped: its client sends too far ahead");
            return Err(io::ErrorKind::ConnectionAborted.into());
        };
        self.0.set(Some(left));
        Ok(())
    }
}

/// Dropped with the answer to a request: from then on nothing is counted.
pub struct Answer(Option<Ahead>);

impl Answer {
    #[must_use]
    pub fn to(request: &ServiceRequest) -> Self {
        Self(request.conn_data::<Ahead>().cloned())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(ahead) = &self.0 {
            ahead.0.set(None);
        }
    }
}
