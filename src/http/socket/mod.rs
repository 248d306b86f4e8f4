//! `GET /api/ws`: many streams over one WebSocket, by the messages of
//! [`tidegate_protocol::native::socket`].
//!
//! - `places`: how many sockets there may be. `origin`: which pages may open one; `visitor`: who has.
//! - `conversation`: the two halves of a socket, reading and writing.
//! - `desk`: what becomes of a client's messages.
//! - `feed`: one stream as it is sent over a socket.

mod conversation;
mod desk;
mod feed;
pub(super) mod origin;
mod places;
pub(super) mod visitor;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tidegate_protocol::{ErrorKind, Failure};

use super::arrival::Arrival;
use super::caller::{client_address, identify, presented};
use super::error::ApiError;
use super::native::Native;
use super::offer::Here;
use super::status::Draining;
use super::worker::Worker;
use crate::config::{self, Secret};
use crate::registry::Directory;
use crate::telemetry::{AccessLog, Metrics};
use conversation::Conversation;
use desk::Desk;
use places::Places;
use visitor::Visitor;

/// What all sockets of a gateway share.
pub struct Sockets {
    settings: config::WebSocket,
    /// Of pages that may open one, besides the gateway's own.
    allowed_origins: Vec<String>,
    places: Places,
    draining: Draining,
    access_log: AccessLog,
}

impl Sockets {
    #[must_use]
    pub fn new(
        config: &config::Config,
        draining: Draining,
        metrics: &Metrics,
        access_log: AccessLog,
    ) -> Self {
        Self {
            settings: config.websocket.clone(),
            allowed_origins: config.server.cors.allowed_origins.clone(),
            places: Places::new(config.websocket.max_sockets, metrics.websockets.clone()),
            draining,
            access_log,
        }
    }
}

/// `GET /api/ws`: opens a socket. A client that sends no key in its head sends it as its first
/// message.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for what is no handshake over HTTP/1.1; [`ErrorKind::Forbidden`]
/// for a page of another origin; [`ErrorKind::Unauthorized`] for a wrong key;
/// [`ErrorKind::ConnectionLimit`] and [`ErrorKind::Draining`].
pub async fn connect(
    http: HttpRequest,
    payload: Payload,
    here: Here,
    worker: Data<Worker>,
    directory: Data<Directory>,
    sockets: Data<Sockets>,
) -> Result<HttpResponse, ApiError<Native>> {
    origin::check(&http, &sockets.allowed_origins)?;
    let keys: Vec<_> = presented(http.headers()).map(|key| Secret::new(key.to_owned())).collect();
    let comes_later = here.admission.keys().is_on() && keys.is_empty();
    let caller = if comes_later {
        None
    } else {
        Some(identify(&http, here.admission.keys(), &here.limits.proxies)?)
    };
    if sockets.draining.is_on() {
        let message = "the gateway is shutting down and opens no sockets";
        return Err(Failure::new(ErrorKind::Draining, message).into());
    }
    let place = sockets.places.take()?;
    let (response, session, messages) = actix_ws::handle(&http, payload).map_err(|error| {
        let message = format!("this endpoint speaks WebSocket over HTTP/1.1: {error}");
        Failure::new(ErrorKind::InvalidRequest, message)
    })?;
    let address = client_address(&http, &here.limits.proxies);
    let conversation = Conversation {
        session,
        place,
        heartbeat: worker.heartbeat(),
        auth_timeout: sockets.settings.auth_timeout,
        message_bytes: here.limits.body.bytes,
        draining: sockets.draining.clone(),
    };
    let visitor = Visitor::new(keys, address, caller, here.generation);
    let trace = Arrival::of(&http)?.trace;
    let desk = Desk::new(worker, directory, sockets, visitor, trace);
    actix_rt::spawn(conversation.hold(messages, desk));
    Ok(response)
}
