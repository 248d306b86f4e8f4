//! What the gateway says of itself, and whether it adds up.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use super::tally::Counts;
use crate::answer::Fault;
use crate::client::{Connection, READ};
use crate::response::Response;

/// One scrape of the metrics.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scrape {
    pub started: u64,
    pub active: u64,
    pub outcomes: BTreeMap<String, u64>,
    pub permits: u64,
    pub queued: u64,
    pub buffered: u64,
}

/// The value of a label, of those that a series has.
pub fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = labels.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

impl Scrape {
    /// Reads Prometheus' text.
    pub fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let value = value.parse().unwrap_or_default();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            match name {
                "ai_gateway_streams_started_total" => scrape.started += value,
                "ai_gateway_active_streams" => scrape.active = value,
                "ai_gateway_streams_total" => {
                    let status = label(labels, "status").unwrap_or_default();
                    *scrape.outcomes.entry(status.to_owned()).or_default() += value;
                }
                "ai_gateway_permits_in_use" => scrape.permits += value,
                "ai_gateway_queued_requests" => scrape.queued += value,
                "ai_gateway_buffered_bytes" => scrape.buffered = value,
                _ => {}
            }
        }
        scrape
    }

    pub fn ended(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// What does not add up: within itself, and with what clients had been told before it.
    pub fn fault(&self, told: &Counts) -> Option<String> {
        if self.outcomes.is_empty() || self.started != self.active + self.ended() {
            return Some(format!("started is not active and ended: {self:?}"));
        }
        let late = told.iter().find(|(outcome, count)| self.outcome(outcome) < **count);
        late.map(|(outcome, count)| {
            format!(
                "{count} clients were told {outcome}, the gateway has {}",
                self.outcome(outcome)
            )
        })
    }

    pub fn outcome(&self, outcome: &str) -> u64 {
        self.outcomes.get(outcome).copied().unwrap_or_default()
    }

    /// Whether nothing is held for any stream.
    pub const fn is_idle(&self) -> bool {
        self.active == 0 && self.permits == 0 && self.queued == 0 && self.buffered == 0
    }
}

/// Asks on one connection, again and again.
pub struct Asker {
    address: SocketAddr,
    connection: Connection,
}

impl Asker {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address, connection: Connection::open(address).await? })
    }

    /// The body of what is answered.
    pub async fn get(&mut self, path: &str) -> Result<String, Fault> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        self.connection.ask(request.as_bytes()).await?;
        let (mut response, mut body) = (Response::new(), Vec::new());
        while !response.is_done() {
            let take = |bytes: &[u8]| {
                response.feed(bytes, |bytes| {
                    body.extend_from_slice(bytes);
                    Ok(())
                })
            };
            if self.connection.read_with(READ, take).await? == 0 {
                return Err(Fault::Closed(0));
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    pub async fn scrape(&mut self) -> Result<Scrape, Fault> {
        Ok(Scrape::read(&self.get("/metrics").await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_that_does_not_add_up_is_found() {
        let text = |active: u64| {
            format!(
                "# TYPE ai_gateway_streams_total counter\n\
                 ai_gateway_streams_started_total{{model=\"a\"}} 4\n\
                 ai_gateway_streams_started_total{{model=\"b\"}} 3\n\
                 ai_gateway_active_streams {active}\n\
                 ai_gateway_streams_total{{model=\"a\",status=\"completed\"}} 3\n\
                 ai_gateway_streams_total{{model=\"b\",status=\"completed\"}} 1\n\
                 ai_gateway_streams_total{{model=\"b\",status=\"truncated\"}} 1\n\
                 ai_gateway_permits_in_use{{model=\"a\"}} 1\n\
                 ai_gateway_permits_in_use{{model=\"b\"}} 2\n"
            )
        };
        let scrape = Scrape::read(&text(2));
        assert_eq!((scrape.ended(), scrape.permits), (5, 3));
        assert_eq!(scrape.fault(&Counts::from([("completed", 4)])), None);
        assert!(scrape.fault(&Counts::from([("completed", 5)])).is_some());
        assert!(Scrape::read(&text(1)).fault(&Counts::new()).is_some());
        assert!(Scrape::default().fault(&Counts::new()).is_some(), "nothing was scraped");
    }
}
