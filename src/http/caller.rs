//! Who sent a request: from its keys and its address.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use tidegate_protocol::Failure;

use super::arrival::Arrival;
use crate::access::{Caller, Identity, KeyRing};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Proxies whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Vec<IpAddr>);

/// Identifies the caller of a request, and has its record name it.
///
/// # Errors
/// As [`KeyRing::identify`].
pub fn identify(
    request: &HttpRequest,
    keys: &KeyRing,
    proxies: &TrustedProxies,
) -> Result<Caller, Failure> {
    let caller = known_by(presented(request.headers()), keys, client_address(request, proxies))?;
    if let Ok(arrival) = Arrival::of(request) {
        arrival.caller(&caller);
    }
    Ok(caller)
}

/// Identifies the caller by the keys that it presents.
///
/// # Errors
/// As [`KeyRing::identify`].
pub fn known_by<'k>(
    presented: impl Iterator<Item = &'k str>,
    keys: &KeyRing,
    address: Option<IpAddr>,
) -> Result<Caller, Failure> {
    let Identity { owner, admin, priority } = keys.identify(presented)?;
    Ok(Caller { owner, admin, priority, address })
}

/// Every key that a request presents. A line that cannot be read presents one that nobody has.
pub fn presented(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = |name: HeaderName| headers.get_all(name).map(|value| value.to_str());
    let bearers = lines(AUTHORIZATION).filter_map(|line| line.map_or(Some(""), bearer_token));
    bearers.chain(lines(API_KEY).map(Result::unwrap_or_default))
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The peer's address, or, behind trusted proxies, the last address that is not one of them:
/// everything further left is the client's own claim.
#[must_use]
pub fn client_address(request: &HttpRequest, proxies: &TrustedProxies) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    if !proxies.0.contains(&peer) {
        return Some(peer);
    }
    let forwarded = request.headers().get_all("x-forwarded-for");
    let lines: Vec<_> = forwarded.filter_map(|value| value.to_str().ok()).collect();
    let hops = lines.iter().flat_map(|line| line.split(',')).map(|hop| hop.trim().parse());
    let hops: Vec<Result<IpAddr, _>> = hops.collect();
    for hop in hops.iter().rev() {
        match hop {
            Ok(address) if proxies.0.contains(&address.to_canonical()) => {}
            Ok(address) => return Some(address.to_canonical()),
            Err(_) => break,
        }
    }
    Some(peer)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn address(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut request = TestRequest::default().peer_addr(peer.parse().unwrap());
        for line in forwarded {
            request = request.append_header(("x-forwarded-for", *line));
        }
        let proxies = TrustedProxies(trusted.iter().map(|ip| ip.parse().unwrap()).collect());
        client_address(&request.to_http_request(), &proxies).unwrap().to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(address("192.0.2.9:1", &["198.51.100.1"], &[]), "192.0.2.9");
        let trusted = &["10.0.0.1", "10.0.0.2"];
        assert_eq!(address("10.0.0.1:1", &["198.51.100.1"], trusted), "198.51.100.1");
        assert_eq!(
            address("10.0.0.1:1", &["6.6.6.6, 198.51.100.1", "10.0.0.2"], trusted),
            "198.51.100.1"
        );
        assert_eq!(address("10.0.0.1:1", &["6.6.6.6, rubbish"], trusted), "10.0.0.1");
        assert_eq!(address("[::ffff:10.0.0.1]:1", &[], trusted), "10.0.0.1");
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case() {
        assert_eq!(bearer_token("Bearer abc"), Some("abc"));
        assert_eq!(bearer_token("bearer  abc "), Some("abc"));
        assert_eq!(bearer_token("Basic abc"), None);
        assert_eq!(bearer_token("Bearer"), None);
    }
}
