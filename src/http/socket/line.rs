//! What is logged and counted of a stream over a socket: it has no response of its own that would.

use tidegate_protocol::{ErrorKind, StreamId};

use crate::http::note::Arrival;
use crate::telemetry::Metrics;

/// Written when it is dropped.
pub struct Line {
    arrival: Arrival,
    metrics: Metrics,
    /// What began it, as its message spells it.
    command: &'static str,
    refused: Option<ErrorKind>,
}

impl Line {
    /// Of what a command began.
    #[must_use]
    pub fn new(arrival: Arrival, metrics: Metrics, command: &'static str) -> Self {
        Self { arrival, metrics, command, refused: None }
    }

    /// Nothing came of it.
    pub fn refused(&mut self, kind: ErrorKind) {
        self.refused = Some(kind);
    }

    /// The stream is another than the one that would have begun.
    pub fn stream(&mut self, id: StreamId) {
        self.arrival.id = id;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Self { arrival, metrics, command, refused } = self;
        arrival.note.read(|noted| {
            // A refusal is counted where its client is told.
            if let Some(kind) = noted.failure {
                metrics.count_rejected(kind);
            }
            let failure = refused.or(noted.failure);
            tracing::info!(
                id = %arrival.id,
                command,
                code = failure.map(ErrorKind::code),
                duration_ms = arrival.at.elapsed().as_secs_f64() * 1000.0,
                owner = noted.owner.as_deref(),
                client = noted.client.map(tracing::field::display),
                model = noted.model,
                outcome = noted.outcome,
                tokens = noted.tokens,
                "stream over a socket"
            );
        });
    }
}
