//! What the gateway offers under one configuration, and the one in force.
//!
//! A reload puts another offer in force. A request takes the one that it finds when it arrives, and keeps
//! it: who it is, what bounds it and which model answers are all of the same configuration.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::ErrorInternalServerError;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use tidegate_protocol::{ErrorKind, Failure};
use tokio::sync::watch;

use super::chat::ChatLimits;
use super::models::Models;
use super::rebinding::OwnNames;
use super::worker::{ModelHandle, Worker};
use crate::admission::Admission;
use crate::config::Shown;
use crate::provider::client::HttpClient;
use crate::routing::Route;

/// Starts what reaches the models, with the client before, if it still serves.
pub type Reach = dyn Fn(Option<&HttpClient>) -> Reached + Send + Sync;

/// What bounds each stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    pub buffer_bytes: usize,
    pub answer_bytes: usize,
    pub heartbeat: Duration,
}

/// What the gateway offers under one configuration, on all workers.
pub struct Offer {
    /// The first is 1.
    pub generation: u64,
    pub admission: Admission,
    pub limits: ChatLimits,
    pub streams: StreamLimits,
    pub listed: Models,
    /// By which pages may know the gateway.
    pub names: OwnNames,
    /// The configuration, for those who ask for it.
    pub shown: Shown,
    /// Starts what reaches the models, on the worker that calls it, with the client of the offer before.
    pub reach: Box<Reach>,
}

/// The offer in force.
pub struct Offers(watch::Sender<Arc<Offer>>);

impl Offers {
    #[must_use]
    pub fn new(first: Arc<Offer>) -> Self {
        Self(watch::Sender::new(first))
    }

    /// Puts another in force.
    pub fn renew(&self, offer: Arc<Offer>) {
        self.0.send_replace(offer);
    }

    #[must_use]
    pub fn latest(&self) -> Arc<Offer> {
        Arc::clone(&self.0.borrow())
    }

    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Arc<Offer>> {
        self.0.subscribe()
    }
}

/// The offer in force as this worker has it. Handlers take it first, and only once.
#[derive(Clone)]
pub struct Here(Rc<(Arc<Offer>, Reached)>);

/// What reaches the models of one offer on one worker.
pub struct Reached {
    /// In the catalog's order.
    pub models: Vec<ModelHandle>,
    pub client: HttpClient,
}

impl Here {
    /// Starts what reaches the models of `offer`, where `before` was in force.
    #[must_use]
    pub fn start(offer: Arc<Offer>, before: Option<&Self>) -> Self {
        let reached = (offer.reach)(before.map(|before| &before.0.1.client));
        Self(Rc::new((offer, reached)))
    }

    /// The model that a route leads to.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when it is not on this worker.
    pub fn model(&self, route: &Route) -> Result<&ModelHandle, Failure> {
        self.model_at(route.index).ok_or_else(|| {
            Failure::new(ErrorKind::Internal, "the model has no backend on this worker")
        })
    }

    /// The model at a place in the catalog.
    #[must_use]
    pub fn model_at(&self, place: usize) -> Option<&ModelHandle> {
        self.0.1.models.get(place)
    }
}

impl Deref for Here {
    type Target = Offer;

    fn deref(&self) -> &Offer {
        &self.0.0
    }
}

impl FromRequest for Here {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(http: &HttpRequest, _: &mut Payload) -> Self::Future {
        let worker = http.app_data::<Data<Worker>>();
        let here = worker.map(|worker| worker.here());
        ready(here.ok_or_else(|| ErrorInternalServerError("the app has no worker")))
    }
}
