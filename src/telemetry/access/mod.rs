//! One record for each request: who asked, what for, who answered, and what became of it.
//!
//! A request is over when its answer is, and so is the stream that it began: a client may leave before
//! its stream ends, and a stream may end before its client has read it. Both hold the record, and it is
//! written when the last of them lets it go.
//!
//! - [`record`]: what is known of a request. [`log`]: where it goes.

mod log;
mod record;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_protocol::{ErrorKind, Outcome, StreamId, Usage};

pub use log::{AccessLog, CannotWrite};
pub use record::Came;
use record::{Access, Generated, Read};

use super::trace::Trace;

/// The record of one request, while it is not over; clones are the same one.
#[derive(Clone)]
pub struct AccessRecord(Arc<Open>);

struct Open {
    access: Mutex<Access>,
    log: AccessLog,
}

/// What a stream begins with, for its request's record.
#[derive(Debug)]
pub struct Begun {
    pub operation: &'static str,
    pub dialect: &'static str,
    pub provider: &'static str,
    /// None where there is a choice.
    pub target: Option<Arc<str>>,
}

/// What became of a stream, for its request's record.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub outcome: Outcome,
    pub failure: Option<ErrorKind>,
    pub attempts: u32,
    pub continuations: u32,
    /// None where its turn never came.
    pub queue_wait: Option<Duration>,
    pub time_to_first_token: Option<Duration>,
    /// From the request's arrival to the stream's end.
    pub duration: Duration,
    pub usage: Option<Usage>,
    pub chunks: u64,
}

impl Ended {
    /// As the upstream reports them.
    fn prompt_tokens(&self) -> Option<u64> {
        self.usage.map(|usage| usage.prompt_tokens)
    }

    /// As the upstream reports them, else chunks passed on.
    fn completion_tokens(&self) -> u64 {
        self.usage.map_or(self.chunks, |usage| usage.completion_tokens)
    }
}

impl AccessRecord {
    #[must_use]
    pub fn open(log: &AccessLog, id: StreamId, arrived: Instant) -> Self {
        let access = Mutex::new(Access::of(id, arrived));
        Self(Arc::new(Open { access, log: log.clone() }))
    }

    /// The id that its client knows it by.
    pub fn client_request_id(&self, id: &str) {
        self.lock().client_request_id = Some(id.to_owned());
    }

    pub fn traced(&self, trace: Trace) {
        self.lock().trace = Some(trace);
    }

    pub fn caller(&self, owner: &Arc<str>, address: Option<IpAddr>) {
        let mut access = self.lock();
        access.owner = Some(Arc::clone(owner));
        access.client = address;
    }

    pub fn model(&self, model: &str) {
        self.lock().model = Some(model.to_owned());
    }

    /// The model of the configuration that is asked, once that is known.
    #[must_use]
    pub fn asked_model(&self) -> Option<String> {
        self.lock().model.clone()
    }

    /// It is answered from the stream of another request.
    pub fn reads(&self, stream: StreamId) {
        self.lock().reads = Some(Read { stream, outcome: None });
    }

    /// The answer ended, as its reader was told. What its own stream has to say of it stands already,
    /// but where a reader is sent away from a stream that goes on.
    pub fn told(&self, outcome: Outcome, failure: Option<ErrorKind>) {
        let mut access = self.lock();
        if let Some(read) = &mut access.reads {
            read.outcome = Some(outcome);
        }
        access.failure = access.failure.or(failure);
    }

    /// It was refused, or its answer failed.
    pub fn failed(&self, failure: ErrorKind) {
        self.lock().failure.get_or_insert(failure);
    }

    /// Why there was no answer, or no more of it.
    #[must_use]
    pub fn failure(&self) -> Option<ErrorKind> {
        self.lock().failure
    }

    /// How it came and what it was answered; it is over but for its stream.
    pub fn over(&self, came: Came) {
        self.lock().came = Some(came);
    }

    /// A stream begins that answers it.
    pub fn begun(&self, begun: Begun) {
        self.lock().stream = Some(Generated { begun, answered_by: None, ended: None });
    }

    pub fn asked(&self, target: &Arc<str>, provider: &'static str) {
        if let Some(stream) = &mut self.lock().stream {
            stream.begun.target = Some(Arc::clone(target));
            stream.begun.provider = provider;
        }
    }

    /// Another model answers, or goes on with the answer.
    pub fn answered_by(&self, model: &Arc<str>) {
        if let Some(stream) = &mut self.lock().stream {
            stream.answered_by = Some(Arc::clone(model));
        }
    }

    /// The stream is over.
    pub fn ended(&self, ended: Ended) {
        let mut access = self.lock();
        let access = &mut *access;
        access.failure = access.failure.or(ended.failure);
        if let Some(stream) = &mut access.stream {
            stream.ended = Some(ended);
        }
    }

    /// What it holds cannot be left half done.
    fn lock(&self) -> MutexGuard<'_, Access> {
        self.0.access.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let access = self.access.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = access.failure {
            self.log.count(failure);
        }
        self.log.write(access);
    }
}
