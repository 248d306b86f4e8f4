//! What is measured, as processes: the gateway and nginx, started with configurations of their
//! own and ended when they are dropped.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::machine::{self, Usage};

/// How long a process may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is asked to end, every tenth of a second, before it is killed.
const ENDING: u32 = 50;

/// The programs, and where their files go.
#[derive(Clone, Debug)]
pub struct Programs {
    pub gateway: PathBuf,
    pub nginx: PathBuf,
    pub folder: PathBuf,
    pub upstream: SocketAddr,
}

/// A process that listens.
pub struct Target {
    pub address: SocketAddr,
    /// When it was started.
    pub started: Instant,
    child: Child,
}

impl Programs {
    /// Starts the gateway on those cores ("0" or "0,1"), with a worker for each.
    pub fn gateway(&self, cores: &str) -> io::Result<Target> {
        let workers = cores.split(',').count();
        self.gateway_with(cores, |address| gateway_configuration(address, self.upstream, workers))
    }

    /// Starts the gateway with the configuration that is made for its address.
    pub fn gateway_with(
        &self,
        cores: &str,
        configuration: impl FnOnce(SocketAddr) -> String,
    ) -> io::Result<Target> {
        let address = free_address()?;
        let file = self.folder.join("tidegate.toml");
        fs::write(&file, configuration(address))?;
        let mut command = pinned(cores, &self.gateway);
        command.arg("--config").arg(file).env_clear();
        Target::start(command, address, &self.folder.join("tidegate.log"))
    }

    /// Starts nginx with one worker on those cores.
    pub fn nginx(&self, cores: &str) -> io::Result<Target> {
        let address = free_address()?;
        let file = self.folder.join("nginx.conf");
        fs::write(&file, nginx_configuration(address, self.upstream, &self.folder))?;
        let log = self.folder.join("nginx.log");
        let mut command = pinned(cores, &self.nginx);
        command.arg("-p").arg(&self.folder).arg("-e").arg(&log).arg("-c").arg(file);
        Target::start(command, address, &log)
    }
}

impl Target {
    fn start(mut command: Command, address: SocketAddr, log: &Path) -> io::Result<Self> {
        let errors = fs::File::options().create(true).append(true).open(log)?;
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn()?;
        let mut target = Self { address, started, child };
        target.listening().map_err(|error| {
            io::Error::other(format!("{command:?}: {error}; see {}", log.display()))
        })?;
        Ok(target)
    }

    fn listening(&mut self) -> io::Result<()> {
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("ended with {status}")));
            }
            if self.started.elapsed() > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// How many files it has open.
    pub fn open_files(&self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    pub fn usage(&self) -> io::Result<Usage> {
        machine::usage(self.child.id())
    }
}

impl Drop for Target {
    /// Asks it to end, as nginx ends its worker itself; who does not heed that is killed. The
    /// gateway waits for its clients at the first signal and ends at the next.
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        for _ in 0..ENDING {
            if let Some(pid) = pid {
                let _ = kill_process(pid, Signal::TERM);
            }
            for _ in 0..50 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that stays on those cores, and ends when this process does.
fn pinned(cores: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "-c", cores]).arg(program);
    command
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn gateway_configuration(address: SocketAddr, upstream: SocketAddr, workers: usize) -> String {
    let port = address.port();
    format!(
        r#"[server]
port = {port}
workers = {workers}
max_streams = 20000

[log]
level = "warn"

[[models]]
name = "openai"
provider = "openai"
base_url = "http://{upstream}/v1"
max_concurrency = 100000

[[models]]
name = "ollama"
provider = "ollama"
base_url = "http://{upstream}"
max_concurrency = 100000
"#
    )
}

fn nginx_configuration(address: SocketAddr, upstream: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/temp;
    proxy_temp_path {folder}/temp;
    fastcgi_temp_path {folder}/temp;
    uwsgi_temp_path {folder}/temp;
    scgi_temp_path {folder}/temp;
    upstream models {{
        server {upstream};
        keepalive 512;
        keepalive_requests 1000000;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://models;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}
"
    )
}
