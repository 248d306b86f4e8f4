//! The ways from a client to the upstream: directly, through nginx, through the gateway.

use crate::script::Dialect;
use crate::script::Dialect::{Anthropic, Native, Ollama, OpenAi, Responses};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Nothing,
    Nginx,
    /// The gateway, with so many workers, each on a core of its own.
    Gateway(usize),
}

/// A way, and what is spoken at its ends.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub name: &'static str,
    pub via: Via,
    pub client: Dialect,
    pub upstream: Dialect,
    /// Whether the client may come back, so that all it is sent is kept.
    pub kept: bool,
}

impl Route {
    const fn new(name: &'static str, via: Via, client: Dialect, upstream: Dialect) -> Self {
        Self { name, via, client, upstream, kept: false }
    }

    /// Whether client and upstream speak the same.
    pub fn is_relayed(&self) -> bool {
        self.client == self.upstream
    }

    /// The model the gateway knows the upstream's dialect by.
    pub const fn model(&self) -> &'static str {
        match self.upstream {
            Ollama => "ollama",
            _ => "openai",
        }
    }
}

pub const DIRECT_OPENAI: Route = Route::new("direct, OpenAI", Via::Nothing, OpenAi, OpenAi);
pub const DIRECT_OLLAMA: Route = Route::new("direct, Ollama", Via::Nothing, Ollama, Ollama);
pub const NGINX_OPENAI: Route = Route::new("nginx, OpenAI", Via::Nginx, OpenAi, OpenAi);
pub const NGINX_OLLAMA: Route = Route::new("nginx, Ollama", Via::Nginx, Ollama, Ollama);
pub const RELAYED: Route = through("OpenAI from OpenAI, relayed", OpenAi, OpenAi);
pub const NATIVE_OPENAI: Route = through("native from OpenAI", Native, OpenAi);
pub const NATIVE_OLLAMA: Route = through("native from Ollama", Native, Ollama);
pub const OPENAI_OLLAMA: Route = through("OpenAI from Ollama", OpenAi, Ollama);
pub const RELAYED_TWO: Route = Route::new("relayed, two workers", Via::Gateway(2), OpenAi, OpenAi);
/// The same as [`RELAYED`], for clients that may come back.
pub const RELAYED_KEPT: Route =
    Route { kept: true, ..through("OpenAI from OpenAI, kept", OpenAi, OpenAi) };
pub const NATIVE_TWO: Route =
    Route::new("native from OpenAI, two workers", Via::Gateway(2), Native, OpenAi);

/// Through the gateway with one worker.
const fn through(name: &'static str, client: Dialect, upstream: Dialect) -> Route {
    Route::new(name, Via::Gateway(1), client, upstream)
}

/// Those that a gateway's route is compared with: nginx, and nothing between.
pub const fn baselines(upstream: Dialect) -> (Route, Route) {
    match upstream {
        Ollama => (NGINX_OLLAMA, DIRECT_OLLAMA),
        _ => (NGINX_OPENAI, DIRECT_OPENAI),
    }
}

/// What every workload runs on, to either upstream: what the others are compared with stands first.
pub const TO_OPENAI: [Route; 6] = [
    NGINX_OPENAI,
    RELAYED,
    NATIVE_OPENAI,
    through("Anthropic from OpenAI", Anthropic, OpenAi),
    through("Responses from OpenAI", Responses, OpenAi),
    through("Ollama from OpenAI", Ollama, OpenAi),
];
pub const TO_OLLAMA: [Route; 6] = [
    NGINX_OLLAMA,
    through("Ollama from Ollama, relayed", Ollama, Ollama),
    NATIVE_OLLAMA,
    OPENAI_OLLAMA,
    through("Anthropic from Ollama", Anthropic, Ollama),
    through("Responses from Ollama", Responses, Ollama),
];

/// All of them.
pub fn proxies() -> impl Iterator<Item = Route> {
    TO_OPENAI.into_iter().chain(TO_OLLAMA)
}
/// What latencies and rates are compared with.
pub const DIRECT: [Route; 2] = [DIRECT_OPENAI, DIRECT_OLLAMA];
pub const TWO_WORKERS: [Route; 2] = [RELAYED_TWO, NATIVE_TWO];
