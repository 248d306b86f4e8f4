//! Whether a request may pass, decided in one order: rate limit, then model.

use std::sync::Arc;

use tidegate_protocol::{Failure, Request};

use crate::access::{Allowance, Caller, KeyRing, RateLimit};
use crate::routing::{Catalog, Route};

/// Proof that a request was admitted, and what it was admitted to.
pub struct Ticket {
    pub caller: Caller,
    pub route: Route,
}

/// The gate all requests for an answer pass.
pub struct Admission {
    keys: KeyRing,
    /// Goes on from one configuration to the next, where that does not change it.
    rate_limit: Arc<RateLimit>,
    catalog: Arc<Catalog>,
    coalesces: bool,
}

impl Admission {
    #[must_use]
    pub fn new(keys: KeyRing, rate_limit: Arc<RateLimit>, catalog: Arc<Catalog>) -> Self {
        let coalesces = catalog.models().iter().any(|model| model.coalesce);
        Self { keys, rate_limit, catalog, coalesces }
    }

    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    #[must_use]
    pub fn rate_limit(&self) -> &Arc<RateLimit> {
        &self.rate_limit
    }

    /// Takes one request from the caller's allowance, and gives what is left of it. Done before the
    /// body is read, so that a caller over the limit cannot make the gateway work.
    ///
    /// # Errors
    /// As [`RateLimit::take`].
    pub fn pace(&self, caller: &Caller) -> Result<Option<Allowance>, Failure> {
        self.rate_limit.take(caller, self.keys.is_on())
    }

    /// Whether there is a model of this name.
    #[must_use]
    pub fn knows(&self, model: &str) -> bool {
        self.catalog.models().iter().any(|known| known.name == model)
    }

    /// Whether requests for any model may be answered together.
    #[must_use]
    pub fn coalesces(&self) -> bool {
        self.coalesces
    }

    /// The allowance of a caller that has used it up.
    #[must_use]
    pub fn used_up(&self) -> Option<Allowance> {
        self.rate_limit.used_up()
    }

    /// Admits the caller to the model it asks for.
    ///
    /// # Errors
    /// As [`Catalog::resolve`].
    pub fn admit(&self, caller: Caller, request: &Request) -> Result<Ticket, Failure> {
        let route = self.catalog.resolve(request)?;
        Ok(Ticket { caller, route })
    }
}
