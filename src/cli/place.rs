//! Where a gateway is found, and how it proves there that it is that one.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::uri::{Scheme, Uri};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::Problem;
use crate::config::{Origin, Server};

const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A gateway's address.
#[derive(Debug)]
pub struct Place {
    url: String,
    /// The one that it must show there; none leaves that to the public authorities.
    certificate: Option<CertificateDer<'static>>,
}

impl Place {
    /// The one that is named, or else this machine's, at the configured address. Without need the
    /// configuration is not read: the gateway that is named may be none of this machine.
    ///
    /// # Errors
    /// [`Problem::Usage`] for an address that is none, and what is wrong with the configured one.
    pub fn find(named: Option<String>, origin: &Origin) -> Result<Self, Problem> {
        match named {
            Some(url) => Self::named(&url),
            None => Self::local(&origin.server()?),
        }
    }

    fn named(url: &str) -> Result<Self, Problem> {
        let url = url.trim_end_matches('/').to_owned();
        let uri: Option<Uri> = url.parse().ok();
        let speaks = |scheme: &Scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
        if uri.is_some_and(|uri| uri.scheme().is_some_and(speaks) && uri.query().is_none()) {
            return Ok(Self { url, certificate: None });
        }
        Err(Problem::Usage("--url must be like https://gateway.example:3000".to_owned()))
    }

    /// No authority vouches for an address within this machine: there it shows the very certificate of
    /// the configuration.
    fn local(server: &Server) -> Result<Self, Problem> {
        let certificate = server.tls.as_ref().map(|tls| {
            CertificateDer::from_pem_file(&tls.certificate)
                .map_err(|error| Problem::Usage(format!("server.tls.certificate: {error}")))
        });
        Ok(Self { url: local_url(server), certificate: certificate.transpose()? })
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
        let connector = match &self.certificate {
            Some(certificate) => connector.rustls_0_23(Arc::new(trusting(certificate.clone()))),
            None => connector,
        };
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

fn trusting(certificate: CertificateDer<'static>) -> ClientConfig {
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let mut config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Exactly { certificate, algorithms }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Trusts one certificate, whatever names it has, and of whoever holds its key.
#[derive(Debug)]
struct Exactly {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        // Which a gateway reads when it starts.
        Err(Error::General("it shows another certificate than server.tls.certificate".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
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
            assert_eq!(Place::local(&config.server).unwrap().url(), url);
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
