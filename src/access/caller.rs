//! The identity of a caller: whose streams are whose.

use std::net::IpAddr;
use std::sync::Arc;

/// Who sent a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name of the API key, or `anonymous` while auth is off. Streams belong to it.
    pub owner: Arc<str>,
    /// Sees and cancels the streams of others too.
    pub admin: bool,
    /// The address the request came from, as far as trusted proxies tell.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// Whether this caller may see and end a stream of `owner`.
    #[must_use]
    pub fn may_see(&self, owner: &str) -> bool {
        self.admin || *self.owner == *owner
    }
}
