//! A running gateway, from start to shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::generation::Generation;
use super::parts::Parts;
use super::probing::Probing;
use super::reload::Reloader;
use super::server::{Entrance, Surface};
use super::{discovery, server, watch};
use crate::backend::Reachability;
use crate::config::{Config, Origin};
use crate::registry::{Directory, Drain};
use crate::stream::Journals;
use crate::telemetry::access::CannotWrite;
use crate::telemetry::otlp::{Otlp, OtlpError};
use crate::telemetry::{AccessLog, Metrics, ReloadResult};

/// How often a shutdown looks whether the last stream has ended.
const DRAIN_POLL: Duration = Duration::from_millis(10);
/// How long streams may take to say their last event once they are told to. It takes milliseconds,
/// but on a machine that is out of breath.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long the last access records may take to be written, and so the last spans.
const LAST_RECORDS: Duration = Duration::from_secs(2);

/// How often it is looked for streams that have been kept for long enough.
const FORGETTING: Duration = Duration::from_secs(5);

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot serve: {0}")]
    Serve(#[from] io::Error),
    #[error(transparent)]
    AccessLog(#[from] CannotWrite),
    #[error(transparent)]
    Otlp(#[from] OtlpError),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A running gateway.
pub struct Gateway {
    parts: Arc<Parts>,
    reloader: Reloader,
    address: SocketAddr,
    ollama_address: Option<SocketAddr>,
    metrics_address: Option<SocketAddr>,
    servers: Vec<ServerHandle>,
    tasks: Vec<actix_rt::task::JoinHandle<()>>,
    watching: Option<actix_rt::task::JoinHandle<()>>,
}

impl Gateway {
    /// Starts a gateway in the running actix system.
    ///
    /// # Errors
    /// When an address cannot be bound or TLS material cannot be used.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        // Only fails when somebody was faster, who chose a provider then.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let models = discovery::models(&config).await;
        let metrics = Metrics::new(true)?;
        let first = Generation::first(config, models, &metrics);
        let otlp = Otlp::start(&first.config.otlp, &metrics.otlp)?;
        let Config { access_log, metrics: served, .. } = &first.config;
        let access_log = AccessLog::start(access_log, &served.path, &metrics, &otlp)?;
        let parts = Arc::new(Parts::build(metrics, access_log, otlp, &first));
        parts.metrics.reload.in_force(first.number);
        check_open_files(&parts.config);

        let settings = &parts.config.server;
        let listener = listen((settings.host, settings.port).into(), settings.write_timeout)?;
        let address = listener.local_addr()?;
        let mut entrances = vec![Entrance { listener, surface: Surface::All }];
        let mut ollama_address = None;
        if let Some(wanted) = parts.config.ollama.listen {
            let listener = listen(wanted, settings.write_timeout)?;
            ollama_address = Some(listener.local_addr()?);
            entrances.push(Entrance { listener, surface: Surface::Ollama });
        }
        let main = server::main_server(entrances, &parts)?;
        let mut gateway = Self {
            servers: vec![main.handle()],
            tasks: vec![run(main)],
            watching: None,
            metrics_address: None,
            ollama_address,
            address,
            reloader: Reloader::new(Arc::clone(&parts), first, Probing::default()),
            parts,
        };
        gateway.start_metrics()?;
        let mut running = gateway.reloader.running.clone().lock_owned().await;
        running.probing = Probing::begin(&running.generation).await;
        let journals = Arc::clone(&gateway.parts.journals);
        gateway.tasks.push(actix_rt::spawn(forget_old_journals(journals)));
        if gateway.parts.console.is_on() {
            gateway.tasks.push(actix_rt::spawn(Arc::clone(&gateway.parts.console).run()));
        }
        gateway.announce(&running.generation);
        Ok(gateway)
    }

    fn start_metrics(&mut self) -> Result<(), StartError> {
        let metrics = &self.parts.config.metrics;
        let Some(address) = metrics.listen.filter(|_| metrics.enabled) else { return Ok(()) };
        let listener = listen(address, self.parts.config.server.write_timeout)?;
        self.metrics_address = Some(listener.local_addr()?);
        let server = server::metrics_server(listener, &self.parts)?;
        self.servers.push(server.handle());
        self.tasks.push(run(server));
        Ok(())
    }

    /// Has the configuration read again from where it came, at SIGHUP and when its file changes; `seen`
    /// is what stood in the file.
    pub fn watch(&mut self, origin: Origin, seen: Option<String>) {
        let watching = watch::watch(self.reloader.clone(), origin, seen);
        self.watching = Some(actix_rt::spawn(watching));
    }

    /// Puts another configuration in force, while streams go on as they began.
    pub async fn reload(&self, config: Config) -> ReloadResult {
        self.reloader.apply(config).await
    }

    /// How many configurations are at work: the one in force, and those that streams still run on.
    pub async fn generations(&self) -> usize {
        self.reloader.generations().await
    }

    /// Tells in a few lines what runs here.
    fn announce(&self, generation: &Generation) {
        let Config { server, auth, metrics, .. } = &generation.config;
        let scheme = if server.tls.is_some() { "https" } else { "http" };
        let active = generation.offer.listed.catalog.active().map(|model| model.name.as_str());
        for part in generation.parts.iter() {
            let model = &part.model;
            let (name, active) = (&model.name, active == Some(model.name.as_str()));
            for (target, part) in model.targets.iter().zip(&part.targets) {
                let (provider, base_url) = (target.provider.as_str(), &target.base_url);
                let target = &target.name;
                if let Reachability::Unreachable(why) = &part.health.get() {
                    tracing::warn!(
                        name,
                        target,
                        provider,
                        active,
                        base_url,
                        why,
                        "model is NOT reachable"
                    );
                } else {
                    tracing::info!(name, target, provider, active, base_url, "model is reachable");
                }
            }
        }
        match auth.keys.len() {
            0 => tracing::info!("auth is off: everybody who reaches this address may use it"),
            keys => tracing::info!(keys, "auth is on"),
        }
        let metrics_at = match (metrics.enabled, self.metrics_address) {
            (false, _) => "off".to_owned(),
            (true, Some(address)) => format!("http://{address}{}", metrics.path),
            (true, None) => format!("{scheme}://{}{}", self.address, metrics.path),
        };
        self.ollama_address.iter().for_each(|address| announce_ollama(scheme, *address));
        let url = format!("{scheme}://{}", self.address);
        tracing::info!(
            metrics = metrics_at,
            max_streams = server.max_streams,
            "listening on {url}"
        );
    }

    /// Where the gateway listens; the port is the real one when any was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for Ollama's clients alone.
    #[must_use]
    pub fn ollama_address(&self) -> Option<SocketAddr> {
        self.ollama_address
    }

    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.parts.directory
    }

    /// Shuts down: not ready, no new streams, running ones finish within the grace or get an
    /// explicit end.
    pub async fn shutdown(self) {
        let Parts { draining, directory, metrics, cap, .. } = &*self.parts;
        draining.begin();
        self.watching.iter().for_each(actix_rt::task::JoinHandle::abort);
        metrics.draining.set(1);
        directory.drain(Drain::StopAdmitting).await;
        tracing::info!(streams = cap.active(), "draining");
        let grace = self.reloader.running.lock().await.generation.config.server.drain_grace;
        self.wait_for_streams(grace).await;
        let left = cap.active();
        if left > 0 {
            tracing::warn!(streams = left, "the grace is over; ending the streams that still run");
            self.reloader.running.lock().await.close();
            directory.drain(Drain::EndAll).await;
            self.wait_for_streams(LAST_WORDS).await;
        }
        self.parts.console.close();
        futures::future::join_all(self.servers.iter().map(|server| server.stop(true))).await;
        for task in &self.tasks {
            task.abort();
        }
        let parts = Arc::clone(&self.parts);
        // What waits for disks and collectors must not hold up the last responses of other gateways.
        let last = actix_rt::task::spawn_blocking(move || {
            parts.access_log.flush(LAST_RECORDS);
            parts.otlp.shutdown(LAST_RECORDS);
        });
        let _ = last.await;
        tracing::info!("stopped");
    }

    async fn wait_for_streams(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.parts.cap.active() > 0 && Instant::now() < deadline {
            sleep(DRAIN_POLL).await;
        }
    }
}

/// What is old goes on time, though nobody asks for anything.
async fn forget_old_journals(journals: Arc<Journals>) {
    let mut ticks = tokio::time::interval(FORGETTING);
    loop {
        ticks.tick().await;
        journals.forget_old(std::time::Instant::now());
    }
}

fn announce_ollama(scheme: &str, address: SocketAddr) {
    tracing::info!("listening for Ollama's clients on {scheme}://{address}");
}

fn listen(
    address: SocketAddr,
    write_timeout: Duration,
) -> Result<std::net::TcpListener, StartError> {
    server::bind(address, write_timeout).map_err(|source| StartError::Listen { address, source })
}

fn run(server: actix_web::dev::Server) -> actix_rt::task::JoinHandle<()> {
    actix_rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "a server stopped");
        }
    })
}

/// Each stream takes two sockets: raises the soft limit as far as it goes, and says so when that
/// is not enough for the cap.
fn check_open_files(config: &Config) {
    let needed = config.server.max_streams as u64 * 2 + 64;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < needed => tracing::warn!(
            limit,
            needed,
            max_streams = config.server.max_streams,
            "too few open files are allowed for the cap of streams: raise `ulimit -n`"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files is not known"),
    }
}

/// Resolves when the process is asked to stop.
pub async fn shutdown_signal() -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
