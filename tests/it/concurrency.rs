//! The cap, the permits and the queue.

use futures::future::join_all;

use crate::client::{Live, native, native_whole, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Gate, Seen, Step, Upstream, openai_answer, openai_token, sse_head};

#[actix_web::test]
async fn a_thousand_streams_at_once_and_the_next_is_refused_at_once() {
    const CAP: usize = 1000;
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::start_with_server(
        &format!("max_streams = {CAP}"),
        &openai_model(&upstream, &format!("max_concurrency = {CAP}")),
    )
    .await;
    let opening = (0..CAP).map(|_| async {
        let mut live = gateway.client.open("/api/chat", &native("hi")).await;
        live.read_until("one").await;
        live
    });
    let streams: Vec<Live> = join_all(opening).await;
    gateway.wait_for_metric("ai_gateway_active_streams", "1000").await;

    let refused = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"], "CAPACITY");
    assert!(refused.header("retry-after").is_some());
    let refused = gateway.client.post("/v1/chat/completions", &openai("hi", true)).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &"CAPACITY".into()));

    gate.open();
    let answers = join_all(streams.into_iter().map(Live::whole)).await;
    assert!(answers.iter().all(|answer| answer.native_text() == "one two"));
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("completed").await, CAP as u64);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn nothing_leaks_over_fifty_rounds_of_every_kind_of_end() {
    const ROUNDS: u64 = 50;
    let upstream = Upstream::start(|seen| match seen.json()["messages"][0]["content"].as_str() {
        Some("whole") => openai_answer(&["a", "b"]),
        Some("cut") => vec![sse_head(), openai_token("a"), Step::Close],
        Some("reset") => vec![sse_head(), openai_token("a"), Step::Reset],
        _ => vec![sse_head(), openai_token("a"), Step::Silence],
    })
    .await;
    let gateway = TestGateway::start_with_server(
        "max_streams = 8",
        &openai_model(&upstream, "max_concurrency = 8"),
    )
    .await;
    for _ in 0..ROUNDS {
        let client = &gateway.client;
        let leave = async {
            let mut live = client.open("/api/chat", &native("leave")).await;
            live.read_until("\"a\"").await;
        };
        let cancel = async {
            let mut live = client.open("/api/chat", &native("cancel")).await;
            live.read_until("\"a\"").await;
            let answer = client.delete(&format!("/api/chat/{}", live.id())).await;
            assert_eq!(answer.status, 200);
            live.whole().await
        };
        let (whole, cut, reset) = (native("whole"), native("cut"), openai("reset", true));
        let (whole, cut, reset, (), cancelled) = futures::join!(
            client.post("/api/chat", &whole),
            client.post("/api/chat", &cut),
            client.post("/v1/chat/completions", &reset),
            leave,
            cancel,
        );
        assert_eq!(whole.native_text(), "ab");
        assert_eq!(cut.events().last().unwrap().name.as_deref(), Some("error"));
        assert!(reset.events().last().unwrap().data.contains("\"error\""));
        assert_eq!(cancelled.events().last().unwrap().name.as_deref(), Some("chat.cancelled"));
        gateway.wait_until_idle().await;
    }
    assert_eq!(gateway.outcomes("completed").await, ROUNDS);
    assert_eq!(gateway.outcomes("truncated").await, 2 * ROUNDS);
    assert_eq!(gateway.outcomes("cancelled").await, 2 * ROUNDS);
    assert_eq!(gateway.outcomes("internal_error").await, 0);
    gateway.inner.shutdown().await;
}

fn number_of(seen: &Seen) -> usize {
    seen.json()["messages"][0]["content"].as_str().unwrap().parse().unwrap()
}

#[actix_web::test]
async fn two_permits_serve_twenty_requests_two_at_a_time_in_order_of_arrival() {
    const REQUESTS: usize = 20;
    let gates: Vec<Gate> = (0..REQUESTS).map(|_| Gate::new()).collect();
    let upstream = {
        let gates = gates.clone();
        Upstream::start(move |seen| {
            let mut steps = vec![sse_head(), Step::Gate(gates[number_of(seen)].clone())];
            steps.extend(openai_answer(&["a"]).into_iter().skip(1));
            steps
        })
        .await
    };
    let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 2")).await;
    let mut streams = Vec::new();
    for number in 0..REQUESTS {
        let body = native(&number.to_string()).to_string();
        streams.push(gateway.client.send("POST", "/api/chat", Some(&body)).await);
        // The next one is sent only once this one has its place.
        upstream.wait_for_chats((number + 1).min(2)).await;
        let waiting = (number + 1).saturating_sub(2).to_string();
        gateway.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", &waiting).await;
    }
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"test\"}", "2").await;

    // Each that ends lets in the one that has waited longest.
    for (number, (gate, live)) in gates.iter().zip(streams).enumerate() {
        let arrived = (number + 2).min(REQUESTS);
        upstream.wait_for_chats(arrived).await;
        let order: Vec<_> = upstream.chats().iter().map(number_of).collect();
        assert_eq!(order, (0..arrived).collect::<Vec<_>>());
        gate.open();
        assert_eq!(live.whole().await.native_text(), "a");
    }
    assert_eq!(upstream.most_running(), 2);
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_waiting_client_is_told_its_place() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 1")).await;
    let mut first = gateway.client.open("/api/chat", &native("first")).await;
    first.read_until("one").await;
    let mut second = gateway.client.open("/api/chat", &native("second")).await;
    let body = second.read_until("chat.queued").await;
    assert!(body.contains("\"position\":1"), "{body}");
    gate.open();
    let answer = second.whole().await;
    assert_eq!(answer.native_text(), "one two");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_full_queue_refuses_at_once_and_a_late_turn_is_told() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let more = "max_concurrency = 1\nqueue_length = 1\nqueue_timeout_seconds = 0.2";
    let gateway = TestGateway::start(&openai_model(&upstream, more)).await;
    let mut first = gateway.client.open("/api/chat", &native("first")).await;
    first.read_until("one").await;
    let waiting = native_whole("waits").to_string();
    let waits = gateway.client.send("POST", "/api/chat", Some(&waiting)).await;
    gateway.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", "1").await;

    let full = gateway.client.post("/api/chat", &native("no room")).await;
    assert_eq!((full.status, &full.json()["error"]), (429, &"QUEUE_FULL".into()));
    assert!(full.header("retry-after").is_some());
    let late = waits.whole().await;
    assert_eq!((late.status, &late.json()["error"]), (503, &"QUEUE_TIMEOUT".into()));
    assert!(late.header("retry-after").is_some());

    gate.open();
    assert_eq!(first.whole().await.native_text(), "one two");
    gateway.wait_until_idle().await;
    // How long a client waits is its own affair, and how long a queue is the operator's: neither fails.
    assert_eq!(gateway.outcomes("rejected").await, 2);
    assert_eq!(gateway.outcomes("timed_out").await, 0);
    assert_eq!(upstream.chats().len(), 1);
    gateway.inner.shutdown().await;
}
