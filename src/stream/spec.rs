//! All that is needed to open a stream.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Recipient;
use tidegate_protocol::{Encoder, Framing, Request, StreamId};

use super::journals::Claim;
use crate::backend::{Claimant, Generate};
use crate::config::Disconnect;
use crate::routing::Need;
use crate::telemetry::trace::Trace;
use crate::telemetry::{AccessRecord, ModelMetrics};

/// What stays the same over a stream's life and is shown of it.
#[derive(Debug, Clone)]
pub struct StreamMeta {
    pub id: StreamId,
    pub model: String,
    pub provider: &'static str,
    /// The target that is asked; of several none at first.
    pub target: Option<Arc<str>>,
    pub dialect: &'static str,
    /// Whose stream it is; checked at every look-up.
    pub owner: Arc<str>,
    pub client: Option<IpAddr>,
    /// When the request arrived.
    pub arrived: Instant,
    /// Of the request; what is logged of its stream is logged within it.
    pub log_span: tracing::Span,
}

/// A stream to be opened.
pub struct StreamSpec {
    pub meta: StreamMeta,
    /// How long the request's body took to come.
    pub upload: Duration,
    pub request: Arc<Request>,
    /// What it needs of a target.
    pub need: Need,
    /// How its turn is decided where the model is busy.
    pub claimant: Claimant,
    /// Writes in the client's dialect.
    pub encoder: Box<dyn Encoder>,
    /// Shared, since a recipient's clone is two allocations.
    pub backend: Arc<Recipient<Generate>>,
    pub metrics: Arc<ModelMetrics>,
    /// Of the request.
    pub record: AccessRecord,
    /// Where the request is part of a trace.
    pub trace: Option<Trace>,
    pub disconnect: Disconnect,
    /// Beyond so many bytes that the client has not taken, the upstream waits.
    pub buffer_bytes: usize,
    /// An unstreamed answer is collected up to here.
    pub answer_bytes: usize,
    /// How it is kept, if it is.
    pub keeping: Option<Keeping>,
}

/// How a stream is kept for clients that come back to it.
#[derive(Debug, Clone)]
pub struct Keeping {
    pub streams: bool,
    /// Whether its events carry ids, though its dialect has none.
    pub numbered: bool,
    /// What a frame is, so that each has a number.
    pub framing: Framing,
    /// By what else than its id it is found.
    pub claims: Vec<Claim>,
}
