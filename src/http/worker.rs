//! The handles that one worker's handlers use to open a stream.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::{Addr, Recipient};
use tidegate_protocol::{Encoder, ErrorKind, Failure, Request, StreamId};
use tokio::sync::watch;

use super::dialect::AnswerContext;
use super::offer::{Here, Offer, Offers};
use crate::admission::Ticket;
use crate::backend::{Claimant, CountTokens, Generate, Lane};
use crate::config::Disconnect;
use crate::registry::{Open, Opened, Registry};
use crate::routing::{Need, Route};
use crate::stream::{Journals, Keeping, StreamMeta, StreamSpec};
use crate::telemetry::trace::Trace;
use crate::telemetry::{AccessRecord, ModelMetrics};

/// One model as a worker reaches it.
pub struct ModelHandle {
    pub backend: Arc<Recipient<Generate>>,
    pub counter: Recipient<CountTokens>,
    /// To be asked what an upstream says of the model.
    pub lane: Rc<Lane>,
    /// Where there is no choice.
    pub only_target: Option<Arc<str>>,
    /// One reference for a stream to take, instead of a dozen that all workers share.
    pub metrics: Arc<ModelMetrics>,
}

/// A stream to be opened, as its handler knows it.
pub(super) struct Opening {
    pub id: StreamId,
    pub arrived: Instant,
    pub upload: Duration,
    pub record: AccessRecord,
    pub trace: Option<Trace>,
    pub log_span: tracing::Span,
    /// As the stream list and logs spell it.
    pub dialect: &'static str,
    /// Writes the answer.
    pub encoder: Box<dyn Encoder>,
    pub disconnect: Disconnect,
    pub keeping: Option<Keeping>,
    pub claimant: Claimant,
    pub need: Need,
}

/// Everything of one stream lives on one worker; these are the ways into it.
pub struct Worker {
    pub index: u8,
    pub registry: Addr<Registry>,
    pub write_timeout: Duration,
    /// Shared by all workers.
    pub journals: Arc<Journals>,
    offers: RefCell<watch::Receiver<Arc<Offer>>>,
    here: RefCell<Here>,
}

impl Worker {
    /// A worker that is to follow `offers`.
    #[must_use]
    pub fn new(
        index: u8,
        registry: Addr<Registry>,
        write_timeout: Duration,
        journals: Arc<Journals>,
        offers: &Offers,
    ) -> Self {
        let mut offers = offers.follow();
        let first = Arc::clone(&offers.borrow_and_update());
        let (here, offers) = (RefCell::new(Here::start(first, None)), RefCell::new(offers));
        Self { index, registry, write_timeout, journals, offers, here }
    }

    /// The offer in force. As long as that is the same, this costs one look at a number.
    #[must_use]
    pub fn here(&self) -> Here {
        let mut offers = self.offers.borrow_mut();
        if offers.has_changed().unwrap_or(false) {
            let latest = Arc::clone(&offers.borrow_and_update());
            // What the old one reached its models by ends with the last stream that uses it.
            let next = Here::start(latest, Some(&self.here.borrow()));
            self.here.replace(next);
        }
        self.here.borrow().clone()
    }

    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        self.here.borrow().streams.heartbeat
    }

    /// An id for a request that arrived on this worker.
    #[must_use]
    pub fn new_id(&self) -> StreamId {
        StreamId::new(self.index, rand::random())
    }

    /// Opens the stream that answers an admitted request.
    ///
    /// # Errors
    /// The cap is reached, or the gateway drains.
    pub(super) async fn open(
        &self,
        here: &Here,
        opening: Opening,
        ticket: Ticket,
        request: Request,
    ) -> Result<Opened, Failure> {
        let Opening {
            id,
            arrived,
            upload,
            record,
            trace,
            log_span,
            dialect,
            encoder,
            disconnect,
            claimant,
            need,
            keeping,
        } = opening;
        let model = &ticket.route.model;
        let handle = here.model(&ticket.route)?;
        let spec = StreamSpec {
            meta: StreamMeta {
                id,
                model: model.name.clone(),
                provider: model.provider(),
                target: handle.only_target.clone(),
                dialect,
                owner: ticket.caller.owner,
                client: ticket.caller.address,
                arrived,
                log_span,
            },
            upload,
            request: Arc::new(request),
            need,
            claimant,
            encoder,
            backend: Arc::clone(&handle.backend),
            metrics: Arc::clone(&handle.metrics),
            record,
            trace,
            disconnect,
            buffer_bytes: here.streams.buffer_bytes,
            answer_bytes: here.streams.answer_bytes,
            keeping,
        };
        let opened = self.registry.send(Open(Box::new(spec))).await;
        opened.map_err(|_| Failure::new(ErrorKind::Internal, "the registry is gone"))?
    }
}

/// What the encoder of this answer must know.
pub(super) fn answer_context<'a>(
    id: StreamId,
    route: &'a Route,
    request: &Request,
) -> AnswerContext<'a> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    AnswerContext {
        id,
        model: &route.model.name,
        relay: route.relays(request),
        created: now.map_or(0, |since| since.as_secs()),
    }
}
