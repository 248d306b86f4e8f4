//! Clients that leave in every way and phase, and clients that do not read: the upstream sees the
//! close, slot, permit and place in the queue come back, the outcome counts once.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::client::{Live, native, native_whole, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::phase::Phase;
use crate::upstream::{Gate, Step, Upstream};
use crate::wire::{openai_answer, openai_token, sse_head};

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// It closes its connection (FIN).
    Closes,
    /// It resets it (RST).
    Resets,
    /// It closes its half, and could still read. Whoever has nothing more to say to a chat server
    /// has left: browsers and HTTP clients do not do otherwise.
    HalfCloses,
}

const WAYS: [Way; 3] = [Way::Closes, Way::Resets, Way::HalfCloses];

impl Way {
    /// What is left of the connection, to be kept until all is looked at.
    async fn leave(self, mut live: Live) -> Option<Live> {
        match self {
            Self::Closes => None,
            Self::Resets => {
                let socket = socket2::SockRef::from(&live.socket);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                None
            }
            Self::HalfCloses => {
                live.socket.shutdown().await.unwrap();
                Some(live)
            }
        }
    }
}

fn requests() -> [(&'static str, serde_json::Value); 3] {
    [
        ("/api/chat", native("hi")),
        ("/api/chat", native_whole("hi")),
        ("/v1/chat/completions", openai("hi", true)),
    ]
}

async fn leave_in(phase: Phase, way: Way) {
    let upstream = Upstream::start(move |_| phase.script()).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 1")).await;
    let mut left = 0;
    for (path, body) in requests() {
        let body = body.to_string();
        let holder = if phase == Phase::Queued {
            let holder = gateway.client.send("POST", path, Some(&body)).await;
            upstream.wait_for_chats(left + 1).await;
            Some(holder)
        } else {
            None
        };
        let live = gateway.client.send("POST", path, Some(&body)).await;
        phase.reached(&gateway).await;
        let rest = way.leave(live).await;
        if phase == Phase::Queued {
            gateway.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", "0").await;
            assert_eq!(upstream.aborted(), left, "the one that holds the permit goes on");
            assert_eq!(upstream.chats().len(), left + 1, "what left the queue is never sent");
            drop(holder);
        }
        left += 1;
        upstream.wait_for_aborts(left).await;
        gateway.wait_until_idle().await;
        drop(rest);
    }
    let each = if phase == Phase::Queued { 2 } else { 1 };
    let due = [("cancelled".to_owned(), left as u64 * each)];
    assert_eq!(gateway.all_outcomes().await, due, "{phase:?} {way:?}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn by_closing_in_every_phase() {
    for phase in Phase::ALL {
        leave_in(phase, WAYS[0]).await;
    }
}

#[actix_web::test]
async fn by_a_reset_in_every_phase() {
    for phase in Phase::ALL {
        leave_in(phase, WAYS[1]).await;
    }
}

#[actix_web::test]
async fn by_half_closing_in_every_phase() {
    for phase in Phase::ALL {
        leave_in(phase, WAYS[2]).await;
    }
}

/// An address where connections are neither accepted nor refused: the queue of those that wait to
/// be accepted is full.
async fn deaf_upstream() -> (SocketAddr, Vec<TcpStream>, tokio::net::TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(one)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        waiting.push(one);
    }
    (address, waiting, listener)
}

#[actix_web::test]
async fn while_the_upstream_is_being_connected() {
    let (address, waiting, listener) = deaf_upstream().await;
    let toml = format!(
        "[[models]]\nname = \"test\"\nprovider = \"openai\"\nbase_url = \"http://{address}/v1\"\n\
         connect_timeout_seconds = 60\n[health]\ntimeout_seconds = 0.1\n"
    );
    let gateway = TestGateway::start(&toml).await;
    let mut left = 0;
    for way in WAYS {
        for (path, body) in requests() {
            let live = gateway.client.send("POST", path, Some(&body.to_string())).await;
            Phase::NoHead.reached(&gateway).await;
            let rest = way.leave(live).await;
            gateway.wait_until_idle().await;
            left += 1;
            assert_eq!(gateway.outcomes("cancelled").await, left, "{way:?}");
            drop(rest);
        }
    }
    drop((waiting, listener));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_client_that_reads_nothing_slows_its_own_upstream_and_is_dropped() {
    let flood = "x".repeat(16 * 1024);
    let upstream = Upstream::start(move |_| {
        let mut steps = vec![sse_head()];
        steps.extend((0..4000).map(|_| openai_token(&flood)));
        steps.push(Step::Silence);
        steps
    })
    .await;
    let gateway =
        TestGateway::start_with_server("write_timeout_seconds = 1", &openai_model(&upstream, ""))
            .await;
    let lazy = gateway.client.open("/v1/chat/completions", &openai("hi", true)).await;
    upstream.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("cancelled").await, 1);
    drop(lazy);
    gateway.inner.shutdown().await;
}

/// From the client's close to the upstream's, in the three phases in which there is an upstream and
/// no traffic. Printed, and not held to: it is the machine's as well.
#[actix_web::test]
async fn how_soon_the_upstream_sees_it() {
    const TRIALS: usize = 300;
    let phases = [Phase::NoHead, Phase::NoToken, Phase::Streaming];
    let upstream = {
        let next = AtomicUsize::new(0);
        Upstream::start(move |_| phases[next.fetch_add(1, Relaxed) % phases.len()].script()).await
    };
    let gateway = TestGateway::before(&upstream).await;
    let mut took = Vec::new();
    for trial in 0..TRIALS {
        let way = WAYS[trial / phases.len() % WAYS.len()];
        let (path, body) = &requests()[trial % 2 * 2];
        let live = gateway.client.send("POST", path, Some(&body.to_string())).await;
        phases[trial % phases.len()].reached(&gateway).await;
        upstream.wait_for_chats(trial + 1).await;
        let begun = Instant::now();
        let rest = way.leave(live).await;
        upstream.wait_for_aborts(trial + 1).await;
        took.push(begun.elapsed());
        drop(rest);
    }
    gateway.wait_until_idle().await;
    assert_eq!(gateway.all_outcomes().await, [("cancelled".to_owned(), TRIALS as u64)]);
    took.sort();
    let at = |percent: usize| took[(TRIALS * percent).div_ceil(100) - 1];
    println!("{TRIALS} trials: p50 {:?}, p99 {:?}, longest {:?}", at(50), at(99), at(100));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_gate_opened_after_the_client_left_changes_nothing() {
    let gate = Gate::new();
    let upstream = {
        let gate = gate.clone();
        Upstream::start(move |_| {
            let mut steps = vec![sse_head(), openai_token("one"), Step::Gate(gate.clone())];
            steps.extend(openai_answer(&["two"]).into_iter().skip(1));
            steps
        })
        .await
    };
    let gateway = TestGateway::before(&upstream).await;
    let mut live = gateway.client.open("/api/chat", &native("hi")).await;
    live.read_until("one").await;
    drop(live);
    upstream.wait_for_aborts(1).await;
    gate.open();
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("cancelled").await, 1);
    assert_eq!(gateway.outcomes("completed").await, 0);
    gateway.inner.shutdown().await;
}
