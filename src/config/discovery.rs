//! `[ollama]`: where to look for models when none is configured, and where to be found in Ollama's
//! place.

use std::net::{IpAddr, SocketAddr};

use super::kind;
use super::metrics::{Metrics, collides};
use super::models::Model;
use super::section::Section;
use super::server::Server;
use super::targets::OLLAMA_URL;

/// The Ollama that is asked for a model at start when none is configured, and the listener for
/// Ollama's clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ollama {
    pub base_url: String,
    /// Speaks Ollama's API at the root, so that its clients need no change.
    pub listen: Option<SocketAddr>,
}

impl Ollama {
    pub(super) fn read(
        section: &mut Section<'_>,
        server: &Server,
        metrics: &Metrics,
        models: &[Model],
    ) -> Self {
        let base_url = section.get("base_url", &kind::base_url(), OLLAMA_URL.to_owned());
        let listen = section.optional("listen", &kind::socket_address());
        if let Some(listen) = listen {
            if collides(listen, server) || metrics.listen == Some(listen) {
                section.conflict(
                    "listen",
                    "must not be the address of [server] or [metrics]; on [server] Ollama's API is \
                     below /ollama",
                );
            }
            let mut targets = models.iter().flat_map(|model| &model.targets);
            if targets.any(|target| is_at(&target.base_url, listen)) {
                section.conflict(
                    "listen",
                    "must not be where a model's base_url leads: the gateway would ask itself",
                );
            }
        }
        Self { base_url, listen }
    }
}

/// Whether `listen` answers what is asked of `base_url`.
fn is_at(base_url: &str, listen: SocketAddr) -> bool {
    let authority = base_url.split("://").nth(1).and_then(|rest| rest.split('/').next());
    let Some((host, port)) = authority.and_then(|authority| authority.rsplit_once(':')) else {
        return false;
    };
    if listen.port() == 0 || port.parse() != Ok(listen.port()) {
        return false;
    }
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let address = address.ok().or((host == "localhost").then_some([127, 0, 0, 1].into()));
    let is_own = |address: IpAddr| {
        address == listen.ip() || (listen.ip().is_unspecified() && address.is_loopback())
    };
    address.is_some_and(is_own)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn the_listener_is_nobody_elses_and_leads_to_no_loop() {
        let model = "[[models]]\nname = \"m\"\nprovider = \"ollama\"\nbase_url = ";
        for (url, listen, accepted) in [
            ("http://127.0.0.1:11434", "127.0.0.1:11434", false),
            ("http://localhost:11434", "127.0.0.1:11434", false),
            ("http://localhost:11434/x", "0.0.0.0:11434", false),
            ("http://[::1]:11434", "[::1]:11434", false),
            ("http://127.0.0.1:11435", "127.0.0.1:11434", true),
            ("http://192.0.2.1:11434", "127.0.0.1:11434", true),
            ("http://192.0.2.1:11434", "0.0.0.0:11434", true),
            ("http://localhost:3000", "127.0.0.1:3000", false),
        ] {
            let text = format!("{model}\"{url}\"\n[ollama]\nlisten = \"{listen}\"\n");
            assert_eq!(Config::parse(&text, []).is_ok(), accepted, "{url} {listen}");
        }
        // Without a model Ollama's own place is free, or binding it says that it is not.
        let alone = Config::parse("[ollama]\nlisten = \"127.0.0.1:11434\"\n", []);
        assert!(alone.is_ok());
        let shared = "[metrics]\nlisten = \"127.0.0.1:9\"\n[ollama]\nlisten = \"127.0.0.1:9\"\n";
        assert!(Config::parse(shared, []).is_err());
        let env = [("OLLAMA_LISTEN".to_owned(), "127.0.0.1:1".to_owned())];
        let listen = Config::parse("", env).map(|loaded| loaded.config.ollama.listen);
        assert_eq!(listen.ok().flatten(), "127.0.0.1:1".parse().ok());
    }
}
