//! The console: a page that nothing foreign gets into, and a feed for those who may see all.

use serde_json::{Value, json};
use tidegate::config::Config;

use crate::client::{Client, Live, native};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Step, Upstream, openai_token, sse_head};

const FEED: &str = "/api/console/events";
const CONFIG: &str = "/api/console/config";
const ADMIN: &str = "admin-0123456789-0123456789-0123456789";
const ALICE: &str = "alice-0123456789-0123456789-0123456789";

/// The test's client calls every gateway by this name.
const KNOWN: &str = "allowed_hosts = [\"gateway\"]\n";

/// An upstream that says one word and then nothing.
async fn silent() -> Upstream {
    Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await
}

async fn gateway(upstream: &Upstream, more: &str) -> TestGateway {
    let toml = format!("{}{more}", openai_model(upstream, "max_concurrency = 9"));
    TestGateway::start_with_server(KNOWN, &toml).await
}

fn keys() -> String {
    format!("[auth]\nkey = \"{ADMIN}\"\n[[auth.keys]]\nname = \"alice\"\nkey = \"{ALICE}\"\n")
}

fn bearer(gateway: &TestGateway, key: &str) -> Client {
    gateway.client.with_header("Authorization", &format!("Bearer {key}"))
}

/// Only the head is read: a feed has no end.
async fn status(client: &Client, path: &str) -> u16 {
    let mut answer = client.send("GET", path, None).await;
    answer.read_head().await;
    answer.status()
}

async fn open_feed(client: &Client) -> Live {
    let mut feed = client.send("GET", FEED, None).await;
    feed.read_head().await;
    feed
}

/// The data of the events of a name, so far.
fn events(body: &str, name: &str) -> Vec<Value> {
    let head = format!("event: {name}\ndata: ");
    let found = body.split("\n\n").filter_map(|event| event.strip_prefix(&head));
    found.map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// The hello, and the first second of which `is_wanted` says so.
async fn second(feed: &mut Live, is_wanted: impl Fn(&Value) -> bool) -> (Value, Value) {
    for count in 2.. {
        let (body, is_over) = feed.read_events(count).await;
        if let Some(second) = events(&body, "console.second").into_iter().find(&is_wanted) {
            return (events(&body, "console.hello").remove(0), second);
        }
        assert!(!is_over, "it never came: {body}");
    }
    panic!("it never ends")
}

/// A row's value in the column of that name.
fn cell<'v>(hello: &Value, row: &'v Value, name: &str) -> &'v Value {
    let columns = hello["streamColumns"].as_array().unwrap();
    &row[columns.iter().position(|column| column == name).unwrap()]
}

#[actix_web::test]
async fn the_page_is_whole_and_nothing_foreign_gets_in() {
    let upstream = silent().await;
    let gateway = gateway(&upstream, "").await;
    let page = gateway.client.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = page.text();
    let named = text.split('"').filter(|word| word.starts_with("/console/"));
    let mut files: Vec<_> = named.map(str::to_owned).collect();
    files.sort();
    assert_eq!(files, ["/console/console.css", "/console/console.js", "/console/icon.svg"]);
    assert!(!text.contains("http") && !text.contains("style="), "{text}");
    assert_eq!(
        text.matches("<script").count(),
        text.matches("<script type=\"module\" src=").count()
    );
    files.push("/".to_owned());
    let mut size = 0;
    for file in &files {
        let answer = gateway.client.get(file).await;
        assert_eq!(answer.status, 200, "{file}");
        size += answer.text().len();
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self';",
            "style-src 'self';",
            "connect-src 'self'",
            "img-src 'self' data:",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("set-cookie"), None);
        let tag = answer.header("etag").unwrap();
        let again = gateway.client.with_header("If-None-Match", tag).get(file).await;
        assert_eq!((again.status, again.text().len()), (304, 0), "{file}");
    }
    assert!(size < 300_000, "{size} bytes are more than a page needs");
    assert_eq!(gateway.client.get("/console/nothing.js").await.status, 404);
    assert_eq!(gateway.client.post("/", &json!({})).await.status, 405);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_second_tells_of_streams_models_and_what_was_counted() {
    let upstream = silent().await;
    let gateway = gateway(&upstream, "").await;
    let mut stream = gateway.client.open("/api/chat", &native("hi")).await;
    stream.read_until("one").await;
    let mut feed = open_feed(&gateway.client).await;
    assert_eq!(feed.header("content-type"), Some("text/event-stream"));
    assert_eq!(feed.header("cache-control"), Some("no-store"));
    let (hello, told) = second(&mut feed, |_| true).await;
    assert_eq!((&hello["owner"], &hello["historySeconds"]), (&json!("anonymous"), &json!(900)));
    assert_eq!((&told["active"], &told["limit"]), (&json!(1), &json!(1000)));
    assert_eq!(told["draining"], false);
    let rows = told["streams"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    for (name, value) in [
        ("id", json!(stream.id())),
        ("model", json!("test")),
        ("target", json!("openai")),
        ("dialect", json!("native")),
        ("state", json!("streaming")),
        ("owner", json!("anonymous")),
        ("client", json!("127.0.0.1")),
        ("tokens", json!(1)),
        ("watchers", json!(1)),
    ] {
        assert_eq!(cell(&hello, &rows[0], name), &value, "{name}");
    }
    assert!(cell(&hello, &rows[0], "ttftMs").is_u64());
    let model = &told["models"][0];
    assert_eq!((&model["name"], &model["status"]), (&json!("test"), &json!("reachable")));
    assert_eq!((&model["permits"], &model["permitsInUse"]), (&json!(9), &json!(1)));
    assert_eq!((&model["queued"], &model["targets"][0]["circuit"]), (&json!(0), &json!("closed")));

    // What was counted before the page came stands in the hello, what comes later in the seconds.
    drop(stream);
    let (_, told) = second(&mut feed, |second| second["active"] == 0).await;
    assert_eq!(told["streams"], json!([]));
    drop(feed);
    let mut feed = open_feed(&gateway.client).await;
    let (hello, _) = second(&mut feed, |_| true).await;
    let sum = |name: &str| -> u64 {
        let columns = hello["sampleColumns"].as_array().unwrap();
        let place = columns.iter().position(|column| column == name).unwrap();
        let samples = hello["samples"].as_array().unwrap().iter();
        samples.map(|sample| sample[place].as_u64().unwrap()).sum()
    };
    assert_eq!([sum("started"), sum("tokens"), sum("cancelled"), sum("failed")], [1, 1, 1, 0]);
    drop(feed);
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn only_an_admin_sees_the_streams_of_all() {
    let upstream = silent().await;
    let gateway = gateway(&upstream, &keys()).await;
    let mut stream = bearer(&gateway, ALICE).open("/api/chat", &native("hi")).await;
    stream.read_until("one").await;
    for path in [FEED, CONFIG] {
        assert_eq!(status(&gateway.client, path).await, 401, "{path}");
        assert_eq!(status(&bearer(&gateway, "wrong"), path).await, 401, "{path}");
        assert_eq!(status(&bearer(&gateway, ALICE), path).await, 403, "{path}");
        // No key in the address: it would be in logs and histories.
        let query = format!("{path}?key={ADMIN}");
        assert_eq!(status(&gateway.client, &query).await, 401, "{query}");
    }
    assert_eq!(gateway.client.get("/").await.status, 200, "the page itself holds no secret");
    let mut feed = open_feed(&bearer(&gateway, ADMIN)).await;
    let (hello, told) = second(&mut feed, |_| true).await;
    assert_eq!(cell(&hello, &told["streams"][0], "owner"), "alice");
    drop((stream, feed));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_configuration_is_told_without_its_secrets() {
    let upstream = silent().await;
    let secret = "api_key = \"sk-canary-0123456789\"\n";
    let toml = format!("{}{}", openai_model(&upstream, secret), keys());
    let gateway = TestGateway::start_with_server(KNOWN, &toml).await;
    let told = bearer(&gateway, ADMIN).get(CONFIG).await;
    let text = told.text();
    assert!(!text.contains("canary") && !text.contains(ADMIN) && !text.contains(ALICE), "{text}");
    let value = |key: &str| {
        let told = told.json();
        let settings = told["settings"].as_array().unwrap().clone();
        settings.into_iter().find(|setting| setting["key"] == key).unwrap()
    };
    assert_eq!(value("models[0].api_key")["value"], "********");
    assert_eq!(value("console.history_seconds")["source"], "default");
    assert_eq!(value("models[0].name")["value"], "\"test\"");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn pages_and_the_streams_they_are_told_of_are_bounded() {
    let upstream = silent().await;
    let gateway = gateway(&upstream, "[console]\nmax_pages = 1\nmax_streams = 2\n").await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = gateway.client.open("/api/chat", &native("hi")).await;
        stream.read_until("one").await;
        streams.push(stream);
    }
    let mut feed = open_feed(&gateway.client).await;
    let (hello, told) = second(&mut feed, |_| true).await;
    let ids = told["streams"].as_array().unwrap().iter().map(|row| cell(&hello, row, "id"));
    assert_eq!(ids.collect::<Vec<_>>(), [&streams[0].id(), &streams[1].id()], "the oldest");
    assert_eq!(told["active"], 3);

    let refused = gateway.client.get(FEED).await;
    assert_eq!((refused.status, &refused.json()["error"]), (429, &json!("CONNECTION_LIMIT")));
    drop(feed);
    // The place is free once the gateway has seen the page leave.
    let mut feed = loop {
        let feed = open_feed(&gateway.client).await;
        if feed.status() == 200 {
            break feed;
        }
    };
    second(&mut feed, |_| true).await;
    drop((feed, streams));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_page_sees_the_drain_and_is_told_of_the_end() {
    let upstream = silent().await;
    let toml = openai_model(&upstream, "");
    let server = format!("{KNOWN}drain_grace_seconds = 3\n");
    let gateway = TestGateway::start_with_server(&server, &toml).await;
    let mut stream = gateway.client.open("/api/chat", &native("hi")).await;
    stream.read_until("one").await;
    let mut feed = open_feed(&gateway.client).await;
    second(&mut feed, |second| second["draining"] == false).await;
    let shutdown = actix_rt::spawn(gateway.inner.shutdown());
    let (_, told) = second(&mut feed, |second| second["draining"] == true).await;
    assert_eq!(told["active"], 1, "it still runs");
    let answer = feed.whole().await;
    assert!(answer.proper_end);
    assert_eq!(answer.events().last().unwrap().name.as_deref(), Some("console.end"));
    drop(stream);
    shutdown.await.unwrap();
}

/// As a browser sends it for a page of that origin, to the gateway under that name.
async fn from_page(gateway: &TestGateway, line: &str, host: &str, origin: Option<&str>) -> u16 {
    let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
    let body = native("hi").to_string();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\n{origin}Content-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = gateway.client.send_raw(request.as_bytes()).await;
    answer.read_head().await;
    answer.status()
}

#[actix_web::test]
async fn pages_of_other_sites_neither_read_nor_write() {
    let upstream = Upstream::start(|_| crate::upstream::openai_answer(&["a"])).await;
    let open = gateway(&upstream, "").await;
    let own = open.address().to_string();
    let evil = "evil.example:3000";
    let delete = "DELETE /api/chat/00000000000000000000000000000000";
    // Another site, at the gateway's own address: no header of CORS lets it read, and its reads of
    // the console are refused as well.
    let foreign = open.client.with_header("Origin", "http://evil.example");
    let refused = foreign.get(CONFIG).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert_eq!(status(&foreign, FEED).await, 403);
    // The same site, by a name that was made to point here.
    for read in [
        "GET /",
        "GET /console/console.js",
        "GET /api/console/events",
        "GET /api/console/config",
        // What it would take to read the answers of others.
        "GET /api/chat/streams",
    ] {
        assert_eq!(from_page(&open, read, evil, None).await, 403, "{read}");
    }
    let rebound = Some("http://evil.example:3000");
    for line in ["POST /api/chat", "POST /v1/chat/completions", delete] {
        assert_eq!(from_page(&open, line, evil, rebound).await, 403, "{line}");
    }
    assert_eq!(upstream.chats().len(), 0, "no answer was begun");
    // The gateway's own page, by its address and by a name it knows; and what is no page.
    let own_page = format!("http://{own}");
    assert_eq!(from_page(&open, "POST /api/chat", &own, Some(&own_page)).await, 200);
    assert_eq!(from_page(&open, "POST /api/chat", "gateway", Some("http://gateway")).await, 200);
    assert_eq!(from_page(&open, "POST /api/chat", evil, None).await, 200);
    assert_eq!(from_page(&open, "GET /api/models", evil, None).await, 200);
    assert_eq!(from_page(&open, "GET /api/chat/streams", "gateway", None).await, 200);
    assert_eq!(from_page(&open, "GET /api/console/config", &own, Some(&own_page)).await, 200);
    open.inner.shutdown().await;

    // Where keys are asked for, the name proves nothing either way.
    let keyed = gateway(&upstream, &keys()).await;
    assert_eq!(from_page(&keyed, "POST /api/chat", evil, rebound).await, 401);
    assert_eq!(from_page(&keyed, "GET /api/console/config", evil, rebound).await, 401);
    keyed.inner.shutdown().await;
}

#[actix_web::test]
async fn it_can_be_off() {
    let upstream = silent().await;
    let gateway = gateway(&upstream, "[console]\nenabled = false\n").await;
    for path in ["/", "/console/console.js", FEED, CONFIG] {
        assert_eq!(status(&gateway.client, path).await, 404, "{path}");
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_reload_shows_at_once_and_takes_the_feed_with_the_key() {
    let upstream = silent().await;
    let gateway = gateway(&upstream, &keys()).await;
    let admin = bearer(&gateway, ADMIN);
    let mut feed = open_feed(&admin).await;
    second(&mut feed, |second| second["models"].as_array().unwrap().len() == 1).await;

    let server = format!("[server]\nport = 0\nworkers = 2\n{KNOWN}");
    let models = openai_model(&upstream, "") + &openai_model(&upstream, "").replace("test", "two");
    let reload = async |keys: &str| {
        let text = format!("{server}{models}{keys}");
        gateway.inner.reload(Config::parse(&text, []).unwrap().config).await;
    };
    reload(&keys()).await;
    let (_, told) = second(&mut feed, |it| it["models"].as_array().unwrap().len() == 2).await;
    assert_eq!(told["models"][1]["name"], "two");
    let shown = admin.get(CONFIG).await.text();
    assert!(shown.contains("models[1].name"), "{shown}");

    reload(&keys().replace(ADMIN, &ADMIN.replace("admin", "other"))).await;
    let mut seconds = 1..30;
    while !feed.read_events(seconds.next().expect("its key is one no more")).await.1 {}
    assert_eq!(status(&admin, FEED).await, 401);
    gateway.inner.shutdown().await;
}
