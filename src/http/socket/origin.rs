//! Which pages may open a socket. Browsers ask nobody before they open one to another site, so that
//! any page could speak to a gateway that its visitor reaches (cross-site WebSocket hijacking).

use actix_web::HttpRequest;
use actix_web::http::header::ORIGIN;
use tidegate_protocol::{ErrorKind, Failure};

/// Lets in the gateway's own pages, those of the allowed origins, and what is no page.
///
/// # Errors
/// [`ErrorKind::Forbidden`] for any other page.
pub fn check(http: &HttpRequest, allowed: &[String]) -> Result<(), Failure> {
    if is_known(http, allowed) {
        return Ok(());
    }
    let message =
        "pages of this origin may not open a socket: add it to server.cors.allowed_origins";
    Err(Failure::new(ErrorKind::Forbidden, message))
}

/// Whether a request comes from no page, or from one that is the gateway's own or allowed.
#[must_use]
pub fn is_known(http: &HttpRequest, allowed: &[String]) -> bool {
    let mut origins = http.headers().get_all(ORIGIN).map(|origin| origin.to_str().ok());
    origins.all(|origin| origin.is_some_and(|origin| is_allowed(origin, http, allowed)))
}

fn is_allowed(origin: &str, http: &HttpRequest, allowed: &[String]) -> bool {
    let connection = http.connection_info();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let is_own = authority.is_some_and(|it| it.eq_ignore_ascii_case(connection.host()));
    is_own || allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn check_with(origins: &[&str], allowed: &[&str]) -> bool {
        let request = TestRequest::default().insert_header(("host", "gateway.example:3000"));
        let request = origins
            .iter()
            .fold(request, |request, origin| request.append_header(("origin", *origin)));
        let allowed: Vec<_> = allowed.iter().map(|&origin| origin.to_owned()).collect();
        check(&request.to_http_request(), &allowed).is_ok()
    }

    #[test]
    fn only_known_pages_come_in() {
        assert!(check_with(&[], &[]), "what is no page");
        assert!(check_with(&["http://gateway.example:3000"], &[]));
        assert!(check_with(&["https://app.example"], &["https://app.example"]));
        assert!(check_with(&["https://app.example"], &["*"]));
        for origin in
            ["https://app.example", "http://gateway.example", "null", "", "gateway.example:3000"]
        {
            assert!(!check_with(&[origin], &[]), "{origin}");
        }
        assert!(!check_with(&["http://gateway.example:3000", "https://evil.example"], &[]));
        assert!(!check_with(&["http://app.example"], &["https://app.example"]), "another scheme");
    }
}
