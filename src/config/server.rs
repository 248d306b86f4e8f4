//! `[server]`: the listener, its limits, TLS and CORS.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::kind;
use super::section::Section;
use super::url::is_authority;

const HOST_NAME: &str = "a host's name without a port, or *";
const SIXTEEN_MIB: usize = 16 * 1024 * 1024;

/// The listener and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub host: IpAddr,
    /// 0 takes any free port.
    pub port: u16,
    /// 0 starts one worker per core.
    pub workers: usize,
    /// How many streams may run at a time, over all workers and models.
    pub max_streams: usize,
    /// Connections of one worker; further ones wait to be accepted.
    pub max_connections: usize,
    pub body_limit_bytes: usize,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// How long a request's head may take to arrive.
    pub header_timeout: Duration,
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
    /// A client that takes no bytes for so long is dropped.
    pub write_timeout: Duration,
    /// Time between comments on an idle event stream, and the latest moment its head is sent.
    pub heartbeat: Duration,
    /// How long running streams may go on after the gateway is asked to stop.
    pub drain_grace: Duration,
    /// What a connection buffers before it waits for its client.
    pub write_buffer_bytes: usize,
    /// What a stream holds for a slow client before its upstream is slowed.
    pub stream_buffer_bytes: usize,
    /// The longest answer that is collected for a client who did not ask for a stream.
    pub max_answer_bytes: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// None serves plain HTTP.
    pub tls: Option<Tls>,
    pub cors: Cors,
    /// Names under which pages may reach the gateway while no key is set; `*` allows every name.
    pub allowed_hosts: Vec<String>,
}

/// Files that make the listener speak TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// Which browser pages may call the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Empty sends no CORS headers; `*` alone allows every origin.
    pub allowed_origins: Vec<String>,
    /// How long a browser may remember a preflight's answer.
    pub max_age: Duration,
}

impl Server {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let host = section.get("host", &kind::ip_address(), localhost);
        let port = section.get("port", &kind::integer(0..=65_535), 3000);

        let mut integer = |key, default, range| section.get(key, &kind::integer(range), default);
        let workers = integer("workers", 0, 0..=256);
        let max_streams = integer("max_streams", 1000, 1..=1_000_000);
        let max_connections = integer("max_connections", 25_000, 1..=1_000_000);
        let body_limit_bytes = integer("body_limit_bytes", 1_048_576, 1..=104_857_600);
        let write_buffer_bytes = integer("write_buffer_bytes", 8192, 4096..=SIXTEEN_MIB);
        let stream_buffer_bytes = integer("stream_buffer_bytes", 4096, 4096..=SIXTEEN_MIB);
        let max_answer_bytes = integer("max_answer_bytes", 8_388_608, 4096..=1_073_741_824);

        let mut seconds =
            |key, default, max| section.get(key, &kind::seconds(max), Duration::from_secs(default));
        let body_timeout = seconds("body_timeout_seconds", 15, 600);
        let header_timeout = seconds("header_timeout_seconds", 5, 300);
        let keep_alive = seconds("keep_alive_seconds", 75, 3600);
        let write_timeout = seconds("write_timeout_seconds", 30, 3600);
        let heartbeat = seconds("heartbeat_seconds", 15, 300);
        let drain_grace = seconds("drain_grace_seconds", 30, 3600);

        Self {
            host,
            port,
            workers,
            max_streams,
            max_connections,
            body_limit_bytes,
            body_timeout,
            header_timeout,
            keep_alive,
            write_timeout,
            heartbeat,
            drain_grace,
            write_buffer_bytes,
            stream_buffer_bytes,
            max_answer_bytes,
            trusted_proxies: read_proxies(section),
            tls: section.section("tls", Tls::read),
            cors: section.section("cors", Cors::read),
            allowed_hosts: section.list("allowed_hosts", &kind::text(HOST_NAME, host_name)),
        }
    }
}

/// A name without its port; names are compared in small letters.
fn host_name(text: &str) -> Option<String> {
    let named = is_authority(text) && !text.contains(':');
    (text == "*" || named).then(|| text.to_ascii_lowercase())
}

/// Peers are compared in canonical form: `::ffff:10.0.0.1` is `10.0.0.1`.
fn read_proxies(section: &mut Section<'_>) -> Vec<IpAddr> {
    let addresses = section.list("trusted_proxies", &kind::ip_address());
    addresses.iter().map(IpAddr::to_canonical).collect()
}

impl Tls {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let certificate = section.optional("certificate", &kind::readable_file());
        let key = section.optional("key", &kind::readable_file());
        for (present, absent) in [("certificate", "key"), ("key", "certificate")] {
            if section.in_file(present).is_some() && section.in_file(absent).is_none() {
                section.missing(absent, format!("given where `{present}` is"));
            }
        }
        Some(Self { certificate: certificate?, key: key? })
    }
}

impl Cors {
    fn read(section: &mut Section<'_>) -> Self {
        let allowed_origins = section.list("allowed_origins", &kind::origin());
        if allowed_origins.len() > 1 && allowed_origins.iter().any(|origin| origin == "*") {
            section.conflict("allowed_origins", "\"*\" allows every origin and must stand alone");
        }
        let hour = Duration::from_secs(3600);
        Self {
            allowed_origins,
            max_age: section.get("max_age_seconds", &kind::seconds(86_400), hour),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn faults(text: &str) -> String {
        Config::parse(text, []).unwrap_err().to_string()
    }

    #[test]
    fn proxies_are_canonical() {
        let text = "[server]\ntrusted_proxies = [\"::ffff:10.0.0.1\", \"2001:db8::1\"]";
        let server = Config::parse(text, []).unwrap().config.server;
        let proxies: Vec<_> = server.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.0.0.1", "2001:db8::1"]);
    }

    #[test]
    fn tls_takes_both_files_and_they_are_there() {
        assert_eq!(
            faults("[server.tls]\nkey = \"Cargo.toml\"\n"),
            "server.tls.certificate (tidegate.toml:1): missing: must be given where `key` is"
        );
        let text = "[server.tls]\nkey = \"Cargo.toml\"\ncertificate = \"no/such.pem\"\n";
        assert_eq!(
            faults(text),
            "server.tls.certificate = \"no/such.pem\" (tidegate.toml:3): \
             must be the path of a readable file"
        );
        let text = "[server]\ntls = { key = \"Cargo.toml\", certificate = \"Cargo.toml\" }";
        assert!(Config::parse(text, []).unwrap().config.server.tls.is_some());
        assert!(Config::parse("", []).unwrap().config.server.tls.is_none());
    }

    #[test]
    fn any_origin_stands_alone_and_a_wrong_one_has_its_own_line() {
        let text = "[server.cors]\nallowed_origins = [\"*\", \"https://app.example\"]\n";
        assert!(faults(text).ends_with("\"*\" allows every origin and must stand alone"));
        let text =
            "[server.cors]\nallowed_origins = [\n  \"https://app.example\",\n  \"app\",\n]\n";
        let faults = faults(text);
        let expected = "server.cors.allowed_origins = \"app\" (tidegate.toml:4): must be an origin";
        assert!(faults.starts_with(expected), "{faults}");
    }
}
