//! The ways from a client to the upstream: directly, through nginx, through the gateway.

use crate::script::Dialect;

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
}

impl Route {
    const fn new(name: &'static str, via: Via, client: Dialect, upstream: Dialect) -> Self {
        Self { name, via, client, upstream }
    }

    /// The model the gateway knows the upstream's dialect by.
    pub const fn model(&self) -> &'static str {
        match self.upstream {
            Dialect::Ollama => "ollama",
            _ => "openai",
        }
    }
}

pub const DIRECT_OPENAI: Route =
    Route::new("direct, OpenAI", Via::Nothing, Dialect::OpenAi, Dialect::OpenAi);
pub const DIRECT_OLLAMA: Route =
    Route::new("direct, Ollama", Via::Nothing, Dialect::Ollama, Dialect::Ollama);
pub const NGINX_OPENAI: Route =
    Route::new("nginx, OpenAI", Via::Nginx, Dialect::OpenAi, Dialect::OpenAi);
pub const NGINX_OLLAMA: Route =
    Route::new("nginx, Ollama", Via::Nginx, Dialect::Ollama, Dialect::Ollama);
pub const RELAYED: Route =
    Route::new("OpenAI from OpenAI, relayed", Via::Gateway(1), Dialect::OpenAi, Dialect::OpenAi);
pub const NATIVE_OPENAI: Route =
    Route::new("native from OpenAI", Via::Gateway(1), Dialect::Native, Dialect::OpenAi);
pub const NATIVE_OLLAMA: Route =
    Route::new("native from Ollama", Via::Gateway(1), Dialect::Native, Dialect::Ollama);
pub const OPENAI_OLLAMA: Route =
    Route::new("OpenAI from Ollama", Via::Gateway(1), Dialect::OpenAi, Dialect::Ollama);
pub const RELAYED_TWO: Route =
    Route::new("relayed, two workers", Via::Gateway(2), Dialect::OpenAi, Dialect::OpenAi);
pub const NATIVE_TWO: Route = Route::new(
    "native from OpenAI, two workers",
    Via::Gateway(2),
    Dialect::Native,
    Dialect::OpenAi,
);

/// Those that a gateway's route is compared with: nginx, and nothing between.
pub const fn baselines(upstream: Dialect) -> (Route, Route) {
    match upstream {
        Dialect::Ollama => (NGINX_OLLAMA, DIRECT_OLLAMA),
        _ => (NGINX_OPENAI, DIRECT_OPENAI),
    }
}

/// What every workload runs on.
pub const PROXIES: [Route; 6] =
    [NGINX_OPENAI, RELAYED, NATIVE_OPENAI, NGINX_OLLAMA, NATIVE_OLLAMA, OPENAI_OLLAMA];
/// What latencies and rates are compared with.
pub const DIRECT: [Route; 2] = [DIRECT_OPENAI, DIRECT_OLLAMA];
pub const TWO_WORKERS: [Route; 2] = [RELAYED_TWO, NATIVE_TWO];
