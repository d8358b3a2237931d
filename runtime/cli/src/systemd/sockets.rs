//! Sockets that the service manager has opened for this process, as `sd_listen_fds(3)` of systemd
//! defines it: descriptors from number 3 on, whose count is in `LISTEN_FDS`.

use std::env;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use anyhow::{Context as _, ensure};
use rustix::io::{FdFlags, fcntl_setfd};
use wireplug::{InheritedSocket, InheritedSockets};

/// The number of the first descriptor.
const FIRST: RawFd = 3;

/// The most descriptors. The service manager has one for each address.
const MAX: RawFd = 1024;

/// Takes the sockets over. Returns none if the variables are those of another process. To be called
/// once, at the start of the process.
///
/// # Errors
/// Returns an error if the variables have no meaning, or a descriptor is not open.
pub(crate) fn take() -> anyhow::Result<InheritedSockets> {
    let variable = |name| env::var(name).ok();
    if variable("LISTEN_PID").is_none_or(|process| process != std::process::id().to_string()) {
        return Ok(InheritedSockets::default());
    }
    let Some(count) = variable("LISTEN_FDS") else { return Ok(InheritedSockets::default()) };
    let number = count.parse().ok().filter(|count| (0..=MAX).contains(count));
    let number: RawFd = number.with_context(|| format!("LISTEN_FDS is {count}, and not 0 to {MAX}"))?;
    (FIRST..FIRST + number).map(|number| Ok(InheritedSocket::of_manager(own(number)?))).collect()
}

/// Takes ownership of a descriptor.
#[allow(unsafe_code, reason = "nothing else passes descriptors by their numbers")]
fn own(number: RawFd) -> anyhow::Result<OwnedFd> {
    let is_open = Path::new("/proc/self/fd").join(number.to_string()).exists();
    ensure!(is_open, "LISTEN_FDS counts the descriptor {number}, which is not open");
    // SAFETY: The descriptor is open. `LISTEN_PID` says that the service manager has opened it for
    // this process, and for nothing else in it. `take` is called once, so nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    // Processes that compile codecs have no use for it.
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    Ok(socket)
}
