//! The gateway as the soak starts it: a model of every kind, and time limits of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::target::{Programs, Target};
use crate::workload::Failure;

/// What the gateway waits for, in seconds.
#[derive(Clone, Copy)]
pub struct Limits {
    heartbeat: u32,
    first_token: u32,
    idle: u32,
    total: u32,
}

/// Short enough that a soak can wait for them.
pub const IMPATIENT: Limits = Limits { heartbeat: 1, first_token: 6, idle: 5, total: 40 };
/// Long enough for streams that say next to nothing.
pub const PATIENT: Limits = Limits { heartbeat: 15, first_token: 60, idle: 60, total: 86_400 };

/// No client of the soak stops reading for long. The kernel's limit also counts while a client
/// reads little by little and its window stays small, which on a busy machine can take a minute.
const WRITE_TIMEOUT: u32 = 300;

/// What is kept of streams is to be full, and to make room, long before the memory is compared.
const JOURNAL_BYTES: u32 = 4 << 20;

/// The access records, beside the configuration; those of the last soak are kept if they were not
/// what they should be.
pub const RECORDS: &str = "access.jsonl";

/// Starts it.
pub fn start(
    gateway: &Path,
    folder: &Path,
    upstream: SocketAddr,
    limits: Limits,
) -> Result<Target, Failure> {
    fs::create_dir_all(folder)?;
    for file in ["tidegate.log", RECORDS] {
        let _ = fs::remove_file(folder.join(file));
    }
    let closed = closed_address()?;
    let programs = Programs {
        gateway: gateway.to_owned(),
        nginx: PathBuf::new(),
        folder: fs::canonicalize(folder)?,
        upstream,
    };
    let records = programs.folder.join(RECORDS);
    let configuration = |address: SocketAddr| {
        configuration(address, upstream, closed, limits)
            + &format!("[access_log]\nlog = false\nfile = \"{}\"\n", records.display())
    };
    Ok(programs.gateway_with("0,1", configuration)?)
}

/// An address of which nobody listens as long as the process lives.
fn closed_address() -> Result<SocketAddr, Failure> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    let bound = TcpListener::from(socket);
    let address = bound.local_addr()?;
    // Held to the end: bound and never listening, connections to it are refused.
    std::mem::forget(bound);
    Ok(address)
}

fn configuration(
    address: SocketAddr,
    upstream: SocketAddr,
    closed: SocketAddr,
    limits: Limits,
) -> String {
    let port = address.port();
    let Limits { heartbeat, first_token, idle, total } = limits;
    let mut text = format!(
        "[server]\nport = {port}\nworkers = 2\nmax_streams = 20000\nheartbeat_seconds = {heartbeat}\nwrite_timeout_seconds = {WRITE_TIMEOUT}\n\
         [log]\nlevel = \"error\"\n\
         [journal]\nmax_bytes = {JOURNAL_BYTES}\n\
         [health]\ninterval_seconds = 3600\n"
    );
    let wide = "max_concurrency = 20000\nqueue_timeout_seconds = 20\n";
    // Few at a time: some wait, some wait too long, some find the queue full.
    let narrow = "max_concurrency = 2\nqueue_length = 3\nqueue_timeout_seconds = 1\n";
    for (name, provider, base_url, permits) in [
        ("openai", "openai", format!("http://{upstream}/v1"), wide),
        ("ollama", "ollama", format!("http://{upstream}"), wide),
        ("narrow", "openai", format!("http://{upstream}/v1"), narrow),
        ("refused-openai", "openai", format!("http://{closed}/v1"), wide),
        ("refused-ollama", "ollama", format!("http://{closed}"), wide),
    ] {
        let _ = write!(
            text,
            "[[models]]\nname = \"{name}\"\nprovider = \"{provider}\"\n\
             base_url = \"{base_url}\"\n{permits}max_line_bytes = 8192\n\
             first_token_timeout_seconds = {first_token}\nidle_timeout_seconds = {idle}\n\
             total_timeout_seconds = {total}\n"
        );
    }
    text
}
