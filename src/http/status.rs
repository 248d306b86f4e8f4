//! Whether the gateway lives, is ready, and what its metrics say. These answer without a key:
//! they are asked by machines that have none.

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::models::ModelInfo;
use super::offer::Offers;
use crate::registry::Directory;
use crate::stream::Journals;
use crate::telemetry::Metrics;

/// Set once the gateway begins to shut down.
#[derive(Clone, Default)]
pub struct Draining(CancellationToken);

impl Draining {
    pub fn begin(&self) {
        self.0.cancel();
    }

    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves once it is on.
    pub fn begun(&self) -> WaitForCancellationFuture<'_> {
        self.0.cancelled()
    }
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
    version: &'static str,
}

/// `GET /health`: the process answers.
pub async fn health() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Readiness {
    ready: bool,
    draining: bool,
    models: Vec<ModelInfo>,
}

/// `GET /ready`: 200 while the gateway admits streams and at least one model can answer them.
pub async fn ready(offers: Data<Offers>, draining: Data<Draining>) -> HttpResponse {
    let described = offers.latest().listed.describe();
    let draining = draining.is_on();
    let ready = !draining && described.iter().any(|model| model.status == "reachable");
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(Readiness { ready, draining, models: described })
}

/// `GET /metrics`, or whatever path the configuration gives it.
pub async fn metrics(
    metrics: Data<Metrics>,
    directory: Data<Directory>,
    journals: Data<Journals>,
    offers: Data<Offers>,
) -> HttpResponse {
    offers.latest().listed.measure();
    journals.forget_old(Instant::now());
    let buffered = directory.held_bytes().await;
    metrics.buffered_bytes.set(i64::try_from(buffered).unwrap_or(i64::MAX));
    match metrics.render() {
        Ok(text) => {
            HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
        }
        Err(error) => {
            tracing::error!(%error, "metrics could not be rendered");
            HttpResponse::InternalServerError().finish()
        }
    }
}
