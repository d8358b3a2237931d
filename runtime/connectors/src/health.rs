//! Whether a server is alive and ready, for health checks.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_tungstenite::tungstenite::http::{Method, StatusCode};

/// The health of a server. A clone is the same health.
///
/// The server sets it, and whoever answers health checks reads it: `/livez` is answered with 200 as
/// long as the process answers, and `/readyz` only while the server takes clients.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<Phase>>);

/// Finds out why a server that runs is not ready.
type Problem = Box<dyn Fn() -> Option<String> + Send>;

#[derive(Default)]
enum Phase {
    #[default]
    Starting,
    Running(Problem),
    Draining,
    Stopping,
}

/// An answer to a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthAnswer {
    /// Whether the status is 200. Otherwise it is 503.
    pub is_good: bool,
    /// The body: `ok`, or why the server is not ready.
    pub text: String,
}

impl HealthAnswer {
    /// The methods of a health check, for the header field `Allow`.
    pub const ALLOW: &'static str = "GET, HEAD, OPTIONS";

    /// Returns the status of the answer to a request with this method: 200, 503, or 405.
    pub fn status(&self, method: &Method) -> StatusCode {
        match *method {
            Method::GET | Method::HEAD if !self.is_good => StatusCode::SERVICE_UNAVAILABLE,
            Method::GET | Method::HEAD | Method::OPTIONS => StatusCode::OK,
            _ => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

impl Health {
    /// The paths of health checks.
    pub const PATHS: [&str; 2] = ["/livez", "/readyz"];

    /// Notes that the server accepts clients. `problem` returns why it is not ready in spite of
    /// that, such as a lost connection.
    pub fn set_running(&self, problem: impl Fn() -> Option<String> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Running(Box::new(problem));
    }

    /// Notes that the server takes no more clients.
    pub fn set_draining(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Draining;
    }

    /// Notes that the server ends.
    pub fn set_stopping(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Stopping;
    }

    /// Returns the answer to a check at this path, or `None` if it is another path.
    pub fn answer(&self, path: &str) -> Option<HealthAnswer> {
        let problem = match path {
            "/livez" => None,
            "/readyz" => self.problem(),
            _ => return None,
        };
        let is_good = problem.is_none();
        Some(HealthAnswer { is_good, text: problem.unwrap_or_else(|| "ok".to_owned()) })
    }

    /// Returns why the server is not ready.
    pub fn problem(&self) -> Option<String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Starting => Some("the server is starting".to_owned()),
            Phase::Running(problem) => problem(),
            Phase::Draining => Some("the server is draining".to_owned()),
            Phase::Stopping => Some("the server is stopping".to_owned()),
        }
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("problem", &self.problem()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_only_while_it_runs_without_a_problem() {
        let health = Health::default();
        let ready = || health.answer("/readyz").map(|answer| (answer.is_good, answer.text));
        let says = |good, text: &str| Some((good, text.to_owned()));
        assert_eq!(ready(), says(false, "the server is starting"));
        health.set_running(|| None);
        assert_eq!(ready(), says(true, "ok"));
        health.set_running(|| Some("NATS is not reached".to_owned()));
        assert_eq!(ready(), says(false, "NATS is not reached"));
        health.set_draining();
        assert_eq!(ready(), says(false, "the server is draining"));
        health.set_stopping();
        assert_eq!(ready(), says(false, "the server is stopping"));
        assert!(health.answer("/livez").is_some_and(|answer| answer.is_good));
        assert_eq!(health.answer("/livez/"), None);
    }

    #[test]
    fn the_status_depends_on_the_method() {
        let status = |is_good, method| {
            let answer = HealthAnswer { is_good, text: String::new() };
            answer.status(&method).as_u16()
        };
        for method in [Method::GET, Method::HEAD] {
            assert_eq!([status(true, method.clone()), status(false, method)], [200, 503]);
        }
        assert_eq!([status(true, Method::OPTIONS), status(false, Method::OPTIONS)], [200, 200]);
        assert_eq!([status(true, Method::POST), status(false, Method::DELETE)], [405, 405]);
    }
}
