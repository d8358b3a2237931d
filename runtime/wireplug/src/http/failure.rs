//! Why a service has not answered a request.

use wireplug_base::limited;

use crate::codec::Reason;

/// A request without a response of the service.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// What happened, for the log.
    pub(super) why: String,
    /// The URL at which it happened, if the request got so far.
    pub(super) url: Option<String>,
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The route has no path.
    Route,
    /// Too many requests are in flight.
    Busy,
    /// The URL has failed before, and is left out for a while.
    LeftOut,
    /// There is no connection, so nothing was sent.
    Unreachable,
    /// There is no response in time.
    Late,
    /// The connection broke, or the response is not valid HTTP.
    Broken,
    /// The response has a status that is not accepted, such as a redirect.
    Status,
    /// The response is too large.
    TooLarge,
}

impl Failure {
    pub(super) fn new(cause: Cause, why: impl Into<String>) -> Self {
        Self { cause, why: why.into(), url: None }
    }

    /// Returns the status that the client gets.
    pub(super) fn status(&self) -> u16 {
        match self.cause {
            Cause::Route => 404,
            Cause::Busy | Cause::LeftOut | Cause::Unreachable => 503,
            Cause::Late => 504,
            Cause::Broken | Cause::Status | Cause::TooLarge => 502,
        }
    }

    /// Returns whether the URL itself is at fault. A response that is too large or has a status
    /// that is not accepted is one of the application, and clients may be able to cause it.
    pub(super) fn is_of_url(&self) -> bool {
        matches!(self.cause, Cause::Unreachable | Cause::Late | Cause::Broken)
    }

    /// Writes the log line of a request that got this instead of a response.
    pub(super) fn log(&self, service: &str, route: &str) {
        let Self { cause, why, url } = self;
        let (route, why, url, status) = (Reason::new(route), Reason::new(why), url.as_deref(), self.status());
        match cause {
            // Clients cause the one. The other follows from failures that were logged.
            Cause::Route | Cause::LeftOut => {
                limited!(DEBUG, service, url, %route, status, %why, "a request to a service failed");
            }
            _ => limited!(WARN, service, url, %route, status, %why, "a request to a service failed"),
        }
    }

    /// Writes the log line of a request that goes to another URL after this.
    pub(super) fn log_retry(&self, service: &str, route: &str) {
        let (route, why, url) = (Reason::new(route), Reason::new(&self.why), self.url.as_deref());
        limited!(WARN, service, url, %route, %why, "a service is not reached at this URL: the request goes to another one");
    }
}
