//! The configuration: defaults, then a TOML file, then environment variables.
//!
//! A section file has a plain struct and a `read` that names each key once, with its default and
//! what it allows. Reading never stops at the first fault: all are listed at once, each with the
//! key, the value found, what is allowed and where the value stands. The same pass records every
//! setting in effect and its source.
//!
//! # Layout
//! - [`server`], [`chat`], [`models`], [`health`], [`metrics`], [`otlp`], [`log`], `access_log`, [`auth`],
//!   [`rate_limits`], [`queue`], [`responses`], [`journal`], [`websocket`], [`console`],
//!   [`discovery`], [`reload`]: the sections.
//! - [`targets`]: the upstreams of a model; `routing`, how they share its requests.
//! - `retries`, `disconnect`, `takeover`: a model's further policies.
//! - `model_list`, `target_list`, `credentials`: how the file and the environment make up the models.
//! - `section`, `nesting`: reading keys and sections; `kind`: what keys take, in code and words.
//! - `document`, `environment`, `raw`: where values come from.
//! - `origin`: where it comes from, to be read again; `change`: what differs then.
//! - [`fault`], [`report`], `suggest`: what is found on the way.
//! - [`secret`], `url`: values with rules of their own.

mod access_log;
pub mod auth;
mod change;
pub mod chat;
pub mod console;
mod credentials;
mod disconnect;
pub mod discovery;
mod document;
mod environment;
pub mod fault;
pub mod health;
pub mod journal;
mod kind;
pub mod log;
pub mod metrics;
mod model_list;
pub mod models;
mod nesting;
mod origin;
pub mod otlp;
pub mod queue;
pub mod rate_limits;
mod raw;
pub mod reload;
pub mod report;
pub mod responses;
mod retries;
mod routing;
pub mod secret;
mod section;
pub mod server;
mod suggest;
mod takeover;
mod target_list;
mod targets;
#[cfg(test)]
mod tests;
mod url;
pub mod websocket;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use access_log::AccessLog;
pub use auth::{ApiKey, Auth};
pub use change::{Change, needs_restart};
pub use chat::Chat;
pub use console::Console;
pub use disconnect::{Disconnect, OnDisconnect};
pub use discovery::Ollama;
pub use fault::{Fault, Faults, Problem, Source};
pub use health::{Ejection, Health};
pub use journal::Journal;
pub use log::{Log, LogFormat, LogLevel};
pub use metrics::Metrics;
pub use models::{Model, ModelType, Timeouts};
pub use origin::Origin;
pub use otlp::{Header, Otlp};
pub use queue::{Priority, QueueLimits, Weights};
pub use rate_limits::RateLimits;
pub use reload::Reload;
pub use report::{Effective, Shown};
pub use responses::Responses;
pub use retries::Retries;
pub use routing::{Cause, Policy, Routing, StickyBy};
pub use secret::Secret;
pub use server::{Cors, Server, Tls};
pub use takeover::{Continuation, Hedging, SlowGuard};
pub use targets::{Abilities, Price, ProviderKind, Target};
pub use url::is_authority;
pub use websocket::WebSocket;

use document::Document;
use environment::Environment;
use report::Report;
use section::{Section, Sources};

/// How faults cite a text that is not a file.
const TEXT_NAME: &str = "tidegate.toml";

/// The settings of a gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub server: Server,
    pub chat: Chat,
    /// Empty leaves it to [`ollama`](Self::ollama) to find one.
    pub models: Vec<Model>,
    /// Serves requests that name no model; the first one does if there is none here.
    pub active_model: Option<String>,
    pub ollama: Ollama,
    pub health: Health,
    pub metrics: Metrics,
    pub otlp: Otlp,
    pub log: Log,
    pub access_log: AccessLog,
    pub auth: Auth,
    pub rate_limits: RateLimits,
    /// How the turns of busy models are shared out.
    pub queue: Weights,
    pub responses: Responses,
    pub journal: Journal,
    pub websocket: WebSocket,
    pub reload: Reload,
    pub console: Console,
    /// As it was read, for those who ask what is in effect.
    pub shown: Shown,
}

/// A configuration without faults.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    /// Every setting, whether from the file, the environment or by default.
    pub effective: Arc<[Effective]>,
    /// What is allowed but hardly meant.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// The settings in effect, one a line, each with its source; secrets are hidden.
    #[must_use]
    pub fn render(&self) -> String {
        report::render(&self.effective)
    }
}

impl Config {
    /// Loads the configuration. A `file` must exist; without one, `config/tidegate.toml` is read
    /// if it does.
    ///
    /// # Errors
    /// All faults of the file and the environment at once.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Faults> {
        let origin = Origin::new(file, env);
        origin.load(origin.text()?.as_deref())
    }

    /// Reads a configuration from a text.
    ///
    /// # Errors
    /// All faults of the text and the environment at once.
    pub fn parse(
        text: &str,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Faults> {
        load_text(TEXT_NAME, text, env)
    }

    fn read(root: &mut Section<'_>) -> Self {
        let server = root.section("server", Server::read);
        let models = model_list::read(root);
        let metrics = root.section("metrics", |section| Metrics::read(section, &server));
        let ollama =
            root.section("ollama", |section| Ollama::read(section, &server, &metrics, &models));
        Self {
            active_model: model_list::read_active(root, &models),
            models,
            ollama,
            chat: root.section("chat", Chat::read),
            health: root.section("health", Health::read),
            metrics,
            otlp: root.section("otlp", Otlp::read),
            log: root.section("log", Log::read),
            access_log: root.section("access_log", AccessLog::read),
            auth: root.section("auth", Auth::read),
            rate_limits: root.section("rate_limits", RateLimits::read),
            queue: root.section("queue", Weights::read),
            responses: root.section("responses", Responses::read),
            journal: root.section("journal", Journal::read),
            websocket: root.section("websocket", WebSocket::read),
            reload: root.section("reload", Reload::read),
            console: root.section("console", Console::read),
            // Known once all is read.
            shown: Shown::default(),
            server,
        }
    }
}

fn load_text(
    name: &str,
    text: &str,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Faults> {
    let (mut config, report) = read_text(name, text, env);
    let Report { faults, effective, warnings } = report;
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let effective: Arc<[_]> = effective.into();
    config.shown = Shown(Arc::clone(&effective));
    Ok(Loaded { config, effective, warnings })
}

/// What can be read of it, with the defaults in place of what is wrong.
fn read_text(
    name: &str,
    text: &str,
    env: impl IntoIterator<Item = (String, String)>,
) -> (Config, Report) {
    let mut report = Report::default();
    // What cannot be parsed is a fault, and the rest is read all the same.
    let document = Document::parse(name, text).unwrap_or_else(|fault| {
        report.faults.push(fault);
        Document::empty()
    });
    let environment = Environment::new(env).unwrap_or_else(|error| {
        report.faults.push(origin::unreadable(
            "environment",
            Source::Default,
            &io::Error::other(error),
        ));
        Environment::default()
    });
    let sources = Sources { document: &document, environment: &environment };
    let config = Section::read_root(sources, &mut report, Config::read);
    (config, report)
}
