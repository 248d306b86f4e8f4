//! `[metrics]`: where Prometheus finds its numbers.

use std::net::SocketAddr;

use super::kind;
use super::section::Section;
use super::server::Server;

/// Where Prometheus finds its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    pub enabled: bool,
    pub path: String,
    /// A listener of their own, for networks that clients do not reach.
    pub listen: Option<SocketAddr>,
}

impl Metrics {
    pub(super) fn read(section: &mut Section<'_>, server: &Server) -> Self {
        let path = kind::text("a path that starts with /, of letters, digits and -._~/", path);
        let metrics = Self {
            enabled: section.get("enabled", &kind::boolean(), true),
            path: section.get("path", &path, "/metrics".to_owned()),
            listen: section.optional("listen", &kind::socket_address()),
        };
        if metrics.listen.is_some_and(|listen| collides(listen, server)) {
            section.conflict(
                "listen",
                "must not be the address of [server]; leave it out to share it",
            );
        }
        metrics
    }
}

/// No braces: the router would take them for a pattern.
fn path(text: &str) -> Option<String> {
    let known = |char: char| char.is_ascii_alphanumeric() || "-._~/".contains(char);
    let valid = text.len() <= 256 && text.starts_with('/') && text.chars().all(known);
    valid.then(|| text.to_owned())
}

/// Whether two listeners would share an address.
pub(super) fn collides(listen: SocketAddr, server: &Server) -> bool {
    let one_address =
        listen.ip() == server.host || listen.ip().is_unspecified() || server.host.is_unspecified();
    listen.port() != 0 && listen.port() == server.port && one_address
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn the_listener_has_an_address_of_its_own() {
        for (listen, collides) in [
            ("127.0.0.1:3000", true),
            ("0.0.0.0:3000", true),
            ("127.0.0.2:3000", false),
            ("127.0.0.1:9464", false),
        ] {
            let text = format!("[metrics]\nlisten = \"{listen}\"\n");
            assert_eq!(Config::parse(&text, []).is_err(), collides, "{listen}");
        }
    }

    #[test]
    fn the_path_is_no_pattern() {
        for (path, accepted) in
            [("/internal/metrics", true), ("metrics", false), ("/{all}", false), ("/a b", false)]
        {
            let text = format!("[metrics]\npath = \"{path}\"\n");
            assert_eq!(Config::parse(&text, []).is_ok(), accepted, "{path}");
        }
    }
}
