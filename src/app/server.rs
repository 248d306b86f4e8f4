//! The listeners and what runs on them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_service::ServiceFactoryExt;
use actix_tls::accept::TlsError;
use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::RETRY_AFTER;
use actix_web::middleware::{Condition, from_fn};
use actix_web::web::Data;
use actix_web::{App, Error, HttpServer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tracing_actix_web::TracingLogger;

use super::connections::{Connections, plain, tls};
use super::launch;
use super::parts::Parts;
use crate::config;
use crate::http::allowance;
use crate::http::answering::IGNORED_FIELDS;
use crate::http::attach::{REPLAYED, STREAM_ID};
use crate::http::error::SHOULD_RETRY;
use crate::http::host::require_host;
use crate::http::observe::{CLIENT_REQUEST_ID, REQUEST_ID, Scheme, observe};
use crate::http::ollama_routes::at_the_root;
use crate::http::queue::QUEUE_PLACE;
use crate::http::rebinding::refuse_rebound;
use crate::http::routes;
use crate::telemetry::logging::HttpSpan;

/// Connections waiting to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// What the kernel may hold of a response beyond what is on its way. Without a bound it is what
/// `net.ipv4.tcp_wmem` allows, 4 MiB mostly, for each client that does not read.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 64 * 1024;
/// How long responses may take to reach their clients once every stream has ended.
const FLUSH_SECONDS: u64 = 1;
const METRICS_WORKERS: usize = 1;
/// As log lines of actix call it.
const NAME: &str = "gateway";

/// Binds a socket whose connections notice a client that is gone.
///
/// A client that takes no bytes, or does not even acknowledge them, is dropped by the kernel
/// after `write_timeout` (`TCP_USER_TIMEOUT`); one that vanished while nothing was being written
/// is found by keep-alive probes. What waits for a client in the kernel is bounded
/// (`TCP_NOTSENT_LOWAT`). Accepted connections inherit all of it (tcp(7)).
///
/// # Errors
/// When the address cannot be bound.
pub fn bind(address: SocketAddr, write_timeout: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // The kernel counts these in whole seconds, and refuses none.
    let seconds = |share: Duration| share.max(Duration::from_secs(1));
    let probes = TcpKeepalive::new()
        .with_time(seconds(write_timeout / 2))
        .with_interval(seconds(write_timeout / 6));
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        socket.set_tcp_user_timeout(Some(write_timeout))?;
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A listener of clients, and what it speaks.
pub struct Entrance {
    pub listener: TcpListener,
    pub surface: Surface,
}

/// What a listener offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All there is.
    All,
    /// Ollama's API at the root.
    Ollama,
}

/// The main server, with all its listeners. Not running until it is polled.
///
/// Made of the parts of actix-web's `HttpServer`, which has no place for the
/// [guard](super::guard) of its connections.
///
/// # Errors
/// When TLS material cannot be used or a listener cannot be taken over.
pub fn main_server(entrances: Vec<Entrance>, parts: &Arc<Parts>) -> io::Result<Server> {
    let settings = &parts.config.server;
    let mut server = Server::build()
        .workers(worker_count(settings.workers))
        .disable_signals()
        .shutdown_timeout(FLUSH_SECONDS)
        .max_concurrent_connections(settings.max_connections);
    let shutdown = server.graceful_shutdown_signal();
    let secure = settings.tls.as_ref().map(tls_config).transpose()?;
    for Entrance { listener, surface } in entrances {
        let local = listener.local_addr()?;
        let (parts, shutdown) = (Arc::clone(parts), shutdown.clone());
        let connections = move |parts: &Parts| {
            let (settings, shutdown) = (parts.config.server.clone(), shutdown.clone());
            Connections { settings, local, shutdown }
        };
        server = match secure.clone() {
            Some(config) => server.listen(NAME, listener, move || {
                let http = connections(&parts).http(app(&parts, surface));
                tls(config.clone()).and_then(http.map_err(TlsError::Service))
            })?,
            None => server.listen(NAME, listener, move || {
                plain().and_then(connections(&parts).http(app(&parts, surface)))
            })?,
        };
    }
    Ok(server.run())
}

/// The app of one worker.
fn app(
    parts: &Parts,
    surface: Surface,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .app_data(launch::worker_here(parts))
        .app_data(Data::from(Arc::clone(&parts.offers)))
        .app_data(Data::from(Arc::clone(&parts.store)))
        .app_data(Data::from(Arc::clone(&parts.journals)))
        .app_data(Data::from(Arc::clone(&parts.sockets)))
        .app_data(Data::from(Arc::clone(&parts.console)))
        .app_data(Data::new(parts.directory.clone()))
        .app_data(Data::new(parts.metrics.clone()))
        .app_data(Data::new(parts.access_log.clone()))
        .app_data(Data::new(parts.otlp.tracing()))
        .app_data(Data::new(parts.draining.clone()))
        .app_data(Scheme::of(parts.config.server.tls.is_some()))
        .wrap(from_fn(refuse_rebound))
        .wrap(from_fn(require_host))
        .wrap(cors(&parts.config.server.cors))
        // What is asked for a browser's permission counts as any other request does.
        .wrap(from_fn(observe))
        .wrap(TracingLogger::<HttpSpan>::new())
        .wrap(Condition::new(surface == Surface::Ollama, from_fn(at_the_root)))
        .configure(|app| {
            if let Some(path) = settings_metrics_path(&parts.config) {
                routes::configure_metrics(app, &path);
            }
            routes::configure(app);
        })
}

/// The metrics' own server, for networks that clients do not reach.
///
/// # Errors
/// When the listener cannot be taken over.
pub fn metrics_server(listener: TcpListener, parts: &Arc<Parts>) -> io::Result<Server> {
    let shared = Arc::clone(parts);
    let server = HttpServer::new(move || {
        let parts = &shared;
        App::new()
            .app_data(Data::from(Arc::clone(&parts.journals)))
            .app_data(Data::from(Arc::clone(&parts.offers)))
            .app_data(Data::new(parts.directory.clone()))
            .app_data(Data::new(parts.metrics.clone()))
            .configure(|app| routes::configure_metrics(app, &parts.config.metrics.path))
    })
    .workers(METRICS_WORKERS)
    .disable_signals()
    .shutdown_timeout(FLUSH_SECONDS)
    .listen(listener)?;
    Ok(server.run())
}

fn settings_metrics_path(config: &config::Config) -> Option<String> {
    let metrics = &config.metrics;
    (metrics.enabled && metrics.listen.is_none()).then(|| metrics.path.clone())
}

fn worker_count(configured: usize) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => count,
    }
}

/// Browsers of the allowed origins may call everything; others get no CORS headers at all.
fn cors(settings: &config::Cors) -> Condition<Cors> {
    let mut cors = Cors::default()
        .allowed_methods(["GET", "POST", "DELETE"])
        // SDKs send headers of their own making, and no cookie is ever looked at.
        .allow_any_header()
        .expose_headers([REQUEST_ID, CLIENT_REQUEST_ID, RETRY_AFTER, SHOULD_RETRY, IGNORED_FIELDS])
        .expose_headers([STREAM_ID, REPLAYED])
        .expose_headers(allowance::OPENAI)
        .expose_headers(allowance::ANTHROPIC)
        .expose_headers(QUEUE_PLACE)
        .max_age(usize::try_from(settings.max_age.as_secs()).unwrap_or(usize::MAX));
    for origin in &settings.allowed_origins {
        cors = match origin.as_str() {
            "*" => cors.allow_any_origin().send_wildcard(),
            origin => cors.allowed_origin(origin),
        };
    }
    Condition::new(!settings.allowed_origins.is_empty(), cors)
}

fn tls_config(tls: &config::Tls) -> io::Result<rustls::ServerConfig> {
    let unusable = |what: &str, error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("the TLS {what}: {error}"))
    };
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable("certificate", &error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| unusable("key", &error))?;
    rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unusable("certificate and key", &error))
}
