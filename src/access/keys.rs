//! API keys: who is who.

use std::sync::Arc;

use tidegate_protocol::{ErrorKind, Failure};

use crate::config::{ApiKey, Secret};

/// What a key stands for.
#[derive(Debug, Clone)]
pub struct Identity {
    pub owner: Arc<str>,
    pub admin: bool,
}

/// All keys that open the gateway. Without any, everybody is `anonymous` and sees everything.
pub struct KeyRing {
    keys: Vec<(Secret, Identity)>,
    anonymous: Identity,
}

impl KeyRing {
    #[must_use]
    pub fn new(keys: &[ApiKey]) -> Self {
        let identity =
            |key: &ApiKey| Identity { owner: key.name.as_str().into(), admin: key.admin };
        Self {
            keys: keys.iter().map(|key| (key.key.clone(), identity(key))).collect(),
            anonymous: Identity { owner: "anonymous".into(), admin: true },
        }
    }

    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Finds out who presents these keys: the bearer token, the `x-api-key`, or both if they
    /// agree.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] when there is none, an unknown one, or two different ones.
    pub fn identify(
        &self,
        bearer: Option<&str>,
        api_key: Option<&str>,
    ) -> Result<Identity, Failure> {
        if !self.is_on() {
            return Ok(self.anonymous.clone());
        }
        let refuse = |message: &str| Err(Failure::new(ErrorKind::Unauthorized, message));
        let presented = match (bearer, api_key) {
            (Some(one), Some(other)) if one != other => {
                return refuse("Authorization and x-api-key name different keys; send one of them");
            }
            (Some(key), _) | (None, Some(key)) => key,
            (None, None) => {
                return refuse(
                    "an API key is needed: `Authorization: Bearer KEY` or `x-api-key: KEY`",
                );
            }
        };
        // Every key is compared, so that the time taken does not tell which one came close.
        let mut found = None;
        for (key, identity) in &self.keys {
            if key.matches(presented) {
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
        };
        KeyRing::new(&[key("alice", ALICE, true), key("bob", BOB, false)])
    }

    #[test]
    fn either_header_identifies() {
        assert_eq!(&*ring().identify(Some(ALICE), None).unwrap().owner, "alice");
        let bob = ring().identify(None, Some(BOB)).unwrap();
        assert_eq!((&*bob.owner, bob.admin), ("bob", false));
        assert_eq!(&*ring().identify(Some(BOB), Some(BOB)).unwrap().owner, "bob");
    }

    #[test]
    fn anything_else_is_refused() {
        for (bearer, api_key) in
            [(None, None), (Some(""), None), (Some("x"), None), (Some(ALICE), Some(BOB))]
        {
            let failure = ring().identify(bearer, api_key).unwrap_err();
            assert_eq!(failure.kind, ErrorKind::Unauthorized);
        }
    }

    #[test]
    fn without_keys_everybody_is_anonymous() {
        let identity = KeyRing::new(&[]).identify(Some("whatever"), None).unwrap();
        assert_eq!(&*identity.owner, "anonymous");
    }
}
