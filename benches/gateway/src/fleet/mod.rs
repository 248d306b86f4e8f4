//! A fleet in which everything goes wrong, under load: what clients see of it by each policy.
//!
//! Eight replicas: three in order, two ten times as slow, one that fails 20 of 100 requests, one that
//! hangs, and one that dies and comes back. The same load goes to the three in order alone, which is
//! what routing could do at best, and to a round robin that leaves nobody alone.

mod crowd;
mod replica;

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::LocalSet;

use self::crowd::{Crowd, Seen};
use self::replica::{Behaviour, Replica};
use crate::report::number;
use crate::target::Programs;
use crate::workload::Failure;

/// Measure routing on a fleet of replicas that misbehave.
#[derive(clap::Args)]
pub struct Arguments {
    /// For how long each policy is measured.
    #[arg(long, default_value_t = 40)]
    seconds: u64,
    /// Requests a second.
    #[arg(long, default_value_t = 150.0)]
    rate: f64,
    /// Only these policies.
    #[arg(long)]
    only: Vec<String>,
    /// The gateway's binary, built with --release.
    #[arg(long, default_value = "target/release/tidegate")]
    gateway: PathBuf,
    /// Where the configuration, the gateway's log and the report go.
    #[arg(long, default_value = "target/fleet")]
    out: PathBuf,
}

const FLEET: [Behaviour; 8] = [
    Behaviour::Healthy,
    Behaviour::Slow,
    Behaviour::Fails,
    Behaviour::Healthy,
    Behaviour::Hangs,
    Behaviour::Dies,
    Behaviour::Slow,
    Behaviour::Healthy,
];
const IN_ORDER: [Behaviour; 3] = [Behaviour::Healthy; 3];

/// What is compared.
struct Case {
    name: &'static str,
    policy: &'static str,
    fleet: &'static [Behaviour],
    /// Nobody is left alone for failing.
    is_plain: bool,
}

const CASES: [Case; 9] = [
    Case { name: "in order alone", policy: "fastest", fleet: &IN_ORDER, is_plain: false },
    Case { name: "plain round robin", policy: "weighted", fleet: &FLEET, is_plain: true },
    Case { name: "fastest", policy: "fastest", fleet: &FLEET, is_plain: false },
    Case { name: "score", policy: "score", fleet: &FLEET, is_plain: false },
    Case { name: "least-busy", policy: "least-busy", fleet: &FLEET, is_plain: false },
    Case { name: "weighted", policy: "weighted", fleet: &FLEET, is_plain: false },
    Case { name: "sticky", policy: "sticky", fleet: &FLEET, is_plain: false },
    Case { name: "prefix", policy: "prefix", fleet: &FLEET, is_plain: false },
    Case { name: "cheapest", policy: "cheapest", fleet: &FLEET, is_plain: false },
];

/// Runs it and prints the table.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    fs::create_dir_all(&arguments.out)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut text = String::from(
        "| policy | TTFT p50, ms | p90 | p99 | p99 to in order alone | errors | attempts a request | back after, s |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut best = None;
    let wanted = |case: &&Case| {
        arguments.only.is_empty() || arguments.only.iter().any(|only| only == case.name)
    };
    for case in CASES.iter().filter(wanted) {
        let measured = LocalSet::new().block_on(&runtime, measure(arguments, case))?;
        let row = row(case, &measured, &mut best);
        eprint!("{row}");
        text.push_str(&row);
    }
    fs::write(arguments.out.join("report.md"), &text)?;
    println!("{text}");
    Ok(())
}

/// What one case came to.
struct Measured {
    seen: Seen,
    /// Requests that replicas saw.
    attempts: u64,
    back: Option<Duration>,
}

async fn measure(arguments: &Arguments, case: &Case) -> Result<Measured, Failure> {
    let replicas = case.fleet.iter().map(|behaviour| Replica::start(*behaviour));
    let mut replicas = replicas.collect::<Result<Vec<_>, _>>()?;
    let programs = Programs {
        gateway: arguments.gateway.clone(),
        nginx: PathBuf::new(),
        folder: fs::canonicalize(&arguments.out)?,
        upstream: SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    let addresses: Vec<_> = replicas.iter().map(|replica| replica.address).collect();
    let gateway =
        programs.gateway_with("0,1", |address| configuration(address, case, &addresses))?;
    let crowd = Crowd::start(gateway.address, arguments.rate, arguments.seconds);
    let back = come_and_go(&mut replicas, arguments.seconds).await?;
    let seen = crowd.finish().await;
    let requests = replicas
        .iter()
        .map(|replica| replica.seen.requests.load(std::sync::atomic::Ordering::Acquire));
    let attempts = requests.sum();
    let of_back = replicas.iter().find(|replica| replica.behaviour == Behaviour::Dies);
    let first = of_back.and_then(|replica| replica.seen.first_since_back());
    let back = back.and_then(|back| Some(first?.saturating_duration_since(back)));
    drop(gateway);
    Ok(Measured { seen, attempts, back })
}

/// The gateway looks every so many seconds whether its targets are there. Who comes back between two
/// such moments shows how long that takes.
const OUT_OF_STEP: Duration = Duration::from_millis(2_600);

/// A third into the run one dies; after another third it is back. Gives when.
async fn come_and_go(
    replicas: &mut [Replica],
    seconds: u64,
) -> Result<Option<std::time::Instant>, Failure> {
    let third = Duration::from_secs(seconds) / 3;
    let Some(mortal) = replicas.iter_mut().find(|r| r.behaviour == Behaviour::Dies) else {
        return Ok(None);
    };
    tokio::time::sleep(third).await;
    mortal.die();
    tokio::time::sleep(third + OUT_OF_STEP).await;
    mortal.come_back()?;
    Ok(Some(std::time::Instant::now()))
}

fn row(case: &Case, measured: &Measured, best: &mut Option<f64>) -> String {
    let Measured { seen, attempts, back } = measured;
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let at = |quantile: f64| seen.first_token.value_at_quantile(quantile) as f64 / 1e6;
    let p99 = at(0.99);
    let least = *best.get_or_insert(p99);
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let each = *attempts as f64 / seen.requests as f64;
    let back = back.map_or_else(|| "–".to_owned(), |back| format!("{:.1}", back.as_secs_f64()));
    let mut row = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        row,
        "| {} | {} | {} | {} | {:.2} | {} of {} | {each:.3} | {back} |",
        case.name,
        number(at(0.5)),
        number(at(0.9)),
        number(p99),
        p99 / least,
        seen.errors,
        seen.requests,
    );
    row
}

fn configuration(address: SocketAddr, case: &Case, replicas: &[SocketAddr]) -> String {
    let port = address.port();
    let health =
        if case.is_plain { "failures_in_a_row = 1000\nfailure_percent = 100\n" } else { "" };
    let policy = case.policy;
    let mut text = format!(
        "[server]\nport = {port}\nworkers = 2\nmax_streams = 20000\n[log]\nlevel = \"error\"\n\
         [health]\n{health}[[models]]\nname = \"fleet\"\nprovider = \"openai\"\npolicy = \"{policy}\"\n\
         sticky_by = \"conversation\"\nmax_concurrency = 64\nqueue_length = 1000\n\
         upstream_model = \"bench\"\nfirst_token_timeout_seconds = 1\ncontinues = true\n"
    );
    for replica in replicas {
        let _ = write!(text, "[[models.targets]]\nbase_url = \"http://{replica}/v1\"\n");
    }
    text
}
