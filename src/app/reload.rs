//! Another configuration for a running gateway.
//!
//! It is read whole and has no fault before anything changes. Then its parts are built, with all that
//! they take over, and put in force by one assignment. What runs goes on as it began.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::discovery;
use super::generation::{Generation, New, Past};
use super::model::is_same_upstream;
use super::parts::Parts;
use super::probing::{Probing, ask_all};
use crate::config::{Change, Config, Faults, Loaded, Model, Target, needs_restart};
use crate::telemetry::ReloadResult;

/// What is at work, and what was.
pub struct Running {
    pub generation: Generation,
    pub probing: Probing,
    past: Past,
}

impl Running {
    /// Nobody's turn comes any more, at whatever model.
    pub fn close(&self) {
        self.generation.parts.iter().for_each(|part| part.shared.permits.close());
        self.past.each(|shared| shared.permits.close());
    }
}

/// Puts configurations in force, one at a time.
#[derive(Clone)]
pub struct Reloader {
    parts: Arc<Parts>,
    pub running: Arc<Mutex<Running>>,
}

impl Reloader {
    pub fn new(parts: Arc<Parts>, generation: Generation, probing: Probing) -> Self {
        let running = Running { generation, probing, past: Past::default() };
        Self { parts, running: Arc::new(Mutex::new(running)) }
    }

    /// Opens the files anew that are written to: they may have been moved away.
    pub fn reopen(&self) {
        self.parts.access_log.reopen();
    }

    /// When the file is looked at again, if it is at all.
    pub async fn watches(&self) -> Option<Duration> {
        let running = self.running.lock().await;
        let reload = &running.generation.config.reload;
        reload.watch.then_some(reload.every)
    }

    /// How many generations are at work: the one in force, and those that streams still run on.
    pub async fn generations(&self) -> usize {
        self.running.lock().await.past.count() + 1
    }

    /// Puts a configuration in force that was read again; one with faults changes nothing.
    pub async fn take(&self, read: Result<Loaded, Faults>) -> ReloadResult {
        match read {
            Ok(loaded) => {
                loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                self.apply(loaded.config).await
            }
            Err(faults) => {
                let result = self.counted(ReloadResult::Refused);
                tracing::error!(
                    faults = faults.0.len(),
                    "the configuration is NOT reloaded: it is not valid, and the one before it goes on"
                );
                for fault in &faults.0 {
                    tracing::error!(%fault, "fault of the configuration");
                }
                result
            }
        }
    }

    /// Puts a configuration in force that has no fault.
    pub async fn apply(&self, config: Config) -> ReloadResult {
        let mut running = self.running.lock().await;
        let old = &running.generation;
        if old.config == config {
            let result = self.counted(ReloadResult::Unchanged);
            tracing::info!(generation = old.number, "the configuration is unchanged");
            return result;
        }
        let restart = needs_restart(&self.parts.config, &config);
        let models = models(&config, old).await;
        let found = found(&models, old, config.health.timeout).await;
        let found = |target: &Target| {
            let known = found.iter().find(|(known, _)| is_same_upstream(known, target));
            known.map(|(_, state)| state.clone())
        };
        let change = Change::between((&old.config, &old.models()), (&config, &models));
        let new = New { config, models, found: &found };
        let next = old.next(new, &running.past, &self.parts.metrics);
        self.parts.offers.renew(Arc::clone(&next.offer));
        self.parts.metrics.reload.in_force(next.number);
        // Old ones end before new ones begin: the two would ask the same targets.
        running.probing = Probing::default();
        running.probing = Probing::start(&next);
        let before = std::mem::replace(&mut running.generation, next);
        running.past.add(&before);
        drop(before);
        let result = self.counted(ReloadResult::Applied);
        tell(running.generation.number, &change, &restart);
        result
    }

    /// Before it is logged: whoever reads of it finds it in the metrics.
    fn counted(&self, result: ReloadResult) -> ReloadResult {
        self.parts.metrics.reload.count(result);
        result
    }
}

/// The models that are to serve. Those that were found where none was configured stay, as long as it is
/// to be looked for them in the same place: whoever changes another key wants no other model.
async fn models(config: &Config, old: &Generation) -> Vec<Model> {
    let were_found = config.models.is_empty() && old.config.models.is_empty();
    if were_found && config.ollama.base_url == old.config.ollama.base_url {
        return old.models();
    }
    discovery::models(config).await
}

/// Asks those upstreams whether they are there that nobody has asked so far: a gateway that was ready
/// is so too with other models.
async fn found(
    models: &[Model],
    old: &Generation,
    limit: Duration,
) -> Vec<(Target, crate::backend::Reachability)> {
    let known: Vec<_> = old.models().into_iter().flat_map(|model| model.targets).collect();
    let is_new = |target: &&Target| !known.iter().any(|known| is_same_upstream(known, target));
    let all = models.iter().flat_map(|model| &model.targets);
    ask_all(models, all.filter(is_new).cloned().collect(), limit).await
}

fn tell(generation: u64, change: &Change, restart: &[&'static str]) {
    let Change { added, removed, changed, settings } = change;
    let [added, removed, changed] = [added, removed, changed].map(|names| names.join(", "));
    let settings = settings.join(", ");
    tracing::info!(
        generation,
        added,
        removed,
        changed,
        settings,
        "a new configuration is in force"
    );
    if !restart.is_empty() {
        let keys = restart.join(", ");
        tracing::warn!(
            keys,
            "these settings have changed and need a restart: all others are in force"
        );
    }
}
