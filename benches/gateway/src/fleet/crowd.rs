//! Clients that ask at a steady rate, however they are answered, and what they see.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep_until, timeout};

use crate::answer::{Answer, Fault};
use crate::client::{Clock, Connection, Stats, histogram};
use crate::mishap::Mishap;
use crate::script::{Dialect, Script};

/// Short answers: eight tokens, 5 ms apart.
const TOKENS: u64 = 8;
const INTERVAL: Duration = Duration::from_millis(5);
/// Who waits longer for a whole answer has none.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many errors are told in words.
const TOLD: u64 = 5;

/// What clients saw.
pub struct Seen {
    pub requests: u64,
    /// Answers that were not whole, refusals included.
    pub errors: u64,
    /// From when a request was due, in nanoseconds.
    pub first_token: Histogram<u64>,
}

/// The clients, at work.
pub struct Crowd {
    stats: Rc<RefCell<Stats>>,
    arrivals: JoinHandle<(u64, u64)>,
}

impl Crowd {
    pub fn start(address: SocketAddr, rate: f64, seconds: u64) -> Self {
        let stats = Rc::new(RefCell::new(Stats::new()));
        let arrivals = spawn_local(arrive(address, rate, seconds, Rc::clone(&stats)));
        Self { stats, arrivals }
    }

    /// Waits for the last answer.
    pub async fn finish(self) -> Seen {
        let (requests, errors) = self.arrivals.await.unwrap_or_default();
        let first_token = std::mem::replace(&mut self.stats.borrow_mut().first_token, histogram());
        Seen { requests, errors, first_token }
    }
}

/// Gives how many asked, and how many of them in vain.
async fn arrive(
    address: SocketAddr,
    rate: f64,
    seconds: u64,
    stats: Rc<RefCell<Stats>>,
) -> (u64, u64) {
    let gap = Duration::from_secs_f64(1.0 / rate);
    let begun = Instant::now();
    let (mut due, mut id, mut running) = (begun, 0, Vec::new());
    while due.duration_since(begun) < Duration::from_secs(seconds) {
        sleep_until(due.into()).await;
        let stats = Rc::clone(&stats);
        running.push(spawn_local(async move { exchange(address, id, due, &stats).await }));
        due += gap;
        id += 1;
    }
    let mut errors = 0;
    for asked in running {
        let failed = match asked.await {
            Ok(Ok(())) => continue,
            Ok(Err(fault)) => fault.to_string(),
            Err(error) => error.to_string(),
        };
        errors += 1;
        if errors <= TOLD {
            eprintln!("a client saw: {failed}");
        }
    }
    (id, errors)
}

async fn exchange(
    address: SocketAddr,
    id: u64,
    due: Instant,
    stats: &RefCell<Stats>,
) -> Result<(), Fault> {
    let mut connection = Connection::open(address).await?;
    let script =
        Script { id, tokens: TOKENS, interval: INTERVAL, burst: 1, mishap: Mishap::None, at: 0 };
    connection.ask(&script.request(Dialect::OpenAi, "fleet", &address.to_string())).await?;
    let mut answer = Answer::new(Dialect::OpenAi, TOKENS);
    let reading = connection.read(&mut answer, Clock::new(due), stats);
    timeout(PATIENCE, reading).await.unwrap_or_else(|_| Err(Fault::Io("no answer".to_owned())))
}
