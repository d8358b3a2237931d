//! The access log: a line for each connection that ended, and for each request if that is switched
//! on.

use std::sync::atomic::{AtomicU8, Ordering};

use tracing::{Level, debug, enabled, error, info, warn};

use super::serving::Known;
use crate::app::{Logged, Response};
use crate::codec::Reason;
use crate::config::LoggedAccess;
use crate::session::{CloseReason, Session, VitalCounts};
use wireplug_base::LogLimit;

/// The target of the lines.
const TARGET: &str = "wireplug::access";

/// The most lines in a second if the operator has switched them on for all connections. A reader
/// takes them as fast as that; more of them would keep other lines out of the queue.
const LINES_A_SECOND: u32 = 5000;

/// The access log of a server.
pub(super) struct AccessLog {
    /// A [`LoggedAccess`].
    which: AtomicU8,
    /// Limits the lines of connections that did not end by their client.
    abnormal: LogLimit,
    /// Limits the lines at level `debug` of connections that the client closed.
    ordinary: LogLimit,
    /// Limits the lines of connections, if all of them are logged.
    connections: LogLimit,
    requests: LogLimit,
}

impl AccessLog {
    pub(super) fn new(which: LoggedAccess) -> Self {
        let switched_on = || LogLimit::per_second(LINES_A_SECOND);
        Self {
            which: AtomicU8::new(which as u8),
            abnormal: LogLimit::new(),
            ordinary: LogLimit::new(),
            connections: switched_on(),
            requests: switched_on(),
        }
    }

    pub(super) fn set(&self, which: LoggedAccess) {
        self.which.store(which as u8, Ordering::Relaxed);
    }

    fn logs(&self, which: LoggedAccess) -> bool {
        self.which.load(Ordering::Relaxed) >= which as u8
    }

    /// Returns whether requests are logged.
    pub(super) fn logs_requests(&self) -> bool {
        self.logs(LoggedAccess::Requests) && enabled!(target: TARGET, Level::INFO)
    }

    /// Logs a connection that ended.
    pub(super) fn connection(&self, known: &Known, reason: &CloseReason) {
        let all = self.logs(LoggedAccess::Connections);
        let is_ordinary = *reason == CloseReason::ClientClosed;
        if is_ordinary && !all && !enabled!(target: TARGET, Level::DEBUG) {
            return;
        }
        let limit = match (all, is_ordinary) {
            (true, _) => &self.connections,
            (false, true) => &self.ordinary,
            (false, false) => &self.abnormal,
        };
        let Some(left_out) = limit.admit() else { return };
        let left_out = (left_out > 0).then_some(left_out);
        if !is_ordinary && let Some(left_out) = left_out {
            warn!(left_out, "more connections ended than the log has lines for: the counts have them all");
        }
        let cause = reason.cause();
        let session = known.session.as_ref();
        let user = session.and_then(Session::user);
        let user = user.as_ref().map(|user| Reason::new(&**user));
        let user = user.as_ref().map(Reason::as_str);
        let transport = known.transport;
        let generation = known.generation;
        let duration_seconds = known.since.elapsed().as_secs_f64();
        let counts = session.map(|session| session.vitals().counts()).unwrap_or_default();
        let VitalCounts { packets_in, packets_out, messages_in, messages_out, bytes_in, bytes_out, .. } =
            counts;
        macro_rules! closed {
            ($level:ident) => {
                $level!(
                    target: TARGET,
                    left_out,
                    cause,
                    %reason,
                    transport,
                    generation,
                    user,
                    duration_seconds,
                    packets_in,
                    packets_out,
                    messages_in,
                    messages_out,
                    bytes_in,
                    bytes_out,
                    "closed"
                )
            };
        }
        match reason {
            CloseReason::Internal => closed!(error),
            CloseReason::CodecFault(_) => closed!(warn),
            CloseReason::ClientClosed if !all => closed!(debug),
            _ => closed!(info),
        }
    }

    /// Logs a request or a notification that was handled.
    pub(super) fn request(&self, session: &Session, request: &Logged, answer: &Response) {
        let Some(left_out) = self.requests.admit() else { return };
        let left_out = (left_out > 0).then_some(left_out);
        let user = session.user().map(|user| Reason::new(&*user));
        info!(
            target: TARGET,
            left_out,
            request = request.id,
            route = %Reason::new(&*request.route),
            status = answer.status,
            duration_seconds = request.since.elapsed().as_secs_f64(),
            bytes_in = request.bytes,
            bytes_out = answer.body.len(),
            user = user.as_ref().map(Reason::as_str),
            "request"
        );
    }
}
