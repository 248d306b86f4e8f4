//! The identity of a caller: whose streams are whose.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::config::Priority;

/// Who has no key, while auth is off.
pub const ANONYMOUS: &str = "anonymous";

/// Who sent a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name of the API key, or [`ANONYMOUS`]. Streams belong to it.
    pub owner: Arc<str>,
    /// Sees and cancels the streams of others too.
    pub admin: bool,
    /// The highest that its requests may have.
    pub priority: Priority,
    /// The address the request came from, as far as trusted proxies tell.
    pub address: Option<IpAddr>,
}

/// Who counts as one where requests are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// All that have the key of this name.
    Key(Arc<str>),
    /// All that come from one address, or from one network of IPv6.
    Address(IpAddr),
    /// All whose address is not known.
    Unknown,
}

impl Caller {
    /// Whether nothing is known of this caller but its address.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        &*self.owner == ANONYMOUS
    }

    /// Whether this caller may see and end a stream of `owner`.
    #[must_use]
    pub fn may_see(&self, owner: &str) -> bool {
        self.admin || *self.owner == *owner
    }

    /// With whom it is counted. An IPv6 client owns a whole /64, so that is what counts.
    #[must_use]
    pub fn party(&self, auth_is_on: bool) -> Party {
        match self.address {
            _ if auth_is_on => Party::Key(Arc::clone(&self.owner)),
            Some(IpAddr::V6(address)) if address.to_ipv4_mapped().is_none() => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Party::Address(Ipv6Addr::from_bits(network).into())
            }
            Some(address) => Party::Address(address.to_canonical()),
            None => Party::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(address: &str, auth_is_on: bool) -> Party {
        let address = Some(address.parse().unwrap());
        let priority = Priority::default();
        Caller { owner: "anonymous".into(), admin: true, priority, address }.party(auth_is_on)
    }

    #[test]
    fn one_ipv6_network_is_one_party_and_a_key_is_one_across_addresses() {
        assert_eq!(party("2001:db8::ffff", false), party("2001:db8::1", false));
        assert_ne!(party("2001:db8:0:1::1", false), party("2001:db8::1", false));
        assert_eq!(party("::ffff:192.0.2.1", false), party("192.0.2.1", false));
        assert_ne!(party("192.0.2.2", false), party("192.0.2.1", false));
        assert_eq!(party("192.0.2.1", true), Party::Key("anonymous".into()));
        assert_eq!(party("192.0.2.2", true), party("192.0.2.1", true));
    }
}
