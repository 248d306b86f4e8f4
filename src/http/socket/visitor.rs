//! Who has opened a socket, and may still use it: a socket can outlive the key that opened it.

use std::net::IpAddr;

use tidegate_protocol::native::socket::fault;
use tidegate_protocol::{ErrorKind, Failure};

use crate::access::Caller;
use crate::config::Secret;
use crate::http::caller::known_by;
use crate::http::offer::Offer;

/// Who has opened a socket.
pub struct Visitor {
    keys: Vec<Secret>,
    address: Option<IpAddr>,
    /// None before it has said who it is.
    caller: Option<Caller>,
    /// By whose keys the caller is known.
    generation: u64,
}

impl Visitor {
    /// One that presented `keys`, by which it is the `caller`.
    #[must_use]
    pub fn new(
        keys: Vec<Secret>,
        address: Option<IpAddr>,
        caller: Option<Caller>,
        generation: u64,
    ) -> Self {
        Self { keys, address, caller, generation }
    }

    #[must_use]
    pub fn is_known(&self) -> bool {
        self.caller.is_some()
    }

    /// Who it was when it was last looked.
    #[must_use]
    pub fn last_known(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// Who it is, as long as its key is one.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] where it has not said so, or has to say it again.
    pub fn caller(&mut self, offer: &Offer) -> Result<Caller, Failure> {
        if self.generation != offer.generation && self.caller.take().is_some() {
            self.identify(offer)?;
        }
        let message = "send {\"type\":\"authenticate\",\"key\":KEY} first, or the key in the head of \
                       the handshake";
        self.caller.clone().ok_or_else(|| Failure::new(ErrorKind::Unauthorized, message))
    }

    /// It says who it is.
    ///
    /// # Errors
    /// Where that is known already, or the key is none.
    pub fn authenticate(&mut self, key: &str, offer: &Offer) -> Result<(), Failure> {
        if self.caller(offer).is_ok() {
            return Err(fault("type", "the caller is known already"));
        }
        self.keys = vec![Secret::new(key.to_owned())];
        self.identify(offer)
    }

    fn identify(&mut self, offer: &Offer) -> Result<(), Failure> {
        let keys = self.keys.iter().map(Secret::expose);
        self.caller = Some(known_by(keys, offer.admission.keys(), self.address)?);
        self.generation = offer.generation;
        Ok(())
    }
}
