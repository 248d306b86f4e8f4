//! The kinds of values that keys take: what is allowed, in code and in words.

use std::fmt::{Debug, Display};
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::raw::Raw;
use super::secret::{MASK, Secret};
use super::url;

/// The longest secret: longer ones do not fit the headers of common servers.
const MAX_SECRET_CHARS: usize = 4096;
/// The shortest time limit: timers are no finer than this.
const MIN_SECONDS: f64 = 0.001;

/// The highest price of a million tokens.
const MAX_PRICE: f64 = 1_000_000.0;
const MICROS: f64 = 1_000_000.0;

/// What a key takes.
pub(super) struct Kind<T> {
    /// Completes "must be ...".
    pub(super) allowed: String,
    parse: Parse<T>,
    show: Show<T>,
    /// How a refused value is quoted.
    quote: fn(Raw<'_>) -> String,
}

type Parse<T> = Box<dyn Fn(Raw<'_>) -> Option<T>>;
type Show<T> = Box<dyn Fn(&T) -> String>;

impl<T> Kind<T> {
    fn new(
        allowed: impl Into<String>,
        parse: impl Fn(Raw<'_>) -> Option<T> + 'static,
        show: impl Fn(&T) -> String + 'static,
    ) -> Self {
        let (parse, show) = (Box::new(parse), Box::new(show));
        Self { allowed: allowed.into(), parse, show, quote: |raw| raw.shown() }
    }

    fn quoted_by(self, quote: fn(Raw<'_>) -> String) -> Self {
        Self { quote, ..self }
    }

    pub(super) fn parse(&self, raw: Raw<'_>) -> Option<T> {
        (self.parse)(raw)
    }

    pub(super) fn show(&self, value: &T) -> String {
        (self.show)(value)
    }

    pub(super) fn quote(&self, raw: Raw<'_>) -> String {
        (self.quote)(raw)
    }
}

pub(super) fn integer<T>(range: RangeInclusive<T>) -> Kind<T>
where
    T: TryFrom<i64> + PartialOrd + Display + 'static,
{
    let allowed = format!("{} to {} (an integer)", range.start(), range.end());
    let parse = move |raw: Raw<'_>| {
        let value = raw.integer().and_then(|int| T::try_from(int).ok());
        value.filter(|value| range.contains(value))
    };
    Kind::new(allowed, parse, T::to_string)
}

pub(super) fn number(range: RangeInclusive<f64>) -> Kind<f64> {
    let allowed = format!("{} to {} (a number)", range.start(), range.end());
    let parse = move |raw: Raw<'_>| raw.number().filter(|number| range.contains(number));
    Kind::new(allowed, parse, f64::to_string)
}

/// A length of time, given in seconds.
pub(super) fn seconds(max: u32) -> Kind<Duration> {
    let range = MIN_SECONDS..=f64::from(max);
    let allowed = format!("{MIN_SECONDS} to {max} (seconds)");
    let parse = move |raw: Raw<'_>| {
        raw.number().filter(|seconds| range.contains(seconds)).map(Duration::from_secs_f64)
    };
    Kind::new(allowed, parse, |value| value.as_secs_f64().to_string())
}

/// What a million tokens cost, kept in millionths.
pub(super) fn price() -> Kind<u64> {
    let range = 0.0..=MAX_PRICE;
    let parse = move |raw: Raw<'_>| {
        let price = raw.number().filter(|price| range.contains(price))?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range has been checked"
        )]
        Some((price * MICROS).round() as u64)
    };
    #[allow(clippy::cast_precision_loss, reason = "for people, and far below 2^53")]
    let show = |micros: &u64| (*micros as f64 / MICROS).to_string();
    Kind::new(format!("0 to {MAX_PRICE} (for a million tokens)"), parse, show)
}

pub(super) fn boolean() -> Kind<bool> {
    Kind::new("true or false", |raw: Raw<'_>| raw.boolean(), bool::to_string)
}

/// One of a few words, in any case.
pub(super) fn choice<T: Copy + 'static>(
    all: &'static [T],
    as_str: fn(T) -> &'static str,
) -> Kind<T> {
    let words: Vec<_> = all.iter().map(|value| format!("{:?}", as_str(*value))).collect();
    let parse = move |raw: Raw<'_>| {
        let text = raw.text()?;
        all.iter().copied().find(|value| as_str(*value).eq_ignore_ascii_case(text))
    };
    Kind::new(words.join(" or "), parse, move |value| format!("{:?}", as_str(*value)))
}

/// A text that `parse` understands.
pub(super) fn text<T: Debug + 'static>(allowed: &str, parse: fn(&str) -> Option<T>) -> Kind<T> {
    let parse = move |raw: Raw<'_>| raw.text().and_then(parse);
    Kind::new(allowed, parse, |value| format!("{value:?}"))
}

/// A name of ASCII letters, digits and some signs.
pub(super) fn name(max: usize, signs: &'static str) -> Kind<String> {
    let parse = move |raw: Raw<'_>| {
        let text = raw.text()?;
        let known = |char: char| char.is_ascii_alphanumeric() || signs.contains(char);
        let valid = (1..=max).contains(&text.len()) && text.chars().all(known);
        valid.then(|| text.to_owned())
    };
    let allowed = format!("1 to {max} letters, digits and {signs}");
    Kind::new(allowed, parse, |value| format!("{value:?}"))
}

pub(super) fn ip_address() -> Kind<IpAddr> {
    let parse = |raw: Raw<'_>| raw.text()?.parse().ok();
    let show = |address: &IpAddr| format!("\"{address}\"");
    Kind::new("an IP address, like \"127.0.0.1\" or \"::1\"", parse, show)
}

pub(super) fn socket_address() -> Kind<SocketAddr> {
    let parse = |raw: Raw<'_>| raw.text()?.parse().ok();
    let show = |address: &SocketAddr| format!("\"{address}\"");
    Kind::new("an IP address and a port, like \"127.0.0.1:9464\"", parse, show)
}

pub(super) fn base_url() -> Kind<String> {
    let kind = text(url::BASE_ALLOWED, url::base);
    kind.quoted_by(|raw| raw.text().map_or_else(|| raw.shown(), quoted_url))
}

pub(super) fn origin() -> Kind<String> {
    text(url::ORIGIN_ALLOWED, url::origin)
}

/// A file that can be opened now: better to know at start than at the first handshake.
pub(super) fn readable_file() -> Kind<PathBuf> {
    text("the path of a readable file", |path| {
        let is_file =
            File::open(path).and_then(|file| file.metadata()).is_ok_and(|meta| meta.is_file());
        is_file.then(|| PathBuf::from(path))
    })
}

/// A key or token, as it can stand in a header: spaces and line ends are left-overs of copying.
pub(super) fn secret(min: usize) -> Kind<Secret> {
    let allowed = format!("{min} to {MAX_SECRET_CHARS} ASCII letters, digits and signs");
    let parse = move |raw: Raw<'_>| {
        let text = raw.text()?;
        let valid = (min..=MAX_SECRET_CHARS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        valid.then(|| Secret::new(text.to_owned()))
    };
    Kind::new(allowed, parse, |_| MASK.to_owned()).quoted_by(|_| MASK.to_owned())
}

/// What a header holds: a key, mostly behind the name of its scheme and a space.
pub(super) fn header_value() -> Kind<Secret> {
    let allowed = format!("1 to {MAX_SECRET_CHARS} ASCII characters, no space at either end");
    let parse = |raw: Raw<'_>| {
        let text = raw.text()?;
        let valid = (1..=MAX_SECRET_CHARS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
            && text.trim() == text;
        valid.then(|| Secret::new(text.to_owned()))
    };
    Kind::new(allowed, parse, |_| MASK.to_owned()).quoted_by(|_| MASK.to_owned())
}

/// The name of an environment variable. What does not look like one is not quoted: it may be the
/// secret itself, in the wrong place.
pub(super) fn variable_name() -> Kind<String> {
    let kind = text("the name of an environment variable, like UPSTREAM_API_KEY", |text| {
        let known = |char: char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_';
        let valid = (1..=128).contains(&text.len()) && text.chars().all(known);
        (valid && !text.starts_with(|char: char| char.is_ascii_digit())).then(|| text.to_owned())
    });
    kind.quoted_by(|_| MASK.to_owned())
}

fn quoted_url(text: &str) -> String {
    super::raw::quoted(&url::redacted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts<T>(kind: &Kind<T>, text: &str) -> bool {
        kind.parse(Raw::Variable(text)).is_some()
    }

    #[test]
    fn ranges_hold_at_both_ends() {
        let port = integer::<u16>(1..=65_535);
        assert_eq!(port.allowed, "1 to 65535 (an integer)");
        for (text, accepted) in [
            ("0", false),
            ("1", true),
            ("65535", true),
            ("65536", false),
            ("-1", false),
            ("x", false),
        ] {
            assert_eq!(accepts(&port, text), accepted, "{text}");
        }
        for (text, accepted) in
            [("0", false), ("0.001", true), ("60", true), ("60.1", false), ("nan", false)]
        {
            assert_eq!(accepts(&seconds(60), text), accepted, "{text}");
        }
    }

    #[test]
    fn seconds_are_shown_as_they_are_given() {
        let kind = seconds(60);
        for text in ["15", "0.25", "0.001"] {
            let value = kind.parse(Raw::Variable(text)).unwrap();
            assert_eq!(kind.show(&value), text);
        }
    }

    #[test]
    fn secrets_fit_a_header_and_are_never_shown() {
        let kind = secret(4);
        for (text, accepted) in
            [("", false), ("abc", false), ("abcd", true), ("abcd\n", false), ("ab cd", false)]
        {
            assert_eq!(accepts(&kind, text), accepted, "{text:?}");
            assert_eq!(kind.quote(Raw::Variable(text)), MASK);
        }
        assert_eq!(kind.show(&Secret::new("canary".to_owned())), MASK);
    }

    #[test]
    fn a_secret_in_place_of_a_variable_is_not_quoted() {
        let kind = variable_name();
        assert!(accepts(&kind, "UPSTREAM_KEY_2"));
        for text in ["sk-canary", "canary", "", "2ND_KEY"] {
            assert!(!accepts(&kind, text), "{text}");
            assert_eq!(kind.quote(Raw::Variable(text)), MASK);
        }
    }

    #[test]
    fn names_are_plain() {
        let kind = name(8, ".-");
        for (text, accepted) in
            [("a.b-c", true), ("", false), ("123456789", false), ("a b", false), ("é", false)]
        {
            assert_eq!(accepts(&kind, text), accepted, "{text}");
        }
    }
}
