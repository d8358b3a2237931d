//! What takes the place of traces without the feature `otel`.

use std::time::SystemTime;

use crate::app::Request;
use crate::session::{CloseReason, Session};

/// Traces nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces(());

/// A connection that is not traced.
#[derive(Default)]
pub(crate) struct ConnectionTrace(());

/// A link to a connection that is not traced.
#[derive(Default)]
pub(crate) struct Link;

/// The trace of a request. There is none.
#[derive(Debug)]
pub(crate) struct RequestTrace(());

/// What [`RequestTrace::attach`] returns. As with traces, its end is the end of the span.
pub(crate) struct Attached(());

/// The place of a request's trace in a [`Request`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(());

impl Traces {
    pub(crate) fn connection(&self, _: &Session, _: &str, _: &str, _: SystemTime) -> ConnectionTrace {
        ConnectionTrace(())
    }

    pub(crate) fn request(&self, _: &Link, _: &mut Request) -> Option<Box<RequestTrace>> {
        None
    }
}

impl ConnectionTrace {
    pub(crate) fn link(&self) -> Link {
        Link
    }

    pub(crate) fn end(&mut self, _: &Session, _: Option<u64>, _: &CloseReason) {}
}

impl RequestTrace {
    pub(crate) fn begin_handler(&mut self, _: &mut Request) {}

    pub(crate) fn attach(&self) -> Attached {
        Attached(())
    }

    pub(crate) fn end(&self, _: &Session, _: u16) {}
}

impl Drop for Attached {
    fn drop(&mut self) {}
}

#[cfg(any(feature = "http", feature = "nats"))]
pub(crate) struct ServiceTrace;

#[cfg(any(feature = "http", feature = "nats"))]
impl Trace {
    #[cfg(feature = "nats")]
    pub(crate) fn nats(&self, _: &str, _: &str, _: bool) -> ServiceTrace {
        ServiceTrace
    }

    #[cfg(feature = "http")]
    pub(crate) fn http(&self, _: &str, _: &str) -> ServiceTrace {
        ServiceTrace
    }
}

#[cfg(any(feature = "http", feature = "nats"))]
impl ServiceTrace {
    pub(crate) fn inject(&self, _: impl FnMut(&str, &str)) {}

    pub(crate) fn end(&self, _: u16) {}
}
