//! Which key goes out with a request to a target, and what a refusal says of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use tidegate_protocol::{ErrorKind, Failure};

use super::keys::{Change, Exhausted, KeyPool};
use super::refused::{Again, Refused};
use crate::config::{Ejection, Secret, Target};
use crate::telemetry::{KeyFault, TargetMetrics};

/// The keys of a target, and who is told how they do.
pub struct Bearer {
    pool: KeyPool,
    told: Option<Told>,
}

struct Told {
    model: String,
    target: String,
    metrics: TargetMetrics,
}

impl Bearer {
    /// The keys of a model's `target`.
    #[must_use]
    pub fn of(model: &str, target: &Target, rules: &Ejection, metrics: TargetMetrics) -> Arc<Self> {
        let (model, name) = (model.to_owned(), target.name.clone());
        let told = Some(Told { model, target: name, metrics });
        Arc::new(Self { pool: KeyPool::new(&target.api_keys, rules), told })
    }

    /// Those of a target that serves nobody yet.
    #[must_use]
    pub fn unwatched(target: &Target) -> Arc<Self> {
        let pool = KeyPool::new(&target.api_keys, &Ejection::default());
        Arc::new(Self { pool, told: None })
    }

    #[must_use]
    pub fn pool(&self) -> &KeyPool {
        &self.pool
    }

    /// A text of the upstream, which knows the keys, without them.
    #[must_use]
    pub fn hidden_in(&self, text: String) -> String {
        Secret::all_hidden_in(self.pool.all(), text)
    }

    /// The place of the key for a request.
    ///
    /// # Errors
    /// When all keys are left alone: as the upstream would refuse it, without asking.
    pub fn take(&self) -> Result<Option<usize>, Refused> {
        self.pool.take(Instant::now()).map_err(|Exhausted { pause, why }| {
            let (kind, message, again) = match why {
                KeyFault::RateLimited => (
                    ErrorKind::UpstreamRateLimited,
                    "the upstream takes no more requests for a while",
                    Again::Later(Some(pause)),
                ),
                KeyFault::Unauthorized => (
                    ErrorKind::UpstreamUnauthorized,
                    "the upstream does not accept the gateway's credentials",
                    Again::Never,
                ),
            };
            Refused { failure: Failure::new(kind, message).retry_after(seconds(pause)), again }
        })
    }

    /// A request with the key at `key` was taken.
    pub fn accepted(&self, key: Option<usize>) {
        if let Some(key) = key.filter(|_| self.pool.has_several())
            && self.pool.accepted(key)
            && let Some(Told { model, target, .. }) = &self.told
        {
            tracing::info!(%model, %target, key = key + 1, "the upstream accepts this API key again");
        }
    }

    /// What becomes of a request that was refused with `status`: where that is because of its key, this
    /// is left alone, and the request may go out with another.
    #[must_use]
    pub fn refused(&self, key: Option<usize>, status: StatusCode, refused: Refused) -> Refused {
        let Some(key) = key.filter(|_| self.pool.has_several()) else { return refused };
        let now = Instant::now();
        let why = match status {
            StatusCode::TOO_MANY_REQUESTS => KeyFault::RateLimited,
            StatusCode::UNAUTHORIZED => KeyFault::Unauthorized,
            // It may be what is asked for that is forbidden: that must not take the last key.
            StatusCode::FORBIDDEN if self.pool.has_other(key, now) => KeyFault::Unauthorized,
            _ => return refused,
        };
        let pause = refused.failure.retry_after_seconds;
        let pause = pause.map(|seconds| Duration::from_secs(seconds.into()));
        self.note(key, why, self.pool.refused(key, why, pause, now));
        let again = if self.pool.has_other(key, now) { Again::WithOtherKey } else { refused.again };
        if why == KeyFault::Unauthorized {
            return Refused { again, ..refused };
        }
        let pause = self.pool.frees_in(now);
        let again = match again {
            Again::Later(_) => Again::Later(Some(pause)),
            _ => again,
        };
        Refused { failure: refused.failure.retry_after(seconds(pause)), again }
    }

    fn note(&self, key: usize, why: KeyFault, change: Change) {
        let Some(Told { model, target, metrics }) = &self.told else { return };
        if change.is_new {
            metrics.count_key_cooldown(why);
        }
        if change.was_accepted {
            tracing::warn!(
                %model,
                %target,
                key = key + 1,
                "the upstream does not accept this API key; it is left out for a while"
            );
        }
    }
}

/// Rounded up, and never at once: whoever comes back then should find a key.
fn seconds(pause: Duration) -> Option<u32> {
    let whole = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
    u32::try_from(whole.max(1)).ok()
}
