//! The commands that ask a running gateway, as their users see them: what is printed where, how they
//! end, and what becomes of the upstream.

use std::process::{ExitStatus, Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::client::native;
use crate::gateway::{TestGateway, openai_model};
use crate::resume::{ALICE, BOB, two_keys};
use crate::upstream::{
    Gate, PATIENCE, Step, Upstream, openai_answer, openai_token, refusal, sse_head,
};

pub fn command(gateway: &TestGateway, arguments: &[&str]) -> Command {
    command_at(&format!("http://{}", gateway.address()), arguments)
}

pub fn command_at(url: &str, arguments: &[&str]) -> Command {
    let (name, rest) = arguments.split_first().unwrap();
    plain(&[&[*name, "--url", url], rest].concat())
}

/// The program in an empty environment.
pub fn plain(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

pub async fn run(mut command: Command) -> Output {
    // Unlike `output`, it leaves the outputs where the test has put them.
    let child = command.spawn().unwrap();
    timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
}

pub fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

pub async fn ended(child: &mut Child) -> ExitStatus {
    timeout(PATIENCE, child.wait()).await.unwrap().unwrap()
}

fn interrupt(child: &Child) {
    signal(child.id().unwrap(), "INT");
}

pub fn signal(process: u32, name: &str) {
    let process = process.to_string();
    let sent = std::process::Command::new("kill").args(["-s", name, &process]).status().unwrap();
    assert!(sent.success());
}

pub async fn read_until(child: &mut Child, text: &str) -> String {
    let stdout = child.stdout.as_mut().unwrap();
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            let read = stdout.read_buf(&mut seen).await.unwrap();
            assert_ne!(read, 0, "it ended after {:?}", String::from_utf8_lossy(&seen));
        }
    };
    // Of it all: a list that is drawn anew never falls silent.
    timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("no {text:?} came"));
    String::from_utf8_lossy(&seen).into_owned()
}

#[actix_web::test]
async fn an_answer_is_printed_whole_and_nothing_else() {
    let upstream = Upstream::start(|_| openai_answer(&["one", " two\u{1b}[1m", " three"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let asked = ["chat", "--system", "be brief", "--max-tokens", "7", "--model", "test", "count"];
    let output = run(command(&gateway, &asked)).await;
    // To a file or a program it goes as it came; terminals are another matter.
    assert_eq!(told(&output), (Some(0), "one two\u{1b}[1m three\n".to_owned(), String::new()));
    let seen = upstream.chats()[0].json();
    assert_eq!(seen["messages"][0]["content"], "be brief");
    assert_eq!(
        (&seen["messages"][1]["content"], &seen["max_tokens"]),
        (&"count".into(), &7.into())
    );
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn tokens_are_printed_as_they_arrive() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut child = command(&gateway, &["chat", "hi"]).spawn().unwrap();
    read_until(&mut child, "one").await;
    gate.open();
    read_until(&mut child, " two\n").await;
    assert_eq!(ended(&mut child).await.code(), Some(0));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn events_are_printed_as_lines_of_json() {
    let upstream = Upstream::start(|_| openai_answer(&["one", " two"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let (code, text, _) = told(&run(command(&gateway, &["chat", "--json", "hi"])).await);
    assert_eq!(code, Some(0));
    let events: Vec<Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(events[0]["event"], "chat.completion.chunk");
    assert_eq!(events[0]["data"]["content"], "one");
    assert_eq!(events.last().unwrap()["event"], "chat.completion.done");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_prompt_may_come_from_standard_input() {
    let upstream = Upstream::start(|_| openai_answer(&["ok"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut child = command(&gateway, &["chat", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all("two\nlines".as_bytes()).await.unwrap();
    drop(stdin);
    assert_eq!(ended(&mut child).await.code(), Some(0));
    assert_eq!(upstream.chats()[0].json()["messages"][0]["content"], "two\nlines");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_that_breaks_off_is_a_failure_with_a_reason() {
    let upstream = Upstream::start(|seen| match seen.json()["messages"][0]["content"].as_str() {
        Some("cut") => vec![sse_head(), openai_token("one"), Step::Close],
        _ => refusal(400, "", r#"{"error":{"message":"not \u001b[2J like this"}}"#),
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let (code, text, error) = told(&run(command(&gateway, &["chat", "cut"])).await);
    assert_eq!((code, text.as_str()), (Some(1), "one"));
    assert!(error.contains("TRUNCATED"), "{error}");
    let (code, _, error) = told(&run(command(&gateway, &["chat", ""])).await);
    assert_eq!((code, error.matches("messages[0].content").count()), (Some(1), 1), "{error}");
    let (code, text, error) = told(&run(command(&gateway, &["chat", "refused"])).await);
    assert_eq!((code, text.as_str()), (Some(1), ""));
    assert!(error.starts_with("tidegate: ") && error.lines().count() == 1, "{error}");
    assert!(!error.trim_end().chars().any(char::is_control), "{error:?}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_interrupt_cancels_the_stream() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut child = command(&gateway, &["chat", "hi"]).spawn().unwrap();
    read_until(&mut child, "one").await;
    interrupt(&child);
    assert_eq!(ended(&mut child).await.code(), Some(130));
    // It has not only left: others might have come back to it.
    upstream.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("cancelled").await, 1);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_interrupt_before_the_first_word_cancels_as_well() {
    let upstream = Upstream::start(|_| vec![Step::Silence]).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut child = command(&gateway, &["chat", "hi"]).spawn().unwrap();
    upstream.wait_for_chats(1).await;
    interrupt(&child);
    assert_eq!(ended(&mut child).await.code(), Some(130));
    upstream.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    assert_eq!((gateway.outcomes("cancelled").await, upstream.chats().len()), (1, 1));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn who_reads_no_further_cancels_the_stream() {
    let gate = Gate::new();
    let passed = gate.clone();
    let upstream = Upstream::start(move |_| {
        let gate = Step::Gate(passed.clone());
        vec![sse_head(), openai_token("one"), gate, openai_token("two"), Step::Silence]
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let mut child = command(&gateway, &["chat", "hi"]).spawn().unwrap();
    read_until(&mut child, "one").await;
    drop(child.stdout.take());
    gate.open();
    assert_eq!(ended(&mut child).await.code(), Some(141));
    upstream.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

/// Passes connections on to the gateway, the first so many of them only until it has answered `text`.
pub async fn cutting_proxy(gateway: &TestGateway, cuts: usize, text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, to) = (format!("http://{}", listener.local_addr().unwrap()), gateway.address());
    actix_rt::spawn(async move {
        for number in 0.. {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(to).await.unwrap();
            let until = (number < cuts).then_some(text);
            actix_rt::spawn(relay(client, server, until));
        }
    });
    url
}

async fn relay(mut client: TcpStream, mut server: TcpStream, until: Option<&'static str>) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await };
    let down = async {
        let (mut seen, mut sent) = (Vec::new(), 0);
        while from_server.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&seen);
            let cut = until.and_then(|until| Some(text.find(until)? + until.len()));
            let end = cut.unwrap_or(seen.len());
            to_client.write_all(&seen[sent..end]).await.unwrap();
            if cut.is_some() {
                return;
            }
            sent = end;
        }
    };
    tokio::select! {
        _ = up => {}
        () = down => {}
    }
}

#[actix_web::test]
async fn a_lost_connection_is_taken_up_where_it_was_lost() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::before(&upstream).await;
    gate.open();
    // Before the first event is whole, between two, and with none but the last to come.
    let places = [
        (1, "HTTP/1.1 200"),
        (3, "\"content\":\"one\""),
        (1, "\"content\":\" two\""),
        (2, "done\":true"),
    ];
    for (cuts, place) in places {
        let url = cutting_proxy(&gateway, cuts, place).await;
        let output = run(command_at(&url, &["chat", "hi"])).await;
        let expected = (Some(0), "one two\n".to_owned(), String::new());
        assert_eq!(told(&output), expected, "cut {cuts} times at {place}");
    }
    assert_eq!(upstream.chats().len(), places.len(), "nothing was asked twice");
    let url = cutting_proxy(&gateway, usize::MAX, "HTTP/1.1 200").await;
    let (code, text, error) = told(&run(command_at(&url, &["chat", "hi"])).await);
    assert_eq!((code, text.as_str()), (Some(1), ""));
    assert!(error.contains("http://") || error.contains("connection was lost"), "{error}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_gateway_that_is_not_there_is_told_at_once() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    for arguments in [&["chat", "hi"][..], &["top", "--once"]] {
        let url = format!("http://127.0.0.1:{port}");
        let (code, text, error) = told(&run(command_at(&url, arguments)).await);
        assert_eq!((code, text.as_str()), (Some(1), ""));
        assert!(error.contains(&url), "{error}");
    }
    let (code, _, error) = told(&run(command_at("gateway.example", &["chat", "hi"])).await);
    assert_eq!(code, Some(2));
    assert!(error.contains("--url"), "{error}");
}

#[actix_web::test]
async fn the_list_is_one_table_of_the_streams_that_the_key_may_see() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::start(&two_keys(&openai_model(&upstream, ""))).await;
    let alice = gateway.client.with_header("Authorization", &format!("Bearer {ALICE}"));
    let mut live = alice.open("/api/chat", &native("hi")).await;
    live.read_until("one").await;
    let id = live.header("x-stream-id").unwrap().to_owned();

    let mut listed = command(&gateway, &["top", "--once"]);
    listed.env("TIDEGATE_API_KEY", ALICE);
    let (code, table, error) = told(&run(listed).await);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let cells: Vec<Vec<_>> = table.lines().map(|it| it.split_whitespace().collect()).collect();
    assert_eq!(cells.len(), 2, "{table}");
    assert_eq!(cells[0][..5], ["ID", "MODEL", "TARGET", "OWNER", "STATE"]);
    assert_eq!((cells[1][0], cells[1][1]), (id.as_str(), "test"));
    assert_eq!((cells[1][3], cells[1][4], cells[1].len()), ("alice", "streaming", 10));

    let mut others = command(&gateway, &["top", "--once", "--key-env", "MINE"]);
    others.env("MINE", BOB);
    let (code, table, _) = told(&run(others).await);
    assert_eq!((code, table.lines().count()), (Some(0), 1), "{table}");

    let (code, _, error) = told(&run(command(&gateway, &["top", "--once"])).await);
    assert!(code == Some(1) && error.contains("UNAUTHORIZED"), "{error}");
    let unset = command(&gateway, &["top", "--once", "--key-env", "MINE"]);
    let (code, _, error) = told(&run(unset).await);
    assert!(code == Some(2) && error.contains("MINE"), "{error}");
    let (code, _, error) = told(&run(command(&gateway, &["top"])).await);
    assert!(code == Some(2) && error.contains("--once"), "{error}");
    drop(live);
    upstream.wait_for_aborts(1).await;
    gateway.inner.shutdown().await;
}
