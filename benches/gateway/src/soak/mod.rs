//! The soak: hours of everything that can go wrong, mixed by a seed, while memory, open files,
//! permits and outcomes are watched.

mod case;
mod client;
pub mod idle;
mod random;
mod reading;
mod report;
mod samples;
mod scrape;
mod tally;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use self::client::Crowd;
use self::report::Report;
use self::samples::{Sample, Samples};
use self::scrape::Asker;
use self::tally::Tally;
use crate::load::{self, Asked};
use crate::machine::Cores;
use crate::script::Dialect;
use crate::target::{Programs, Target};
use crate::upstream::{self, Upstream};
use crate::workload::Failure;

/// Soak the gateway in faults and hold every answer to what was played.
#[derive(clap::Args)]
pub struct Arguments {
    /// For how long.
    #[arg(long, default_value_t = 1200)]
    seconds: u64,
    /// How many clients ask one thing after another; a bit more than half have a stream.
    #[arg(long, default_value_t = 360)]
    clients: usize,
    /// Brings a run's cases back. By chance if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// The gateway's binary, built with --release.
    #[arg(long, default_value = "target/release/tidegate")]
    gateway: PathBuf,
    /// Where the configuration, the gateway's log and the report go.
    #[arg(long, default_value = "target/soak")]
    out: PathBuf,
}

const SCRAPE_EVERY: Duration = Duration::from_millis(200);
/// How long everything may take to come to rest. Idle connections to upstreams take 8 s.
const REST: Duration = Duration::from_secs(60);
/// As long as nothing is closed or opened, all is at rest.
const STILL: Duration = Duration::from_secs(9);
/// Requests of each of two kinds, before anything is counted.
const WARM_UP: u64 = 400;
const WARMED_UP: u64 = 2 * WARM_UP;

/// What the gateway waits for, in seconds.
#[derive(Clone, Copy)]
struct Limits {
    heartbeat: u32,
    first_token: u32,
    idle: u32,
    total: u32,
}

/// Short enough that a soak can wait for them.
const IMPATIENT: Limits = Limits { heartbeat: 1, first_token: 3, idle: 2, total: 20 };
/// Long enough for streams that say next to nothing.
const PATIENT: Limits = Limits { heartbeat: 15, first_token: 60, idle: 60, total: 86_400 };

/// Runs it, prints the report, and says whether everything held.
pub fn run(arguments: &Arguments) -> Result<bool, Failure> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let seed = arguments.seed.unwrap_or_else(by_chance);
    eprintln!("soak: {} s, {} clients, seed {seed}", arguments.seconds, arguments.clients);
    let upstream = upstream::start(Cores::assign()?.upstream)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let soaked = LocalSet::new().block_on(&runtime, soak(arguments, seed, upstream))?;
    let text = soaked.markdown();
    fs::write(arguments.out.join("report.md"), &text)?;
    println!("{text}");
    Ok(soaked.holds())
}

fn by_chance() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |now| u64::from(now.subsec_nanos()) ^ now.as_secs())
}

async fn soak(arguments: &Arguments, seed: u64, upstream: Upstream) -> Result<Report, Failure> {
    let log = arguments.out.join("tidegate.log");
    let target = start(&arguments.gateway, &arguments.out, upstream.address, IMPATIENT)?;
    warm_up(&target).await?;
    let files_before = at_rest(&target, usize::MAX).await?;

    let crowd = Rc::new(Crowd {
        address: target.address,
        seed,
        until: Instant::now() + Duration::from_secs(arguments.seconds),
        upstream: Arc::clone(&upstream.seen),
        next_id: RefCell::new(0),
        tally: RefCell::new(Tally::default()),
    });
    let began = Instant::now();
    let watched = spawn_local(watch(Rc::clone(&crowd), target));
    join_all((0..arguments.clients).map(|_| crowd.client())).await;
    let took = began.elapsed();
    let (target, samples) = watched.await.map_err(|error| Failure::Other(error.to_string()))??;

    let last = rest(&crowd, &target).await?;
    let files_after = at_rest(&target, files_before).await?;
    let memory_after = target.usage()?.memory;
    drop(target);
    let said = fs::read_to_string(log)?;
    if said.contains("panicked") {
        crowd.tally.borrow_mut().mistake("the gateway's log tells of a panic".to_owned());
    }
    Ok(Report {
        seed,
        clients: arguments.clients,
        took,
        tally: crowd.tally.take(),
        last,
        samples,
        files: (files_before, files_after),
        memory_after,
    })
}

/// Starts the gateway with models of every kind, and these time limits.
fn start(
    gateway: &Path,
    folder: &Path,
    upstream: SocketAddr,
    limits: Limits,
) -> Result<Target, Failure> {
    fs::create_dir_all(folder)?;
    let _ = fs::remove_file(folder.join("tidegate.log"));
    let closed = closed_address()?;
    let programs = Programs {
        gateway: gateway.to_owned(),
        nginx: PathBuf::new(),
        folder: fs::canonicalize(folder)?,
        upstream,
    };
    let configuration = |address: SocketAddr| configuration(address, upstream, closed, limits);
    Ok(programs.gateway_with("0,1", configuration)?)
}

/// An address of which nobody listens as long as the process lives.
fn closed_address() -> Result<SocketAddr, Failure> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    let bound = TcpListener::from(socket);
    let address = bound.local_addr()?;
    // Held to the end: bound and never listening, connections to it are refused.
    std::mem::forget(bound);
    Ok(address)
}

fn configuration(
    address: SocketAddr,
    upstream: SocketAddr,
    closed: SocketAddr,
    limits: Limits,
) -> String {
    let port = address.port();
    let Limits { heartbeat, first_token, idle, total } = limits;
    let mut text = format!(
        "[server]\nport = {port}\nworkers = 2\nmax_streams = 20000\nheartbeat_seconds = {heartbeat}\n\
         [log]\nlevel = \"error\"\n\
         [health]\ninterval_seconds = 3600\n"
    );
    let wide = "max_concurrency = 20000\nqueue_timeout_seconds = 20\n";
    // Few at a time: some wait, some wait too long, some find the queue full.
    let narrow = "max_concurrency = 2\nqueue_length = 3\nqueue_timeout_seconds = 1\n";
    for (name, provider, base_url, permits) in [
        ("openai", "openai", format!("http://{upstream}/v1"), wide),
        ("ollama", "ollama", format!("http://{upstream}"), wide),
        ("narrow", "openai", format!("http://{upstream}/v1"), narrow),
        ("refused-openai", "openai", format!("http://{closed}/v1"), wide),
        ("refused-ollama", "ollama", format!("http://{closed}"), wide),
    ] {
        let _ = write!(
            text,
            "[[models]]\nname = \"{name}\"\nprovider = \"{provider}\"\n\
             base_url = \"{base_url}\"\n{permits}max_line_bytes = 8192\n\
             first_token_timeout_seconds = {first_token}\nidle_timeout_seconds = {idle}\n\
             total_timeout_seconds = {total}\n"
        );
    }
    text
}

/// What is opened once, or grows with the first requests, is no leak.
async fn warm_up(target: &Target) -> Result<(), Failure> {
    for (dialect, model) in [(Dialect::Native, "openai"), (Dialect::OpenAi, "ollama")] {
        let (interval, burst) = (Duration::ZERO, 1);
        let address = target.address;
        let asked = Asked { address, dialect, model, tokens: 8, spread: 0, interval, burst };
        load::closed(asked, 64, WARM_UP).await?;
    }
    Ok(())
}

/// How many files are open once nothing is opened or closed any more; `enough` are few enough to
/// wait no longer.
async fn at_rest(target: &Target, enough: usize) -> Result<usize, Failure> {
    let begun = Instant::now();
    let (mut files, mut since) = (target.open_files()?, Instant::now());
    while begun.elapsed() < REST && (files > enough || enough == usize::MAX) {
        sleep(Duration::from_millis(250)).await;
        let now = target.open_files()?;
        if now != files {
            (files, since) = (now, Instant::now());
        } else if since.elapsed() > STILL && enough == usize::MAX {
            break;
        }
    }
    Ok(files)
}

/// Scrapes and measures until the clients are through.
async fn watch(crowd: Rc<Crowd>, target: Target) -> Result<(Target, Samples), Failure> {
    let mut samples = Samples::default();
    let mut asker = Asker::open(target.address).await?;
    let before = target.usage()?;
    let begun = Instant::now();
    while Instant::now() < crowd.until {
        let told = crowd.tally.borrow().told.clone();
        let scrape = asker.scrape().await?;
        if let Some(fault) = scrape.fault(&told) {
            let mut tally = crowd.tally.borrow_mut();
            tally.torn += 1;
            tally.mistake(fault);
        }
        let usage = target.usage()?;
        samples.add(Sample {
            at: begun.elapsed(),
            memory: usage.memory,
            active: scrape.active,
            files: target.open_files()?,
        });
        samples.cpu = usage.cpu.saturating_sub(before.cpu);
        sleep(SCRAPE_EVERY).await;
    }
    samples.took = begun.elapsed();
    Ok((target, samples))
}

/// Waits until nothing is held for any stream; what the gateway says of itself then.
async fn rest(crowd: &Crowd, target: &Target) -> Result<scrape::Scrape, Failure> {
    let mut asker = Asker::open(target.address).await?;
    let begun = Instant::now();
    loop {
        let scrape = asker.scrape().await?;
        let list = asker.get("/api/chat/streams").await?;
        let is_empty = list.contains(r#""activeCount":0"#) && list.contains(r#""streams":[]"#);
        if scrape.is_idle() && is_empty && crowd.upstream.running() == 0 {
            return Ok(scrape);
        }
        if begun.elapsed() > REST {
            let running = crowd.upstream.running();
            let what = format!("not at rest: {scrape:?}, {list}, {running} answers upstream");
            crowd.tally.borrow_mut().mistake(what);
            return Ok(scrape);
        }
        sleep(Duration::from_millis(50)).await;
    }
}
