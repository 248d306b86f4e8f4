//! What a request's handler and body tell the access line.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::allowance::Headers;
use tidegate_protocol::{ErrorKind, StreamId};

use crate::access::Caller;
use crate::stream::Closing;

/// When a request arrived and what it is called; in the request's extensions.
#[derive(Clone)]
pub struct Arrival {
    pub id: StreamId,
    pub at: Instant,
    pub note: AccessNote,
}

/// What a handler tells the access line.
#[derive(Clone, Default)]
pub struct AccessNote(Rc<RefCell<Noted>>);

/// What has been noted so far.
#[derive(Default)]
pub struct Noted {
    pub owner: Option<Arc<str>>,
    pub client: Option<IpAddr>,
    pub model: Option<String>,
    pub outcome: Option<&'static str>,
    pub failure: Option<ErrorKind>,
    pub tokens: Option<u64>,
    /// How much the caller may still ask; told with every response to it.
    pub allowance: Headers,
}

impl AccessNote {
    pub fn caller(&self, caller: &Caller) {
        let mut noted = self.0.borrow_mut();
        noted.owner = Some(Arc::clone(&caller.owner));
        noted.client = caller.address;
    }

    pub fn allowance(&self, headers: Headers) {
        self.0.borrow_mut().allowance = headers;
    }

    pub fn model(&self, model: &str) {
        self.0.borrow_mut().model = Some(model.to_owned());
    }

    /// A stream was opened; unless its end is noted, the client left before it, and `goes_on` says
    /// whether the answer did not end thereby.
    pub fn opened(&self, goes_on: bool) {
        self.0.borrow_mut().outcome = Some(if goes_on { "client_left" } else { "cancelled" });
    }

    pub fn ended(&self, closing: &Closing) {
        let mut noted = self.0.borrow_mut();
        noted.outcome = Some(closing.outcome.as_str());
        noted.failure = closing.failure.as_ref().map(|failure| failure.kind);
        noted.tokens = Some(closing.tokens);
    }

    /// Reads what has been noted.
    pub fn read<T>(&self, reader: impl FnOnce(&Noted) -> T) -> T {
        reader(&self.0.borrow())
    }
}
