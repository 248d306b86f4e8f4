//! The load: closed loops, where a client asks again when it is answered, and open ones, where
//! requests fall due at fixed times and count from then, however late they are sent.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::task::{JoinHandle, spawn_local};

use crate::alarm::Alarm;
use crate::answer::{Answer, Fault};
use crate::client::{Clock, Connection, Stats};
use crate::mishap::Mishap;
use crate::script::{Dialect, Script};

/// Whom to ask, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub address: SocketAddr,
    pub dialect: Dialect,
    pub model: &'static str,
    /// Whether the client may come back.
    pub kept: bool,
    /// Answers have between so many tokens,
    pub tokens: u64,
    /// and so many more.
    pub spread: u64,
    pub interval: Duration,
    pub burst: u64,
}

impl Asked {
    pub fn script(&self, id: u64) -> Script {
        let tokens = self.tokens + id % (self.spread + 1);
        let Self { interval, burst, .. } = *self;
        Script { id, tokens, interval, burst, mishap: Mishap::None, at: 0 }
    }

    pub fn request(&self, script: &Script) -> Vec<u8> {
        let host = self.address.to_string();
        if self.kept {
            return script.request_kept(self.dialect, self.model, &host);
        }
        script.request(self.dialect, self.model, &host)
    }

    /// One request, from the moment it is due to the end of its answer.
    async fn exchange(
        &self,
        connection: &mut Connection,
        id: u64,
        due: Instant,
        stats: &RefCell<Stats>,
    ) -> Result<(), Fault> {
        let script = self.script(id);
        connection.ask(&self.request(&script)).await?;
        let mut answer = Answer::new(self.dialect, script.tokens);
        connection.read(&mut answer, Clock::new(due), stats).await
    }
}

/// So many clients ask one after another, until so many answers were read in all.
pub async fn closed(asked: Asked, clients: u64, requests: u64) -> Result<Stats, Fault> {
    let stats = RefCell::new(Stats::new());
    let next = Cell::new(0);
    let client = async || {
        let mut connection = Connection::open(asked.address).await?;
        while next.get() < requests {
            let id = next.replace(next.get() + 1);
            asked.exchange(&mut connection, id, Instant::now(), &stats).await?;
        }
        Ok::<_, Fault>(())
    };
    join_all((0..clients).map(|_| client())).await.into_iter().collect::<Result<(), _>>()?;
    Ok(stats.into_inner())
}

/// Requests that fall due one after another, each on a free connection or a new one.
pub struct Open {
    pub stats: Rc<RefCell<Stats>>,
    arrivals: JoinHandle<Result<(), Fault>>,
}

impl Open {
    pub fn start(asked: Asked, requests: u64, per_second: f64) -> Self {
        let stats = Rc::new(RefCell::new(Stats::new()));
        let arrivals = spawn_local(arrive(asked, requests, per_second, Rc::clone(&stats)));
        Self { stats, arrivals }
    }

    /// Whether it ended, well or not.
    pub fn is_over(&self) -> bool {
        self.arrivals.is_finished()
    }

    /// Waits until every answer is whole.
    pub async fn finish(self) -> Result<Stats, Fault> {
        self.arrivals.await.map_err(|error| Fault::Io(error.to_string()))??;
        Ok(self.stats.replace(Stats::new()))
    }
}

async fn arrive(
    asked: Asked,
    requests: u64,
    per_second: f64,
    stats: Rc<RefCell<Stats>>,
) -> Result<(), Fault> {
    let free = Rc::new(RefCell::new(Vec::new()));
    let gap = Duration::from_secs_f64(1.0 / per_second);
    let mut due = Instant::now();
    let mut alarm = Alarm::default();
    let mut running = Vec::new();
    for id in 0..requests {
        alarm.until(due).await?;
        let (free, stats) = (Rc::clone(&free), Rc::clone(&stats));
        running.push(spawn_local(async move {
            let idle = free.borrow_mut().pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => Connection::open(asked.address).await?,
            };
            asked.exchange(&mut connection, id, due, &stats).await?;
            free.borrow_mut().push(connection);
            Ok::<_, Fault>(())
        }));
        due += gap;
    }
    for task in running {
        task.await.map_err(|error| Fault::Io(error.to_string()))??;
    }
    Ok(())
}
