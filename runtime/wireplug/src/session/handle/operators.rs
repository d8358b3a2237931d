//! What operators see of a session, and what they ask of its task.

#[cfg(feature = "control")]
use std::collections::BTreeMap;
#[cfg(feature = "control")]
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[cfg(feature = "control")]
use super::CLOSE;
use super::{ORDERS, Session};
use crate::session::Vitals;
use crate::session_trace::Order;

impl Session {
    /// Returns what the connection's task publishes for operators.
    pub(crate) fn vitals(&self) -> &Vitals {
        &self.0.vitals
    }

    /// Returns whether the connection is about to end.
    #[cfg(feature = "control")]
    pub(crate) fn is_closing(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed) & CLOSE != 0 || self.is_leaving() || self.is_closed()
    }

    /// Returns the settings that the application keeps with the session.
    #[cfg(feature = "control")]
    pub(crate) fn settings(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        self.with_profile(|profile| profile.settings.clone())
    }

    /// Asks the connection's task to do something about traces.
    pub(crate) fn order(&self, order: Order) {
        let mut state = self.lock();
        state.orders.push(order);
        self.0.wanted.fetch_or(ORDERS, Ordering::Relaxed);
        drop(state);
        self.0.task.wake();
    }

    /// Returns whether [`Session::take_orders`] would return orders. The task reads the same flags
    /// for [`Session::close_wanted`].
    pub(crate) fn has_orders(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed) & ORDERS != 0
    }

    /// Takes out what the task is asked to do about traces.
    pub(crate) fn take_orders(&self) -> Vec<Order> {
        let mut state = self.lock();
        self.0.wanted.fetch_and(!ORDERS, Ordering::Relaxed);
        std::mem::take(&mut state.orders)
    }
}
