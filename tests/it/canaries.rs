//! Marked secrets, prompts and answers: driven through everything the program does, and found
//! nowhere but where they belong.

use tokio::process::Command;
use tokio::time::timeout;

use crate::client::{Client, native, native_whole, openai};
use crate::gateway::openai_model;
use crate::process::Process;
use crate::upstream::{PATIENCE, Seen, Step, Upstream};
use crate::wire::{openai_answer, openai_token, refusal, sse_head};

const COMPLETIONS: &str = "/v1/chat/completions";
const CLIENT_KEY: &str = "canary-client-0123456789-0123456789-01";
const ADMIN_KEY: &str = "canary-admin-0123456789-0123456789-012";
const UPSTREAM_KEY: &str = "sk-canary-0123456789-0123456789-upstream";
const ENV_KEY: &str = "sk-canary-0123456789-0123456789-from-env";

/// What the upstream does, by a word of the prompt. It quotes all it knows wherever it can.
fn misbehave(seen: &Seen) -> Vec<Step> {
    let prompt = seen.json()["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
    let key = seen.header("authorization").unwrap_or_default();
    let (begin, end) = (&key[..key.len().min(20)], &key[key.len().saturating_sub(4)..]);
    let told = format!("no {key} nor {begin}***{end} for {prompt}");
    let error = serde_json::json!({"error": {"message": told, "code": null}}).to_string();
    // The message is cut within the key.
    let long = serde_json::json!({"error": {"message": "x".repeat(470) + &told}}).to_string();
    let token = || openai_token("canary-answer");
    match prompt.split(' ').nth(1).unwrap_or_default() {
        "refused" => refusal(400, "", &error),
        "unauthorized" => refusal(401, "", &error),
        "limited" => refusal(429, "Retry-After: 0\r\n", &error),
        "failed" => refusal(500, "", &error),
        "long" => refusal(422, "", &long),
        "bare" => refusal(500, "", &told),
        "told" => vec![sse_head(), token(), Step::Chunk(format!("data: {error}\n\n").into())],
        "event" => {
            let event = format!("event: error\ndata: {error}\n\n");
            vec![sse_head(), token(), Step::Chunk(event.into())]
        }
        "garbage" => vec![sse_head(), token(), Step::Chunk(format!("data: {{{told}\n\n").into())],
        "cut" => vec![sse_head(), token(), Step::Close],
        "reset" => vec![sse_head(), token(), Step::Reset],
        "silent" => vec![sse_head(), token(), Step::Silence],
        "no-http" => vec![Step::Raw(told.into_bytes()), Step::Close],
        _ => openai_answer(&["canary-answer"]),
    }
}

const FAULTS: [&str; 13] = [
    "none",
    "refused",
    "unauthorized",
    "limited",
    "failed",
    "long",
    "bare",
    "told",
    "event",
    "garbage",
    "cut",
    "reset",
    "no-http",
];

fn configuration(upstream: &Upstream) -> String {
    let models = openai_model(upstream, &format!("api_key = \"{UPSTREAM_KEY}\""));
    let second = openai_model(upstream, "api_key_env = \"UPSTREAM_SECRET\"");
    let second = second.replace("name = \"test\"", "name = \"second\"\nupstream_model = \"test\"");
    format!(
        "{models}{second}[auth]\nkey = \"{ADMIN_KEY}\"\n[[auth.keys]]\nname = \"client\"\n\
         key = \"{CLIENT_KEY}\"\n"
    )
}

/// Asks for everything in both dialects; gives all that was answered.
async fn drive(client: &Client, model: &str) -> String {
    let mut told = String::new();
    for fault in FAULTS {
        let prompt = format!("canary-prompt {fault}");
        for (path, mut body) in [
            ("/api/chat", native(&prompt)),
            ("/api/chat", native_whole(&prompt)),
            (COMPLETIONS, openai(&prompt, true)),
            (COMPLETIONS, openai(&prompt, false)),
        ] {
            body["model"] = model.into();
            let answer = client.post(path, &body).await;
            let whole = answer.text().contains("canary-answer");
            assert!(whole || fault != "none", "{}", answer.text());
            told += &answer.head;
            told += &answer.text();
        }
    }
    told
}

/// Requests that go wrong before any upstream is asked.
async fn stumble(known: &Client, stranger: &Client) -> String {
    let mut told = String::new();
    for (client, path, body) in [
        (known, "/api/chat", r#"{"prompt":"canary-prompt"}"#),
        (known, "/api/chat", r#"{"messages":[{"role":"user","content":"canary-prompt"#),
        (known, "/api/chat", r#""canary-prompt""#),
        (known, COMPLETIONS, r#"{"messages":"canary-prompt","model":7}"#),
        (known, COMPLETIONS, r#"{"messages":[{"role":"canary-prompt","content":"x"}]}"#),
        (
            known,
            COMPLETIONS,
            r#"{"messages":[{"role":"user","content":"x"}],"model":"canary-prompt"}"#,
        ),
        (stranger, "/api/chat", r#"{"messages":[{"role":"user","content":"canary-prompt"}]}"#),
    ] {
        let answer = client.send("POST", path, Some(body)).await.whole().await;
        assert!((400..500).contains(&answer.status), "{body}");
        told += &answer.text();
    }
    told
}

#[actix_web::test]
async fn what_is_marked_is_found_nowhere_else() {
    let upstream = Upstream::start(misbehave).await;
    let environment = [("LOG_LEVEL", "trace"), ("RUST_LOG", "trace"), ("UPSTREAM_SECRET", ENV_KEY)];
    let gateway = Process::start_with(&environment, &configuration(&upstream)).await;
    let known = gateway.client.with_header("Authorization", &format!("Bearer {CLIENT_KEY}"));
    let admin = gateway.client.with_header("x-api-key", ADMIN_KEY);
    let stranger = gateway.client.with_header("x-api-key", "canary-stranger");

    let mut answers = drive(&known, "test").await + &drive(&known, "second").await;
    assert!(upstream.chats().len() >= 2 * 4 * FAULTS.len());
    let asked = upstream.chats().iter().map(|seen| seen.head.clone()).collect::<String>();
    assert!(asked.contains(UPSTREAM_KEY) && asked.contains(ENV_KEY), "both keys are sent");
    assert!(!asked.contains(CLIENT_KEY) && !asked.contains(ADMIN_KEY), "a client's stays here");
    let mut live = known.open("/api/chat", &native("canary-prompt silent")).await;
    live.read_until("canary-answer").await;

    // Nobody is told these but those who ask for the answer.
    let mut public = stumble(&known, &stranger).await;
    for path in [
        "/api/chat/streams",
        "/api/models",
        "/v1/models",
        "/metrics",
        "/openapi.json",
        "/health",
        "/ready",
        "/nowhere",
    ] {
        let answer = admin.get(path).await;
        public += &answer.head;
        public += &answer.text();
    }
    assert!(public.contains("\"owner\":\"client\""), "the live stream is listed");
    drop(live);
    let (code, log) = gateway.terminate().await;
    let log = log.join("\n");
    assert_eq!(code, Some(0));
    assert!(log.contains("UPSTREAM_REJECTED") && log.contains("INVALID_REQUEST"), "{log}");
    // None of ours is of that level, and libraries may tell what they read.
    assert!(!log.contains("\"level\":\"TRACE\""), "{log}");
    for (what, text) in [("the log", &log), ("public answers", &public)] {
        let found = text.lines().find(|line| line.contains("canary"));
        assert_eq!(found, None, "in {what}");
    }
    answers += &public;
    assert!(answers.contains("********"), "what was quoted is hidden");
    // No more of a key than half of what begins all of them.
    for part in ["sk-can", "0123456789", "-upstream", "from-env", "canary-client", "canary-admin"] {
        let found = answers.lines().find(|line| line.contains(part));
        assert_eq!(found, None, "`{part}` in an answer");
    }
}

/// Runs the program to its end, which must come; gives its exit code and all that it said.
async fn run(command: &str, toml: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let file = std::env::temp_dir().join(format!("tidegate-{}.toml", rand::random::<u64>()));
    std::fs::write(&file, toml).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args([command, "--config"])
        .arg(&file)
        .env_clear()
        .envs(environment.iter().copied())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.expect("it does not start").unwrap();
    std::fs::remove_file(file).unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[actix_web::test]
async fn the_configuration_is_shown_without_its_secrets() {
    let upstream = Upstream::start(misbehave).await;
    let toml = configuration(&upstream);
    let (code, said) = run("check", &toml, &[("UPSTREAM_SECRET", ENV_KEY)]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("********") && said.contains("UPSTREAM_SECRET"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[actix_web::test]
async fn a_secret_that_is_empty_or_elsewhere_stops_the_start_and_is_not_told() {
    let model = "[[models]]\nname = \"m\"\nprovider = \"vllm\"\nbase_url = ";
    let with_key = |line: &str| format!("{model}\"http://127.0.0.1:1\"\n{line}\n");
    let key = |line: &str| format!("[[auth.keys]]\nname = \"a\"\n{line}\n");
    for (toml, environment) in [
        (String::new(), ("AUTH_KEY", "")),
        (String::new(), ("AUTH_KEY", " ")),
        (String::new(), ("AUTH_KEY", "canary-too-short")),
        ("[auth]\nkey = \"\"\n".to_owned(), ("X", "")),
        ("[auth]\nkey = \"canary canary canary canary canary\"\n".to_owned(), ("X", "")),
        (key("key = \"\""), ("X", "")),
        (key(""), ("X", "")),
        (with_key("api_key = \"\""), ("X", "")),
        (with_key("api_key = \"canary\\ncanary\""), ("X", "")),
        (with_key("api_key_env = \"UNSET\""), ("X", "")),
        (with_key("api_key_env = \"EMPTY\""), ("EMPTY", "")),
        (with_key("api_key_env = \"sk-canary\""), ("X", "")),
        (with_key("api_key = [\"canary\"]"), ("X", "")),
        (format!("{model}\"http://user:canary@127.0.0.1\"\n"), ("X", "")),
        (format!("{model}\"http://127.0.0.1/?key=canary\"\n"), ("X", "")),
        (String::new(), ("OPENAI_BASE_URL", "http://user:canary@127.0.0.1")),
    ] {
        for command in ["serve", "check"] {
            let environment = [environment, ("OPENAI_MODEL", "m"), ("PORT", "0")];
            let environment = &environment[..];
            let (code, said) = run(command, &toml, environment).await;
            assert_eq!(code, Some(2), "{command} {toml} {environment:?}: {said}");
            assert!(!said.contains("canary"), "{said}");
            assert!(said.contains("not valid"), "{said}");
        }
    }
}
