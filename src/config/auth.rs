//! `[auth]`: who may use the gateway.

use std::fmt;

use super::kind;
use super::queue::Priority;
use super::secret::{Masked, Secret};
use super::section::Section;

/// Shorter keys can be guessed.
const MIN_KEY_CHARS: usize = 32;
/// What stands in the place of a key in examples, which everybody can read.
const PLACEHOLDER: &str = "replace-me";
/// The name of the key in `auth.key`.
const DEFAULT_NAME: &str = "default";

/// Who may use the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Empty leaves the gateway open to everybody who reaches it.
    pub keys: Vec<ApiKey>,
}

/// A key that opens the gateway.
#[derive(Clone)]
pub struct ApiKey {
    /// Whose key it is: streams and rate limits belong to the name.
    pub name: String,
    pub key: Secret,
    /// Sees and cancels the streams of others too.
    pub admin: bool,
    /// The highest that its requests may have.
    pub priority: Priority,
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, key, admin, priority } = self;
        Secret::all_match(std::slice::from_ref(key), std::slice::from_ref(&other.key))
            && (name, admin, priority) == (&other.name, &other.admin, &other.priority)
    }
}

impl Eq for ApiKey {}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, key: _, admin, priority } = self;
        f.debug_struct("ApiKey")
            .field("name", name)
            .field("key", &Masked)
            .field("admin", admin)
            .field("priority", priority)
            .finish()
    }
}

impl Auth {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let single = section.optional("key", &kind::secret(MIN_KEY_CHARS));
        refuse_placeholder(section, single.as_ref());
        let single = single.map(|key| ApiKey {
            name: DEFAULT_NAME.to_owned(),
            key,
            admin: true,
            priority: Priority::default(),
        });
        let mut keys: Vec<_> = single.into_iter().collect();
        section.sections("keys", |section| {
            if let Some(key) = ApiKey::read(section, &keys) {
                keys.push(key);
            }
        });
        Self { keys }
    }
}

impl ApiKey {
    fn read(section: &mut Section<'_>, others: &[Self]) -> Option<Self> {
        let name = section.required("name", &kind::name(64, "._@-"));
        let key = section.required("key", &kind::secret(MIN_KEY_CHARS));
        refuse_placeholder(section, key.as_ref());
        let admin = section.get("admin", &kind::boolean(), false);
        let priority = kind::choice(&Priority::ALL, Priority::as_str);
        let priority = section.get("priority", &priority, Priority::default());
        if others.iter().any(|other| Some(&other.name) == name.as_ref()) {
            section.conflict("name", "must be unique: another key has it too");
        }
        let same = |other: &Self| key.as_ref().is_some_and(|key| key.matches(other.key.expose()));
        if let Some(other) = others.iter().find(|other| same(other)) {
            let explanation = format!("must be unique: `{}` has the same key", other.name);
            section.conflict("key", explanation);
        }
        Some(Self { name: name?, key: key?, admin, priority })
    }
}

fn refuse_placeholder(section: &mut Section<'_>, key: Option<&Secret>) {
    if key.is_some_and(|key| key.expose().starts_with(PLACEHOLDER)) {
        let explanation = format!(
            "must be a key of your own, not `{PLACEHOLDER}...`: `openssl rand -hex 32` makes one"
        );
        section.conflict("key", explanation);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Priority};

    const ONE: &str = "canary-canary-canary-canary-canary";
    const TWO: &str = "carrot-carrot-carrot-carrot-carrot";

    #[test]
    fn the_single_key_is_an_admins() {
        let env = [("AUTH_KEY".to_owned(), ONE.to_owned())];
        let text = format!("[[auth.keys]]\nname = \"bob\"\nkey = \"{TWO}\"\npriority = \"high\"\n");
        let keys = Config::parse(&text, env).unwrap().config.auth.keys;
        let found: Vec<_> =
            keys.iter().map(|key| (key.name.as_str(), key.admin, key.priority)).collect();
        assert_eq!(found, [("default", true, Priority::Normal), ("bob", false, Priority::High)]);
        assert!(keys[0].key.matches(ONE));
        assert!(!format!("{keys:?}").contains("canary"));
    }

    #[test]
    fn names_and_keys_are_unique() {
        let key =
            |name: &str, key: &str| format!("[[auth.keys]]\nname = \"{name}\"\nkey = \"{key}\"\n");
        let text = key("a", ONE) + &key("a", TWO) + &key("b", ONE);
        assert_eq!(
            Config::parse(&text, []).unwrap_err().to_string(),
            "auth.keys[1].name = \"a\" (tidegate.toml:5): must be unique: another key has it too\n\
             auth.keys[2].key = ******** (tidegate.toml:9): must be unique: `a` has the same key"
        );
    }

    #[test]
    fn the_key_of_an_example_opens_nothing() {
        let said =
            "must be a key of your own, not `replace-me...`: `openssl rand -hex 32` makes one";
        let key = "replace-me-with-64-random-hex-digits";
        let text =
            format!("[auth]\nkey = \"{key}\"\n[[auth.keys]]\nname = \"a\"\nkey = \"{key}-2\"\n");
        assert_eq!(
            Config::parse(&text, []).unwrap_err().to_string(),
            format!(
                "auth.key = ******** (tidegate.toml:2): {said}\n\
                 auth.keys[0].key = ******** (tidegate.toml:5): {said}"
            )
        );
        let env = [("AUTH_KEY".to_owned(), key.to_owned())];
        let faults = Config::parse("", env).unwrap_err().to_string();
        assert_eq!(faults, format!("auth.key = ******** (AUTH_KEY): {said}"));
    }

    #[test]
    fn an_empty_variable_does_not_switch_auth_off() {
        let env = [("AUTH_KEY".to_owned(), String::new())];
        assert_eq!(
            Config::parse("", env).unwrap_err().to_string(),
            "auth.key = ******** (AUTH_KEY): must be 32 to 4096 ASCII letters, digits and signs"
        );
    }
}
