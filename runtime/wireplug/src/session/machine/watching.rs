//! The observer of a session that is watched.

use std::any::Any;

use super::Machine;
use crate::codec::Instant;
use crate::session_trace::Watch;
use wireplug_core::framing::Packets;

impl Machine {
    /// Returns whether the session is watched.
    pub(crate) fn is_watched(&self) -> bool {
        self.driver.is_observed()
    }

    /// Returns what watches the session.
    pub(crate) fn watch_mut(&mut self) -> Option<&mut Watch> {
        let observer: &mut dyn Any = self.driver.observer_mut()?;
        observer.downcast_mut()
    }

    /// Sets what watches the session from now on.
    pub(crate) fn set_watch(&mut self, watch: Option<Box<Watch>>) {
        self.driver.set_observer(watch.map(|watch| watch as _));
    }

    /// Returns when the codec's timer is due, in milliseconds of session time, whatever else goes
    /// on.
    pub(crate) fn timer(&self) -> Option<u64> {
        self.driver.timer()
    }

    /// Notes that the session continues in another sandbox, which was opened with this random seed.
    pub(crate) fn restored(&mut self, random_seed: &[u8; 32], now: Instant) {
        self.driver.observe_restored(random_seed, now);
    }

    /// Reports the packets of a push to many, which the codec of this session has not encoded.
    pub(super) fn report_shared(&mut self, route: &str, packets: &Packets) {
        if self.is_watched()
            && let Some(watch) = self.watch_mut()
        {
            packets.iter().for_each(|packet| watch.shared(route, packet));
        }
    }
}
