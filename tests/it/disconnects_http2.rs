//! Clients of HTTP/2 that leave, or that read no more: what is held for them comes back.

use rustls::pki_types::CertificateDer;
use serde_json::Value;

use crate::client::{native, native_whole, openai};
use crate::gateway::TestGateway;
use crate::http2::{Http2, WINDOW};
use crate::phase::Phase;
use crate::tls;
use crate::upstream::{Step, Upstream};
use crate::wire::{openai_token, sse_head};

/// Over HTTP/2 a client that leaves its stream is noticed by the next write.
const HEARTBEAT: &str = "heartbeat_seconds = 0.2";

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// It resets the stream; the connection stays.
    Reset,
    /// It closes the connection.
    Closes,
    /// It says that it goes (GOAWAY). It could stay and read; h2 takes it for the end of all streams,
    /// and clients that say so do close their connection.
    GoesAway,
}

fn requests() -> [(&'static str, Value); 3] {
    [
        ("/api/chat", native("hi")),
        ("/api/chat", native_whole("hi")),
        ("/v1/chat/completions", openai("hi", true)),
    ]
}

struct Scene {
    upstream: Upstream,
    gateway: TestGateway,
    trusted: CertificateDer<'static>,
    left: usize,
}

impl Scene {
    /// A request in `phase` that is left in a `way`.
    async fn leave(&mut self, phase: Phase, way: Way, path: &str, body: &Value) {
        let mut holder = Http2::connect(&self.gateway, &self.trusted, WINDOW).await;
        if phase == Phase::Queued {
            holder.post(1, path, body).await;
            self.upstream.wait_for_chats(self.left + 1).await;
        }
        let mut client = Http2::connect(&self.gateway, &self.trusted, WINDOW).await;
        client.post(1, path, body).await;
        if phase == Phase::Queued {
            self.gateway.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", "1").await;
        } else {
            self.upstream.wait_for_chats(self.left + 1).await;
        }
        if phase.has_token() && body["stream"] != false {
            client.read_until(1, "one").await;
        }
        let kept = match way {
            Way::Reset => {
                client.reset(1).await;
                Some(client)
            }
            Way::Closes => {
                drop(client);
                None
            }
            Way::GoesAway => {
                client.go_away().await;
                Some(client)
            }
        };
        if phase == Phase::Queued {
            self.gateway.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", "0").await;
            assert_eq!(self.upstream.aborted(), self.left, "who holds the permit goes on");
            holder.reset(1).await;
        }
        self.left += 1;
        self.upstream.wait_for_aborts(self.left).await;
        self.gateway.wait_until_free().await;
        drop((kept, holder));
    }
}

async fn leave_by(way: Way) {
    for phase in Phase::ALL {
        let upstream = Upstream::start(move |_| phase.script()).await;
        let (gateway, trusted) = tls::start(&upstream, HEARTBEAT, "max_concurrency = 1").await;
        let mut scene = Scene { upstream, gateway, trusted, left: 0 };
        for (path, body) in requests() {
            scene.leave(phase, way, path, &body).await;
        }
        let each = if phase == Phase::Queued { 2 } else { 1 };
        let ended = scene.gateway.all_outcomes().await;
        let due = scene.left as u64 * each;
        assert_eq!(ended, [("cancelled".to_owned(), due)], "{phase:?} {way:?}");
        assert_eq!(scene.upstream.chats().len(), scene.left, "what left the queue is never sent");
        scene.gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn by_a_reset_in_every_phase() {
    leave_by(Way::Reset).await;
}

#[actix_web::test]
async fn by_closing_in_every_phase() {
    leave_by(Way::Closes).await;
}

#[actix_web::test]
async fn by_going_away_in_every_phase() {
    leave_by(Way::GoesAway).await;
}

/// Its connection is in good order, it answers pings: the kernel has nothing to complain of.
#[actix_web::test]
async fn a_client_whose_window_stays_shut_is_dropped_and_its_neighbour_is_not() {
    let flood = "x".repeat(1000);
    let upstream = Upstream::start(move |seen| {
        let mut steps = vec![sse_head()];
        if seen.json()["messages"][0]["content"] == "flood" {
            steps.extend((0..4000).map(|_| openai_token(&flood)));
        } else {
            steps.push(openai_token("one"));
        }
        steps.push(Step::Silence);
        steps
    })
    .await;
    for path in ["/api/chat", "/v1/chat/completions"] {
        let server = "write_timeout_seconds = 1\nheartbeat_seconds = 0.2";
        let (gateway, trusted) = tls::start(&upstream, server, "").await;
        let before = upstream.aborted();
        let mut client = Http2::connect(&gateway, &trusted, 10_000).await;
        client.post(1, path, &openai("small", true)).await;
        client.read_until(1, "one").await;
        client.post(3, path, &openai("flood", true)).await;
        let reads = actix_web::rt::spawn(client.keep_reading());
        upstream.wait_for_aborts(before + 1).await;
        gateway.wait_for_metric("ai_gateway_active_streams", "1").await;
        gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"test\"}", "1").await;
        assert_eq!(gateway.all_outcomes().await, [("cancelled".to_owned(), 1)]);
        assert!(!reads.is_finished(), "the connection is there");
        reads.abort();
        gateway.wait_until_free().await;
        gateway.inner.shutdown().await;
    }
}
