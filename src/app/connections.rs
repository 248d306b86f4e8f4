//! From accepted sockets to requests: what actix-web's `HttpServer` does, and around each
//! connection the [guard](super::guard), for which that has no place.

use std::fmt::Debug;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_http::body::MessageBody;
use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_rt::net::TcpStream;
use actix_server::GracefulShutdownSignal;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service,
    map_config,
};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::Error;
use actix_web::dev::AppConfig;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use super::guard::{Counted, unless_it_spins};
use crate::config;

/// How long a connection may take to close once it is to.
const CLOSE_TIME: Duration = Duration::from_secs(1);
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A connection, what is spoken on it, and with whom.
pub type Accepted<T> = (Counted<T>, Protocol, Option<SocketAddr>);

/// Takes in connections over TCP.
pub fn plain() -> impl ServiceFactory<
    TcpStream,
    Config = (),
    Response = Accepted<TcpStream>,
    Error = DispatchError,
    InitError = (),
> {
    fn_service(|io: TcpStream| {
        let _ = io.set_nodelay(true);
        let peer = io.peer_addr().ok();
        ready(Ok((Counted::new(io), Protocol::Http1, peer)))
    })
}

/// Takes in connections over TLS, in the version of HTTP that the client prefers.
pub fn tls(
    mut config: ServerConfig,
) -> impl ServiceFactory<
    TcpStream,
    Config = (),
    Response = Accepted<TlsStream<TcpStream>>,
    Error = TlsError<io::Error, DispatchError>,
    InitError = (),
> {
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Acceptor::new(config).map_err(TlsError::into_service_error).and_then(
        |io: TlsStream<TcpStream>| {
            let (tcp, session) = io.get_ref();
            let _ = tcp.set_nodelay(true);
            let peer = tcp.peer_addr().ok();
            let protocol = match session.alpn_protocol() {
                Some(b"h2") => Protocol::Http2,
                _ => Protocol::Http1,
            };
            ready(Ok((Counted::new(io), protocol, peer)))
        },
    )
}

/// How one worker serves connections.
pub struct Connections {
    pub settings: config::Server,
    pub local: SocketAddr,
    pub shutdown: GracefulShutdownSignal,
}

impl Connections {
    /// Serves `app` over what was taken in.
    pub fn http<T, A, S, B>(
        self,
        app: A,
    ) -> impl ServiceFactory<
        Accepted<T>,
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<T, A, S, B>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
        A: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<Error>,
        S::InitError: Debug,
        S::Response: Into<Response<B>> + 'static,
        B: MessageBody + 'static,
    {
        let Self { settings, local, shutdown } = self;
        let app = app.into_factory().map_err(|error| error.into().error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let shutdown = shutdown.clone();
                async move { shutdown.notified().await }
            })
            .keep_alive(settings.keep_alive)
            .client_request_timeout(settings.header_timeout)
            .client_disconnect_timeout(CLOSE_TIME)
            // Without this a client's close is missed while nothing is being written to it.
            .h1_allow_half_closed(false)
            .h1_write_buffer_size(settings.write_buffer_bytes)
            .local_addr(local)
            .on_connect_ext(|connection: &Counted<T>, extensions| {
                extensions.insert(connection.ahead());
            })
            .finish(map_config(app, |()| AppConfig::default()));
        apply_fn_factory(http, |accepted: Accepted<T>, http: &_| {
            let moved = accepted.0.moved();
            unless_it_spins(Box::pin(Service::call(http, accepted)), moved)
        })
    }
}
