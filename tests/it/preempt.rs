//! A turn that is taken back: a more urgent request takes the permit of one whose answer has not begun.

use futures::future::join_all;

use crate::client::{native, native_whole};
use crate::queue::{Scene, answered, prompt_of};
use crate::upstream::{Step, Upstream, openai_answer, openai_token, sse_head};

/// Says nothing to the first `low`, before or behind the response's head, and answers all else.
async fn silent_once(steps: Vec<Step>) -> Upstream {
    let begun = std::sync::atomic::AtomicBool::new(false);
    Upstream::start(move |seen| {
        let is_first = || !begun.swap(true, std::sync::atomic::Ordering::Relaxed);
        if prompt_of(seen) == "low" && is_first() {
            return [steps.clone(), vec![Step::Silence]].concat();
        }
        openai_answer(&["one", " two"])
    })
    .await
}

#[actix_web::test]
async fn a_more_urgent_request_takes_the_turn_of_one_whose_answer_has_not_begun() {
    for (begun, stream) in [(vec![], true), (vec![sse_head()], true), (vec![], false)] {
        let upstream = silent_once(begun).await;
        let scene = Scene::new(&upstream, "", "max_concurrency = 1\npreempt = true").await;
        let low = if stream { native("low") } else { native_whole("low") };
        let low = scene.of("batch").send("POST", "/api/chat", Some(&low.to_string())).await;
        scene.upstream.wait_for_chats(1).await;
        let urgent = scene.of("urgent").post("/api/chat", &native("urgent")).await;
        assert_eq!(urgent.native_text(), "one two");
        scene.upstream.wait_for_aborts(1).await;
        let answer = low.whole().await;
        let text = if stream {
            answer.native_text()
        } else {
            answer.json()["content"].as_str().unwrap().to_owned()
        };
        assert_eq!(text, "one two");
        assert_eq!(scene.order(), ["low", "urgent", "low"]);
        let told = answer.text().contains("chat.queued");
        assert_eq!(told, stream, "it waits again, and is told so");
        let preemptions = "ai_gateway_preemptions_total{model=\"test\"}";
        scene.gateway.wait_for_metric(preemptions, "1").await;
        assert_eq!(scene.gateway.outcomes("completed").await, 2);
        scene.end().await;
    }
}

#[actix_web::test]
async fn an_answer_that_has_begun_is_not_stopped_nor_any_without_leave() {
    let token = vec![sse_head(), openai_token("one")];
    for (begun, preempt) in [(token, true), (vec![], false)] {
        let upstream = silent_once(begun).await;
        let more = format!("max_concurrency = 1\npreempt = {preempt}");
        let scene = Scene::new(&upstream, "", &more).await;
        let body = native("low").to_string();
        let mut low = scene.of("batch").send("POST", "/api/chat", Some(&body)).await;
        scene.upstream.wait_for_chats(1).await;
        if preempt {
            low.read_until("one").await;
        }
        let urgent = scene.enqueue(&scene.of("urgent"), "urgent", 1).await;
        let mut next = scene.enqueue(&scene.of("urgent"), "next", 2).await;
        // So much later it would have lost its turn.
        next.read_until("\"position\":2").await;
        assert_eq!((scene.order(), scene.upstream.aborted()), (vec!["low".to_owned()], 0));
        drop(low);
        answered(urgent).await;
        answered(next).await;
        scene.end().await;
    }
}

#[actix_web::test]
async fn a_turn_is_taken_from_a_request_once_at_most() {
    let upstream = Upstream::start(|seen| match prompt_of(seen).as_str() {
        "low" => vec![Step::Silence],
        _ => openai_answer(&["one", " two"]),
    })
    .await;
    let scene = Scene::new(&upstream, "", "max_concurrency = 1\npreempt = true").await;
    let body = native("low").to_string();
    let low = scene.of("batch").send("POST", "/api/chat", Some(&body)).await;
    scene.upstream.wait_for_chats(1).await;
    let urgent = scene.of("urgent").post("/api/chat", &native("urgent")).await;
    assert_eq!(urgent.native_text(), "one two");
    scene.upstream.wait_for_chats(3).await;
    scene.upstream.wait_for_aborts(1).await;
    let waits = scene.enqueue(&scene.of("urgent"), "waits", 1).await;
    assert_eq!((scene.order().len(), scene.upstream.aborted()), (3, 1));
    drop(low);
    answered(waits).await;
    scene.end().await;
}

/// Whoever comes, leaves and takes turns: every answer is whole, and nothing is left behind.
#[actix_web::test]
async fn answers_are_whole_through_a_storm_of_turns_taken() {
    const CLIENTS: usize = 16;
    const REQUESTS: usize = 20;
    let upstream = Upstream::start(|_| {
        let mut steps = openai_answer(&["one", " two"]);
        (0..20).for_each(|_| steps.insert(0, Step::Yield));
        steps
    })
    .await;
    let scene = Scene::new(&upstream, "", "max_concurrency = 3\npreempt = true").await;
    let storm = (0..CLIENTS).map(|number| {
        let client = scene.of(["batch", "alice", "urgent", "bob"][number % 4]);
        async move {
            for request in 0..REQUESTS {
                let body = native(&request.to_string()).to_string();
                let live = client.send("POST", "/api/chat", Some(&body)).await;
                if (number + request) % 5 == 0 {
                    drop(live);
                } else {
                    answered(live).await;
                }
            }
        }
    });
    join_all(storm).await;
    scene.gateway.wait_until_free().await;
    let outcomes = scene.gateway.all_outcomes().await;
    let known = |name: &str| name == "completed" || name == "cancelled";
    assert!(outcomes.iter().all(|(name, _)| known(name)), "{outcomes:?}");
    let completed = scene.gateway.outcomes("completed").await;
    assert!(completed >= (CLIENTS * REQUESTS * 4 / 5) as u64, "{outcomes:?}");
    let metrics = scene.gateway.client.get("/metrics").await.text();
    let none = "ai_gateway_preemptions_total{model=\"test\"} 0\n";
    assert!(!metrics.contains(none), "turns were taken: else nothing was tried");
    scene.end().await;
}
