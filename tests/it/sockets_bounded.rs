//! What a socket refuses, and how it ends.

use awc::ws::Message;
use serde_json::json;

use crate::client::native;
use crate::gateway::{TestGateway, openai_model};
use crate::resume::two_keys;
use crate::socket::{Heard, Socket};
use crate::upstream::{Gate, Upstream, openai_answer};

#[actix_web::test]
async fn what_is_no_message_is_refused_and_the_socket_stays() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let model = openai_model(&upstream, "max_concurrency = 50");
    let toml = format!("{model}[websocket]\nmax_streams_per_socket = 2\n");
    let gateway = TestGateway::start(&toml).await;
    let mut socket = Socket::open(gateway.address()).await;
    socket.start("running", "hi", json!({})).await;
    socket.some("running", 1).await;
    let start = |request: serde_json::Value, headers: serde_json::Value| json!({"type": "start", "ref": "a", "request": request, "headers": headers});
    let whole = json!({"messages": native("hi")["messages"], "stream": false});
    for (message, field) in [
        (json!({"type": "start", "ref": "running", "request": native("hi")}), "ref"),
        (json!({"type": "start", "ref": "", "request": native("hi")}), "ref"),
        (start(json!({"messages": []}), json!({})), "messages"),
        (start(native("hi"), json!({"X-Priority": "urgent"})), "X-Priority"),
        (start(native("hi"), json!({"Cookie": "a"})), "headers"),
        (start(native("hi"), json!({"X-Priority": "a\nb"})), "headers"),
        (start(whole, json!({})), "stream"),
        (json!({"type": "sing", "ref": "a"}), "type"),
    ] {
        socket.send(message).await;
        let refused = socket.told().await;
        assert_eq!((&refused["type"], &refused["status"]), (&json!("error"), &json!(400)));
        assert_eq!(refused["details"][0]["field"], field, "{refused}");
    }
    socket.send_frame(Message::Text("{".into())).await;
    let refused = socket.told().await;
    assert_eq!((&refused["error"], refused.get("ref")), (&json!("INVALID_REQUEST"), None));
    let unknown = json!({"model": "none", "messages": native("hi")["messages"]});
    socket.send(start(unknown, json!({}))).await;
    assert_eq!(socket.told().await["error"], "MODEL_NOT_FOUND");

    // All of them are counted, whether or not they would have begun a stream.
    let series = "ai_gateway_rejected_requests_total{reason=\"invalid\"}";
    gateway.wait_for_metric(series, "10").await;

    socket.start("second", "hi", json!({})).await;
    socket.some("second", 1).await;
    socket.start("third", "hi", json!({})).await;
    let refused = socket.told().await;
    assert_eq!((&refused["error"], &refused["ref"]), (&json!("CONNECTION_LIMIT"), &json!("third")));
    gate.open();
    socket.follow(crate::socket::have_ended(&["running", "second"])).await;
    assert_eq!(upstream.chats().len(), 2, "what was refused asked nothing");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn messages_are_texts_of_bounded_size() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let server = "body_limit_bytes = 200000";
    let toml = format!("{}[chat]\nmax_content_chars = 150000", openai_model(&upstream, ""));
    let gateway = TestGateway::start_with_server(server, &toml).await;
    let mut socket = Socket::open(gateway.address()).await;
    // As large as a request may be, again and again: nothing is left over of the ones before.
    for name in ["a", "b", "c", "d", "e"] {
        socket.start(name, &"x".repeat(150_000), json!({})).await;
        assert_eq!(socket.whole(name).await.text(), "a");
    }
    socket.send_frame(Message::Text("x".repeat(210_000).into())).await;
    assert_eq!(socket.hear().await, Heard::Closed(1009));
    let mut socket = Socket::open(gateway.address()).await;
    socket.send_frame(Message::Binary(vec![1].into())).await;
    assert_eq!(socket.hear().await, Heard::Closed(1003));
    let mut socket = Socket::open(gateway.address()).await;
    socket.send_frame(Message::Close(None)).await;
    assert_eq!(socket.hear().await, Heard::Closed(1005), "it is answered");
    gateway.wait_for_metric("ai_gateway_websockets", "0").await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn only_own_and_allowed_pages_may_open_one_and_only_so_many() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let model = openai_model(&upstream, "");
    let toml = format!(
        "{model}[websocket]\nmax_sockets = 2\n[server.cors]\nallowed_origins = [\"https://a.example\"]"
    );
    let gateway = TestGateway::start(&toml).await;
    let open =
        async |origin: &str| Socket::open_with(gateway.address(), &[("Origin", origin)]).await;
    assert_eq!(open("https://b.example").await.err(), Some(403));
    let own = format!("http://{}", gateway.address());
    let _first = open(&own).await.unwrap();
    let second = open("https://a.example").await.unwrap();
    assert_eq!(open(&own).await.err(), Some(429));
    drop(second);
    gateway.wait_for_metric("ai_gateway_websockets", "1").await;
    let third = open(&own).await;
    assert!(third.is_ok());
    let plain = gateway.client.get("/api/ws").await;
    assert_eq!((plain.status, &plain.json()["error"]), (429, &json!("CONNECTION_LIMIT")));
    let refused = |reason| format!("ai_gateway_rejected_requests_total{{reason=\"{reason}\"}}");
    gateway.wait_for_metric(&refused("connection_limit"), "2").await;
    gateway.wait_for_metric(&refused("capacity"), "0").await;
    drop(third);
    gateway.wait_for_metric("ai_gateway_websockets", "1").await;
    let plain = gateway.client.get("/api/ws").await;
    assert_eq!((plain.status, &plain.json()["error"]), (400, &json!("INVALID_REQUEST")));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn each_start_takes_one_from_the_allowance() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let toml =
        format!("{}[rate_limits]\nrequests_per_minute = 1\nburst = 2", openai_model(&upstream, ""));
    let gateway = TestGateway::start(&toml).await;
    let mut socket = Socket::open(gateway.address()).await;
    for name in ["a", "b"] {
        socket.start(name, "hi", json!({})).await;
        socket.whole(name).await;
    }
    socket.start("c", "hi", json!({})).await;
    let refused = socket.told().await;
    assert_eq!((&refused["error"], &refused["status"]), (&json!("RATE_LIMITED"), &json!(429)));
    assert!(refused["retryAfter"].as_u64().unwrap() > 0, "{refused}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn who_says_nothing_is_shown_out() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let toml = two_keys(&openai_model(&upstream, "")) + "[websocket]\nauth_timeout_seconds = 0.05";
    let gateway = TestGateway::start_with_server("heartbeat_seconds = 0.05", &toml).await;
    let mut silent = Socket::open(gateway.address()).await;
    assert_eq!(silent.hear().await, Heard::Closed(1008));
    // Known, but its pings are not answered.
    let key = ("X-Api-Key", crate::resume::ALICE);
    let mut gone = Socket::open_with(gateway.address(), &[key]).await.unwrap();
    assert_eq!(gone.hear().await, Heard::Closed(1005));
    gateway.wait_for_metric("ai_gateway_websockets", "0").await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_gateway_that_stops_ends_streams_first_and_sockets_then() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let server = "drain_grace_seconds = 0.1";
    let gateway = TestGateway::start_with_server(server, &openai_model(&upstream, "")).await;
    let mut idle = Socket::open(gateway.address()).await;
    let mut busy = Socket::open(gateway.address()).await;
    busy.start("a", "hi", json!({})).await;
    busy.some("a", 1).await;
    let shutdown = actix_rt::spawn(gateway.inner.shutdown());
    assert_eq!(idle.hear().await, Heard::Closed(1001));
    busy.start("b", "hi", json!({})).await;
    let refused = busy.told().await;
    assert_eq!((&refused["error"], &refused["status"]), (&json!("DRAINING"), &json!(503)));
    let ended = busy.whole("a").await;
    assert_eq!(ended.names, ["error"]);
    assert!(ended.data[0].contains("\"DRAINED\""), "{ended:?}");
    assert_eq!(busy.hear().await, Heard::Closed(1001));
    shutdown.await.unwrap();
}
