//! A storm of cancelled requests over pooled upstream connections: no answer goes to another.
//!
//! `TIDEGATE_STORM` sets how many requests; `TIDEGATE_SEED` repeats a storm.

use std::fmt::Debug;
use std::str::FromStr;

use futures::future::join_all;

use crate::client::{Live, native, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Seen, Step, Upstream};
use crate::wire::{openai_end, openai_token, sse_head};

const CLIENTS: u64 = 32;
const TOKENS: u64 = 8;

fn setting<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Numbers from a seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Every token names the request that it answers. `7` is answered in full, `7/3` up to token 3; the
/// rest of it is for whoever is given the connection next.
fn answer(seen: &Seen) -> Vec<Step> {
    let body = seen.json();
    let prompt = body["messages"][0]["content"].as_str().unwrap();
    let (number, last) = prompt.split_once('/').unwrap_or((prompt, ""));
    let mut steps = vec![sse_head()];
    for token in 0..TOKENS {
        steps.push(openai_token(&format!("<{number}:{token}>")));
        if last.parse() == Ok(token) {
            steps.push(Step::Interrupted);
        }
    }
    steps.extend(openai_end(1, TOKENS));
    steps
}

/// Whether the tokens of a body, whole or not, are those of `number`, from the first one on.
fn is_own(body: &str, number: u64) -> bool {
    let tokens = body.split('<').skip(1).filter_map(|rest| Some(rest.split_once('>')?.0));
    tokens.zip(0..).all(|(token, place): (_, u64)| token == format!("{number}:{place}"))
}

#[derive(Default)]
struct Tally {
    whole: u64,
    left: u64,
    crossed: u64,
}

/// One client: asks, and reads to the end or leaves somewhere.
async fn client(gateway: &TestGateway, first: u64, requests: u64, seed: u64) -> Tally {
    let mut numbers = Numbers(seed ^ first);
    let mut tally = Tally::default();
    for number in first..first + requests {
        let (manner, last) = (numbers.below(4), numbers.below(TOKENS));
        let prompt = if manner == 1 { format!("{number}/{last}") } else { number.to_string() };
        let (path, body) = match numbers.below(2) {
            0 => ("/api/chat", native(&prompt)),
            _ => ("/v1/chat/completions", openai(&prompt, true)),
        };
        let mut live = gateway.client.send("POST", path, Some(&body.to_string())).await;
        let body = match manner {
            0 => String::new(),
            1 => live.read_until(&format!(":{last}>")).await,
            _ => whole(live).await,
        };
        tally.left += u64::from(manner < 2);
        tally.whole += u64::from(manner >= 2);
        tally.crossed += u64::from(!is_own(&body, number));
    }
    tally
}

async fn whole(live: Live) -> String {
    let answer = live.whole().await;
    assert!(answer.proper_end && answer.status == 200, "{}", answer.text());
    let text = answer.text();
    assert_eq!(text.matches('<').count() as u64, TOKENS, "{text}");
    text
}

#[actix_web::test]
async fn no_answer_goes_to_another() {
    let requests: u64 = setting("TIDEGATE_STORM", 3_000);
    let seed: u64 = setting("TIDEGATE_SEED", rand::random());
    println!("a storm of {requests} requests, seed {seed}");
    let upstream = Upstream::start(answer).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 16")).await;

    let each = requests / CLIENTS;
    let clients = (0..CLIENTS).map(|index| client(&gateway, index * each, each, seed));
    let tallies = join_all(clients).await;
    let sum = |part: fn(&Tally) -> u64| tallies.iter().map(part).sum::<u64>();
    let (whole, left) = (sum(|tally| tally.whole), sum(|tally| tally.left));
    println!(
        "{whole} whole, {left} left, {} crossed, over {} upstream connections",
        sum(|tally| tally.crossed),
        upstream.connections()
    );
    assert_eq!(sum(|tally| tally.crossed), 0);
    assert!((upstream.connections() as u64) < whole, "connections are used again");

    gateway.wait_until_idle().await;
    let ended = gateway.outcomes("completed").await + gateway.outcomes("cancelled").await;
    // A client may leave before its request was read.
    assert!((whole..=whole + left).contains(&ended), "{ended} streams ended");
    gateway.inner.shutdown().await;
}
