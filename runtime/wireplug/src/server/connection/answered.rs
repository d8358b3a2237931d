//! The responses of one turn that the server has not counted yet.

use std::sync::Arc;

use crate::server::ServerState;

/// Responses on one route with one status. Most clients send one kind of request at a time, so that
/// the server's counts are changed once for all requests of a turn.
#[derive(Debug, Default)]
pub(super) struct Answered {
    last: Option<Responses>,
}

#[derive(Debug)]
struct Responses {
    route: Arc<str>,
    status: u16,
    count: u64,
}

impl Answered {
    /// Adds a response.
    pub(super) fn add(&mut self, route: &Arc<str>, status: u16, server: &ServerState) {
        match &mut self.last {
            Some(last) if last.status == status && last.route == *route => last.count += 1,
            _ => {
                self.count(server);
                self.last = Some(Responses { route: Arc::clone(route), status, count: 1 });
            }
        }
    }

    /// Adds the responses to the counts of the server.
    pub(super) fn count(&mut self, server: &ServerState) {
        if let Some(Responses { route, status, count }) = self.last.take() {
            server.counters.answers.count(server.routes.server_type(&route), status, count);
        }
    }
}
