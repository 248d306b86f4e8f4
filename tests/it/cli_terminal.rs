//! The commands on a terminal, as people see them there.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::cli::{ended, read_until, signal};
use crate::client::native;
use crate::gateway::TestGateway;
use crate::upstream::{Gate, PATIENCE, Step, Upstream, openai_answer, openai_token, sse_head};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate");
/// What wipes a line.
const WIPED: &str = "\u{1b}[2K";
/// The screen beside the shell's: on and off.
const TAKEN: &str = "\u{1b}[?1049h";
const GIVEN_BACK: &str = "\u{1b}[?1049l";

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
    read_until(&mut child, GIVEN_BACK).await;
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
    for options in ["", "--json"] {
        let gate = Gate::new();
        let upstream = Upstream::gated(&gate).await;
        let gateway = TestGateway::before(&upstream).await;
        let chat = format!("{PROGRAM} chat hi {options} --url http://{}", gateway.address());
        let mut child = in_a_shell(120, &format!("{chat} | cat")).spawn().unwrap();
        read_until(&mut child, "one").await;
        gate.open();
        let shown = all_shown(&mut child).await;
        assert!(shown.contains(" two") && !shown.contains(WIPED), "{shown:?}");
        assert!(shown.contains("\r\ntidegate: test: "), "{shown:?}");
        assert_eq!(ended(&mut child).await.code(), Some(0));
        gateway.inner.shutdown().await;
    }
    // A file is nothing that is seen.
    let upstream = Upstream::start(|_| openai_answer(&["one"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let line = format!("{PROGRAM} chat hi --url http://{} >/dev/null", gateway.address());
    let mut child = in_a_shell(120, &line).spawn().unwrap();
    let shown = all_shown(&mut child).await;
    assert!(shown.contains(&format!("{WIPED}tidegate: test: ")), "{shown:?}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn progress_keeps_to_one_line_however_narrow_the_terminal() {
    let upstream = Upstream::start(|_| openai_answer(&["one"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let chat = format!("{PROGRAM} chat hi --url http://{}", gateway.address());
    for (columns, line, expected) in [
        (120, chat.clone(), Some("waiting; 0.0 s")),
        (12, chat.clone(), Some("waiting; 0.")),
        (0, chat.clone(), None),
        (120, format!("TERM=dumb {chat}"), None),
    ] {
        let mut child = in_a_shell(columns, &line).spawn().unwrap();
        let shown = all_shown(&mut child).await;
        let first = shown.split(WIPED).nth(1).map(|it| it.split('\r').next().unwrap());
        assert_eq!(first, expected, "{columns}: {shown:?}");
        assert!(shown.contains("one\r\ntidegate: test: "), "{shown:?}");
        assert_eq!(ended(&mut child).await.code(), Some(0));
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_list_leaves_the_terminal_to_the_shell_and_comes_back() {
    let upstream = Upstream::start(|_| openai_answer(&["one"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut child = in_a_shell(120, "exec bash --norc --noprofile -i").spawn().unwrap();
    let mut keys = child.stdin.take().unwrap();
    let top = format!("{PROGRAM} top --url http://{}\n", gateway.address());
    keys.write_all(top.as_bytes()).await.unwrap();
    let mut list = None;
    for _ in ["by the key", "by the signal"] {
        assert!(read_until(&mut child, "q quit").await.contains(TAKEN));
        match list {
            None => keys.write_all(b"\x1a").await.unwrap(),
            Some(process) => signal(process, "TSTP"),
        }
        assert!(read_until(&mut child, "Stopped").await.contains(GIVEN_BACK));
        // The terminal takes whole lines again. What is typed is shown as well.
        keys.write_all(b"echo $(jobs -p) $(stty -a | grep -o -- '-*icanon') .\n").await.unwrap();
        let shown = read_until(&mut child, " icanon .").await;
        let process = shown.rsplit(" icanon .").nth(1).unwrap();
        let process = process.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap();
        list = Some(process.parse().unwrap());
        keys.write_all(b"fg\n").await.unwrap();
    }
    read_until(&mut child, TAKEN).await;
    keys.write_all(b"q").await.unwrap();
    read_until(&mut child, GIVEN_BACK).await;
    keys.write_all(b"exit 7\n").await.unwrap();
    assert_eq!(ended(&mut child).await.code(), Some(7));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_list_gives_the_terminal_back_by_whatever_signal_it_ends() {
    let upstream = Upstream::start(|_| openai_answer(&["one"])).await;
    let gateway = TestGateway::before(&upstream).await;
    for (name, code) in [("HUP", 129), ("INT", 130), ("QUIT", 131), ("TERM", 143)] {
        let line = format!("echo pid $$ $$; exec {PROGRAM} top --url http://{}", gateway.address());
        let mut child = in_a_shell(120, &line).spawn().unwrap();
        let shown = read_until(&mut child, TAKEN).await;
        let pid = shown.split_whitespace().nth(1).unwrap().parse().unwrap();
        signal(pid, name);
        read_until(&mut child, GIVEN_BACK).await;
        assert_eq!(ended(&mut child).await.code(), Some(code), "{name}");
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_log_has_colours_on_a_terminal_and_only_if_they_are_wanted() {
    let upstream = Upstream::start(|_| openai_answer(&["one"])).await;
    let gateway = TestGateway::before(&upstream).await;
    // A port that is taken is logged.
    let settings = format!("PORT={}", gateway.address().port());
    for (wish, is_coloured) in [("NO_COLOR=1", false), ("NO_COLOR=", true)] {
        let mut child = in_a_shell(120, &format!("{wish} {settings} {PROGRAM}")).spawn().unwrap();
        let shown = all_shown(&mut child).await;
        assert!(shown.contains("could not start"), "{shown:?}");
        assert_eq!(shown.contains("\u{1b}["), is_coloured, "{shown:?}");
    }
    gateway.inner.shutdown().await;
}
