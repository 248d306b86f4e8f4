//! A value that must not be shown.

use std::fmt;

use subtle::ConstantTimeEq;

/// What stands for a secret wherever one would be printed.
pub(super) const MASK: &str = "********";

/// The mask, for `Debug` of what holds a secret.
pub(super) struct Masked;

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A key or token.
///
/// It implements neither `Debug` nor `Display` nor `Serialize` on purpose: code that would print
/// it, or a struct that holds it, does not compile. [`expose`](Self::expose) is easy to search for.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text of somebody who knows the secret, without it: some servers quote a key that they
    /// refuse.
    #[must_use]
    pub fn hidden_in(&self, text: String) -> String {
        if self.0.is_empty() || !text.contains(&self.0) {
            text
        } else {
            text.replace(&self.0, MASK)
        }
    }

    /// Whether `candidate` is this secret, in a time that depends on the lengths only.
    #[must_use]
    pub fn matches(&self, candidate: &str) -> bool {
        self.0.as_bytes().ct_eq(candidate.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_secret_is_hidden() {
        let secret = Secret::new("sesame".to_owned());
        assert_eq!(secret.hidden_in("open sesame, sesame!".to_owned()), "open ********, ********!");
        assert_eq!(Secret::new(String::new()).hidden_in("open".to_owned()), "open");
    }

    #[test]
    fn only_the_same_text_matches() {
        let secret = Secret::new("open sesame".to_owned());
        assert!(secret.matches("open sesame"));
        for other in ["", "open sesam", "open sesamf", "open sesame "] {
            assert!(!secret.matches(other), "{other}");
        }
        assert_eq!(secret.clone().expose(), "open sesame");
    }
}
