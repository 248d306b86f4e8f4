//! One client: asks, reads in its manner, and holds what it sees to what the upstream played.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::case::{Case, Expected, Manner, outcome_of};
use super::random::Random;
use super::reading::{End, Reading};
use super::sums::reason_of;
use super::tally::{Seen, Tally};
use crate::client::{Connection, READ};
use crate::pulse::Pulse;
use crate::script::post;
use crate::upstream::misbehave::content;
use crate::upstream::{self};

/// Longer than every time limit of the gateway.
const PATIENCE: Duration = Duration::from_secs(90);
/// The longest a client thinks before it asks again, in milliseconds.
const THINKS: u64 = 1_200;
/// What a slow reader takes at a time, and how long it waits after it.
const SIP: usize = 4 * 1024;
const SIP_EVERY: Duration = Duration::from_millis(8);
/// How long a client that stops reading does not read.
const PAUSE: Duration = Duration::from_millis(1_500);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What all clients share.
pub struct Crowd {
    pub address: SocketAddr,
    pub seed: u64,
    pub until: Instant,
    pub upstream: Arc<upstream::Seen>,
    /// Of the thread in which the clients run.
    pub pulse: Pulse,
    pub next_id: RefCell<u64>,
    pub tally: RefCell<Tally>,
}

impl Crowd {
    /// Asks one thing after another until the time is over.
    pub async fn client(&self) {
        let mut idle = None;
        while Instant::now() < self.until {
            let id = {
                let mut next = self.next_id.borrow_mut();
                *next += 1;
                *next
            };
            let thinks = Random::of(!self.seed, id).between(0, THINKS);
            sleep(Duration::from_millis(thinks)).await;
            let case = Case::of(self.seed, id);
            let mut exchange =
                Exchange { crowd: self, case, reading: Reading::new(&case), missed: self.missed() };
            let seen = match timeout(PATIENCE, exchange.run(&mut idle)).await {
                Ok(seen) => seen,
                Err(_) => Err(format!("no end in {PATIENCE:?}")),
            };
            self.tally.borrow_mut().add(&case, exchange.reading.tokens(), seen);
        }
    }
}

impl Crowd {
    /// How often the clients or the upstream stood still.
    pub fn missed(&self) -> [u64; 2] {
        [self.pulse.missed(), self.upstream.pulse.missed()]
    }
}

struct Exchange<'a> {
    crowd: &'a Crowd,
    case: Case,
    reading: Reading,
    missed: [u64; 2],
}

impl Exchange<'_> {
    /// Asks on the idle connection, if there is one that will do, and leaves it there when it can
    /// be used again.
    async fn run(&mut self, idle: &mut Option<Connection>) -> Result<Seen, String> {
        let address = self.crowd.address;
        let opened = match (self.case.manner, idle.take()) {
            (Manner::ReadsSlowly | Manner::Pauses, _) => Connection::open_narrow(address).await,
            (Manner::BadRequest, _) | (_, None) => Connection::open(address).await,
            (_, Some(connection)) => Ok(connection),
        };
        let mut connection = opened.map_err(|error| format!("connecting: {error}"))?;
        connection.ask(&self.request()).await.map_err(|error| format!("asking: {error}"))?;
        if self.case.manner.leaves() {
            self.read_until_due(&connection).await?;
            if self.is_disturbed() {
                return Ok(Seen::Unsure);
            }
            if self.case.manner == Manner::LeavesByRst {
                connection.reset().map_err(|error| error.to_string())?;
            }
            return Ok(Seen::Left);
        }
        self.read(&connection).await?;
        if matches!(self.case.manner, Manner::Reads | Manner::Whole | Manner::Deletes) {
            *idle = Some(connection);
        }
        self.judge()
    }

    fn request(&self) -> Vec<u8> {
        let Case { dialect, model, manner, script, .. } = &self.case;
        let host = self.crowd.address.to_string();
        match manner {
            Manner::BadRequest => {
                let bodies = ["{", "{}", r#"{"messages":"all"}"#, r#"{"messages":[{"role":7}]}"#];
                let of = usize::try_from(script.id).unwrap_or_default() % bodies.len();
                post("/api/chat", &host, bodies[of])
            }
            Manner::Whole => script.request_whole(*dialect, model, &host),
            _ => script.request(*dialect, model, &host),
        }
    }

    /// Reads to the end, and does on the way what its manner is.
    async fn read(&mut self, connection: &Connection) -> Result<(), String> {
        let mut is_due = matches!(self.case.manner, Manner::Pauses | Manner::Deletes);
        while !self.reading.is_done() {
            if is_due && self.reading.tokens() >= self.case.after {
                is_due = false;
                match self.case.manner {
                    Manner::Deletes => self.delete().await?,
                    _ => sleep(PAUSE).await,
                }
            }
            if self.case.manner == Manner::ReadsSlowly {
                sleep(SIP_EVERY).await;
            }
            self.read_some(connection).await?;
        }
        Ok(())
    }

    async fn read_some(&mut self, connection: &Connection) -> Result<(), String> {
        let limit = if self.case.manner == Manner::ReadsSlowly { SIP } else { READ };
        let reading = &mut self.reading;
        let read = connection.read_with(limit, |bytes| reading.feed(bytes)).await;
        match read {
            Ok(0) => Err(format!("cut in silence after {} tokens", self.reading.tokens())),
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.to_string()),
        }
    }

    /// Until it is time to leave: after so many tokens, or once the upstream has the request.
    async fn read_until_due(&mut self, connection: &Connection) -> Result<(), String> {
        if self.case.after == 0 {
            while !self.crowd.upstream.takes_silent(self.case.script.id) {
                sleep(LOOK_EVERY).await;
            }
        }
        while self.reading.tokens() < self.case.after {
            if self.reading.is_done() && self.is_disturbed() {
                return Ok(());
            }
            self.read_some(connection).await?;
        }
        Ok(())
    }

    async fn delete(&self) -> Result<(), String> {
        let id = self.reading.id().ok_or("no id")?;
        let host = self.crowd.address;
        let request = format!("DELETE /api/chat/{id} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut reading = Reading::new(&self.case);
        let asked = async {
            let mut connection = Connection::open(host).await?;
            connection.ask(request.as_bytes()).await?;
            self.crowd.tally.borrow_mut().deletes += 1;
            while reading.status().is_none() {
                if connection.read_with(READ, |bytes| reading.feed(bytes)).await? == 0 {
                    break;
                }
            }
            Ok::<_, crate::answer::Fault>(())
        };
        asked.await.map_err(|fault| fault.to_string())?;
        match reading.status() {
            Some(200) => Ok(()),
            Some(404) if self.is_disturbed() => Ok(()),
            status => Err(format!("DELETE was answered with {status:?}")),
        }
    }

    /// Whether the clients or the upstream stood still meanwhile, so that the gateway may rightly
    /// have given up on them.
    fn is_disturbed(&self) -> bool {
        let [clients, upstream] = self.missed;
        self.crowd.pulse.was_late_since(clients)
            || self.crowd.upstream.pulse.was_late_since(upstream)
    }

    /// Holds what was read to what was played.
    fn judge(&self) -> Result<Seen, String> {
        let (case, reading) = (&self.case, &self.reading);
        let (expected, tokens) = (case.expected(), reading.tokens());
        let end = reading.end()?;
        if let End::Error(code) = &end
            && let Some(reason) = reason_of(code).filter(|reason| reason.starts_with("queue_"))
        {
            *self.crowd.tally.borrow_mut().queue_refusals.entry(reason).or_default() += 1;
        }
        match (&expected, &end) {
            (Expected::Status(statuses), End::Error(_))
                if reading.status().is_some_and(|status| statuses.contains(&status)) =>
            {
                Ok(Seen::Refused)
            }
            (Expected::Complete, End::Complete) if self.is_whole() => {
                Ok(Seen::Outcome("completed"))
            }
            (Expected::Error { codes, tokens: allowed }, End::Error(code))
                if codes.contains(&code.as_str()) && allowed.contains(&tokens) =>
            {
                outcome_of(code).map(Seen::Outcome).ok_or_else(|| format!("no outcome: {code}"))
            }
            // The narrow model may refuse whatever would have come of it.
            (Expected::Complete, End::Error(code))
                if case.model == "narrow" && code.starts_with("QUEUE_") =>
            {
                outcome_of(code).map(Seen::Outcome).ok_or_else(|| format!("no outcome: {code}"))
            }
            (_, End::Error(code)) if code == "UPSTREAM_TIMEOUT" && self.is_disturbed() => {
                Ok(Seen::Outcome("timed_out"))
            }
            _ => Err(format!(
                "expected {expected:?}, saw {end:?} after {tokens} tokens: {}",
                reading.error()
            )),
        }
    }

    /// Whether all tokens are there.
    fn is_whole(&self) -> bool {
        if self.case.manner == Manner::Whole {
            return self.reading.content() == Some(content(self.case.script));
        }
        self.reading.tokens() == self.case.script.tokens
    }
}
