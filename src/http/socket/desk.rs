//! What becomes of the messages of a socket's client.

use actix_web::http::Version;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Data;
use bytestring::ByteString;
use serde_json::value::RawValue;
use tidegate_protocol::native::socket::{self, Command, Malformed, Start, fault};
use tidegate_protocol::{Failure, FieldFault, StreamId};

use super::Sockets;
use super::feed::{Feed, Feeds};
use super::visitor::Visitor;
use crate::access::Caller;
use crate::http::answering::{Followed, Manner};
use crate::http::arrival::Arrival;
use crate::http::chat::Arrived;
use crate::http::dialect::Dialect;
use crate::http::error::status_of;
use crate::http::event_stream::LiveAnswer;
use crate::http::native::Native;
use crate::http::offer::Here;
use crate::http::worker::Worker;
use crate::registry::Directory;
use crate::stream::{NotKept, Part};
use crate::telemetry::AccessRecord;
use crate::telemetry::access::Came;
use crate::telemetry::logging::request_span;
use crate::telemetry::trace::Trace;

/// The path under which a request is compared with others of its kind: its like may come by POST.
const PATH: &str = "/api/chat";
/// The headers of `POST /api/chat` that say something about one request.
const HEADERS: [&str; 6] = [
    "idempotency-key",
    "x-on-disconnect",
    "x-priority",
    "x-queue-timeout-ms",
    "x-session-id",
    "x-target",
];

/// How the kind of a message is spelt that cannot be told.
const UNKNOWN: &str = "unknown";

/// What a client is answered.
pub enum Reply {
    Message(ByteString),
    /// It is sent this stream from now on.
    Feed(Box<Feed>),
}

/// Takes the messages of one socket.
pub struct Desk {
    worker: Data<Worker>,
    directory: Data<Directory>,
    sockets: Data<Sockets>,
    visitor: Visitor,
    feeds: Feeds,
    /// Where the socket is part of one, and all that is asked over it.
    trace: Option<Trace>,
}

impl Desk {
    /// A visitor that is not known has to say who it is first.
    #[must_use]
    pub fn new(
        worker: Data<Worker>,
        directory: Data<Directory>,
        sockets: Data<Sockets>,
        visitor: Visitor,
        trace: Option<Trace>,
    ) -> Self {
        let feeds = Feeds::new(sockets.settings.max_streams);
        Self { worker, directory, sockets, visitor, feeds, trace }
    }

    #[must_use]
    pub fn knows_its_caller(&self) -> bool {
        self.visitor.is_known()
    }

    /// Answers a message.
    pub async fn answer(&mut self, text: &str) -> Option<Reply> {
        let command = match Command::decode(text) {
            Ok(command) => command,
            Err(Malformed { kind, name, failure }) => {
                self.record_refusal(kind.unwrap_or(UNKNOWN), &failure);
                return Some(Self::refused(kind, name.as_deref(), &failure));
            }
        };
        let (kind, name) = (command.kind(), command.name().map(str::to_owned));
        let has_record = matches!(command, Command::Start(_) | Command::Resume { .. });
        match self.act(command).await {
            Ok(reply) => reply,
            Err(failure) => {
                if !has_record {
                    self.record_refusal(kind, &failure);
                }
                Some(Self::refused(Some(kind), name.as_deref(), &failure))
            }
        }
    }

    /// A message that asks for no answer has a record only if it is refused.
    fn record_refusal(&self, kind: &'static str, failure: &Failure) {
        let record = self.arrival(kind).record;
        if let Some(caller) = self.visitor.last_known() {
            record.caller(&caller.owner, caller.address);
        }
        record.failed(failure.kind);
    }

    fn refused(to: Option<&'static str>, name: Option<&str>, failure: &Failure) -> Reply {
        let status = status_of(failure.kind).as_u16();
        Reply::Message(socket::refused(to, name, status, failure))
    }

    async fn act(&mut self, command: Command) -> Result<Option<Reply>, Failure> {
        let here = self.worker.here();
        match command {
            Command::Authenticate { key } => {
                self.visitor.authenticate(&key, &here)?;
                Ok(Some(Reply::Message(socket::authenticated())))
            }
            Command::Start(start) => {
                let arrival = self.arrival("start");
                let admission = self.start(arrival.clone(), start, &here);
                let started = arrival.admitted_by(admission).await;
                started.map(Some).inspect_err(|failure| arrival.record.failed(failure.kind))
            }
            Command::Resume { name, stream, after, window } => {
                let arrival = self.arrival("resume");
                let record = arrival.record.clone();
                let resumed = self.resume(arrival, name, stream, (after, window), &here);
                resumed.map(Some).inspect_err(|failure| record.failed(failure.kind))
            }
            Command::Ack { name, number } => {
                self.feeds.find(&name)?.acknowledge(number)?;
                Ok(None)
            }
            Command::Cancel { name } => {
                let stream = self.feeds.find(&name)?.stream;
                // Its end is told by its own last event.
                self.directory.cancel(stream, self.visitor.caller(&here)?).await;
                Ok(None)
            }
            Command::Leave { name } => {
                self.feeds.leave(&name)?;
                Ok(Some(Reply::Message(socket::left(&name))))
            }
        }
    }

    /// A request that comes as a message.
    fn arrival(&self, command: &'static str) -> Arrival {
        let (id, log) = (self.worker.new_id(), &self.sockets.access_log);
        let arrival = Arrival::now(id, log, self.trace.clone(), request_span());
        arrival.record.over(Came::Socket(command));
        arrival
    }

    async fn start(
        &mut self,
        arrival: Arrival,
        start: Start,
        here: &Here,
    ) -> Result<Reply, Failure> {
        let Start { name, request, headers, window } = start;
        let caller = self.visitor.caller(here)?;
        arrival.caller(&caller);
        self.feeds.check(&name)?;
        let record = arrival.record.clone();
        let followed = self.open(arrival, caller, &request, &headers, here).await?;
        Ok(self.follow(name, followed, 0, window, record))
    }

    /// As `POST /api/chat` does it.
    async fn open(
        &self,
        arrival: Arrival,
        caller: Caller,
        request: &RawValue,
        headers: &[(String, String)],
        here: &Here,
    ) -> Result<Followed, Failure> {
        here.admission.pace(&caller)?;
        let headers = header_map(headers)?;
        let body = request.get().as_bytes();
        let arrived = Arrived::new(arrival, caller, &headers, Version::HTTP_11)?;
        let arrived = arrived.asking(PATH, body, here);
        let request = Native::decode(body, &here.limits.chat)?;
        if !request.stream {
            return Err(fault("stream", "must not be false: a socket carries events"));
        }
        let manner = Manner::of::<Native>();
        let encoder = Native::encoder;
        let opened = arrived.open(request, &manner, encoder, here, &self.worker).await?;
        opened.followed()
    }

    fn resume(
        &mut self,
        arrival: Arrival,
        name: String,
        stream: StreamId,
        (after, window): (u64, Option<u32>),
        here: &Here,
    ) -> Result<Reply, Failure> {
        let caller = self.visitor.caller(here)?;
        arrival.caller(&caller);
        self.feeds.check(&name)?;
        let Some(followed) = self.find(&caller, stream, after, &arrival.record)? else {
            return Ok(Reply::Message(socket::left(&name)));
        };
        Ok(self.follow(name, followed, after, window, arrival.record))
    }

    /// What follows in a stream; nothing where all of it was read.
    fn find(
        &self,
        caller: &Caller,
        stream: StreamId,
        after: u64,
        record: &AccessRecord,
    ) -> Result<Option<Followed>, Failure> {
        let found = self.worker.journals.attach(stream, caller, Part::Client, after);
        let (standing, subscription) = match found {
            Err(NotKept::NothingLeft) => return Ok(None),
            found => found?,
        };
        record.reads(standing.id);
        if standing.dialect != Native::NAME || !standing.streams {
            let message = "is no stream of native events: GET /api/chat/{id} gives it";
            return Err(fault("stream", message));
        }
        Ok(Some(Followed { stream: standing.id, subscription }))
    }

    fn follow(
        &self,
        name: String,
        followed: Followed,
        after: u64,
        window: Option<u32>,
        record: AccessRecord,
    ) -> Reply {
        let Followed { stream, subscription } = followed;
        let (heartbeat, words) = (self.worker.heartbeat(), Native::last_words);
        let answer = LiveAnswer::new(stream, heartbeat, None, subscription, words, record);
        Reply::Feed(Box::new(self.feeds.follow(name, answer, after, window)))
    }
}

/// # Errors
/// For names that mean nothing here and values that no header may have; all of them at once.
fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::new();
    let mut faults = Vec::new();
    for (name, value) in headers {
        let known = HEADERS.into_iter().find(|known| known.eq_ignore_ascii_case(name));
        let mut wrong = |message: String| {
            faults.push(FieldFault { field: "headers".to_owned(), message });
        };
        match (known, HeaderValue::from_str(value)) {
            (None, _) => wrong(format!("may hold {}", HEADERS.join(", "))),
            (Some(known), Err(_)) => wrong(format!("{known} must be plain text")),
            (Some(known), Ok(value)) => map.append(HeaderName::from_static(known), value),
        }
    }
    if faults.is_empty() { Ok(map) } else { Err(Failure::invalid(faults)) }
}
