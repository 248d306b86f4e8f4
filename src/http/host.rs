//! The host a request is meant for: one, and well-formed, or the request is refused.
//!
//! Nothing here depends on it. But what stands in front may route, cache or allow by it, and two
//! servers that read an odd host differently disagree about whom a request is for (RFC 9112, 3.2).

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HOST;
use actix_web::middleware::Next;
use tidegate_protocol::{ErrorKind, Failure};

use super::routes::failure_of_path;
use crate::config::is_authority;

/// The middleware. That there is a `Host`, and only one, is seen to by actix-http.
///
/// # Errors
/// Passes the inner service's error on.
pub async fn require_host(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if is_addressed_well(&request) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let message = "the host must be a name or an address, and a port if need be, as in `Host: gateway.example:3000`";
    let failure = Failure::new(ErrorKind::InvalidRequest, message);
    let response = failure_of_path(request.path(), &failure);
    Ok(request.into_response(response))
}

fn is_addressed_well(request: &ServiceRequest) -> bool {
    // In the request line of a request to a proxy, and in HTTP/2.
    let target = request.uri().authority().map(actix_web::http::uri::Authority::as_str);
    let named = request.headers().get_all(HOST).map(|value| value.to_str().unwrap_or_default());
    target.into_iter().chain(named).all(is_host)
}

/// The port may be empty (RFC 3986, 3.2.3).
fn is_host(text: &str) -> bool {
    is_authority(text.strip_suffix(':').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for good in ["a", "gateway.example:3000", "127.0.0.1", "[::1]:80", "[::1]", "a_b-c:", "A"] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "", ":80", "a b", "u@a", "a,b", "a/b", "a?b", "a#b", "a\\b", "<a>", "a%00", "[::1",
            "::1", "a:99999", "a:0", "a:b", "a::", "a:80:80", "[a]", "é",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
