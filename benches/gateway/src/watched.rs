//! What it costs the gateway that somebody looks at it: its CPU time with many streams, while a console
//! page reads along and while none does, in turns. Once beside idle streams, once beside busy ones.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::sleep;

use crate::answer::Fault;
use crate::client::{Connection, READ};
use crate::load::{Asked, Open};
use crate::machine::{self, Cores};
use crate::report::number;
use crate::response::{Lines, Response};
use crate::results::median;
use crate::script::Dialect;
use crate::target::{Programs, Target};
use crate::upstream;
use crate::workload::Failure;

/// Measure what an open console costs the gateway.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many streams are live.
    #[arg(long, default_value_t = 500)]
    streams: u64,
    /// Tokens a second of each, to which the console is compared.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// How often it is measured with the console and without.
    #[arg(long, default_value_t = 8)]
    pairs: u32,
    /// For how many seconds each time.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The gateway's binary, built with --release.
    #[arg(long, default_value = "target/release/tidegate")]
    gateway: PathBuf,
    /// Where the configuration and the gateway's log go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// Tokens a second of streams beside which nothing hides what the console takes. What streams take when
/// they are busy wanders by more than that, wherever something else runs too.
const IDLE: f64 = 0.1;
const PER_SECOND: f64 = 1_000.0;
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
const SECOND_EVENT: &[u8] = b"event: console.second";

/// Runs it and prints what it took.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let cores = Cores::assign()?;
    fs::create_dir_all(&arguments.out)?;
    let upstream = upstream::start(cores.upstream)?;
    machine::pin(cores.load)?;
    let programs = Programs {
        gateway: arguments.gateway.clone(),
        nginx: PathBuf::new(),
        folder: fs::canonicalize(&arguments.out)?,
        upstream: upstream.address,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measure = |rate: f64| {
        let target = programs.gateway(&cores.gateway.to_string())?;
        let used = LocalSet::new().block_on(&runtime, hold(arguments, rate, &target))?;
        println!("{} streams of {rate} tokens a second: {}", arguments.streams, used.text());
        Ok::<_, Failure>(used)
    };
    let (idle, busy) = (measure(IDLE)?, measure(arguments.rate)?);
    let share = 100.0 * idle.console() / Used::middle(&busy.closed);
    println!("What the console takes beside idle streams is {share:.1} % of what busy ones take.");
    Ok(())
}

/// What the gateway used, in milliseconds of CPU a second, pair by pair.
#[derive(Default)]
struct Used {
    closed: Vec<f64>,
    opened: Vec<f64>,
}

impl Used {
    fn middle(values: &[f64]) -> f64 {
        median(values.to_vec()).unwrap_or(f64::NAN)
    }

    fn more(&self) -> Vec<f64> {
        self.closed.iter().zip(&self.opened).map(|(closed, opened)| opened - closed).collect()
    }

    fn console(&self) -> f64 {
        Self::middle(&self.more())
    }

    fn text(&self) -> String {
        let mut more = self.more();
        more.sort_by(f64::total_cmp);
        let quarter = more.len() / 4;
        let ends = [more.get(quarter), more.get(more.len() - 1 - quarter)];
        let [low, high] = ends.map(|end| number(end.copied().unwrap_or(f64::NAN)));
        format!(
            "{} ms of CPU a second without the console, {} with it (medians); by pairs {} more, half of \
             them from {low} to {high}",
            number(Self::middle(&self.closed)),
            number(Self::middle(&self.opened)),
            number(self.console()),
        )
    }
}

async fn hold(arguments: &Arguments, rate: f64, target: &Target) -> Result<Used, Failure> {
    let Arguments { streams, pairs, seconds, .. } = *arguments;
    let asked = Asked {
        address: target.address,
        dialect: Dialect::OpenAi,
        kept: false,
        model: "openai",
        // More than can be read meanwhile: they end when this does.
        tokens: 1 << 40,
        spread: 0,
        interval: Duration::try_from_secs_f64(1.0 / rate).map_err(io::Error::other)?,
        burst: 1,
    };
    let open = Open::start(asked, streams, PER_SECOND);
    wait_for("the streams to be live", || open.stats.borrow().begun >= streams || open.is_over())
        .await?;
    let mut used = Used::default();
    for pair in 0..pairs {
        // In turns, so that a machine that slows down does not slow down the same one each time.
        if pair % 2 == 0 {
            used.closed.push(cpu(target, seconds).await?);
            used.opened.push(watched(target, seconds).await?);
        } else {
            used.opened.push(watched(target, seconds).await?);
            used.closed.push(cpu(target, seconds).await?);
        }
        let stats = open.stats.borrow();
        if open.is_over() || stats.streams > 0 || stats.begun != streams {
            return Err(Failure::Other("a stream ended while it was measured".to_owned()));
        }
    }
    Ok(used)
}

/// The gateway's CPU time over that many seconds, in milliseconds a second.
async fn cpu(target: &Target, seconds: u64) -> Result<f64, Failure> {
    let (before, begun) = (target.usage()?.cpu, Instant::now());
    sleep(Duration::from_secs(seconds)).await;
    let used = target.usage()?.cpu.saturating_sub(before);
    Ok(1000.0 * used.as_secs_f64() / begun.elapsed().as_secs_f64())
}

/// The same while a page is open, from its first second on to the last.
async fn watched(target: &Target, seconds: u64) -> Result<f64, Failure> {
    let page = Page::open(target.address);
    wait_for("the console's first second", || page.seconds() > 0 || page.reading.is_finished())
        .await?;
    let used = cpu(target, seconds).await?;
    let told = page.seconds();
    if page.reading.is_finished() || told < seconds {
        return Err(Failure::Other(format!("the console told {told} of {seconds} seconds")));
    }
    Ok(used)
}

async fn wait_for(what: &str, is_so: impl Fn() -> bool) -> Result<(), Failure> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > PATIENCE {
            return Err(Failure::Other(format!("{what}: not within {PATIENCE:?}")));
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// What a console page asks for; it leaves when this is dropped.
struct Page {
    /// How many seconds it was told.
    told: Rc<RefCell<u64>>,
    reading: JoinHandle<Result<(), Fault>>,
}

impl Page {
    fn open(address: SocketAddr) -> Self {
        let told = Rc::new(RefCell::new(0));
        let reading = spawn_local(read(address, Rc::clone(&told)));
        Self { told, reading }
    }

    fn seconds(&self) -> u64 {
        *self.told.borrow()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(address: SocketAddr, told: Rc<RefCell<u64>>) -> Result<(), Fault> {
    let mut connection = Connection::open(address).await?;
    let request = format!("GET /api/console/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    connection.ask(request.as_bytes()).await?;
    let (mut response, mut lines) = (Response::new(), Lines::new());
    while !response.is_done() {
        let take = |bytes: &[u8]| {
            response.feed(bytes, |body| {
                lines.feed(body, |line| {
                    *told.borrow_mut() += u64::from(line == SECOND_EVENT);
                    Ok(())
                })
            })
        };
        if connection.read_with(READ, take).await? == 0 {
            break;
        }
    }
    Ok(())
}
