//! `tidegate serve`: the gateway itself, from its start to the end that a signal asks for.

use std::process::ExitCode;

use super::Problem;
use super::output::{end, tell};
use crate::app::{Gateway, shutdown_signal};
use crate::config::{Loaded, Origin};
use crate::telemetry::{logging, panics};

/// Serves until it is told to stop.
#[must_use]
pub fn run(origin: Origin) -> ExitCode {
    let (loaded, text) = match load(&origin) {
        Ok(read) => read,
        Err(problem) => return end(Err(problem)),
    };
    // Held to the end: then the last lines are written.
    let _logging = match logging::init(&loaded.config.log) {
        Ok(logging) => logging,
        Err(error) => {
            tell(&format!("no log can be written: {error}"));
            return ExitCode::FAILURE;
        }
    };
    panics::log_panics();
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    actix_rt::System::new().block_on(serve(loaded, origin, text))
}

fn load(origin: &Origin) -> Result<(Loaded, Option<String>), Problem> {
    let text = origin.text()?;
    Ok((origin.load(text.as_deref())?, text))
}

async fn serve(loaded: Loaded, origin: Origin, text: Option<String>) -> ExitCode {
    let mut gateway = match Gateway::start(loaded.config).await {
        Ok(gateway) => gateway,
        Err(error) => {
            tracing::error!(%error, "the gateway could not start");
            tell(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    gateway.watch(origin, text);
    let signal = shutdown_signal().await;
    tracing::info!(signal, "shutting down");
    tokio::select! {
        () = gateway.shutdown() => ExitCode::SUCCESS,
        signal = shutdown_signal() => {
            tracing::warn!(signal, "asked again: stopping at once, streams are cut");
            ExitCode::FAILURE
        }
    }
}
