//! When a configuration is read again: at SIGHUP, and when its file has changed.
//!
//! The file is looked at now and then, and compared by what stands in it. That sees what an editor puts
//! in its place and what Kubernetes does with the links of a mounted map, and needs nothing of the
//! system. A file that is read while it is written has a fault, most likely; then it is read again when
//! there is more of it.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::reload::Reloader;
use crate::config::{Faults, Origin};

/// Why the file is read.
enum Cause {
    Signal,
    /// It may have changed.
    Look,
}

/// Reads the configuration again, for ever; `seen` is what stood in the file the last time. The signal
/// is received from now on, not from the first poll.
pub fn watch(reloader: Reloader, origin: Origin, seen: Option<String>) -> impl Future<Output = ()> {
    let hangup = signal(SignalKind::hangup())
        .inspect_err(|error| tracing::error!(%error, "SIGHUP cannot be received"));
    follow(reloader, Arc::new(origin), seen, hangup.ok())
}

async fn follow(
    reloader: Reloader,
    origin: Arc<Origin>,
    mut seen: Option<String>,
    mut hangup: Option<Signal>,
) {
    loop {
        let text = match next(&reloader, hangup.as_mut()).await {
            Cause::Signal => {
                tracing::info!("SIGHUP: reading the configuration");
                reloader.reopen();
                whole(&origin).await
            }
            Cause::Look => match glance(&origin).await {
                // A file that is gone may be about to come back. Whoever means it says so by a signal.
                None => continue,
                same if same == seen => continue,
                changed => {
                    tracing::info!("the configuration file has changed");
                    Ok(changed)
                }
            },
        };
        // A file that was there and is not is no configuration of defaults.
        let text = match text {
            Ok(None) if seen.is_some() => Err(origin.missing()),
            text => text,
        };
        if let Ok(Some(text)) = &text {
            seen = Some(text.clone());
        }
        reloader.take(text.and_then(|text| origin.load(text.as_deref()))).await;
    }
}

async fn next(reloader: &Reloader, hangup: Option<&mut Signal>) -> Cause {
    let every = reloader.watches().await;
    let looks = async {
        match every {
            Some(every) => sleep(every).await,
            None => std::future::pending().await,
        }
    };
    let told = async {
        match hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = told => Cause::Signal,
        () = looks => Cause::Look,
    }
}

/// Reading may take its time where the file is on a network.
async fn glance(origin: &Arc<Origin>) -> Option<String> {
    let origin = Arc::clone(origin);
    actix_rt::task::spawn_blocking(move || origin.glance()).await.ok().flatten()
}

async fn whole(origin: &Arc<Origin>) -> Result<Option<String>, Faults> {
    let reading = Arc::clone(origin);
    let read = actix_rt::task::spawn_blocking(move || reading.text()).await;
    read.unwrap_or_else(|_| Err(origin.missing()))
}
