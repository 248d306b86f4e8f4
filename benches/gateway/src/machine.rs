//! The machine: its cores, what processes use of it, and what it is called in a report.

use std::fs;
use std::io;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

/// Where everything runs. The gateway under test has its core to itself.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    pub gateway: usize,
    pub load: usize,
    pub upstream: usize,
}

impl Cores {
    /// With two cores, load and upstream share one.
    pub fn assign() -> io::Result<Self> {
        let count = thread::available_parallelism()?.get();
        if count < 2 {
            return Err(io::Error::other("needs two cores: one for the gateway, one for the load"));
        }
        Ok(Self { gateway: 0, load: 1, upstream: if count > 2 { 2 } else { 1 } })
    }
}

/// Keeps the calling thread on one core.
pub fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

/// Runs `body` in a thread that stays on one core.
pub fn spawn_pinned<T: Send + 'static>(
    core: usize,
    body: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<()> {
    let pinned = move || {
        pin(core)?;
        body()
    };
    thread::Builder::new().spawn(pinned).map(drop)
}

/// What a process and its children use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// On a core, since their start.
    pub cpu: Duration,
    /// Resident, in bytes.
    pub memory: u64,
}

/// Reads what the process and its children use.
pub fn usage(pid: u32) -> io::Result<Usage> {
    let mut all = Usage::default();
    for pid in family(pid)? {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        all.memory += resident(&status).unwrap_or(0) * 1024;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // "time on a core in ns, time waiting for one in ns, number of timeslices"
            let figures = match fs::read_to_string(task?.path().join("schedstat")) {
                // A thread that has ended since it was listed.
                Err(error) if is_gone(&error) => continue,
                figures => figures?,
            };
            let on_core = figures.split(' ').next().and_then(|first| first.parse().ok());
            all.cpu += Duration::from_nanos(on_core.unwrap_or(0));
        }
    }
    Ok(all)
}

fn is_gone(error: &io::Error) -> bool {
    let no_such_process = rustix::io::Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(no_such_process)
}

/// `VmRSS` of a process's status, in KiB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// The process and its children.
fn family(pid: u32) -> io::Result<Vec<u32>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    Ok(std::iter::once(pid).chain(children).collect())
}

/// Processor, kernel and the versions of what is compared.
pub fn describe(gateway: &str, nginx: &str) -> String {
    let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.unwrap_or("unknown processor").trim_start_matches([' ', '\t', ':']);
    // All of the machine's: this thread is pinned to one.
    let cores = cpu_info.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    let date = output("date", &["-u", "+%Y-%m-%d"]);
    let tidegate = output(gateway, &["--version"]);
    let nginx = output(nginx, &["-v"]);
    format!("{date}, {model}, {cores} cores, Linux {kernel}, {tidegate}, {nginx}")
}

/// What a command says of itself, on either stream.
fn output(command: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(command).args(arguments).output() else {
        return format!("{command} (unknown version)");
    };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).trim().replace("nginx version: nginx/", "nginx ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_is_seen_to_use_the_machine() {
        let pid = std::process::id();
        let before = usage(pid).unwrap();
        let mut work = vec![1_u8; 8 << 20];
        for byte in &mut work {
            *byte = byte.wrapping_mul(3);
        }
        let after = usage(pid).unwrap();
        assert_eq!(std::hint::black_box(&work)[0], 3);
        assert!(after.cpu > before.cpu && after.memory > 1 << 20, "{before:?} {after:?}");
    }

    #[test]
    fn the_resident_size_is_found_in_a_status() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    8448 kB\nThreads:\t3\n"), Some(8448));
        assert_eq!(resident("Name:\tx\n"), None);
    }
}
