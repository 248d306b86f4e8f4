//! `tidegate health`: whether a running gateway answers, for those who watch containers.

use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use super::Problem;
use super::place::Place;
use crate::config::Origin;

const PATIENCE: Duration = Duration::from_secs(3);

/// The gateway that is asked.
#[derive(Debug, Args)]
pub struct Health {
    /// Where to ask [default: /health on this machine, at the configured address]. Over https one that is
    /// named must show a certificate of a public authority, this machine's the one of server.tls.certificate
    #[arg(long)]
    url: Option<String>,
}

impl Health {
    /// Asks once.
    ///
    /// # Errors
    /// Where it answers anything but success, or nothing in time.
    pub async fn run(self, origin: &Origin) -> Result<(), Problem> {
        let named = self.url.is_some();
        let place = Place::find(self.url, origin)?;
        let url = if named { place.url().to_owned() } else { format!("{}/health", place.url()) };
        let Ok(answered) = timeout(PATIENCE, place.http().get(&url).send()).await else {
            return Err(Problem::Silent { url, after: PATIENCE });
        };
        match answered {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(Problem::Unhealthy { url, status: response.status() }),
            Err(error) => Err(Problem::Unreachable { url, error }),
        }
    }
}
