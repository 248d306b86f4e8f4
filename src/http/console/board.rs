//! What all pages share: the last minutes, and the last second in the form in which every page gets
//! it. One task writes it; while no page is open it reads a few counters, and that is all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use bytes::Bytes;
use tidegate_protocol::{ErrorKind, Failure};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::not_there;
use super::second::{Hello, ModelRow, Second, event};
use crate::access::Caller;
use crate::config::{self, Priority};
use crate::http::caller::identify;
use crate::http::offer::{Offer, Offers};
use crate::http::socket::origin;
use crate::http::socket::visitor::Visitor;
use crate::http::status::Draining;
use crate::registry::Directory;
use crate::telemetry::{History, Metrics, Sample};

const SECOND: Duration = Duration::from_secs(1);

/// What a page is told next. Only the last one is kept: a page that is slow misses some.
#[derive(Clone)]
pub(super) enum Update {
    Nothing,
    Second(Bytes),
    /// The gateway stops.
    End,
}

/// What the console looks at.
pub struct Sources {
    pub directory: Directory,
    pub offers: Arc<Offers>,
    pub metrics: Metrics,
    pub draining: Draining,
}

/// The console of one gateway.
pub struct Console {
    settings: config::Console,
    sources: Sources,
    history: Mutex<History>,
    latest: watch::Sender<Update>,
    /// One for each page.
    places: Arc<Semaphore>,
    /// Sees everything, as the pages of admins do.
    eye: Caller,
}

/// A page's place; it is free again when this is dropped.
pub(super) struct Seat {
    pub hello: Bytes,
    pub updates: watch::Receiver<Update>,
    _place: OwnedSemaphorePermit,
}

impl Console {
    #[must_use]
    pub fn new(settings: &config::Console, sources: Sources) -> Self {
        let settings = settings.clone();
        let history = History::new(sources.metrics.clone(), settings.history, Instant::now());
        let (priority, address) = (Priority::default(), None);
        Self {
            sources,
            history: Mutex::new(history),
            latest: watch::Sender::new(Update::Nothing),
            places: Arc::new(Semaphore::new(settings.max_pages)),
            eye: Caller { owner: "console".into(), admin: true, priority, address },
            settings,
        }
    }

    #[must_use]
    pub fn is_on(&self) -> bool {
        self.settings.enabled
    }

    /// Takes a sample every second, and tells the pages that are open.
    pub async fn run(self: Arc<Self>) {
        let mut ticks = interval(SECOND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Not held while it is waited: it would keep an old configuration at work.
            let offer = self.sources.offers.latest();
            let models = offer.listed.fleets.iter().map(|fleet| &fleet.model);
            let sample = self.history().take(Instant::now(), models);
            drop(offer);
            if self.latest.receiver_count() > 0 {
                let second = self.second(&sample).await;
                self.latest.send_if_modified(|update| {
                    let goes_on = !matches!(update, Update::End);
                    if goes_on {
                        *update = Update::Second(second);
                    }
                    goes_on
                });
            }
        }
    }

    /// Tells all pages that the gateway stops. The last streams have been seen to end by then.
    pub fn close(&self) {
        self.latest.send_replace(Update::End);
    }

    async fn second(&self, sample: &Sample) -> Bytes {
        let Sources { directory, offers, draining, .. } = &self.sources;
        let streams = directory.list(&self.eye).await;
        let offer = offers.latest();
        let rows = offer.listed.describe().into_iter().zip(&offer.listed.fleets);
        let second = Second {
            sample,
            draining: draining.is_on(),
            active: directory.cap().active(),
            limit: directory.cap().limit(),
            streams: streams.get(..self.settings.max_streams).unwrap_or(&streams),
            models: rows.map(|(info, fleet)| ModelRow::new(info, &fleet.model)).collect(),
        };
        event("console.second", &second)
    }

    /// Lets in who asks for the console by a name of the gateway's.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it is off, [`ErrorKind::Forbidden`] for pages of other sites.
    pub(super) fn reach(&self, http: &HttpRequest, offer: &Offer) -> Result<(), Failure> {
        if !self.is_on() {
            return Err(not_there());
        }
        offer.names.check(http)
    }

    /// Lets in who may see everything.
    ///
    /// # Errors
    /// As [`reach`](Self::reach); [`ErrorKind::Unauthorized`] without a key where there are some, and
    /// [`ErrorKind::Forbidden`] with one that is not an admin's.
    pub(super) fn admit(&self, http: &HttpRequest, offer: &Offer) -> Result<Caller, Failure> {
        self.reach(http, offer)?;
        if !origin::is_known(http, &[]) {
            let message = "the console is for its own page, and for what is no page";
            return Err(Failure::new(ErrorKind::Forbidden, message));
        }
        let caller = identify(http, offer.admission.keys(), &offer.limits.proxies)?;
        if !caller.admin {
            let message = "this shows the streams of all, and needs an admin's key";
            return Err(Failure::new(ErrorKind::Forbidden, message));
        }
        Ok(caller)
    }

    /// Whether a page that was let in may stay: a key may be taken back.
    pub(super) fn still_admits(&self, visitor: &mut Visitor) -> bool {
        visitor.caller(&self.sources.offers.latest()).is_ok_and(|caller| caller.admin)
    }

    /// A place for one more page.
    ///
    /// # Errors
    /// [`ErrorKind::ConnectionLimit`] where all are taken.
    pub(super) fn seat(&self, caller: &Caller) -> Result<Seat, Failure> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let most = self.settings.max_pages;
            let message = format!("all {most} places of console pages are taken");
            Failure::new(ErrorKind::ConnectionLimit, message).retry_after(Some(1))
        })?;
        // First this, so that no second is missed in between.
        let updates = self.latest.subscribe();
        let history = self.history();
        let samples = history.samples().collect();
        let hello = Hello::new(&caller.owner, self.settings.history, samples);
        let hello = event("console.hello", &hello);
        Ok(Seat { hello, updates, _place: place })
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
