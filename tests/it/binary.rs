//! The program itself: its logs, its exit codes, its signals.

use std::process::Command;

use crate::client::{native, openai};
use crate::gateway::openai_model;
use crate::process::Process;
use crate::upstream::{Step, Upstream, openai_answer, openai_token, refusal, sse_head};

const KEY: &str = "canary-key-0123456789-0123456789-0123456789";

#[actix_web::test]
async fn each_request_is_logged_once_and_nothing_secret_ever() {
    let upstream = Upstream::start(|seen| {
        match seen.json()["messages"][0]["content"].as_str().unwrap_or_default() {
            "canary-prompt refused" => refusal(500, "", r#"{"error":{"message":"why"}}"#),
            "canary-prompt cut" => vec![sse_head(), openai_token("canary-answer"), Step::Close],
            _ => openai_answer(&["canary-answer"]),
        }
    })
    .await;
    let model = openai_model(&upstream, "api_key = \"canary-upstream-key\"");
    let gateway = Process::start(&format!("{model}[auth]\nkey = \"{KEY}\"\n")).await;
    let known = gateway.client.with_header("Authorization", &format!("Bearer {KEY}"));
    let stranger = gateway.client.with_header("x-api-key", "canary-wrong-key");

    let good = known.post("/api/chat", &native("canary-prompt")).await;
    assert_eq!(good.native_text(), "canary-answer");
    let responses = [
        good,
        known.post("/v1/chat/completions", &openai("canary-prompt refused", true)).await,
        known.post("/api/chat", &native("canary-prompt cut")).await,
        known.post("/api/chat", &serde_json::json!({"canary-field": "canary-value"})).await,
        stranger.post("/api/chat", &native("canary-prompt")).await,
    ];
    let (code, log) = gateway.terminate().await;
    assert_eq!(code, Some(0));
    for response in responses {
        let id = response.header("x-request-id").unwrap();
        let about: Vec<_> = log.iter().filter(|line| line.contains(id)).collect();
        let access = about.iter().filter(|line| line.contains("\"message\":\"request\"")).count();
        let failures = about.iter().filter(|line| line.contains("\"level\":\"WARN\"")).count();
        assert_eq!(access, 1, "{about:#?}");
        assert!(failures <= 1, "{about:#?}");
    }
    let said = log.join("\n");
    assert!(said.contains("\"code\":\"TRUNCATED\"") && said.contains("\"code\":\"UNAUTHORIZED\""));
    assert!(!said.contains("canary"), "{said}");
}

#[actix_web::test]
async fn a_signal_ends_running_streams_with_a_word_and_the_program_with_success() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let toml = format!("[server]\ndrain_grace_seconds = 0.2\n{}", openai_model(&upstream, ""));
    let gateway = Process::start(&toml).await;
    let mut live = gateway.client.open("/api/chat", &native("hi")).await;
    live.read_until("one").await;
    let (code, _) = gateway.terminate().await;
    assert_eq!(code, Some(0));
    let told = live.whole().await;
    assert!(told.proper_end);
    assert_eq!(told.events().last().unwrap().json()["code"], "DRAINED");
}

#[actix_web::test]
async fn a_second_signal_does_not_wait_for_the_grace() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let toml = format!("[server]\ndrain_grace_seconds = 3600\n{}", openai_model(&upstream, ""));
    for [first, second] in [["TERM", "TERM"], ["INT", "INT"], ["TERM", "INT"]] {
        let gateway = Process::start(&toml).await;
        let mut live = gateway.client.open("/api/chat", &native("hi")).await;
        live.read_until("one").await;
        gateway.signal(first);
        while gateway.client.get("/ready").await.status != 503 {}
        gateway.signal(second);
        let (code, _) = gateway.ended().await;
        assert_eq!(code, Some(1), "{first}, {second}");
    }
}

#[test]
fn every_fault_of_the_configuration_is_listed_and_the_exit_code_is_two() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(arguments)
            .env_clear()
            .envs([("PORT", "99999"), ("AUTH_KEY", "short"), ("ENABLE_METRICS", "perhaps")])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for command in ["serve", "check"] {
        let (code, told) = run(&[command]);
        assert_eq!(code, Some(2));
        for variable in ["PORT", "AUTH_KEY", "ENABLE_METRICS"] {
            assert!(told.contains(variable), "{told}");
        }
        assert!(told.contains("99999") && !told.contains("short"), "{told}");
    }
    assert_eq!(run(&["no-such-command"]).0, Some(2));
}

#[test]
fn every_commands_help_has_the_exit_codes() {
    for command in ["", "serve", "check", "simulate", "health", "chat", "top"] {
        let help: Vec<_> = [command, "--help"].into_iter().filter(|it| !it.is_empty()).collect();
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(help).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        for code in ["\n  0 ", "\n  1 ", "\n  2 ", "129, 130, 131, 143", "\n  141 "] {
            assert!(output.status.success() && told.contains(code), "{command}: {told}");
        }
    }
}
