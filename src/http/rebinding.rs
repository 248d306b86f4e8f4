//! Pages that reach the gateway under a name of their own (DNS rebinding): their visitor's browser
//! takes the gateway for their own site, and lets them call it.
//!
//! Who must present a key is not in danger: the page has none. Without keys, being able to reach the
//! gateway is all it takes, so that what a page asks for must name the gateway by its address, as
//! this machine, or by a name from the configuration. Programs are asked nothing, but where a page's
//! request cannot be told from theirs: browsers do not say that a page reads from its own site. So
//! the console and the list of streams, which has what cannot be guessed, want the name of everybody.

use std::net::IpAddr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, ORIGIN};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpRequest};
use tidegate_protocol::{ErrorKind, Failure};

use super::routes::failure_of_path;
use super::worker::Worker;
use crate::config::Config;

/// The names by which pages may know the gateway.
pub struct OwnNames {
    /// All, since keys are asked for or every name is allowed.
    any: bool,
    names: Vec<String>,
}

impl OwnNames {
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let names = config.server.allowed_hosts.clone();
        let any = !config.auth.keys.is_empty() || names.iter().any(|name| name == "*");
        Self { any, names }
    }

    /// Refuses a request that names the gateway as only another site's page would.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`].
    pub fn check(&self, http: &HttpRequest) -> Result<(), Failure> {
        if self.any || host_of(http).is_some_and(|host| self.has(host)) {
            return Ok(());
        }
        let message = "without keys, this is reached by an address or as localhost: add \
                       this name to server.allowed_hosts, or set a key";
        Err(Failure::new(ErrorKind::Forbidden, message))
    }

    fn has(&self, authority: &str) -> bool {
        let name = without_port(authority).to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.names.contains(&name)
    }
}

/// The middleware: what a page sends to the site it takes itself to be part of.
///
/// # Errors
/// Passes the inner service's error on.
pub async fn refuse_rebound(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let http = request.request();
    let worker = http.app_data::<Data<Worker>>().filter(|_| is_of_its_own_site(http));
    if let Some(failure) = worker.and_then(|worker| worker.here().names.check(http).err()) {
        let response = failure_of_path(request.path(), &failure);
        return Ok(request.into_response(response));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// Pages of other sites are the affair of CORS.
fn is_of_its_own_site(http: &HttpRequest) -> bool {
    let origin = http.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let site = origin.and_then(|origin| origin.split_once("://")).map(|(_, site)| site);
    site.is_some_and(|site| host_of(http).is_some_and(|host| host.eq_ignore_ascii_case(site)))
}

/// As the client said it: what a proxy adds is not asked, since a page can add it too.
fn host_of(http: &HttpRequest) -> Option<&str> {
    let target = http.uri().authority().map(actix_web::http::uri::Authority::as_str);
    target.or_else(|| http.headers().get(HOST)?.to_str().ok())
}

fn without_port(authority: &str) -> &str {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority.get(..end).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(server: &str) -> OwnNames {
        let loaded = Config::parse(&format!("[server]\n{server}\n"), []).unwrap();
        OwnNames::new(&loaded.config)
    }

    #[test]
    fn addresses_and_this_machine_are_known_and_other_names_must_be_told() {
        let some = names("allowed_hosts = [\"Gateway.LAN\"]");
        for known in [
            "127.0.0.1:3000",
            "[::1]:3000",
            "[::1]",
            "192.0.2.1",
            "localhost",
            "LOCALHOST:3000",
            "a.localhost",
            "gateway.lan:80",
            "GATEWAY.lan",
        ] {
            assert!(some.has(known), "{known}");
        }
        for foreign in
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "gateway", ""]
        {
            assert!(!some.has(foreign), "{foreign}");
        }
    }

    #[test]
    fn whoever_asks_for_keys_need_not_ask_for_names() {
        assert!(!names("").any);
        assert!(names("allowed_hosts = [\"*\"]").any);
        let text = format!("[auth]\nkey = \"{}\"\n", "k".repeat(32));
        assert!(OwnNames::new(&Config::parse(&text, []).unwrap().config).any);
    }
}
