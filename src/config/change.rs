//! What differs between two configurations, and which of it a running gateway cannot take over.

use super::{Config, Model, Server};

/// What differs, in names that mean something to whoever edited the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Models that are still there, but otherwise.
    pub changed: Vec<String>,
    /// The keys and sections beside the models that differ, and are taken over.
    pub settings: Vec<&'static str>,
}

impl Change {
    /// From `old` to `new`; the models are those that serve, configured or found.
    #[must_use]
    pub fn between(old: (&Config, &[Model]), new: (&Config, &[Model])) -> Self {
        let ((old, before), (new, after)) = (old, new);
        let find = |all: &[Model], name: &str| all.iter().position(|model| model.name == name);
        let names = |all: &[Model], other: &[Model]| {
            let gone = all.iter().filter(|model| find(other, &model.name).is_none());
            gone.map(|model| model.name.clone()).collect()
        };
        let differs = |model: &&Model| {
            let known = before.iter().find(|known| known.name == model.name);
            known.is_some_and(|known| known != *model)
        };
        Self {
            added: names(after, before),
            removed: names(before, after),
            changed: after.iter().filter(differs).map(|model| model.name.clone()).collect(),
            settings: live(old, new),
        }
    }
}

/// The keys beside the models that can change while the gateway runs, so far as they differ.
fn live(old: &Config, new: &Config) -> Vec<&'static str> {
    let (a, b) = (&old.server, &new.server);
    differing([
        ("active_model", old.active_model != new.active_model),
        ("chat", old.chat != new.chat),
        ("health", old.health != new.health),
        ("auth", old.auth != new.auth),
        ("rate_limits", old.rate_limits != new.rate_limits),
        ("queue", old.queue != new.queue),
        ("reload", old.reload != new.reload),
        ("ollama.base_url", old.ollama.base_url != new.ollama.base_url),
        ("server.body_limit_bytes", a.body_limit_bytes != b.body_limit_bytes),
        ("server.body_timeout_seconds", a.body_timeout != b.body_timeout),
        ("server.heartbeat_seconds", a.heartbeat != b.heartbeat),
        ("server.drain_grace_seconds", a.drain_grace != b.drain_grace),
        ("server.stream_buffer_bytes", a.stream_buffer_bytes != b.stream_buffer_bytes),
        ("server.max_answer_bytes", a.max_answer_bytes != b.max_answer_bytes),
        ("server.trusted_proxies", a.trusted_proxies != b.trusted_proxies),
        ("server.allowed_hosts", a.allowed_hosts != b.allowed_hosts),
    ])
}

/// The keys and sections that a gateway started with `old` can take from `new` only when it is started
/// again: they are part of its listeners, its threads or the size of what it keeps.
#[must_use]
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    // Whoever adds a key has to say here whether it can change: the patterns are exhaustive.
    let Config {
        server,
        chat: _,
        models: _,
        active_model: _,
        ollama,
        health: _,
        metrics,
        otlp,
        log,
        access_log,
        auth: _,
        rate_limits: _,
        queue: _,
        responses,
        journal,
        websocket,
        reload: _,
        console,
        shown: _,
    } = new;
    let Server {
        host,
        port,
        workers,
        max_streams,
        max_connections,
        body_limit_bytes: _,
        body_timeout: _,
        header_timeout,
        keep_alive,
        write_timeout,
        heartbeat: _,
        drain_grace: _,
        write_buffer_bytes,
        stream_buffer_bytes: _,
        max_answer_bytes: _,
        trusted_proxies: _,
        tls,
        cors,
        allowed_hosts: _,
    } = server;
    let was = &old.server;
    differing([
        ("server.host", was.host != *host),
        ("server.port", was.port != *port),
        ("server.workers", was.workers != *workers),
        ("server.max_streams", was.max_streams != *max_streams),
        ("server.max_connections", was.max_connections != *max_connections),
        ("server.header_timeout_seconds", was.header_timeout != *header_timeout),
        ("server.keep_alive_seconds", was.keep_alive != *keep_alive),
        ("server.write_timeout_seconds", was.write_timeout != *write_timeout),
        ("server.write_buffer_bytes", was.write_buffer_bytes != *write_buffer_bytes),
        ("server.tls", was.tls != *tls),
        ("server.cors", was.cors != *cors),
        ("ollama.listen", old.ollama.listen != ollama.listen),
        ("metrics", old.metrics != *metrics),
        ("otlp", old.otlp != *otlp),
        ("log", old.log != *log),
        ("access_log", old.access_log != *access_log),
        ("responses", old.responses != *responses),
        ("journal", old.journal != *journal),
        ("websocket", old.websocket != *websocket),
        ("console", old.console != *console),
    ])
}

fn differing<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Config {
        Config::parse(text, []).unwrap().config
    }

    fn model(name: &str, more: &str) -> String {
        format!("[[models]]\nname = \"{name}\"\nprovider = \"vllm\"\n{more}\n")
    }

    #[test]
    fn models_are_known_by_their_names_wherever_they_stand() {
        let old = load(&(model("a", "") + &model("b", "api_key = \"one\"") + &model("c", "")));
        let new = load(&(model("d", "") + &model("c", "") + &model("b", "api_key = \"two\"")));
        let change = Change::between((&old, &old.models), (&new, &new.models));
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let expected = Change {
            added: names(&["d"]),
            removed: names(&["a"]),
            changed: names(&["b"]),
            settings: vec![],
        };
        assert_eq!(change, expected, "a secret that changed is a change");
    }

    #[test]
    fn every_setting_is_taken_over_or_told_to_need_a_restart() {
        let old = load("");
        for (text, key, is_live) in [
            ("[server]\nport = 1", "server.port", false),
            ("[server]\nheartbeat_seconds = 1", "server.heartbeat_seconds", true),
            ("[server.cors]\nmax_age_seconds = 1", "server.cors", false),
            ("[log]\nlevel = \"warn\"", "log", false),
            ("[access_log]\nlog = false", "access_log", false),
            ("[otlp]\ntraces = false", "otlp", false),
            ("[chat]\nmax_tokens = 1", "chat", true),
            ("[health]\nopen_seconds = 1", "health", true),
            ("[rate_limits]\nrequests_per_minute = 1", "rate_limits", true),
            ("[reload]\nwatch = false", "reload", true),
            ("[ollama]\nlisten = \"127.0.0.1:1\"", "ollama.listen", false),
        ] {
            let new = load(text);
            let change = Change::between((&old, &[]), (&new, &[]));
            let (taken, told) = (change.settings, needs_restart(&old, &new));
            let (here, not_here) = if is_live { (taken, told) } else { (told, taken) };
            assert_eq!((here, not_here), (vec![key], vec![]), "{text}");
        }
    }
}
