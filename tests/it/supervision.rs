//! A fault of the gateway itself takes one stream down and nothing else.

use tidegate_protocol::StreamId;

use crate::client::{anthropic, native, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Gate, Upstream};

#[actix_web::test]
async fn a_stream_that_panics_frees_its_slot_tells_its_client_and_harms_no_other() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway =
        TestGateway::start_with_server("max_streams = 4", &openai_model(&upstream, "")).await;
    let mut native_one = gateway.client.open("/api/chat", &native("hi")).await;
    let mut openai_one = gateway.client.open("/v1/chat/completions", &openai("hi", true)).await;
    let mut anthropic_one = gateway.client.open("/v1/messages", &anthropic("hi", true)).await;
    let mut bystander = gateway.client.open("/api/chat", &native("hi")).await;
    for live in [&mut native_one, &mut openai_one, &mut anthropic_one, &mut bystander] {
        live.read_until("one").await;
    }
    for live in [&native_one, &openai_one, &anthropic_one] {
        let id: StreamId = live.id().parse().unwrap();
        assert!(gateway.inner.directory().panic_stream(id).await);
    }

    let told = native_one.whole().await;
    assert!(told.proper_end);
    let last = told.events().last().unwrap().clone();
    assert_eq!(
        (last.name.as_deref(), &last.json()["code"]),
        (Some("error"), &"INTERNAL_ERROR".into())
    );
    let told = openai_one.whole().await;
    assert_eq!(told.events().last().unwrap().json()["error"]["code"], "INTERNAL_ERROR");
    let told = anthropic_one.whole().await.events().last().unwrap().clone();
    assert_eq!(
        (told.name.as_deref(), &told.json()["error"]["code"]),
        (Some("error"), &"INTERNAL_ERROR".into())
    );
    upstream.wait_for_aborts(3).await;

    gateway.wait_for_metric("ai_gateway_active_streams", "1").await;
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"test\"}", "1").await;
    gate.open();
    assert_eq!(bystander.whole().await.native_text(), "one two");
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("internal_error").await, 3);
    assert_eq!(gateway.outcomes("completed").await, 1);
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "one two");
    gateway.inner.shutdown().await;
}
