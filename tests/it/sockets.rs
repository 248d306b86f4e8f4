//! Many streams over one socket: begun, resumed, paced, cancelled and left.

use serde_json::json;

use crate::client::native;
use crate::gateway::{TestGateway, openai_model};
use crate::resume::{ALICE, BOB, two_keys};
use crate::socket::{Heard, Socket, have_ended};
use crate::upstream::{Gate, Step, Upstream, openai_answer, openai_end, openai_token, sse_head};

/// An upstream that answers `gated` once the gate is open, and anything else at once: fifty tokens.
async fn gated_by_prompt(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |seen| {
        let mut steps = vec![sse_head(), openai_token("t0 ")];
        if seen.body.contains("gated") {
            steps.push(Step::Gate(gate.clone()));
        }
        for token in 1..50 {
            steps.push(openai_token(&format!("t{token} ")));
            steps.push(Step::Yield);
        }
        steps.extend(openai_end(7, 50));
        steps
    })
    .await
}

fn fifty() -> String {
    (0..50).fold(String::new(), |text, token| text + &format!("t{token} "))
}

#[actix_web::test]
async fn many_streams_over_one_socket_are_what_they_are_alone() {
    let gate = Gate::new();
    let upstream = gated_by_prompt(&gate).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 50")).await;
    let mut socket = Socket::open(gateway.address()).await;
    let names: Vec<_> = (0..20).map(|number| format!("s {number} \"é\"")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for (number, name) in names.iter().enumerate() {
        let prompt = if number % 2 == 0 { "gated" } else { "hi" };
        socket.start(name, prompt, json!({})).await;
    }
    // Those that wait hold nobody back.
    let free: Vec<_> = names.iter().copied().skip(1).step_by(2).collect();
    let mut seen = socket.follow(have_ended(&free)).await;
    gate.open();
    let waiting: Vec<_> = names.iter().copied().step_by(2).collect();
    for (name, rest) in socket.follow(have_ended(&waiting)).await {
        let followed = seen.entry(name).or_default();
        followed.stream.clone_from(&rest.stream);
        followed.numbers.extend(rest.numbers);
        followed.data.extend(rest.data);
    }
    assert_eq!(seen.len(), 20);
    for (name, followed) in seen {
        assert_eq!(followed.text(), fifty(), "{name}");
        assert_eq!(followed.numbers, (1..=51).collect::<Vec<_>>(), "{name}");
        // As events of a response the same stream has the same data, to the byte.
        let alone = gateway.client.get(&format!("/api/chat/{}", followed.stream)).await;
        let data: Vec<_> = alone.events().into_iter().map(|event| event.data).collect();
        assert_eq!(data, followed.data);
    }
    assert_eq!(upstream.chats().len(), 20);
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

/// The stream that is not acknowledged stands still, and its upstream with it; others do not notice.
#[actix_web::test]
async fn a_window_holds_one_stream_back_alone() {
    let large = "x".repeat(8000);
    let upstream = Upstream::start(move |seen| {
        let tokens = if seen.body.contains("large") { 2000 } else { 3 };
        let token = if tokens == 3 { "t" } else { &large };
        let mut steps = vec![sse_head()];
        steps.extend((0..tokens).map(|_| openai_token(token)));
        steps.extend(openai_end(7, tokens));
        steps
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let mut socket = Socket::open(gateway.address()).await;
    socket.start("large", "large", json!({"window": 2})).await;
    let two = socket.some("large", 2).await;
    assert_eq!(two.numbers, [1, 2]);
    for round in 0..20 {
        let name = format!("small {round}");
        socket.start(&name, "hi", json!({})).await;
        let small = socket.whole(&name).await;
        assert_eq!(small.text(), "ttt", "and nothing of the other in between");
    }
    let list = gateway.client.get("/api/chat/streams").await.json();
    let held = list["streams"][0]["bytesBuffered"].as_u64().unwrap();
    assert!(held < 200_000, "16 MB are not read ahead: {held}");
    assert_eq!(upstream.running(), 1, "the upstream has not got rid of its answer");

    let ack = |number: u64| json!({"type": "ack", "ref": "large", "number": number});
    socket.send(ack(3)).await;
    let refused = socket.told().await;
    assert_eq!((&refused["to"], &refused["status"]), (&json!("ack"), &json!(400)), "{refused}");
    assert_eq!(refused["message"], "number: must not exceed 2, the last that was sent");
    socket.send(ack(1)).await;
    assert_eq!(socket.some("large", 1).await.numbers, [3]);
    let mut last = 3;
    while last < 2001 {
        socket.send(ack(last)).await;
        last = *socket.some("large", 1).await.numbers.last().unwrap();
        if last < 2001 {
            socket.send(ack(last - 1)).await;
        }
    }
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("completed").await, 21);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_stream_is_cancelled_or_left_by_its_name() {
    let gate = Gate::new();
    let upstream = gated_by_prompt(&gate).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 50")).await;
    let mut socket = Socket::open(gateway.address()).await;
    socket.start("a", "gated", json!({})).await;
    socket.some("a", 1).await;
    socket.send(json!({"type": "cancel", "ref": "a"})).await;
    let ended = socket.whole("a").await;
    assert_eq!(ended.names, ["chat.cancelled"]);
    upstream.wait_for_aborts(1).await;

    // Its name is free again. It is left, and goes on: it was to be.
    let detached = json!({"headers": {"X-On-Disconnect": "detach"}});
    socket.start("a", "gated", detached).await;
    let stream = socket.some("a", 1).await.stream;
    socket.send(json!({"type": "leave", "ref": "a"})).await;
    assert_eq!(socket.told().await, json!({"type": "left", "ref": "a"}));
    gate.open();
    gateway.wait_until_idle().await;
    socket.send(json!({"type": "resume", "ref": "a", "stream": stream, "after": 1})).await;
    let rest = socket.whole("a").await;
    assert_eq!((rest.text(), rest.numbers.len()), (fifty().replacen("t0 ", "", 1), 50));
    for command in ["cancel", "leave"] {
        socket.send(json!({"type": command, "ref": "a"})).await;
        let refused = socket.told().await;
        let expected = (&json!("NOT_FOUND"), &json!(command), &json!("a"));
        assert_eq!((&refused["error"], &refused["to"], &refused["ref"]), expected);
    }
    assert_eq!(gateway.all_outcomes().await.len(), 2, "one cancelled, one completed");
    gateway.inner.shutdown().await;
}

/// What becomes of the streams of a socket that is gone is the same as for any client.
#[actix_web::test]
async fn a_socket_that_is_gone_leaves_all_its_streams() {
    let gate = Gate::new();
    let upstream = gated_by_prompt(&gate).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 50")).await;
    let mut socket = Socket::open(gateway.address()).await;
    for number in 0..10 {
        let policy = if number < 7 { "cancel" } else { "detach" };
        let more = json!({"headers": {"x-on-disconnect": policy}});
        socket.start(&number.to_string(), "gated", more).await;
    }
    upstream.wait_for_chats(10).await;
    gateway.wait_for_metric("ai_gateway_websockets", "1").await;
    drop(socket);
    upstream.wait_for_aborts(7).await;
    gateway.wait_for_metric("ai_gateway_websockets", "0").await;
    gate.open();
    gateway.wait_until_idle().await;
    let outcomes = (gateway.outcomes("cancelled").await, gateway.outcomes("completed").await);
    assert_eq!(outcomes, (7, 3));
    gateway.inner.shutdown().await;
}

/// Begun here and resumed there, by event stream and by socket, from every place.
#[actix_web::test]
async fn sockets_and_event_streams_carry_the_same_streams() {
    let upstream = Upstream::start(|_| openai_answer(&["a", "b", "c", "d"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = gateway.client.with_header("Idempotency-Key", "k");
    let first = client.post("/api/chat", &native("hi")).await;
    let data: Vec<_> = first.events().into_iter().map(|event| event.data).collect();
    let stream = first.header("x-stream-id").unwrap();
    let mut socket = Socket::open(gateway.address()).await;
    for after in 0..5 {
        let resume = json!({"type": "resume", "ref": "r", "stream": stream, "after": after});
        socket.send(resume).await;
        let rest = socket.whole("r").await;
        assert_eq!((rest.data.as_slice(), rest.stream.as_str()), (&data[after..], stream));
    }
    // The same request with the same key is the same stream.
    socket.start("again", "hi", json!({"headers": {"idempotency-key": "k"}})).await;
    assert_eq!(socket.whole("again").await.data, data);
    socket.start("other", "ho", json!({"headers": {"idempotency-key": "k"}})).await;
    assert_eq!(socket.told().await["error"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(upstream.chats().len(), 1);

    socket.send(json!({"type": "resume", "ref": "r", "stream": stream, "after": 5})).await;
    assert_eq!(socket.told().await, json!({"type": "left", "ref": "r"}), "all of it was read");
    socket.send(json!({"type": "resume", "ref": "r", "stream": stream, "after": 6})).await;
    assert_eq!(socket.told().await["status"], 400);
    let whole = gateway.client.with_header("X-Resumable", "true");
    let openai = whole.post("/v1/chat/completions", &crate::client::openai("hi", true)).await;
    let other = openai.header("x-stream-id").unwrap();
    socket.send(json!({"type": "resume", "ref": "r", "stream": other})).await;
    let refused = socket.told().await;
    assert!(refused["message"].as_str().unwrap().starts_with("stream: is no stream of native"));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn streams_belong_to_the_key_of_their_socket() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::start(&two_keys(&openai_model(&upstream, ""))).await;
    let mut alice = Socket::open_with(gateway.address(), &[("X-Api-Key", ALICE)]).await.unwrap();
    alice.start("a", "hi", json!({})).await;
    let stream = alice.whole("a").await.stream;
    let mut bob = Socket::open(gateway.address()).await;
    bob.send(json!({"type": "authenticate", "key": BOB})).await;
    assert_eq!(bob.told().await, json!({"type": "authenticated"}));
    let unknown = "00".repeat(16);
    for id in [&stream, &unknown] {
        bob.send(json!({"type": "resume", "ref": "a", "stream": id})).await;
        let refused = bob.told().await;
        assert_eq!((&refused["status"], &refused["error"]), (&json!(404), &json!("NOT_FOUND")));
    }
    bob.send(json!({"type": "authenticate", "key": ALICE})).await;
    assert_eq!(bob.told().await["error"], "INVALID_REQUEST", "nobody changes who they are");
    bob.start("b", "hi", json!({})).await;
    assert_eq!(bob.whole("b").await.text(), "a");

    // Whoever is not known is told so, and shown out.
    assert_eq!(
        Socket::open_with(gateway.address(), &[("X-Api-Key", "wrong")]).await.err(),
        Some(401)
    );
    let start = json!({"type": "start", "ref": "a", "request": native("hi")});
    let series = "ai_gateway_rejected_requests_total{reason=\"unauthorized\"}";
    gateway.wait_for_metric(series, "1").await;
    for first in [json!({"type": "authenticate", "key": "wrong"}), start] {
        let mut socket = Socket::open(gateway.address()).await;
        socket.send(first).await;
        assert_eq!(socket.told().await["error"], "UNAUTHORIZED");
        assert_eq!(socket.hear().await, Heard::Closed(1008));
    }
    gateway.wait_for_metric(series, "3").await;
    // More than a key is not taken from a stranger.
    let mut socket = Socket::open(gateway.address()).await;
    socket.send(json!({"type": "authenticate", "key": "x".repeat(5000)})).await;
    assert_eq!(socket.hear().await, Heard::Closed(1008));
    gateway.wait_for_metric("ai_gateway_websockets", "2").await;
    assert_eq!(upstream.chats().len(), 2);
    gateway.inner.shutdown().await;
}
