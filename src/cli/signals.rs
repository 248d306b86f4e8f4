//! The signals that end a command or have it wait: it gives up what it has begun before.

use std::fs;
use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that end a command.
pub const ENDS: [SignalKind; 4] =
    [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];
/// The one by which a shell has a command wait, as it does at Ctrl-Z.
pub const STOP: SignalKind = SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw());

/// The signals that have come.
pub struct Signals(Vec<(SignalKind, Signal)>);

impl Signals {
    /// Listens from here on. What the program was started to ignore stays ignored: `nohup` has it live
    /// on when its terminal is closed, and a shell without job control its background when Ctrl-C is pressed.
    #[must_use]
    pub fn listen(kinds: impl IntoIterator<Item = SignalKind>) -> Self {
        let ignored = ignored();
        let kinds = kinds.into_iter();
        let heard = kinds.filter(|kind| ignored >> (kind.as_raw_value() - 1) & 1 == 0);
        Self(heard.filter_map(|kind| Some((kind, signal(kind).ok()?))).collect())
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> SignalKind {
        poll_fn(|context| {
            let mut come = self.0.iter_mut().filter_map(|(kind, signal)| {
                matches!(signal.poll_recv(context), Poll::Ready(Some(()))).then_some(*kind)
            });
            come.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// The signals that are ignored, a bit for each, where the system tells them.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
