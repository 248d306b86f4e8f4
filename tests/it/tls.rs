//! TLS with rustls, over HTTP/1.1 and HTTP/2.

use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::Version;
use rustls::pki_types::CertificateDer;

use crate::client::{Client, native};
use crate::collector::{Collector, attribute};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Upstream, openai_answer};

/// A certificate that no authority has signed, and its key, in files.
pub struct Material {
    pub folder: PathBuf,
    certificate: CertificateDer<'static>,
}

impl Material {
    pub fn make() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = std::env::temp_dir().join(format!("tidegate-tls-{}", rand::random::<u64>()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("certificate.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, certificate: made.cert.der().clone() }
    }

    /// The configuration of a listener that shows it.
    pub fn section(&self) -> String {
        let folder = self.folder.display();
        format!(
            "[server.tls]\ncertificate = \"{folder}/certificate.pem\"\nkey = \"{folder}/key.pem\"\n"
        )
    }
}

impl Drop for Material {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// A gateway with a certificate of its own, and what a client must trust to reach it. `server` and
/// `model` are further keys of these sections. Its metrics are on a port without TLS, for the
/// gateway's own client.
pub async fn start(
    upstream: &Upstream,
    server: &str,
    model: &str,
) -> (TestGateway, CertificateDer<'static>) {
    let made = Material::make();
    (start_with(&made, upstream, server, model).await, made.certificate.clone())
}

/// The same with material that is there for longer.
pub async fn start_with(
    made: &Material,
    upstream: &Upstream,
    server: &str,
    model: &str,
) -> TestGateway {
    let toml = format!(
        "{}[metrics]\nlisten = \"127.0.0.1:0\"\n{}",
        made.section(),
        openai_model(upstream, model)
    );
    let mut gateway = TestGateway::start_with_server(server, &toml).await;
    gateway.client = Client::new(gateway.inner.metrics_address().unwrap());
    gateway
}

fn https_client(trusted: &CertificateDer<'static>, protocols: &[&[u8]]) -> awc::Client {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let connector = awc::Connector::new().rustls_0_23(Arc::new(config));
    awc::Client::builder().connector(connector).finish()
}

#[actix_web::test]
async fn a_trace_tells_that_its_request_came_over_tls() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let collector = Collector::start();
    let otlp = format!("[otlp]\nendpoint = \"{}\"", collector.endpoint());
    let (gateway, trusted) = start(&upstream, "", &otlp).await;
    let url = format!("https://localhost:{}/api/models", gateway.address().port());
    https_client(&trusted, &[b"http/1.1"]).get(&url).send().await.unwrap();
    let spans = collector.spans(|spans| !spans.is_empty()).await;
    assert_eq!(attribute(&spans[0].attributes, "url.scheme"), "https");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn answers_stream_over_both_versions_of_http() {
    let upstream = Upstream::start(|_| openai_answer(&["a", "b"])).await;
    let (gateway, trusted) = start(&upstream, "", "").await;
    let url = format!("https://localhost:{}/api/chat", gateway.address().port());
    let cases: [(&[&[u8]], Version); 2] =
        [(&[b"http/1.1"], Version::HTTP_11), (&[b"h2", b"http/1.1"], Version::HTTP_2)];
    for (protocols, version) in cases {
        let client = https_client(&trusted, protocols);
        let mut answer = client.post(&url).send_json(&native("hi")).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        let body = String::from_utf8(answer.body().await.unwrap().to_vec()).unwrap();
        assert!(
            body.contains("\"content\":\"a\"") && body.contains("chat.completion.done"),
            "{body}"
        );
    }
    gateway.inner.shutdown().await;
}
