//! The handler of all endpoints that have a model answer, generic over the dialect.

use std::time::{Duration, Instant};

use actix_web::http::Version;
use actix_web::http::header::HeaderMap;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use tidegate_protocol::{Encoder, Failure, Request, StreamId};

use super::answering::{Answering, Live, Manner};
use super::arrival::Arrival;
use super::attach::Reader;
use super::body::{BodyLimits, read_body};
use super::caller::{TrustedProxies, identify};
use super::dialect::{AnswerContext, Dialect};
use super::disconnect::{Wish, disconnect_wish};
use super::error::ApiError;
use super::offer::{Here, Offer};
use super::queue::{QueueWish, queue_wish};
use super::resume::{Asked, EventId, Fingerprints, Resumption};
use super::target::{TargetWish, taken_apart, target_wish};
use super::worker::{Opening, Worker, answer_context};
use crate::access::Caller;
use crate::admission::Admission;
use crate::config::Chat;
use crate::provider::{self, Fit};
use crate::registry::Opened;
use crate::routing::Need;
use crate::routing::need::Asker;
use crate::stream::Part;

/// What bounds a chat request.
pub struct ChatLimits {
    pub body: BodyLimits,
    pub chat: Chat,
    pub proxies: TrustedProxies,
    pub fingerprints: Fingerprints,
}

/// Answers a request for a chat, a completion or embeddings, streamed or whole.
///
/// # Errors
/// Every failure that comes before the first byte of the answer, with the status it deserves.
pub async fn chat<D: Dialect>(
    http: HttpRequest,
    mut payload: Payload,
    here: Here,
    worker: Data<Worker>,
) -> Result<HttpResponse, ApiError<D>> {
    let manner = Manner::of::<D>();
    let arrival = Arrival::of(&http)?;
    let admission = async {
        let (arrived, body) = receive::<D>(arrival.clone(), &http, &mut payload, &here).await?;
        let mut request = D::decode(&body, &here.limits.chat)?;
        drop(body);
        request.model = request.model.map(|name| known_name::<D>(name, &here.admission));
        arrived.open(request, &manner, D::encoder, &here, &worker).await
    };
    let answering = arrival.admitted_by(admission).await?;
    Ok(answering.respond(payload, &manner, &worker).await?)
}

/// A request whose caller is known, and allowed to ask.
pub(super) struct Arrived {
    arrival: Arrival,
    /// How long its body took to come.
    upload: Duration,
    pub caller: Caller,
    wish: Wish,
    resumption: Resumption,
    /// Of what is asked, where that is needed.
    fingerprint: Option<u64>,
    queue: QueueWish,
    target: TargetWish,
    version: Version,
}

/// Takes a request in: who asks, whether it may, and what.
///
/// # Errors
/// Where it may not, or where its body does not come.
pub(super) async fn receive<D: Dialect>(
    arrival: Arrival,
    http: &HttpRequest,
    payload: &mut Payload,
    here: &Here,
) -> Result<(Arrived, Bytes), Failure> {
    let Offer { admission, limits, .. } = &**here;
    let caller = identify(http, admission.keys(), &limits.proxies)?;
    pace::<D>(admission, &caller, &arrival)?;
    let mut arrived = Arrived::new(arrival, caller, http.headers(), http.version())?;
    let asked_for = Instant::now();
    let body = read_body::<D>(http, payload, limits.body).await?;
    arrived.upload = asked_for.elapsed();
    Ok((arrived.asking(http.path(), &body, here), body))
}

impl Arrived {
    /// What its headers say.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] where one of them cannot be understood.
    pub fn new(
        arrival: Arrival,
        caller: Caller,
        headers: &HeaderMap,
        version: Version,
    ) -> Result<Self, Failure> {
        let wish = disconnect_wish(headers)?;
        let resumption = Resumption::read(headers)?;
        let queue = queue_wish(headers)?;
        let target = target_wish(headers)?;
        let (upload, fingerprint) = (Duration::ZERO, None);
        Ok(Self { arrival, upload, caller, wish, resumption, fingerprint, queue, target, version })
    }

    /// Takes note of what is asked, where that is to be compared with other requests.
    #[must_use]
    pub fn asking(mut self, path: &str, body: &[u8], here: &Here) -> Self {
        let is_compared = self.resumption.key.is_some() || here.admission.coalesces();
        self.fingerprint = is_compared.then(|| here.limits.fingerprints.of(path, body));
        self
    }

    /// The id of the stream that will answer.
    pub fn id(&self) -> StreamId {
        self.arrival.id
    }

    /// The answer goes on whatever its client does.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.wish = Wish::detached();
        self
    }

    /// Begins the answer, once the request is understood; `encoder` makes what writes it.
    ///
    /// # Errors
    /// Every failure that comes before an upstream is asked.
    pub async fn open(
        self,
        mut request: Request,
        manner: &Manner,
        encoder: impl FnOnce(&Request, &AnswerContext<'_>) -> Box<dyn Encoder>,
        here: &Here,
        worker: &Worker,
    ) -> Result<Answering, Failure> {
        let admission = &here.admission;
        let Self { arrival, upload, caller, version, resumption, .. } = self;
        let Arrival { id, at, record, trace, log_span, .. } = arrival;
        if let Some(EventId { stream, number }) = resumption.last_event {
            let reader = Reader { part: Part::Client, after: number, version, record };
            return Ok(Answering::Again { stream, caller, reader });
        }
        let claimant = self.queue.of(&caller, admission.keys().is_on());
        let place = claimant.place.clone();
        let target = self.target.naming(take_target(&mut request, admission));
        let ticket = admission.admit(caller, &request)?;
        let route = &ticket.route;
        let model = &route.model;
        record.model(&model.name);
        let Fit { ignored, unfit } = provider::fit(&route.kinds, &request)?;
        let who = Asker { session: target.session.as_deref(), caller: &ticket.caller.owner };
        let need = Need::of(&request, &model.routing, who);
        let need = Need { unfit, target: target.of(model)?, ..need };
        // An upstream of the client's own dialect is asked all the same.
        if !route.relays(&request)
            && let Some(body) = (manner.at_once)(&request, &model.name)
        {
            return Ok(Answering::AtOnce(body));
        }
        let asked = Asked { resumption: &resumption, fingerprint: self.fingerprint };
        let keeping = asked.keeping(manner.kept, &request, model, &ticket.caller);
        let keeping = keeping.filter(|_| worker.journals.limits().is_on());
        let streams = request.stream;
        let kept = keeping.as_ref().map(|keeping| keeping.numbered);
        let comes_back = kept.is_some() && resumption.is_wanted();
        let disconnect = self.wish.within(&model.disconnect, comes_back);
        let encoder = encoder(&request, &answer_context(id, route, &request));
        let dialect = manner.name;
        let opening = Opening {
            id,
            arrived: at,
            upload,
            record: record.clone(),
            trace,
            log_span,
            dialect,
            encoder,
            disconnect,
            claimant,
            need,
            keeping,
        };
        let Opened { subscription, joined } = worker.open(here, opening, ticket, request).await?;
        Ok(match joined {
            Some(standing) => {
                let reader = Reader { part: Part::Client, after: 0, version, record };
                Answering::Joined { standing, subscription, reader }
            }
            None => Answering::Live(Live {
                id,
                subscription,
                streams,
                kept,
                version,
                record,
                place,
                ignored,
            }),
        })
    }
}

/// The name by which the gateway knows the model, where the dialect has another for it.
fn known_name<D: Dialect>(name: String, admission: &Admission) -> String {
    if admission.knows(&name) {
        return name;
    }
    D::other_name(&name).filter(|other| admission.knows(other)).unwrap_or(name)
}

/// The target that the model's name ends with, which is taken off it.
fn take_target(request: &mut Request, admission: &Admission) -> Option<String> {
    let name = request.model.as_deref().filter(|name| !admission.knows(name))?;
    let (model, target) = taken_apart(name).filter(|(model, _)| admission.knows(model))?;
    let (model, target) = (model.to_owned(), target.to_owned());
    request.model = Some(model);
    Some(target)
}

/// Takes one request from the caller's allowance, and has the response tell what is left of it.
///
/// # Errors
/// As [`Admission::pace`].
pub fn pace<D: Dialect>(
    admission: &Admission,
    caller: &Caller,
    arrival: &Arrival,
) -> Result<(), Failure> {
    let paced = admission.pace(caller);
    let left = paced.as_ref().map_or_else(|_| admission.used_up(), |left| *left);
    arrival.allow(left.as_ref().map(D::allowance).unwrap_or_default());
    paced.map(|_| ())
}
