//! Watches the gateway: while the soak lasts, and until all has come to rest.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::client::Crowd;
use super::samples::{Sample, Samples};
use super::scrape::{Asker, Scrape};
use super::sums::Sums;
use crate::load::{self, Asked};
use crate::script::Dialect;
use crate::target::Target;
use crate::workload::Failure;

const SCRAPE_EVERY: Duration = Duration::from_millis(200);
/// How long everything may take to come to rest. Idle connections to upstreams take 8 s.
const REST: Duration = Duration::from_secs(60);
/// As long as nothing is closed or opened, all is at rest.
const STILL: Duration = Duration::from_secs(9);
/// Requests of each of two kinds, before anything is counted.
const WARM_UP: u64 = 400;
pub const WARMED_UP: u64 = 2 * WARM_UP;

/// What is opened once, or grows with the first requests, is no leak.
pub async fn warm_up(target: &Target) -> Result<(), Failure> {
    for (dialect, model) in [(Dialect::Native, "openai"), (Dialect::OpenAi, "ollama")] {
        let (interval, burst) = (Duration::ZERO, 1);
        let address = target.address;
        let (kept, tokens, spread) = (false, 8, 0);
        let asked = Asked { address, dialect, model, kept, tokens, spread, interval, burst };
        load::closed(asked, 64, WARM_UP).await?;
    }
    Ok(())
}

/// How many files are open once nothing is opened or closed any more; `enough` are few enough to
/// wait no longer.
pub async fn at_rest(target: &Target, enough: usize) -> Result<usize, Failure> {
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
pub async fn watch(crowd: Rc<Crowd>, target: Target) -> Result<(Target, Samples), Failure> {
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

/// What the gateway has counted, once all requests of the clients are: some count when their last byte
/// is written, and no sooner. What is missing then is told by name.
pub async fn all_counted(crowd: &Crowd, target: &Target) -> Result<Sums, Failure> {
    let mut asker = Asker::open(target.address).await?;
    let requests = crowd.tally.borrow().requests + WARMED_UP;
    let begun = Instant::now();
    loop {
        let sums = Sums::of_metrics(&asker.get("/metrics").await?);
        let counted =
            ["/api/chat", "/v1/chat/completions"].map(|path| sums.get("requests to", path));
        if counted.into_iter().flatten().sum::<u64>() >= requests || begun.elapsed() > REST {
            return Ok(sums);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until nothing is held for any stream; what the gateway says of itself then.
pub async fn rest(crowd: &Crowd, target: &Target) -> Result<Scrape, Failure> {
    let mut asker = Asker::open(target.address).await?;
    let begun = Instant::now();
    loop {
        let scrape = asker.scrape().await?;
        let list = asker.get("/api/chat/streams").await?;
        crowd.tally.borrow_mut().lists += 1;
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
