//! A value that must not be shown.

use std::cmp::Reverse;
use std::fmt;

use subtle::ConstantTimeEq;

/// What stands for a secret wherever one would be printed.
pub(super) const MASK: &str = "********";

/// Of a secret at least twice as long, so many characters are no chance.
const TELLING_CHARS: usize = 6;

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
    /// refuse, whole or by its ends, and a text that is cut may end within it.
    #[must_use]
    pub fn hidden_in(&self, text: String) -> String {
        if self.0.is_empty() {
            return text;
        }
        let text = if text.contains(&self.0) { text.replace(&self.0, MASK) } else { text };
        match self.0.get(..TELLING_CHARS) {
            Some(begin) if self.0.len() >= 2 * TELLING_CHARS => hide_words(begin, text),
            _ => text,
        }
    }

    /// As [`hidden_in`](Self::hidden_in), for somebody who knows all of these.
    #[must_use]
    pub fn all_hidden_in(secrets: &[Self], text: String) -> String {
        // One may be the beginning of another.
        let mut longest_first: Vec<_> = secrets.iter().collect();
        longest_first.sort_by_key(|secret| Reverse(secret.0.len()));
        longest_first.into_iter().fold(text, |text, secret| secret.hidden_in(text))
    }

    /// Whether these are the same secrets in the same order, each compared by [`matches`](Self::matches).
    #[must_use]
    pub fn all_match(some: &[Self], others: &[Self]) -> bool {
        some.len() == others.len()
            && some.iter().zip(others).all(|(one, other)| one.matches(&other.0))
    }

    /// Whether `candidate` is this secret, in a time that depends on the lengths only.
    #[must_use]
    pub fn matches(&self, candidate: &str) -> bool {
        self.0.as_bytes().ct_eq(candidate.as_bytes()).into()
    }

    /// Whether any of these is there twice.
    pub(super) fn any_twice(secrets: &[Self]) -> bool {
        let mut rest = secrets;
        while let Some((first, others)) = rest.split_first() {
            if others.iter().any(|other| other.matches(&first.0)) {
                return true;
            }
            rest = others;
        }
        false
    }
}

/// Hides what begins with `begin`, up to the next blank.
fn hide_words(begin: &str, text: String) -> String {
    if !text.contains(begin) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, word)) = rest.find(begin).map(|at| rest.split_at(at)) {
        shown.push_str(before);
        shown.push_str(MASK);
        rest = word.find(char::is_whitespace).map_or("", |end| &word[end..]);
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_secret_is_hidden() {
        let secret = Secret::new("sesame".to_owned());
        assert_eq!(secret.hidden_in("open sesame, sesame!".to_owned()), "open ********, ********!");
        assert_eq!(Secret::new(String::new()).hidden_in("open".to_owned()), "open");
        assert_eq!(secret.hidden_in("a ses, a sesa".to_owned()), "a ses, a sesa");
    }

    #[test]
    fn a_long_secret_is_hidden_by_its_beginning() {
        let secret = Secret::new("sk-proj-0123456789".to_owned());
        for (told, shown) in [
            ("no sk-proj-0123456789.", "no ********."),
            ("no sk-proj-****6789. See", "no ******** See"),
            ("'sk-pro...' and sk-proj-01234", "'******** and ********"),
            ("no sk-pr and é", "no sk-pr and é"),
            ("sk-proj-0123456789sk-proj-0123456789", "****************"),
        ] {
            assert_eq!(secret.hidden_in(told.to_owned()), shown, "{told}");
        }
    }

    #[test]
    fn none_of_several_is_told_though_one_begins_another() {
        let secrets = ["sesame", "sesame-two", "sk-proj-0123456789"];
        let secrets = secrets.map(|secret| Secret::new(secret.to_owned()));
        let told = "sesame, sesame-two and sk-proj-01".to_owned();
        assert_eq!(Secret::all_hidden_in(&secrets, told), "********, ******** and ********");
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
