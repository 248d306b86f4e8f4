//! API keys: who is who.

use std::sync::Arc;

use tidegate_protocol::{ErrorKind, Failure};

use super::caller::ANONYMOUS;
use crate::config::{ApiKey, Priority, Secret};

/// What a key stands for.
#[derive(Debug, Clone)]
pub struct Identity {
    pub owner: Arc<str>,
    pub admin: bool,
    pub priority: Priority,
}

/// All keys that open the gateway. Without any, everybody is `anonymous` and sees everything.
pub struct KeyRing {
    keys: Vec<(Secret, Identity)>,
    anonymous: Identity,
}

impl KeyRing {
    #[must_use]
    pub fn new(keys: &[ApiKey]) -> Self {
        let identity = |key: &ApiKey| Identity {
            owner: key.name.as_str().into(),
            admin: key.admin,
            priority: key.priority,
        };
        Self {
            keys: keys.iter().map(|key| (key.key.clone(), identity(key))).collect(),
            anonymous: Identity {
                owner: ANONYMOUS.into(),
                admin: true,
                priority: Priority::default(),
            },
        }
    }

    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Finds out who presents these keys, in whatever headers; several must be the same.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] when there is none, an unknown one, or two different ones.
    pub fn identify<'k>(
        &self,
        mut presented: impl Iterator<Item = &'k str>,
    ) -> Result<Identity, Failure> {
        if !self.is_on() {
            return Ok(self.anonymous.clone());
        }
        let refuse = |message: &str| Err(Failure::new(ErrorKind::Unauthorized, message));
        let Some(candidate) = presented.next() else {
            return refuse("an API key is needed: `Authorization: Bearer KEY` or `x-api-key: KEY`");
        };
        if presented.any(|other| other != candidate) {
            return refuse("the request presents different API keys; send one of them");
        }
        // Every key is compared, so that the time taken does not tell which one came close.
        let mut found = None;
        for (key, identity) in &self.keys {
            if key.matches(candidate) {
                found = Some(identity);
            }
        }
        found.cloned().map_or_else(|| refuse("the API key is not known"), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "alice-alice-alice-alice-alice-alice";
    const BOB: &str = "bob-bob-bob-bob-bob-bob-bob-bob-bob";

    fn ring() -> KeyRing {
        let key = |name: &str, key: &str, admin| ApiKey {
            name: name.to_owned(),
            key: Secret::new(key.to_owned()),
            admin,
            priority: if admin { Priority::High } else { Priority::Low },
        };
        KeyRing::new(&[key("alice", ALICE, true), key("bob", BOB, false)])
    }

    fn identify(presented: &[&str]) -> Result<Identity, Failure> {
        ring().identify(presented.iter().copied())
    }

    #[test]
    fn one_key_identifies() {
        assert_eq!(&*identify(&[ALICE]).unwrap().owner, "alice");
        let bob = identify(&[BOB]).unwrap();
        assert_eq!((&*bob.owner, bob.admin, bob.priority), ("bob", false, Priority::Low));
        assert_eq!(&*identify(&[BOB, BOB, BOB]).unwrap().owner, "bob");
    }

    #[test]
    fn anything_else_is_refused() {
        let none: [&[&str]; 6] =
            [&[], &[""], &["x"], &[ALICE, BOB], &[ALICE, ""], &[ALICE, ALICE, BOB]];
        for presented in none {
            let failure = identify(presented).unwrap_err();
            assert_eq!(failure.kind, ErrorKind::Unauthorized);
        }
    }

    #[test]
    fn without_keys_everybody_is_anonymous() {
        let identity = KeyRing::new(&[]).identify(["whatever"].into_iter()).unwrap();
        assert_eq!((&*identity.owner, identity.priority), ("anonymous", Priority::Normal));
    }
}
