//! The commands on a terminal, as people see them there.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::cli::{ended, read_until};
use crate::client::native;
use crate::gateway::TestGateway;
use crate::upstream::{PATIENCE, Step, Upstream, openai_answer, openai_token, sse_head};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate");
/// What wipes a line.
const WIPED: &str = "\u{1b}[2K";

/// Runs a command on a terminal of its own.
fn on_a_terminal(url: &str, arguments: &str) -> Command {
    in_a_shell(120, &format!("{PROGRAM} {arguments} --url {url}"))
}

/// Runs a line of a shell on a terminal of its own, by `script` of util-linux.
fn in_a_shell(columns: u16, line: &str) -> Command {
    let mut command = Command::new("script");
    command.args(["-qefc", &format!("stty rows 20 cols {columns}; {line}")]);
    command.arg("/dev/null").env("TERM", "xterm").env("NO_COLOR", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

async fn all_shown(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut shown = String::new();
    timeout(PATIENCE, async { while lines.read_line(&mut shown).await.unwrap() > 0 {} })
        .await
        .unwrap();
    shown
}

#[actix_web::test]
async fn a_stream_is_found_and_cancelled_on_the_terminal() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut live = gateway.client.open("/api/chat", &native("hi")).await;
    live.read_until("one").await;
    let id = live.header("x-stream-id").unwrap().to_owned();
    let url = format!("http://{}", gateway.address());
    let mut child = on_a_terminal(&url, "top --interval 0.1").spawn().unwrap();
    let mut keys = child.stdin.take().unwrap();
    read_until(&mut child, &id[..8]).await;
    keys.write_all(b"j").await.unwrap();
    read_until(&mut child, "\u{1b}[7m").await;
    keys.write_all(b"c").await.unwrap();
    read_until(&mut child, &format!("cancel the stream {id}?")).await;
    keys.write_all(b"y").await.unwrap();
    upstream.wait_for_aborts(1).await;
    assert!(live.whole().await.text().contains("chat.cancelled"));
    keys.write_all(b"q").await.unwrap();
    // The terminal is given back.
    read_until(&mut child, "\u{1b}[?1049l").await;
    assert_eq!(ended(&mut child).await.code(), Some(0));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_cannot_steer_the_terminal_and_its_progress_is_told_there() {
    let upstream = Upstream::start(|_| openai_answer(&["a\u{1b}]0;owned\u{7}", "b\r\n"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let url = format!("http://{}", gateway.address());
    let mut child = on_a_terminal(&url, "chat hi").spawn().unwrap();
    let shown = all_shown(&mut child).await;
    assert!(shown.contains("a\u{fffd}]0;owned\u{fffd}b\u{fffd}"), "{shown:?}");
    assert!(!shown.contains("\u{1b}]") && !shown.contains('\u{7}'), "{shown:?}");
    assert!(shown.contains("tokens, first after "), "{shown:?}");
    assert_eq!(ended(&mut child).await.code(), Some(0));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_a_reader_of_the_answer_shows_is_not_wiped() {
    let upstream = Upstream::start(|_| openai_answer(&["one", " two"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let address = gateway.address();
    for options in ["", "--json"] {
        let line = format!("{PROGRAM} chat hi {options} --url http://{address} | cat");
        let mut child = in_a_shell(120, &line).spawn().unwrap();
        let shown = all_shown(&mut child).await;
        let (_, behind) = shown.split_once("one").unwrap();
        assert!(behind.contains(" two") && !behind.contains(WIPED), "{shown:?}");
        assert!(behind.contains("\r\ntidegate: test: "), "{shown:?}");
        assert_eq!(ended(&mut child).await.code(), Some(0));
    }
    // A file is nothing that is seen.
    let line = format!("{PROGRAM} chat hi --url http://{address} >/dev/null");
    let mut child = in_a_shell(120, &line).spawn().unwrap();
    let shown = all_shown(&mut child).await;
    assert!(shown.contains(&format!("{WIPED}tidegate: test: ")), "{shown:?}");
    gateway.inner.shutdown().await;
}
