//! TLS with rustls, over HTTP/1.1 and HTTP/2.

use std::sync::Arc;

use actix_web::http::Version;
use rustls::pki_types::CertificateDer;

use crate::client::{native, native_whole};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Step, Upstream, openai_answer, openai_token, sse_head};

/// A gateway with a certificate of its own, and what a client must trust to reach it.
pub async fn start(upstream: &Upstream) -> (TestGateway, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = std::env::temp_dir().join(format!("tidegate-tls-{}", rand::random::<u64>()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let toml = format!(
        "[server.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n{}",
        certificate.display(),
        key.display(),
        openai_model(upstream, "")
    );
    // Over HTTP/2 a client that leaves is noticed by the next write.
    let gateway = TestGateway::start_with_server("heartbeat_seconds = 0.2", &toml).await;
    std::fs::remove_dir_all(folder).unwrap();
    (gateway, made.cert.der().clone())
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
async fn answers_stream_over_both_versions_of_http() {
    let upstream = Upstream::start(|_| openai_answer(&["a", "b"])).await;
    let (gateway, trusted) = start(&upstream).await;
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

/// How a client of HTTP/2 leaves.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    /// It resets the stream; the connection stays.
    Stream,
    Connection,
}

#[actix_web::test]
async fn a_client_that_leaves_over_http2_is_noticed_within_a_heartbeat() {
    let scripts = [
        vec![Step::Silence],
        vec![sse_head(), Step::Silence],
        vec![sse_head(), openai_token("one"), Step::Silence],
    ];
    for leaves in [Leaves::Stream, Leaves::Connection] {
        for (phase, script) in scripts.iter().enumerate() {
            let played = script.clone();
            let upstream = Upstream::start(move |_| played.clone()).await;
            let (gateway, trusted) = start(&upstream).await;
            let url = format!("https://localhost:{}/api/chat", gateway.address().port());
            let client = https_client(&trusted, &[b"h2"]);
            let mut answer = client.post(&url).send_json(&native("hi")).await.unwrap();
            assert_eq!(answer.version(), Version::HTTP_2);
            if phase == 2 {
                let first = futures::StreamExt::next(&mut answer).await.unwrap().unwrap();
                assert!(first.starts_with(b"id: "), "{first:?}");
            }
            let kept = match leaves {
                Leaves::Stream => {
                    drop(answer);
                    Some(client)
                }
                Leaves::Connection => {
                    drop(client);
                    drop(answer);
                    None
                }
            };
            upstream.wait_for_aborts(1).await;
            drop(kept);
            gateway.inner.shutdown().await;
        }
    }
}

/// Nothing is written to it before the end, so nothing but a question tells that it has left.
#[actix_web::test]
async fn a_client_that_takes_an_unstreamed_request_back_over_http2_is_noticed_too() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let (gateway, trusted) = start(&upstream).await;
    let url = format!("https://localhost:{}/api/chat", gateway.address().port());
    let client = https_client(&trusted, &[b"h2"]);
    let asking = client.post(&url).send_json(&native_whole("hi"));
    let asked = actix_web::rt::spawn(async move { asking.await.map(|_| ()) });
    upstream.wait_for_chats(1).await;
    asked.abort();
    upstream.wait_for_aborts(1).await;
    gateway.inner.shutdown().await;
}
