//! How commands end where they are not let to the end of what they do.

use std::fs::OpenOptions;
use std::process::Stdio;

use tokio::process::Command;

use crate::cli::{command, command_at, cutting_proxy, ended, plain, read_until, run, signal, told};
use crate::gateway::TestGateway;
use crate::upstream::{Gate, Step, Upstream, openai_answer, openai_token, sse_head};

#[actix_web::test]
async fn a_reader_that_leaves_is_no_news_and_a_full_disk_is_told() {
    let upstream = Upstream::start(|_| openai_answer(&["ok"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let simulate = ["simulate", "--requests", "9", "--replicas", "8"];
    for arguments in [&["check"][..], &simulate, &["top", "--once"], &["chat", "hi"]] {
        let asks = ["top", "chat"].contains(&arguments[0]);
        let asked = || if asks { command(&gateway, arguments) } else { plain(arguments) };

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut left = asked();
        left.stdout(writer);
        let (code, _, error) = told(&run(left).await);
        assert_eq!(code, Some(141), "{arguments:?}: {error}");
        // A chat tells what became of its stream.
        assert!(error.is_empty() || arguments[0] == "chat", "{arguments:?}: {error}");

        let mut full = asked();
        full.stdout(Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap()));
        let (code, _, error) = told(&run(full).await);
        assert_eq!(code, Some(1), "{arguments:?}: {error}");
        assert!(error.contains("tidegate: cannot write: "), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{arguments:?}: {error}");
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn each_signal_that_ends_a_chat_cancels_its_stream() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::before(&upstream).await;
    for (aborts, (name, code)) in (1..).zip([("HUP", 129), ("QUIT", 131), ("TERM", 143)]) {
        let mut child = command(&gateway, &["chat", "hi"]).spawn().unwrap();
        read_until(&mut child, "one").await;
        signal(child.id().unwrap(), name);
        assert_eq!(ended(&mut child).await.code(), Some(code), "{name}");
        upstream.wait_for_aborts(aborts).await;
        gateway.wait_until_idle().await;
        assert_eq!(gateway.outcomes("cancelled").await, u64::try_from(aborts).unwrap());
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_chat_that_was_told_to_ignore_the_end_of_its_terminal_goes_on() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut nohup = Command::new("sh");
    let line = "trap '' HUP; exec \"$0\" chat --url \"$1\" hi";
    nohup.args(["-c", line, env!("CARGO_BIN_EXE_tidegate")]);
    nohup.arg(format!("http://{}", gateway.address())).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = nohup.spawn().unwrap();
    read_until(&mut child, "one").await;
    signal(child.id().unwrap(), "HUP");
    gate.open();
    read_until(&mut child, " two\n").await;
    assert_eq!(ended(&mut child).await.code(), Some(0));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_that_is_given_up_is_cancelled() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::before(&upstream).await;
    // Each connection is lost within the event; the cancel is let through.
    let url = cutting_proxy(&gateway, usize::MAX, "\"content\":\"one").await;
    let (code, _, error) = told(&run(command_at(&url, &["chat", "hi"])).await);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("tidegate: cancelled\n"), "{error}");
    upstream.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("cancelled").await, 1);
    gateway.inner.shutdown().await;
}
