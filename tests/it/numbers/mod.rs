//! All that count say the same, to the request: the metrics, the list of streams, the access records
//! and the clients' own counts, after a run of everything that can happen to a request.
//!
//! - [`run`]: the requests. [`play`]: the upstreams, which count what they say.
//! - [`own`]: what the clients count. [`told`]: what the gateway tells. [`counts`]: comparing.

mod counts;
mod own;
mod play;
mod run;
pub mod told;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use counts::Comparison;
use own::{Caller, Own, is_quiet};
use play::{Said, Stage};
use run::{BURST, Cast, MAX_STREAMS};
use tokio::time::Instant;
use told::{Records, Scrape, reason_of};

use crate::gateway::TestGateway;
use crate::resume::{ALICE, BOB};
use crate::upstream::PATIENCE;

fn config(stage: &Stage, file: &Path) -> String {
    let [first, other] = [&stage.first, &stage.other].map(crate::upstream::Upstream::openai_url);
    let ollama = stage.other.ollama_url();
    let keys = crate::resume::two_keys("");
    let one = format!("provider = \"openai\"\nbase_url = \"{other}\"\nmax_concurrency = 100\n");
    format!(
        "[access_log]\nlog = false\nfile = \"{}\"\n\
         [health]\nfailures_in_a_row = 1000\nfailure_percent = 100\n\
         [rate_limits]\nrequests_per_minute = 1\nburst = {BURST}\n{keys}\n\
         [[models]]\nname = \"one\"\nretry_budget_percent = 100\n{one}\
         [[models]]\nname = \"hasty\"\nidle_timeout_seconds = 1\ntotal_timeout_seconds = 2\n{one}\
         [[models]]\nname = \"ollama\"\nprovider = \"ollama\"\nbase_url = \"{ollama}\"\n\
         max_concurrency = 100\n\
         [[models]]\nname = \"narrow\"\nprovider = \"openai\"\nbase_url = \"{other}\"\n\
         max_concurrency = 1\nqueue_length = 1\n\
         [[models]]\nname = \"two\"\npolicy = \"cheapest\"\nretry_budget_percent = 100\n\
         [[models.targets]]\nname = \"first\"\nprovider = \"openai\"\nbase_url = \"{first}\"\n\
         max_concurrency = 100\n\
         [[models.targets]]\nname = \"other\"\ninput_price = 1\n{one}",
        file.display()
    )
}

async fn cast(file: &Path) -> Cast {
    let stage = Stage::set().await;
    let server = format!("max_streams = {MAX_STREAMS}\nbody_limit_bytes = 100000");
    let gateway = TestGateway::start_with_server(&server, &config(&stage, file)).await;
    let own = Rc::new(RefCell::new(Own::default()));
    let caller = |owner, key| {
        let client = gateway.client.with_header("Authorization", &format!("Bearer {key}"));
        Caller { client, owner, key, own: Rc::clone(&own) }
    };
    let (alice, bob) = (caller("alice", ALICE), caller("bob", BOB));
    let stranger = caller("nobody", "a key that nobody has");
    Cast { gateway, stage, alice, bob, stranger }
}

fn file() -> PathBuf {
    std::env::temp_dir().join(format!("tidegate-numbers-{:016x}.jsonl", rand::random::<u64>()))
}

#[actix_web::test]
async fn all_counts_agree_to_the_request() {
    let file = file();
    let cast = cast(&file).await;
    futures::join!(cast.plain_answers(), cast.refusals());
    cast.plain_answers().await;
    cast.plain_answers().await;
    futures::join!(cast.failovers(), cast.looks(), cast.retries());
    cast.departures().await;
    futures::join!(cast.cancels(), cast.stalls(), cast.socket());
    cast.queue().await;
    cast.crowd().await;
    cast.readers().await;
    cast.flood().await;

    let (own, scrape) = at_rest(&cast, &file).await;
    assert_eq!(scrape.sum("ai_gateway_access_records_dropped_total"), 0);
    let list = cast.alice.client.get("/api/chat/streams").await.json();
    assert_eq!((&list["activeCount"], &list["streams"]), (&0.into(), &serde_json::json!([])));
    let states = ["queued", "connecting", "waiting", "streaming"];
    assert!(states.iter().all(|state| list["stats"][state] == 0), "{list}");
    let (said, asked) = (cast.stage.said(), cast.stage.asked());
    cast.gateway.inner.shutdown().await;
    // But for the list just now.
    let mut records = Records::read(&file);
    records.0.pop();
    let mut comparison = Comparison::default();
    compare_requests(&mut comparison, &own, &scrape, &records);
    compare_streams(&mut comparison, &own, &scrape, &records);
    compare_upstreams(&mut comparison, &scrape, &records, &said, asked);
    comparison.number(
        "retries",
        &[("clients", own.retries), ("metrics", scrape.sum("ai_gateway_upstream_retries_total"))],
    );
    comparison.agrees();
    assert!(own.answered.sum() > 400, "{} requests", own.answered.sum());
    println!(
        "{} requests over HTTP, {} over a socket, {} streams, {} questions to upstreams",
        own.answered.sum(),
        own.messages.sum(),
        own.outcomes.sum(),
        asked
    );
    std::fs::remove_file(file).unwrap();
}

/// Waits until all that was asked is counted and written; gives what both sides have counted then.
async fn at_rest(cast: &Cast, file: &Path) -> (Own, Scrape) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let own = cast.alice.own.borrow().clone();
        let scrape = Scrape::new(cast.stranger.get("/metrics").await.text());
        let quiet: u64 = own.answered.by(|it| is_quiet(it).then(String::new)).sum();
        let written = own.answered.sum() - quiet + own.messages.sum();
        let is_over = scrape.sum("ai_gateway_active_streams") == 0
            && scrape.sum("http_requests_total") >= own.answered.sum()
            && Records::read(file).0.len() as u64 >= written;
        // What is missing then is told by name.
        if is_over || Instant::now() > deadline {
            return (own, scrape);
        }
        tokio::task::yield_now().await;
    }
}

/// Requests, by what they were answered, why they were refused and whose they are.
fn compare_requests(all: &mut Comparison, own: &Own, scrape: &Scrape, records: &Records) {
    let labels = ["method", "path", "status_code"];
    let metrics = scrape.by("http_requests_total", &labels);
    all.of("requests", &[("clients", &own.answered), ("metrics", &metrics)]);
    let durations = scrape.by("http_request_duration_seconds_count", &labels[..2]);
    let of_route = own.answered.by(|it| it.rsplit_once(' ').map(|(route, _)| route.to_owned()));
    all.of("durations", &[("clients", &of_route), ("metrics", &durations)]);
    let loud = own.answered.by(|it| (!is_quiet(it)).then(|| it.to_owned()));
    all.of("records of requests", &[("clients", &loud), ("records", &records.answered())]);
    let messages = records.by(|record| record["command"].as_str().map(str::to_owned));
    all.of("messages over sockets", &[("clients", &own.messages), ("records", &messages)]);
    let refused = records.by(|record| reason_of(record["code"].as_str()?));
    let metrics = scrape.by("ai_gateway_rejected_requests_total", &["reason"]);
    all.of("refused", &[("clients", &own.refused), ("metrics", &metrics), ("records", &refused)]);
    let owners = records.by(|record| Some(record["owner"].as_str().unwrap_or("nobody").to_owned()));
    all.of("owners", &[("clients", &own.owners), ("records", &owners)]);
}

/// Streams, by how they ended; and who else read them.
fn compare_streams(all: &mut Comparison, own: &Own, scrape: &Scrape, records: &Records) {
    let outcome = |record: &serde_json::Value| record["outcome"].as_str().map(str::to_owned);
    let (began, read): (Vec<_>, Vec<_>) =
        records.0.iter().cloned().partition(|record| record.get("reads").is_none());
    let (began, read) = (Records(began), Records(read).by(outcome));
    let metrics = scrape.by("ai_gateway_streams_total", &["status"]);
    let of_records = began.by(outcome);
    all.of(
        "streams",
        &[("clients", &own.outcomes), ("metrics", &metrics), ("records", &of_records)],
    );
    let of_model = scrape.by("ai_gateway_streams_total", &["model", "status"]);
    let of_records =
        began.by(|it| Some(format!("{} {}", it["model"].as_str()?, it["outcome"].as_str()?)));
    all.of("streams of models", &[("metrics", &of_model), ("records", &of_records)]);
    all.number(
        "streams",
        &[
            ("started", scrape.sum("ai_gateway_streams_started_total")),
            ("ended", metrics.sum()),
            ("clients", own.outcomes.sum()),
        ],
    );
    all.of("readers", &[("clients", &own.reads), ("records", &read)]);
    let attached = scrape.sum("ai_gateway_attached_total");
    all.number("readers", &[("clients", own.reads.sum()), ("metrics", attached)]);
}

/// What upstreams were asked, and what they said, by model.
fn compare_upstreams(
    all: &mut Comparison,
    scrape: &Scrape,
    records: &Records,
    said: &Said,
    asked: u64,
) {
    let of_model = |metric: &str| scrape.by(metric, &["model"]);
    for (what, upstreams, metric, records) in [
        (
            "prompt tokens",
            &said.prompt_tokens,
            "ai_gateway_prompt_tokens_total",
            records.sums("prompt_tokens"),
        ),
        (
            "completion tokens",
            &said.completion_tokens,
            "ai_tokens_processed_total",
            records.sums("completion_tokens"),
        ),
        (
            "first tokens",
            &said.begun,
            "ai_gateway_time_to_first_token_seconds_count",
            records.having("time_to_first_token_ms"),
        ),
    ] {
        let metrics = of_model(metric);
        all.of(what, &[("upstreams", upstreams), ("metrics", &metrics), ("records", &records)]);
    }
    let (attempts, results) =
        (records.sums("attempts"), of_model("ai_gateway_target_requests_total"));
    all.of("attempts", &[("metrics", &results), ("records", &attempts)]);
    all.number("attempts", &[("upstreams", asked), ("records", attempts.sum())]);
    let went_out = records.by(|record| {
        record["queue_wait_ms"].as_f64()?;
        Some(record["model"].as_str().unwrap().to_owned())
    });
    for metric in [
        "ai_gateway_queue_wait_seconds_count",
        "ai_gateway_overhead_seconds_count",
        "ai_model_inference_duration_seconds_count",
    ] {
        all.of(metric, &[("metrics", &of_model(metric)), ("records", &went_out)]);
    }
    let failovers = scrape.sum("ai_gateway_failovers_total");
    all.number("failovers", &[("upstreams", said.failed_first), ("metrics", failovers)]);
}
