//! The soak: hours of everything that can go wrong, mixed by a seed, while memory, open files,
//! permits and outcomes are watched; at its end all who have counted are to say the same.

mod case;
mod client;
mod gateway;
pub mod idle;
mod numbers;
mod random;
mod reading;
mod report;
mod samples;
mod scrape;
mod sums;
mod tally;
mod watch;

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::task::{LocalSet, spawn_local};

use self::client::Crowd;
use self::gateway::{IMPATIENT, RECORDS};
use self::numbers::Numbers;
use self::report::Report;
use self::sums::Sums;
use self::tally::Tally;
use crate::machine::Cores;
use crate::pulse::Pulse;
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
    let target = gateway::start(&arguments.gateway, &arguments.out, upstream.address, IMPATIENT)?;
    watch::warm_up(&target).await?;
    let files_before = watch::at_rest(&target, usize::MAX).await?;

    let crowd = Rc::new(Crowd {
        address: target.address,
        seed,
        until: Instant::now() + Duration::from_secs(arguments.seconds),
        upstream: Arc::clone(&upstream.seen),
        pulse: Pulse::new(),
        next_id: RefCell::new(0),
        tally: RefCell::new(Tally::default()),
    });
    let began = Instant::now();
    let beating = Rc::clone(&crowd);
    let beating = spawn_local(async move { beating.pulse.beat().await });
    let watched = spawn_local(watch::watch(Rc::clone(&crowd), target));
    join_all((0..arguments.clients).map(|_| crowd.client())).await;
    let took = began.elapsed();
    beating.abort();
    crowd.tally.borrow_mut().stood_still = crowd.missed().iter().sum();
    let (target, samples) = watched.await.map_err(|error| Failure::Other(error.to_string()))??;

    let last = watch::rest(&crowd, &target).await?;
    let files_after = watch::at_rest(&target, files_before).await?;
    let memory_after = target.usage()?.memory;
    let metrics = watch::all_counted(&crowd, &target).await?;
    // It writes the last records before it ends.
    drop(target);
    let records = arguments.out.join(RECORDS);
    let numbers = {
        let records = Sums::of_records(&records)?;
        Numbers::new(&crowd.tally.borrow(), upstream.seen.asked(), metrics, records)
    };
    if numbers.differences().is_empty() {
        fs::remove_file(records)?;
    }
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
        numbers,
    })
}
