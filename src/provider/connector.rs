//! How connections to upstreams are made, and how many.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector, ConnectorService};
use actix_web::dev::Service;
use actix_web::http::Uri;
use futures::future::{FutureExt, LocalBoxFuture};

use crate::config::Model;

/// Where no model says how long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// What is known of a host.
#[derive(Default)]
struct Host {
    /// The longest connect time limit of its models.
    limit: Duration,
    /// So many connections were begun.
    connects: Cell<u64>,
}

/// The hosts of a configuration, by authority; clones share them.
#[derive(Clone)]
pub struct Hosts(Rc<HashMap<String, Host>>);

impl Hosts {
    fn of(models: &[Model]) -> Self {
        let mut hosts: HashMap<String, Host> = HashMap::new();
        let targets = models.iter().flat_map(|model| model.targets.iter().map(move |t| (model, t)));
        for (model, target) in targets {
            let uri = target.base_url.parse::<Uri>().ok();
            if let Some(authority) = uri.as_ref().and_then(Uri::authority) {
                let host = hosts.entry(authority.as_str().to_owned()).or_default();
                host.limit = host.limit.max(model.timeouts.connect);
            }
        }
        Self(Rc::new(hosts))
    }

    /// Whether the hosts of `models` are these, with the same time limits.
    pub fn are_those_of(&self, models: &[Model]) -> bool {
        let others = Self::of(models).0;
        let same = |(name, host): (&String, &Host)| {
            others.get(name).is_some_and(|other| other.limit == host.limit)
        };
        self.0.len() == others.len() && self.0.iter().all(same)
    }

    fn get(&self, uri: &Uri) -> Option<&Host> {
        self.0.get(uri.authority()?.as_str())
    }

    /// How many connections to this host were begun so far.
    pub fn connects(&self, uri: &Uri) -> u64 {
        self.get(uri).map_or(0, |host| host.connects.get())
    }
}

/// Connects with a time limit per host and without Nagle's delay, which would hold a request's
/// last bytes back.
#[derive(Clone)]
pub struct UpstreamConnector {
    tcp: ConnectorService,
    pub hosts: Hosts,
    /// Of all hosts' time limits.
    pub longest: Duration,
}

impl UpstreamConnector {
    /// A connector for the hosts of `models`.
    pub fn new(models: &[Model]) -> Self {
        let hosts = Hosts::of(models);
        let longest = hosts.0.values().map(|host| host.limit).max().unwrap_or(CONNECT_TIME);
        Self { tcp: Connector::default().service(), hosts, longest }
    }
}

impl Service<ConnectInfo<Uri>> for UpstreamConnector {
    type Response = Connection<Uri, TcpStream>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let limit = self.hosts.get(info.request()).map_or(self.longest, |host| {
            host.connects.set(host.connects.get() + 1);
            host.limit
        });
        let connecting = tokio::time::timeout(limit, self.tcp.call(info));
        async move {
            let connection = connecting
                .await
                .map_err(|_| ConnectError::Io(io::ErrorKind::TimedOut.into()))??;
            connection.io_ref().set_nodelay(true).map_err(ConnectError::Io)?;
            Ok(connection)
        }
        .boxed_local()
    }
}
