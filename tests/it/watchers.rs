//! Clients that join a stream anywhere, read a while, leave and come back where they were, on either
//! worker, before its end and after it: what each of them has read is the stream from where he began,
//! every event once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::StreamExt;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::client::{Client, Live, native, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::responses::ask;
use crate::upstream::{Gate, Step, Upstream, openai_end, openai_token, sse_head};

/// `WATCHERS_SEED` sets another.
const SEED: u64 = 6;
/// So many streams of short events, and so many of long ones, which their readers fall behind with.
const STREAMS: usize = 400;
const LONG_STREAMS: usize = 24;
const AT_ONCE: usize = 8;
const MOST_WATCHERS: usize = 10;
const LONG_TOKEN: usize = 4096;

#[derive(Debug, Clone, Copy)]
enum Dialect {
    Native,
    OpenAi,
    Responses,
}

/// One stream and how it comes.
struct Plan {
    dialect: Dialect,
    tokens: usize,
    long: bool,
    /// How many tokens come before the upstream waits for its watchers.
    held_at: usize,
    seed: u64,
}

impl Plan {
    fn draw(rng: &mut StdRng, number: usize) -> Self {
        let long = number >= STREAMS;
        let tokens = rng.random_range(1..if long { 300 } else { 500 });
        Self {
            dialect: [Dialect::Native, Dialect::OpenAi, Dialect::Responses][number % 3],
            tokens,
            long,
            held_at: rng.random_range(0..=tokens),
            seed: rng.random(),
        }
    }

    fn script(&self, gate: &Gate) -> Vec<Step> {
        let filling = if self.long { "x".repeat(LONG_TOKEN) } else { String::new() };
        let mut steps = vec![sse_head()];
        for token in 0..self.tokens {
            if token == self.held_at {
                steps.push(Step::Gate(gate.clone()));
            }
            steps.push(openai_token(&format!("t{token} {filling}")));
            if token % 7 == 0 {
                steps.push(Step::Yield);
            }
        }
        if self.held_at == self.tokens {
            steps.push(Step::Gate(gate.clone()));
        }
        steps.extend(openai_end(7, self.tokens as u64));
        steps
    }
}

/// What came of all of it.
#[derive(Debug, Default)]
struct Tally {
    streams: usize,
    watchers: usize,
    joins: usize,
    joins_before_the_end: usize,
    events: usize,
    too_slow: usize,
    nothing_left: usize,
}

/// A stream as its watchers see it.
struct Scene<'a> {
    client: &'a Client,
    id: String,
    /// The number of the last event that anybody has seen.
    seen: Cell<usize>,
    has_ended: Cell<bool>,
    tally: &'a RefCell<Tally>,
}

/// The whole events of a body so far, and whether it ends by sending its reader away.
fn whole_events(body: &str) -> (Vec<&str>, bool) {
    let whole = body.rfind("\n\n").map_or("", |end| &body[..end + 2]);
    // A sign of life stands before the event that comes next.
    let events = whole.split_inclusive("\n\n").map(|it| it.trim_start_matches(": k\n"));
    let mut events: Vec<_> = events.filter(|it| !it.starts_with(':')).collect();
    let too_slow = events.last().is_some_and(|event| event.contains("\"TOO_SLOW\""));
    if too_slow {
        events.pop();
    }
    (events, too_slow)
}

impl Scene<'_> {
    async fn join(&self, after: usize, rng: &mut StdRng) -> Live {
        let path = format!("/api/chat/{}", self.id);
        let place = format!("{}:{after}", self.id);
        let mut live = match rng.random_range(0..3) {
            0 => self.client.send("GET", &format!("{path}?after={after}"), None).await,
            1 => self.client.send("GET", &format!("{path}?after={place}"), None).await,
            _ => self.client.with_header("Last-Event-ID", &place).send("GET", &path, None).await,
        };
        live.read_head().await;
        let mut tally = self.tally.borrow_mut();
        tally.joins += 1;
        tally.joins_before_the_end += usize::from(!self.has_ended.get());
        live
    }

    /// Watches from a random place to the end. Gives the place, and all that it has read.
    async fn watch(&self, seed: u64) -> (usize, String) {
        let mut rng = StdRng::seed_from_u64(seed);
        let began = rng.random_range(0..=self.seen.get());
        let (mut at, mut read) = (began, String::new());
        loop {
            let mut live = self.join(at, &mut rng).await;
            if live.status() == 204 {
                self.tally.borrow_mut().nothing_left += 1;
                return (began, read);
            }
            assert_eq!(live.status(), 200);
            // Some leave at once, some after a while, some stay; and some look away meanwhile.
            let patience = [0, rng.random_range(1..20), 100, usize::MAX][rng.random_range(0..4)];
            while rng.random_bool(0.3) && !self.has_ended.get() {
                tokio::task::yield_now().await;
            }
            let (body, is_over) = live.read_events(patience).await;
            let (events, too_slow) = whole_events(&body);
            at += events.len();
            // Who goes by ids, as browsers do, comes back to the same place: the event that sends
            // him away has the id of the one before it.
            if let Some(last) = last_id(&body) {
                assert_eq!(last, at, "{body}");
            }
            self.seen.set(self.seen.get().max(at));
            read.extend(events.iter().copied());
            let mut tally = self.tally.borrow_mut();
            tally.events += events.len();
            tally.too_slow += usize::from(too_slow);
            if is_over && !too_slow {
                return (began, read);
            }
        }
    }
}

async fn play(client: &Client, plan: &Plan, number: usize, gate: &Gate, tally: &RefCell<Tally>) {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let prompt = format!("number {number}.");
    let mut first = match plan.dialect {
        Dialect::Native => client.open("/api/chat", &native(&prompt)).await,
        Dialect::OpenAi => client.open("/v1/chat/completions", &openai(&prompt, true)).await,
        Dialect::Responses => client.open("/v1/responses", &ask(&json!(prompt), true)).await,
    };
    if plan.held_at > 0 {
        first.read_events(1).await;
    } else {
        gate.open();
        first.read_head().await;
    }
    let id = first.header("x-stream-id").expect("it is kept").to_owned();
    let (seen, has_ended) = (Cell::default(), Cell::new(false));
    let scene = Scene { client, id, seen, has_ended, tally };
    let count = rng.random_range(1..=MOST_WATCHERS);
    let seeds: Vec<u64> = (0..count).map(|_| rng.random()).collect();
    let (before, after) = seeds.split_at(rng.random_range(0..=count));
    let opening = async {
        // They are in the midst of it by then, most of them.
        for _ in 0..rng.random_range(0..200) {
            tokio::task::yield_now().await;
        }
        gate.open();
        let whole = first.whole().await;
        scene.has_ended.set(true);
        whole
    };
    let early = join_all(before.iter().map(|seed| scene.watch(*seed)));
    let (whole, early) = futures::future::join(opening, early).await;
    assert!(whole.status == 200 && whole.proper_end);
    let text = whole.text();
    let (all, too_slow) = whole_events(&text);
    assert!(!too_slow || plan.long, "{text}");
    let mut all: Vec<_> = all.into_iter().map(str::to_owned).collect();
    // The first may be the slow one.
    if too_slow {
        let rest = client.get(&format!("/api/chat/{}?after={}", scene.id, all.len())).await.text();
        all.extend(whole_events(&rest).0.into_iter().map(str::to_owned));
    }
    let tokens: Vec<_> = all.iter().filter_map(|event| token_of(event)).collect();
    assert_eq!(tokens, (0..plan.tokens).collect::<Vec<_>>(), "the first client's own");
    scene.seen.set(all.len());
    let late = join_all(after.iter().map(|seed| scene.watch(*seed))).await;
    for (began, read) in early.into_iter().chain(late) {
        assert!(read == all[began..].concat(), "from {began} of {}:\n{read}", all.len());
    }
    let mut tally = tally.borrow_mut();
    tally.streams += 1;
    tally.watchers += count;
}

/// The number in the last event's id.
fn last_id(body: &str) -> Option<usize> {
    let (_, id) = body[..body.rfind("\n\n")?].rsplit_once("id: ")?;
    id.lines().next()?.rsplit_once(':')?.1.parse().ok()
}

/// The number of the token that an event tells, if it tells one.
fn token_of(event: &str) -> Option<usize> {
    let is_piece = ["chat.completion.chunk", "response.output_text.delta"];
    is_piece.iter().any(|name| event.contains(name)).then_some(())?;
    event.split(":\"t").skip(1).find_map(|behind| behind.split(' ').next()?.parse().ok())
}

#[actix_web::test]
async fn the_union_of_what_each_watcher_reads_is_exact() {
    let seed = std::env::var("WATCHERS_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let mut rng = StdRng::seed_from_u64(seed);
    let plans: Vec<_> = (0..STREAMS + LONG_STREAMS)
        .map(|number| (Plan::draw(&mut rng, number), Gate::new()))
        .collect();
    let scripts: BTreeMap<_, _> = plans
        .iter()
        .enumerate()
        .map(|(number, (plan, gate))| (format!("number {number}."), plan.script(gate)))
        .collect();
    let upstream = Upstream::start(move |seen| {
        let (_, prompt) = seen.body.split_once("number ").unwrap();
        let (number, _) = prompt.split_once('.').unwrap();
        scripts[&format!("number {number}.")].clone()
    })
    .await;
    let model = openai_model(&upstream, "max_concurrency = 100");
    let toml = format!("{model}[journal]\nmax_lag_bytes = 4096\nmax_stream_bytes = 16777216");
    let gateway = TestGateway::start(&toml).await;
    let client = gateway.client.with_header("X-Resumable", "true");
    let tally = Rc::new(RefCell::new(Tally::default()));
    let played = plans
        .iter()
        .enumerate()
        .map(|(number, (plan, gate))| play(&client, plan, number, gate, &tally));
    futures::stream::iter(played).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    assert_eq!(upstream.chats().len(), STREAMS + LONG_STREAMS, "each was generated once");
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
    let tally = tally.borrow();
    println!("seed {seed}: {tally:?}");
    let after_the_end = tally.joins - tally.joins_before_the_end;
    assert!(tally.joins_before_the_end > STREAMS && after_the_end > STREAMS, "{tally:?}");
    assert!(tally.too_slow > 0, "nobody was sent away");
}
