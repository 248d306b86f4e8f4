//! The base URLs of upstreams and the origins of browsers.
//!
//! Only what a gateway needs of RFC 3986 is accepted, so that what is accepted can be appended to
//! and compared as text.

use std::net::Ipv6Addr;

use super::secret::MASK;

const MAX_LENGTH: usize = 2048;

/// What [`base`] accepts, for people.
pub(super) const BASE_ALLOWED: &str =
    "an http or https URL with a host, without user, query and fragment";
/// What [`origin`] accepts, for people.
pub(super) const ORIGIN_ALLOWED: &str =
    "an origin as browsers send it, like \"https://app.example\", or \"*\"";

/// A base URL, its trailing slash trimmed.
pub(super) fn base(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = scheme.to_ascii_lowercase();
    let known = matches!(scheme.as_str(), "http" | "https");
    let valid = known && is_authority(authority) && path.chars().all(is_path_char);
    (valid && text.len() <= MAX_LENGTH)
        .then(|| format!("{scheme}://{authority}{}", path.trim_end_matches('/')))
}

/// An origin, or `*` for any. Browsers send them in lower case, and they are compared as text.
pub(super) fn origin(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let lower = !text.contains(|char: char| char.is_ascii_uppercase());
    let valid = text == "*" || rest.is_some_and(is_authority) && lower && text.len() <= MAX_LENGTH;
    valid.then(|| text.to_owned())
}

/// A URL as it may be shown: before an `@` and behind a `?` there may be passwords and tokens.
pub(super) fn redacted(text: &str) -> String {
    if !text.contains(['@', '?', '#']) {
        return text.to_owned();
    }
    let scheme = ["https://", "http://"].into_iter().find(|scheme| text.starts_with(scheme));
    format!("{}{MASK}", scheme.unwrap_or_default())
}

/// `host` or `host:port`, without a user.
#[must_use]
pub fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.parse::<Ipv6Addr>().is_err() {
                return false;
            }
            return port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        }
        None => {
            authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
        }
    };
    !host.is_empty() && host.chars().all(is_host_char) && port.is_none_or(is_port)
}

/// Digits only: the standard library's parser would take `+80` too.
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_')
}

fn is_path_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:@".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_accepted_and_trimmed() {
        for (text, expected) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
            ("HTTPS://Host_1/a//", "https://Host_1/a"),
            ("http://[::1]:8000/v1/", "http://[::1]:8000/v1"),
        ] {
            assert_eq!(base(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_base_url() {
        for text in [
            "",
            "host:8000",
            "ftp://host",
            "http://",
            "http:///v1",
            "http://host:0",
            "http://host:+80",
            "http://host:65536",
            "http://user:password@host/v1",
            "http://host/v1?key=1",
            "http://host/v1#top",
            "http://ho st/",
            "http://host/a b",
            "http://[::1",
            "http://[no]/",
            "http://host/\r\nX: y",
        ] {
            assert_eq!(base(text), None, "{text}");
        }
    }

    #[test]
    fn origins_have_no_path() {
        for text in ["*", "https://app.example", "http://localhost:5173"] {
            assert_eq!(origin(text).as_deref(), Some(text));
        }
        for text in ["", "app.example", "https://app.example/", "https://App.example", "null"] {
            assert_eq!(origin(text), None, "{text}");
        }
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for (text, expected) in [
            ("http://host/v1", "http://host/v1"),
            ("http://me:canary@host/v1", "http://********"),
            ("http://me:can?ary@host", "http://********"),
            ("me:canary@host", "********"),
            ("https://host/v1?key=canary", "https://********"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }
}
