//! The program itself, in a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{Instant, timeout};

use crate::client::Client;
use crate::upstream::PATIENCE;

/// A gateway in a process of its own, which logs JSON.
pub struct Process {
    child: tokio::process::Child,
    pub client: Client,
    log: Arc<Mutex<Vec<String>>>,
    reader: actix_rt::task::JoinHandle<()>,
}

impl Process {
    /// Starts it with the configuration's text, and has it log everything.
    pub async fn start(toml: &str) -> Self {
        Self::start_logging("trace", toml).await
    }

    /// The same, logging what is of that level.
    pub async fn start_logging(level: &str, toml: &str) -> Self {
        Self::start_with(&[("LOG_LEVEL", level)], toml).await
    }

    /// The same, with an environment of its own.
    pub async fn start_with(environment: &[(&str, &str)], toml: &str) -> Self {
        let file = std::env::temp_dir().join(format!("tidegate-{}.toml", rand::random::<u64>()));
        write(&file, toml);
        let process = Self::start_from(&file, environment).await;
        std::fs::remove_file(file).unwrap();
        process
    }

    /// The same, with a file that somebody else has written, by [`write`], and may write again.
    pub async fn start_from(file: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .arg("--config")
            .arg(file)
            .env_clear()
            .env("PORT", "0")
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let address = timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the gateway starts");
                let address = listening_address(&line);
                log.lock().unwrap().push(line);
                if let Some(address) = address {
                    return address;
                }
            }
        });
        let address = address.await.unwrap();
        let rest = Arc::clone(&log);
        let reader = actix_rt::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                rest.lock().unwrap().push(line);
            }
        });
        Self { child, client: Client::new(address), log, reader }
    }

    /// Waits until a line that it logs has all of `words`.
    pub async fn logs(&self, words: &[&str]) -> String {
        let has_all = |line: &&String| words.iter().all(|word| line.contains(word));
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log.lock().unwrap().iter().find(has_all) {
                return line.clone();
            }
            assert!(Instant::now() < deadline, "never logged: {words:?}");
            tokio::task::yield_now().await;
        }
    }

    /// Sends a signal: TERM, INT, HUP.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Its resident memory.
    pub fn resident_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Waits for the end; gives the exit code and all that was logged.
    pub async fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        self.reader.await.unwrap();
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        (status.code(), log)
    }

    /// Asks the process to stop; gives its exit code and all it logged.
    pub async fn terminate(self) -> (Option<i32>, Vec<String>) {
        self.signal("TERM");
        self.ended().await
    }
}

/// Writes a configuration that logs JSON, in one step as seen by who reads the file.
pub fn write(file: &Path, toml: &str) {
    let draft = file.with_extension("draft");
    std::fs::write(&draft, format!("{toml}\n[log]\nformat = \"json\"\n")).unwrap();
    std::fs::rename(draft, file).unwrap();
}

fn listening_address(line: &str) -> Option<SocketAddr> {
    let said: Value = serde_json::from_str(line).ok()?;
    said["message"].as_str()?.strip_prefix("listening on http://")?.parse().ok()
}
