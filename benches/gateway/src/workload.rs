//! The workloads, and how each is measured on one route.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::answer::{Answer, Fault};
use crate::client::{Connection, Stats, histogram, nanoseconds};
use crate::load::{self, Asked, Open};
use crate::machine::{Cores, Usage};
use crate::route::{Route, Via};
use crate::target::{Programs, Target};
use crate::upstream::Seen;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Other(String),
}

/// One kind of traffic. Its sizes are what a full run takes; a quick one takes a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// 250 requests a second, 8 tokens each: what the first token waits for.
    LowLoad,
    /// Answers of 8 to 16 tokens, 32 clients, as many as they get.
    ShortAnswers,
    /// Answers of so many tokens, as fast as they come, to 16 clients.
    Flood { tokens: u64 },
    /// 400 streams of 50 tokens a second.
    Paced,
    /// So many streams of one token a second.
    SlowStreams(u64),
    /// From the start of the process to the first token.
    ColdStart,
    /// Clients leave in mid-answer; timed until the upstream's connection is closed.
    Abort,
    /// 500 clients that do not read a flood.
    NonReaders,
}

/// A figure's name with its unit, and its value.
pub type Figures = Vec<(&'static str, f64)>;

/// What measuring takes.
pub struct Bench {
    pub programs: Programs,
    pub cores: Cores,
    pub seen: Arc<Seen>,
    pub is_quick: bool,
    /// The next request whose fate the upstream is asked for.
    pub next_id: Cell<u64>,
}

const WARM_UP: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(40);

impl Bench {
    pub async fn measure(&self, workload: Workload, route: &Route) -> Result<Figures, Failure> {
        if workload == Workload::ColdStart {
            return self.cold_start(route).await;
        }
        let target = self.start(route)?;
        let asked = self.asked(route, target.as_ref());
        // Code is paged in, pools are filled, allocators have their first pages.
        load::closed(Asked { tokens: 8, ..asked }, 16, self.scaled(WARM_UP)).await?;
        match workload {
            Workload::LowLoad => {
                let asked = Asked { tokens: 8, interval: Duration::from_millis(2), ..asked };
                self.open(asked, target.as_ref(), 120, 250.0).await
            }
            Workload::ShortAnswers => {
                let asked = Asked { tokens: 8, spread: 8, ..asked };
                self.closed(asked, target.as_ref(), 32, 8_000).await
            }
            Workload::Flood { tokens } => {
                let asked = Asked { tokens, ..asked };
                self.closed(asked, target.as_ref(), 16, 96_000 / tokens).await
            }
            Workload::Paced => {
                let (tokens, interval) = (self.scaled(60), Duration::from_millis(20));
                self.open(Asked { tokens, interval, ..asked }, target.as_ref(), 400, 997.0).await
            }
            Workload::SlowStreams(streams) => self.slow_streams(asked, target, streams).await,
            Workload::Abort => self.abort(asked).await,
            Workload::NonReaders => self.non_readers(asked, target).await,
            Workload::ColdStart => Ok(Vec::new()),
        }
    }

    /// A tenth of it in a quick run.
    fn scaled(&self, full: u64) -> u64 {
        if self.is_quick { full.div_ceil(10) } else { full }
    }

    fn start(&self, route: &Route) -> io::Result<Option<Target>> {
        let core = self.cores.gateway;
        match route.via {
            Via::Nothing => Ok(None),
            Via::Nginx => self.programs.nginx(&core.to_string()).map(Some),
            Via::Gateway(workers) => {
                let cores: Vec<_> = (core..core + workers).map(|core| core.to_string()).collect();
                self.programs.gateway(&cores.join(",")).map(Some)
            }
        }
    }

    fn asked(&self, route: &Route, target: Option<&Target>) -> Asked {
        let address = target.map_or(self.programs.upstream, |target| target.address);
        let (dialect, model, kept) = (route.client, route.model(), route.kept);
        let (tokens, spread, interval, burst) = (1, 0, Duration::ZERO, 1);
        Asked { address, dialect, model, kept, tokens, spread, interval, burst }
    }

    async fn closed(
        &self,
        asked: Asked,
        target: Option<&Target>,
        clients: u64,
        requests: u64,
    ) -> Result<Figures, Failure> {
        let (before, begun) = (usage(target)?, Instant::now());
        let stats = load::closed(asked, clients, self.scaled(requests).max(clients)).await?;
        let took = begun.elapsed();
        let mut figures = of_stats(&stats);
        figures.push(("streams/s", per(stats.streams, took)));
        figures.push(("tokens/s", per(stats.tokens, took)));
        figures.extend(of_cpu(&before, &usage(target)?, &stats));
        Ok(figures)
    }

    async fn open(
        &self,
        asked: Asked,
        target: Option<&Target>,
        requests: u64,
        per_second: f64,
    ) -> Result<Figures, Failure> {
        let before = usage(target)?;
        let stats = Open::start(asked, self.scaled(requests), per_second).finish().await?;
        let mut figures = of_stats(&stats);
        figures.extend(of_cpu(&before, &usage(target)?, &stats));
        Ok(figures)
    }

    /// Memory and CPU while every stream is live.
    async fn slow_streams(
        &self,
        asked: Asked,
        target: Option<Target>,
        streams: u64,
    ) -> Result<Figures, Failure> {
        let streams = self.scaled(streams);
        // Long enough that the first still speaks when all have begun and a second has passed.
        let (tokens, interval) = match streams {
            _ if self.is_quick => (10, 200),
            0..=2_000 => (3, 1_000),
            _ => (5, 1_000),
        };
        let interval = Duration::from_millis(interval);
        let asked = Asked { tokens, interval, ..asked };
        let idle = usage(target.as_ref())?;
        let open = Open::start(asked, streams, 4_000.0);
        let begun = Instant::now();
        while open.stats.borrow().begun < streams {
            if open.is_over() || begun.elapsed() > PATIENCE {
                open.finish().await?;
                return Err(Failure::Other("the streams were never live at a time".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (live, tokens) = (usage(target.as_ref())?, open.stats.borrow().tokens);
        tokio::time::sleep(interval).await;
        let (later, tokens) = (usage(target.as_ref())?, open.stats.borrow().tokens - tokens);
        if open.stats.borrow().streams > 0 {
            return Err(Failure::Other("streams ended before they were measured".to_owned()));
        }
        let stats = open.finish().await?;
        let memory = live.memory.max(later.memory).saturating_sub(idle.memory);
        let cpu = later.cpu.saturating_sub(live.cpu);
        let mut figures = of_stats(&stats);
        figures.push(("memory per stream, KiB", float(memory) / 1024.0 / float(streams)));
        figures.push(("idle memory, KiB", float(idle.memory) / 1024.0));
        figures.push(("CPU per token, µs", microseconds(cpu) / float(tokens.max(1))));
        Ok(figures)
    }

    async fn cold_start(&self, route: &Route) -> Result<Figures, Failure> {
        let mut times = Vec::new();
        for _ in 0..3 {
            let Some(target) = self.start(route)? else { return Ok(Vec::new()) };
            let asked = self.asked(route, Some(&target));
            let mut connection = Connection::open(target.address).await?;
            let mut answer = Answer::new(asked.dialect, asked.tokens);
            connection.ask(&asked.request(&asked.script(0))).await?;
            while answer.tokens() == 0 {
                connection.read_some(&mut answer).await?;
            }
            times.push(microseconds(target.started.elapsed()) / 1_000.0);
        }
        times.sort_by(f64::total_cmp);
        Ok(vec![("start to first token, ms", times[1])])
    }

    async fn abort(&self, asked: Asked) -> Result<Figures, Failure> {
        let asked = Asked { tokens: 100_000, interval: Duration::from_millis(20), ..asked };
        let count = self.scaled(200);
        let first = self.next_id.replace(self.next_id.get() + count);
        let mut leaving = Vec::new();
        for id in first..first + count {
            leaving.push(tokio::task::spawn_local(leave(asked, id)));
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let mut times = histogram();
        for (id, task) in (first..).zip(leaving) {
            let left = task.await.map_err(|error| Failure::Other(error.to_string()))??;
            let closed = self.closed_at(id).await?;
            times.saturating_record(nanoseconds(closed.saturating_duration_since(left)));
        }
        let quantile = |quantile| float(times.value_at_quantile(quantile)) / 1_000.0;
        Ok(vec![("abort p50, µs", quantile(0.5)), ("abort p99, µs", quantile(0.99))])
    }

    /// When the upstream saw that request's connection closed.
    async fn closed_at(&self, id: u64) -> Result<Instant, Failure> {
        let begun = Instant::now();
        loop {
            if let Some(closed) = self.seen.closed(id) {
                return Ok(closed);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::Other(format!("the upstream still writes answer {id}")));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn non_readers(&self, asked: Asked, target: Option<Target>) -> Result<Figures, Failure> {
        // Written by the dozen, or it would take the kernel long to be full of tiny segments.
        let asked = Asked { tokens: 100_000_000, burst: 64, ..asked };
        let count = self.scaled(500);
        let idle = usage(target.as_ref())?;
        let mut connections = Vec::new();
        for id in 0..count {
            let mut connection = Connection::open_narrow(asked.address).await?;
            connection.ask(&asked.request(&asked.script(id))).await?;
            connections.push(connection);
        }
        self.stalled().await?;
        let memory = usage(target.as_ref())?.memory.saturating_sub(idle.memory);
        drop(connections);
        let asked = Asked { tokens: 8, burst: 1, ..asked };
        load::closed(asked, 1, 1).await?;
        Ok(vec![("memory per client, KiB", float(memory) / 1024.0 / float(count))])
    }

    /// Waits until the upstream cannot write any more.
    async fn stalled(&self) -> Result<(), Failure> {
        let (begun, mut before) = (Instant::now(), u64::MAX);
        while before != self.seen.tokens() {
            if begun.elapsed() > PATIENCE {
                return Err(Failure::Other("nothing stops the upstream".to_owned()));
            }
            before = self.seen.tokens();
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }
}

/// Reads three tokens and leaves. Says when.
async fn leave(asked: Asked, id: u64) -> Result<Instant, Fault> {
    let script = asked.script(id);
    let mut connection = Connection::open(asked.address).await?;
    connection.ask(&asked.request(&script)).await?;
    let mut answer = Answer::new(asked.dialect, script.tokens);
    while answer.tokens() < 3 {
        connection.read_some(&mut answer).await?;
    }
    let left = Instant::now();
    drop(connection);
    Ok(left)
}

fn usage(target: Option<&Target>) -> io::Result<Usage> {
    target.map_or_else(|| Ok(Usage::default()), Target::usage)
}

fn of_stats(stats: &Stats) -> Figures {
    let micro = |value: u64| float(value) / 1_000.0;
    vec![
        ("TTFT p50, µs", micro(stats.first_token.value_at_quantile(0.5))),
        ("TTFT p99, µs", micro(stats.first_token.value_at_quantile(0.99))),
        ("inter-token p50, µs", micro(stats.between_tokens.value_at_quantile(0.5))),
        ("inter-token p99, µs", micro(stats.between_tokens.value_at_quantile(0.99))),
        ("total p50, µs", micro(stats.total.value_at_quantile(0.5))),
        ("total p99, µs", micro(stats.total.value_at_quantile(0.99))),
    ]
}

fn of_cpu(before: &Usage, after: &Usage, stats: &Stats) -> Figures {
    let used = microseconds(after.cpu.saturating_sub(before.cpu));
    if used == 0.0 {
        return Vec::new();
    }
    vec![
        ("CPU per stream, µs", used / float(stats.streams)),
        ("CPU per token, µs", used / float(stats.tokens)),
    ]
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn per(count: u64, time: Duration) -> f64 {
    float(count) / time.as_secs_f64()
}

#[allow(clippy::cast_precision_loss, reason = "figures of a report have fewer than 52 bits")]
const fn float(count: u64) -> f64 {
    count as f64
}
