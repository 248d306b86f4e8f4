//! Thousands of streams that say next to nothing: none may be dropped, and each costs little.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;
use tokio::time::sleep;

use super::gateway;
use crate::load::{Asked, Open};
use crate::machine::Cores;
use crate::report::number;
use crate::script::Dialect;
use crate::target::Target;
use crate::upstream;
use crate::workload::Failure;

/// Hold thousands of idle streams and measure what each costs.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many. Each takes two sockets of the gateway, and two of this program.
    #[arg(long, default_value_t = 9_000)]
    streams: u64,
    /// For how long.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// The gateway's binary, built with --release.
    #[arg(long, default_value = "target/release/tidegate")]
    gateway: PathBuf,
    /// Where the configuration and the gateway's log go.
    #[arg(long, default_value = "target/soak")]
    out: PathBuf,
}

/// Between two tokens of a stream; shorter than the time after which it counts as stalled.
const INTERVAL: Duration = Duration::from_secs(30);
const PER_SECOND: f64 = 2_000.0;
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it and prints what it took. A stream that loses a token or its end is an error.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let upstream = upstream::start(Cores::assign()?.upstream)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = LocalSet::new().block_on(&runtime, hold(arguments, upstream.address))?;
    println!("{text}");
    Ok(())
}

async fn hold(arguments: &Arguments, upstream: SocketAddr) -> Result<String, Failure> {
    let target = gateway::start(&arguments.gateway, &arguments.out, upstream, gateway::PATIENT)?;
    let streams = arguments.streams;
    let intervals = arguments.seconds.div_ceil(INTERVAL.as_secs()).max(1);
    let asked = Asked {
        address: target.address,
        dialect: Dialect::Native,
        kept: false,
        model: "openai",
        tokens: intervals + 1,
        spread: 0,
        interval: INTERVAL,
        burst: 1,
    };
    let idle = target.usage()?;
    let open = Open::start(asked, streams, PER_SECOND);
    let begun = Instant::now();
    while open.stats.borrow().begun < streams {
        if open.is_over() || begun.elapsed() > PATIENCE {
            open.finish().await?;
            return Err(Failure::Other("the streams were never live at a time".to_owned()));
        }
        sleep(Duration::from_millis(20)).await;
    }
    let live = Instant::now();
    let (mut memory, cpu) = measure(&target, &open).await?;
    let held = live.elapsed();
    let stats = open.finish().await?;
    memory.sort_unstable();
    let each = |memory: Option<&u64>| {
        let all = memory.copied().unwrap_or_default().saturating_sub(idle.memory);
        number(kibibytes(all) / count(streams))
    };
    Ok(format!(
        "{streams} idle streams for {:.0} s: {} ended as they should, {} tokens, 0 dropped; {} KiB \
         each and at most {} (resident, above the {} MiB without streams), {} % of a core",
        held.as_secs_f64(),
        stats.streams,
        stats.tokens,
        each(memory.get(memory.len() / 2)),
        each(memory.last()),
        number(kibibytes(idle.memory) / 1024.0),
        number(100.0 * cpu.as_secs_f64() / held.as_secs_f64()),
    ))
}

/// The memory that was resident while all streams lived, each second, and the CPU time of it.
async fn measure(target: &Target, open: &Open) -> Result<(Vec<u64>, Duration), Failure> {
    let before = target.usage()?;
    let (mut memory, mut cpu) = (vec![before.memory], Duration::ZERO);
    while open.stats.borrow().streams == 0 && !open.is_over() {
        let usage = target.usage()?;
        memory.push(usage.memory);
        cpu = usage.cpu.saturating_sub(before.cpu);
        sleep(Duration::from_secs(1)).await;
    }
    Ok((memory, cpu))
}

fn kibibytes(bytes: u64) -> f64 {
    count(bytes >> 10)
}

#[allow(clippy::cast_precision_loss, reason = "figures of a report have fewer than 52 bits")]
const fn count(number: u64) -> f64 {
    number as f64
}
