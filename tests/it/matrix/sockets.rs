//! Sockets that nobody closed.

use std::collections::HashSet;
use std::fs;

use tokio::time::Instant;

use crate::upstream::PATIENCE;

const LISTEN: &str = "0A";
const TIME_WAIT: &str = "06";

/// Waits until no connection from or to `ports` is left, and no file descriptor of a socket that
/// is connected to nothing; gives how many are left when patience ends.
///
/// Other tests of the process have such descriptors for a moment: only those that stay count.
pub async fn left_over(ports: &[u16]) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = connections(ports) + dead();
        if left == 0 || Instant::now() > deadline {
            return left;
        }
        tokio::task::yield_now().await;
    }
}

fn table(name: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    let rows = text.lines().skip(1);
    rows.map(|row| row.split_whitespace().map(str::to_owned).collect()).collect()
}

fn connections(ports: &[u16]) -> usize {
    let ports: Vec<String> = ports.iter().map(|port| format!(":{port:04X}")).collect();
    let is_ours = |address: &String| ports.iter().any(|port| address.ends_with(port));
    let rows = ["tcp", "tcp6"].into_iter().flat_map(table);
    rows.filter(|row| {
        (is_ours(&row[1]) || is_ours(&row[2])) && row[3] != LISTEN && row[3] != TIME_WAIT
    })
    .count()
}

/// Sockets of this process that are in no table of the kernel's: reset, and never closed.
fn dead() -> usize {
    let open: Vec<String> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let link = link.to_string_lossy().into_owned();
            Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut known: HashSet<String> = HashSet::new();
    for (name, column) in [("tcp", 9), ("tcp6", 9), ("udp", 9), ("udp6", 9), ("unix", 6)] {
        known.extend(table(name).into_iter().filter_map(|row| row.get(column).cloned()));
    }
    open.iter().filter(|inode| !known.contains(*inode)).count()
}
