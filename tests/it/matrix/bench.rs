//! One upstream that plays each trial's script, one gateway before it, and many clients at once.

use std::fmt::Write;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tidegate_protocol::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::answer::{Dialect, Provider};
use super::frames::{MAX_ANSWER_BYTES, MAX_LINE_BYTES, SLOW};
use super::oracle::Seen;
use super::plan::{Plan, Trial};
use super::report::{Leaks, Report};
use super::{heads, sockets};
use crate::client::{Client, Response, anthropic, native, native_whole, openai};
use crate::gateway::TestGateway;
use crate::responses::ask as ask_responses;
use crate::upstream::{PATIENCE, Upstream, openai_answer};

/// What was seen of a trial.
pub struct Result {
    pub id: Option<String>,
    /// Nothing where the client could make no sense of the response.
    pub seen: Option<Seen>,
    pub deviations: Vec<String>,
}

pub struct Bench {
    pub upstream: Upstream,
    pub gateway: TestGateway,
    /// A server with a certificate that nobody vouches for.
    vouchless: TestGateway,
    trials: Arc<Vec<Trial>>,
}

impl Bench {
    pub async fn start(plan: Plan) -> Self {
        let trials = Arc::new(plan.trials);
        let scripts = Arc::clone(&trials);
        let upstream = Upstream::start(move |seen| {
            let prompt = seen.json()["messages"][0]["content"].as_str().unwrap().to_owned();
            scripts[prompt.parse::<usize>().unwrap()].steps.clone()
        })
        .await;
        let behind = Upstream::start(|_| openai_answer(&["never"])).await;
        let (vouchless, _) = crate::tls::start(&behind, "", "").await;
        let config = models(&upstream, vouchless.address().port(), speaks_no_tls().await);
        let server = format!("heartbeat_seconds = 300\nmax_answer_bytes = {MAX_ANSWER_BYTES}");
        let gateway = TestGateway::start_with_server(&server, &config).await;
        Self { upstream, gateway, vouchless, trials }
    }

    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Runs the trials that `which` picks, so many at a time.
    pub async fn run(
        &self,
        at_once: usize,
        which: impl Fn(&Trial) -> bool,
    ) -> Vec<(usize, Result)> {
        let picked = self.trials.iter().enumerate().filter(|(_, trial)| which(trial));
        let running = picked.map(|(number, trial)| async move {
            let result = attempt(&self.gateway.client, number, trial).await;
            (number, result)
        });
        futures::stream::iter(running).buffer_unordered(at_once).collect().await
    }

    /// Waits for all to come to rest; gives the ids of streams that do not, and all that is left.
    pub async fn leaks(&self) -> (Vec<String>, Leaks) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.gateway.client.get("/metrics").await.text();
            let list = self.gateway.client.get("/api/chat/streams").await.json();
            let ids = list["streams"].as_array().unwrap().iter();
            let ids: Vec<_> =
                ids.map(|stream| stream["requestId"].as_str().unwrap().to_owned()).collect();
            let mut leaks = Leaks {
                streams: sum(&metrics, "ai_gateway_active_streams").max(ids.len()),
                permits: sum(&metrics, "ai_gateway_permits_in_use{")
                    + sum(&metrics, "ai_gateway_queued_requests{"),
                upstream_requests: self.upstream.running(),
                sockets: 0,
            };
            if leaks == Leaks::default() || Instant::now() > deadline {
                // Idle connections are closed in their own time; one that is not will be counted.
                let _ = AssertUnwindSafe(self.upstream.wait_for_rest()).catch_unwind().await;
                let ports = [self.upstream.port, self.gateway.address().port()];
                leaks.sockets = sockets::left_over(&ports).await;
                return (ids, leaks);
            }
        }
    }

    /// The streams and outcomes that the gateway counted.
    pub async fn count(&self, report: &mut Report) {
        for outcome in Outcome::ALL {
            let count = self.gateway.outcomes(outcome.as_str()).await;
            report.outcomes.insert(outcome.as_str(), count);
        }
        let metrics = self.gateway.client.get("/metrics").await.text();
        report.started = sum(&metrics, "ai_gateway_streams_started_total{");
    }

    pub async fn shutdown(self) {
        self.gateway.inner.shutdown().await;
        self.vouchless.inner.shutdown().await;
    }
}

async fn attempt(client: &Client, number: usize, trial: &Trial) -> Result {
    let answering = AssertUnwindSafe(ask(client, number, trial)).catch_unwind().await;
    let Ok(response) = answering else {
        return Result { id: None, seen: None, deviations: vec!["no sensible answer".to_owned()] };
    };
    let id = response.header("x-request-id").map(str::to_owned);
    let reading = AssertUnwindSafe(|| Seen::read(trial.case.dialect, &response));
    match std::panic::catch_unwind(reading) {
        Ok(seen) => {
            let mut deviations = seen.deviations(trial);
            if !deviations.is_empty() {
                deviations.push(format!("the client got {} {}", response.status, response.text()));
            }
            Result { id, seen: Some(seen), deviations }
        }
        Err(_) => Result { id, seen: None, deviations: vec![format!("illegible: {response:?}")] },
    }
}

async fn ask(client: &Client, number: usize, trial: &Trial) -> Response {
    let model = format!("{}{}", trial.case.provider.as_str(), trial.model);
    let prompt = number.to_string();
    let (path, mut body): (_, Value) = match trial.case.dialect {
        Dialect::NativeStream => ("/api/chat", native(&prompt)),
        Dialect::NativeWhole => ("/api/chat", native_whole(&prompt)),
        Dialect::OpenAiStream => ("/v1/chat/completions", openai(&prompt, true)),
        Dialect::OpenAiWhole => ("/v1/chat/completions", openai(&prompt, false)),
        Dialect::AnthropicStream => ("/v1/messages", anthropic(&prompt, true)),
        Dialect::AnthropicWhole => ("/v1/messages", anthropic(&prompt, false)),
        Dialect::ResponsesStream => ("/v1/responses", ask_responses(&json!(prompt), true)),
        Dialect::ResponsesWhole => ("/v1/responses", ask_responses(&json!(prompt), false)),
        Dialect::OllamaStream => ("/ollama/api/chat", openai(&prompt, true)),
        Dialect::OllamaWhole => ("/ollama/api/chat", openai(&prompt, false)),
    };
    body["model"] = json!(model);
    client.post(path, &body).await
}

/// The sum of all series whose lines begin with `name`.
fn sum(metrics: &str, name: &str) -> usize {
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

/// For each kind of upstream a usual model, one with short time limits, and those whose upstream
/// cannot be reached.
fn models(upstream: &Upstream, vouchless: u16, plaintext: u16) -> String {
    let mut config = String::from("[health]\ninterval_seconds = 3600\n");
    let mut add = |provider: Provider, suffix: &str, base: &str, more: &str| {
        let name = provider.as_str();
        let path = if provider == Provider::Ollama { "" } else { "/v1" };
        write!(
            config,
            "[[models]]\nname = \"{name}{suffix}\"\nprovider = \"{name}\"\nupstream_model = \"test\"\n\
             base_url = \"{base}{path}\"\nmax_concurrency = 1000\nmax_line_bytes = {MAX_LINE_BYTES}\n{more}\n"
        )
        .unwrap();
    };
    let limits = "first_token_timeout_seconds = 3
idle_timeout_seconds = 3
total_timeout_seconds = 6";
    for provider in Provider::ALL {
        add(provider, "", &upstream.ollama_url(), "");
        add(provider, SLOW, &upstream.ollama_url(), limits);
        for (suffix, _) in heads::UNREACHABLE {
            let base = match suffix {
                "-refused" => "http://127.0.0.1:9".to_owned(),
                // No name server is asked for a label of more than 63 characters.
                "-dns" => format!("http://{}.invalid", "a".repeat(64)),
                "-certificate" => format!("https://localhost:{vouchless}"),
                _ => format!("https://127.0.0.1:{plaintext}"),
            };
            add(provider, suffix, &base, "");
        }
    }
    config
}

/// A port where a greeting is answered in plain text.
async fn speaks_no_tls() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    actix_rt::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            actix_rt::spawn(async move {
                let mut greeting = [0; 16];
                let _ = socket.read(&mut greeting).await;
                let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                let mut rest = Vec::new();
                let _ = socket.read_to_end(&mut rest).await;
            });
        }
    });
    port
}
