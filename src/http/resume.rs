//! What a request says about being resumed, and what is kept of its answer for that:
//! `Idempotency-Key`, `X-Resumable` and `Last-Event-ID`.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use actix_web::http::header::{HeaderMap, HeaderName};
use tidegate_protocol::{Failure, FieldFault, Framing, Request, StreamId, Task};

use crate::access::Caller;
use crate::config::Model;
use crate::stream::{Claim, Keeping};
use crate::telemetry::Attached;

/// Names a request across its repetitions (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Whether the client may come back for the answer.
pub const RESUMABLE: HeaderName = HeaderName::from_static("x-resumable");
/// The last event that a client has had, as `EventSource` says it.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A longer key is refused.
const MOST_KEY_BYTES: usize = 255;

/// A place in a stream: behind the event of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    pub stream: StreamId,
    pub number: u64,
}

impl EventId {
    /// Reads an event's id as the gateway writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (stream, number) = text.split_once(':')?;
        Some(Self { stream: stream.parse().ok()?, number: number.parse().ok()? })
    }
}

/// What a request says about being resumed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Resumption {
    pub key: Option<String>,
    resumable: bool,
    /// It is a repetition, from a client that has had this much.
    pub last_event: Option<EventId>,
}

impl Resumption {
    /// Reads the headers.
    ///
    /// # Errors
    /// When one of them says nothing that can be understood; all of them at once.
    pub fn read(headers: &HeaderMap) -> Result<Self, Failure> {
        let mut faults = Vec::new();
        let key = single(headers, &IDEMPOTENCY_KEY, &mut faults, |text| {
            let key = text.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(text);
            let is_key = (1..=MOST_KEY_BYTES).contains(&key.len());
            is_key.then(|| key.to_owned()).ok_or("must be 1 to 255 visible characters")
        });
        let resumable = single(headers, &RESUMABLE, &mut faults, |text| {
            text.parse().map_err(|_| "must be true or false")
        });
        let last_event = single(headers, &LAST_EVENT_ID, &mut faults, |text| {
            let expected = "must be the id of an event as it was sent: a stream, a colon, a number";
            EventId::parse(text).ok_or(expected)
        });
        if !faults.is_empty() {
            return Err(Failure::invalid(faults));
        }
        Ok(Self { key, resumable: resumable.unwrap_or(false), last_event })
    }

    /// Whether the client has said that it may come back.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.resumable || self.key.is_some()
    }
}

/// A header that may come once.
fn single<T>(
    headers: &HeaderMap,
    name: &HeaderName,
    faults: &mut Vec<FieldFault>,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Option<T> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    match text.ok_or("must be there once, in visible ASCII").and_then(read) {
        Ok(value) => Some(value),
        Err(message) => {
            faults
                .push(FieldFault { field: name.as_str().to_owned(), message: message.to_owned() });
            None
        }
    }
}

/// What is asked, as a number that nobody outside can aim at.
#[derive(Debug, Clone, Default)]
pub struct Fingerprints(RandomState);

impl Fingerprints {
    /// Of a body that was sent to a path.
    #[must_use]
    pub fn of(&self, path: &str, body: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        path.hash(&mut hasher);
        body.hash(&mut hasher);
        hasher.finish()
    }
}

/// How an answer's dialect goes with being kept.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// What a frame is.
    pub framing: Framing,
    /// Whether its clients can come back without having said that they may: its events are numbered
    /// as they are.
    pub always: bool,
}

/// What a request says of its being the same as another.
pub struct Asked<'a> {
    pub resumption: &'a Resumption,
    /// Of what is asked, where that is needed.
    pub fingerprint: Option<u64>,
}

impl Asked<'_> {
    /// What is kept of the answer to a request, and by what it is found.
    #[must_use]
    pub fn keeping(
        &self,
        kept: Kept,
        request: &Request,
        model: &Model,
        caller: &Caller,
    ) -> Option<Keeping> {
        let claims: Vec<_> = self
            .by_key(caller)
            .into_iter()
            .chain(self.by_likeness(request, model, caller))
            .collect();
        let (wanted, streams) = (self.resumption.is_wanted(), request.stream);
        let is_kept = !claims.is_empty() || (streams && (wanted || kept.always));
        let numbered = wanted && streams && !kept.always && kept.framing == Framing::Events;
        is_kept.then_some(Keeping { streams, numbered, framing: kept.framing, claims })
    }

    fn by_key(&self, caller: &Caller) -> Option<Claim> {
        let (key, fingerprint) = self.resumption.key.as_ref().zip(self.fingerprint)?;
        let name = format!("key {} {key}", scope(caller));
        Some(Claim { name, fingerprint, by: Attached::ByKey })
    }

    fn by_likeness(&self, request: &Request, model: &Model, caller: &Caller) -> Option<Claim> {
        let fingerprint = self.fingerprint?;
        let name = || format!("same {} {} {fingerprint:016x}", scope(caller), model.name);
        let is_same = model.coalesce && is_deterministic(request);
        is_same.then(|| Claim { name: name(), fingerprint, by: Attached::Coalesced })
    }
}

/// Within this a key means the same. Callers without a key of their own are told apart by address.
fn scope(caller: &Caller) -> String {
    let address = caller.address.map(|address| address.to_string());
    format!("{} {}", caller.owner, address.filter(|_| caller.is_anonymous()).unwrap_or_default())
}

/// Whether the same request gets the same answer.
fn is_deterministic(request: &Request) -> bool {
    let is_zero = |temperature: Option<f64>| temperature == Some(0.0);
    match &request.task {
        Task::Embedding(_) => true,
        Task::Chat(chat) => is_zero(chat.sampling.temperature),
        Task::Completion(completion) => is_zero(completion.sampling.temperature),
    }
}
