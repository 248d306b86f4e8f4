//! Upstreams killed at any byte, and some of them late too: a second model is asked beside them and a
//! third behind them, and still no text is wrong and no upstream is asked too often.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::gateway::TestGateway;
use crate::kills::{DIALECTS, Kill, SEED, TOKENS, WIRES, ask, leg, tokens_of};
use crate::upstream::{Seen, Step, TEMPLATE, Upstream, ollama_shown};

const REQUESTS: usize = 3_000;
const AT_ONCE: usize = 32;
/// Second requests for each hundred, and how many can be saved up.
const SHARE: usize = 30;
const SAVED: usize = 10;

/// What the legs of one answer do; the third lives.
struct Trial {
    wires: [&'static str; 3],
    late: bool,
    kills: [Option<Kill>; 2],
}

impl Trial {
    fn draw(rng: &mut StdRng) -> Self {
        let mut wire = || WIRES[rng.random_range(0..2)];
        let wires = [wire(), wire(), wire()];
        let mut kill = || rng.random_bool(0.5).then(|| Kill::draw(rng));
        let kills = [kill(), kill()];
        Self { wires, late: rng.random_bool(0.1), kills }
    }

    fn model(&self) -> String {
        self.wires.concat()
    }
}

/// The legs that were asked, of all answers and of each.
struct Asked {
    legs: [AtomicUsize; 3],
    each: Vec<AtomicUsize>,
    wrong: AtomicUsize,
}

fn answer(trials: &[Trial], asked: &Asked, seen: &Seen) -> Vec<Step> {
    if seen.path == "/api/show" {
        return ollama_shown(TEMPLATE);
    }
    let body = seen.json();
    let messages = body["messages"].as_array().unwrap();
    let number: usize = messages[0]["content"].as_str().unwrap().parse().unwrap();
    let trial = &trials[number];
    let which = body["model"].as_str().unwrap().parse::<usize>().unwrap();
    asked.legs[which].fetch_add(1, Ordering::SeqCst);
    asked.each[number].fetch_add(1, Ordering::SeqCst);
    let said = messages.get(1).map_or("", |last| last["content"].as_str().unwrap());
    let wire = if seen.path == "/api/chat" { "ollama" } else { "openai" };
    // Only the third goes on, and from nothing but what was said.
    let from = tokens_of(said).filter(|_| said.is_empty() == (which < 2));
    let is_right = from.is_some() && wire == trial.wires[which];
    asked.wrong.fetch_add(usize::from(!is_right), Ordering::SeqCst);
    let from = from.unwrap_or_default();
    let mut steps = leg(wire, from, trial.kills.get(which).copied().flatten()).0;
    if which == 0 && trial.late {
        steps.truncate(1);
        steps.push(Step::Silence);
    }
    steps
}

fn config(upstream: &Upstream) -> String {
    let base = |wire| if wire == "openai" { upstream.openai_url() } else { upstream.ollama_url() };
    let model = |name: &str, wire, leg: usize| {
        let url = base(wire);
        format!(
            "[[models]]\nname = \"{name}\"\nprovider = \"{wire}\"\nbase_url = \"{url}\"\n\
             upstream_model = \"{leg}\"\nmax_concurrency = 64\n"
        )
    };
    let mut config = String::new();
    for wire in WIRES {
        config += &model(&format!("{wire}-second"), wire, 1);
        config += &model(&format!("{wire}-third"), wire, 2);
        config += "continues = true\n";
        for second in WIRES {
            for third in WIRES {
                config += &model(&format!("{wire}{second}{third}"), wire, 0);
                writeln!(
                    config,
                    "continue_on = [\"{third}-third\"]\nhedge_on = \"{second}-second\"\n\
                     hedge_percent = {SHARE}\nhedge_min_samples = 10\n\
                     first_token_timeout_seconds = 2"
                )
                .unwrap();
            }
        }
    }
    config
}

#[actix_web::test]
async fn late_and_killed_upstreams_make_no_wrong_text() {
    let seed = std::env::var("KILLS_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let mut rng = StdRng::seed_from_u64(seed);
    let trials: Arc<Vec<_>> = Arc::new((0..REQUESTS).map(|_| Trial::draw(&mut rng)).collect());
    let each = (0..REQUESTS).map(|_| AtomicUsize::new(0)).collect();
    let asked = Arc::new(Asked { legs: Default::default(), each, wrong: AtomicUsize::new(0) });
    let (scripts, noted) = (Arc::clone(&trials), Arc::clone(&asked));
    let upstream = Upstream::start(move |seen| answer(&scripts, &noted, seen)).await;
    let gateway = TestGateway::start(&config(&upstream)).await;

    let running = trials.iter().enumerate().map(|(number, trial)| {
        let dialect = DIALECTS[number % DIALECTS.len()];
        let (client, model) = (&gateway.client, trial.model());
        async move { (number, ask(client, number, &model, dialect).await) }
    });
    let results: Vec<_> = futures::stream::iter(running).buffer_unordered(AT_ONCE).collect().await;

    let mut whole = 0;
    for (number, read) in &results {
        let what = || format!("seed {seed}, {number}: {:?}", read.text);
        assert_eq!(read.terminals, 1, "{}", what());
        let count = tokens_of(&read.text).unwrap_or_else(|| panic!("{}", what()));
        assert_eq!(read.whole, count == TOKENS.len(), "{}", what());
        assert!((1..=3).contains(&asked.each[*number].load(Ordering::SeqCst)), "{}", what());
        whole += usize::from(read.whole);
    }
    gateway.wait_for_metric("ai_gateway_active_streams", "0").await;
    let metrics = gateway.client.get("/metrics").await.text();
    let sum = |series: &str| -> usize {
        let lines = metrics.lines().filter(|line| line.starts_with(series));
        let values = lines.filter(|line| line.contains("{model="));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    };
    assert_eq!(sum("ai_gateway_permits_in_use{"), 0);
    let hedges = |result: &str| -> usize {
        let of = metrics.lines().filter(|line| line.starts_with("ai_gateway_hedges_total{"));
        let of = of.filter(|line| line.contains(&format!("result=\"{result}\"")));
        of.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    };
    let results = ["won", "lost", "failed", "refused"].map(|result| (result, hedges(result)));
    let [first, second, third] = [0, 1, 2].map(|leg| asked.legs[leg].load(Ordering::SeqCst));
    println!(
        "{REQUESTS} answers, seed {seed}: {whole} whole, {} errors; asked {first}, {second} beside, \
         {third} behind; {results:?}",
        REQUESTS - whole
    );
    assert_eq!((first, asked.wrong.load(Ordering::SeqCst)), (REQUESTS, 0));
    assert!(second <= REQUESTS * SHARE / 100 + SAVED * 8, "{second} second requests");
    assert!(hedges("won") > 0 && third > 0 && whole > REQUESTS / 2);
    gateway.inner.shutdown().await;
}
