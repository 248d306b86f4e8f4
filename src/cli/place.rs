//! Where a gateway is found.

use std::time::Duration;

use actix_web::http::uri::{Scheme, Uri};
use rustls::crypto::ring;

use super::Problem;
use crate::config::{Origin, Server};

const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A gateway's address.
#[derive(Debug)]
pub struct Place {
    url: String,
}

impl Place {
    /// The one that is named, or else this machine's, at the configured address.
    ///
    /// # Errors
    /// [`Problem::Usage`] for an address that is none, and what is wrong with the configured one.
    pub fn find(named: Option<String>, origin: &Origin) -> Result<Self, Problem> {
        let config = origin.load(origin.text()?.as_deref())?.config;
        match named {
            Some(url) => Self::named(&url),
            None => Ok(Self::local(&config.server)),
        }
    }

    fn named(url: &str) -> Result<Self, Problem> {
        let url = url.trim_end_matches('/').to_owned();
        let uri: Option<Uri> = url.parse().ok();
        let speaks = |scheme: &Scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
        if uri.is_some_and(|uri| uri.scheme().is_some_and(speaks) && uri.query().is_none()) {
            return Ok(Self { url });
        }
        Err(Problem::Usage("--url must be like https://gateway.example:3000".to_owned()))
    }

    fn local(server: &Server) -> Self {
        Self { url: local_url(server) }
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of it alone: a key is for this gateway, so redirects are not followed.
    #[must_use]
    pub fn http(&self) -> awc::Client {
        // Only fails when somebody was faster, who chose a provider then.
        let _ = ring::default_provider().install_default();
        let connector = awc::Connector::new().timeout(CONNECT_TIME).handshake_timeout(CONNECT_TIME);
        awc::Client::builder()
            .connector(connector)
            .disable_timeout()
            .disable_redirects()
            .no_default_headers()
            .finish()
    }
}

/// Where a gateway of this configuration is found from its own machine.
fn local_url(server: &Server) -> String {
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    let host = if server.host.is_unspecified() {
        if server.host.is_ipv4() { "127.0.0.1".to_owned() } else { "[::1]".to_owned() }
    } else if server.host.is_ipv6() {
        format!("[{}]", server.host)
    } else {
        server.host.to_string()
    };
    format!("{scheme}://{host}:{}", server.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_gateway_is_found_where_it_listens() {
        for (toml, url) in [
            ("port = 8080", "http://127.0.0.1:8080"),
            ("host = \"0.0.0.0\"", "http://127.0.0.1:3000"),
            ("host = \"::\"", "http://[::1]:3000"),
            ("host = \"10.0.0.1\"", "http://10.0.0.1:3000"),
        ] {
            let config = Config::parse(&format!("[server]\n{toml}"), []).unwrap().config;
            assert_eq!(Place::local(&config.server).url(), url);
        }
    }

    #[test]
    fn an_address_without_a_scheme_is_none() {
        for url in ["localhost:3000", "ftp://x", "", "http://", "http://a/?b=c"] {
            assert!(matches!(Place::named(url), Err(Problem::Usage(_))), "{url}");
        }
        assert_eq!(Place::named("http://a:1/").unwrap().url(), "http://a:1");
    }
}
