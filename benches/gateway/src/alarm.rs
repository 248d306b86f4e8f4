//! Waiting until a moment, to the microsecond.
//!
//! The runtime's own timers tick once a millisecond: streams paced by them would all speak in the
//! same instants, and their gateway would find many of them ready at a time.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// Above this the runtime's timers are exact enough, and thousands of streams need no timer each.
const COARSE: Duration = Duration::from_millis(200);

/// One timer of the kernel, made when it is first needed and used again and again.
#[derive(Default)]
pub struct Alarm {
    timer: Option<AsyncFd<OwnedFd>>,
}

impl Alarm {
    /// Waits until `moment`; returns at once if it has passed.
    pub async fn until(&mut self, moment: Instant) -> io::Result<()> {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        if left > COARSE {
            tokio::time::sleep(left).await;
            return Ok(());
        }
        let timer = match self.timer.take() {
            Some(timer) => timer,
            None => create()?,
        };
        let timer = self.timer.insert(timer);
        timerfd_settime(&*timer, TimerfdTimerFlags::empty(), &once(left))?;
        loop {
            let mut ready = timer.readable().await?;
            let mut expirations = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut expirations)?));
            if let Ok(result) = read {
                return result.map(drop);
            }
        }
    }
}

#[allow(deprecated, reason = "its successor is unsafe; what it fears cannot be with an owned fd")]
fn create() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)
}

fn once(after: Duration) -> Itimerspec {
    let it_value = Timespec {
        tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: after.subsec_nanos().into(),
    };
    Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value }
}
