//! Upstreams over TLS that break off: awc reads them, in its own way.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::net::{TcpListener, TcpStream};
use actix_web::http::StatusCode;
use bytes::Bytes;
use futures::StreamExt;
use tidegate_protocol::{ErrorKind, Event, Form, Request, StreamId, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::bearer::Bearer;
use super::client::{HttpClient, Target};
use super::openai::OpenAi;
use super::{Again, Call, Pool, Provider, Reading};
use crate::config::Model;

/// A place to serve TLS at, and a model there whose certificate `client` trusts.
struct Place {
    acceptor: TlsAcceptor,
    listener: TcpListener,
    model: Model,
    client: HttpClient,
}

async fn place() -> Place {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let mut model = Model::builtin();
    model.targets[0].base_url = base_url;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut trust =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    trust.alpn_protocols = vec![b"http/1.1".to_vec()];
    let client = HttpClient::trusting(std::slice::from_ref(&model), |connector| {
        connector.rustls_0_23(Arc::new(trust))
    });
    Place { acceptor: TlsAcceptor::from(Arc::new(config)), listener, model, client }
}

/// Over TLS the pool is awc's, which does not say what it did.
#[actix_web::test]
async fn a_closed_connection_is_told_from_a_new_one_over_tls_too() {
    let Place { acceptor, listener, model, client } = place().await;
    // Answers the first request on each connection and hangs up on the second.
    actix_rt::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let mut socket = acceptor.accept(socket).await.unwrap();
            let mut request = [0; 4096];
            assert!(socket.read(&mut request).await.unwrap() > 0);
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            let _ = socket.read(&mut request).await;
        }
    });
    let target =
        Target::new(client, &model.targets[0], Wire::OpenAi, Bearer::unwatched(&model.targets[0]));
    let ask = || async {
        let reply =
            target.answer(Form::OpenAiChat, &call(Pool::Use), Bytes::from_static(b"{}")).await?;
        assert_eq!(reply.status, StatusCode::OK);
        Ok(reply.body.map(Result::unwrap).collect::<Vec<_>>().await.concat())
    };
    assert_eq!(ask().await.map_err(|refused: super::Refused| refused.failure), Ok(b"ok".to_vec()));
    assert_eq!(ask().await.unwrap_err().again, Again::OnNewConnection);
    assert_eq!(ask().await.map_err(|refused| refused.failure), Ok(b"ok".to_vec()));
}

#[actix_web::test]
async fn a_certificate_that_is_not_trusted_is_no_reason_to_ask_again() {
    let Place { acceptor, listener, model, .. } = place().await;
    actix_rt::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(socket).await.is_err());
    });
    let client = HttpClient::new(std::slice::from_ref(&model));
    let target =
        Target::new(client, &model.targets[0], Wire::OpenAi, Bearer::unwatched(&model.targets[0]));
    let asked = target.answer(Form::OpenAiChat, &call(Pool::Use), Bytes::new()).await;
    let refused = asked.map(|_| ()).unwrap_err();
    assert_eq!(refused.failure.kind, ErrorKind::UpstreamUnreachable);
    assert_eq!(refused.again, Again::Never);
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
const FRAMES: [&str; 4] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"né\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\" 🌊\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
];

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// TLS says goodbye, so nobody cut it off.
    Farewell,
    Fin,
    Rst,
}

const ENDS: [End; 3] = [End::Farewell, End::Fin, End::Rst];

fn response() -> Vec<u8> {
    let chunks = FRAMES.map(|frame| format!("{:x}\r\n{frame}\r\n", frame.len()));
    [HEAD, &chunks.concat(), "0\r\n\r\n"].concat().into_bytes()
}

/// The text and the evidence in the frames that are whole among the first `bytes`.
fn due(bytes: usize) -> (String, bool) {
    let (mut end, mut text) = (HEAD.len(), String::new());
    for (index, frame) in FRAMES.iter().enumerate() {
        end += format!("{:x}\r\n", frame.len()).len() + frame.len();
        // The blank line may be missing.
        if end - 2 > bytes {
            return (text, index > 2);
        }
        text.push_str(["né", " 🌊", "", ""][index]);
        end += 2;
    }
    (text, true)
}

async fn break_off(mut socket: TlsStream<TcpStream>, bytes: usize, end: End) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        assert!(socket.read_buf(&mut request).await.unwrap() > 0);
    }
    socket.write_all(&response()[..bytes]).await.unwrap();
    socket.flush().await.unwrap();
    match end {
        End::Farewell => socket.shutdown().await.unwrap(),
        End::Fin => {}
        End::Rst => {
            let socket = socket2::SockRef::from(socket.get_ref().0);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

fn call(pool: Pool) -> Call {
    let request = Arc::new(Request { stream: true, ..Request::default() });
    Call { request, id: StreamId::new(0, 1), trace: None, pool, reading: Reading::Relayed }
}

/// What was said, and whether it was finished.
async fn hear(provider: &OpenAi) -> Option<(String, bool)> {
    let mut answer = provider.open(call(Pool::Avoid)).await.ok()?;
    let (mut text, mut finished) = (String::new(), false);
    while let Some(Ok(batch)) = answer.next().await {
        for event in batch.events {
            match event {
                Event::Text(piece) => text.push_str(&piece),
                Event::Finish(_) | Event::Done => finished = true,
                other => panic!("{other:?}"),
            }
        }
    }
    Some((text, finished))
}

#[actix_web::test]
async fn an_answer_that_is_cut_at_any_byte_is_not_taken_for_whole() {
    let Place { acceptor, listener, model, client } = place().await;
    let provider = OpenAi::new(&client, &model.targets[0], Bearer::unwatched(&model.targets[0]));
    // Whole but for its last byte, so that no connection is kept.
    for bytes in 0..response().len() {
        for end in ENDS {
            let serving = async {
                let (socket, _) = listener.accept().await.unwrap();
                break_off(acceptor.accept(socket).await.unwrap(), bytes, end).await;
            };
            let ((), heard) = futures::join!(serving, hear(&provider));
            let case = format!("{end:?} at byte {bytes}");
            let Some((text, finished)) = heard else {
                // awc gives up what it has read when a reset comes on its heels.
                assert!(bytes < HEAD.len() || end == End::Rst, "{case}: no answer");
                continue;
            };
            assert!(bytes >= HEAD.len(), "{case}: an answer without a head");
            let due = due(bytes);
            assert!(due.0.starts_with(&text), "{case}: {text} of {due:?}");
            assert!(due.1 || !finished, "{case}: finished without evidence");
            if end == End::Farewell {
                assert_eq!((text, finished), due, "{case}");
            }
        }
    }
}
