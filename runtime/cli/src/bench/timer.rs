//! A timer with a resolution of a microsecond. Tokio's timer has a resolution of a millisecond, and
//! its delay would count as latency.

use std::io;
use std::time::Instant;

#[cfg(target_os = "linux")]
pub(super) struct Timer(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>);

#[cfg(target_os = "linux")]
impl Timer {
    #[expect(deprecated, reason = "its successor is unsafe; with a descriptor that is owned both are sound")]
    pub(super) fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self(tokio::io::unix::AsyncFd::with_interest(timer, tokio::io::Interest::READABLE)?))
    }

    pub(super) async fn sleep_until(&self, time: Instant) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        while let Some(rest) = time.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            let once = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: Timespec { tv_sec: rest.as_secs() as _, tv_nsec: rest.subsec_nanos().into() },
            };
            // The timer is not read: setting it again also makes it wait again.
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            self.0.readable().await?.clear_ready();
        }
        Ok(())
    }
}

/// Tokio's timer, because other systems have no timerfd.
#[cfg(not(target_os = "linux"))]
pub(super) struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn sleep_until(&self, time: Instant) -> io::Result<()> {
        tokio::time::sleep_until(time.into()).await;
        Ok(())
    }
}
