//! Which acknowledgements a client waits for, where its transport has them: a request's is sent
//! with its response.

/// The acknowledgements that a client waits for, by the numbers that it gave them.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// That of the message which is decoded next, or just now.
    current: Option<u64>,
    /// Those of requests that are not answered, by the requests' ids, in order.
    requests: Vec<(u64, u64)>,
}

impl Acks {
    /// The message that is decoded next wants this acknowledgement.
    pub(super) fn want(&mut self, ack: u64) {
        self.current = Some(ack);
    }

    /// The message that is decoded holds a request with this id, whose response is its
    /// acknowledgement.
    pub(super) fn requested(&mut self, id: u64) {
        if let Some(ack) = self.current.take() {
            self.requests.push((id, ack));
        }
    }

    /// Takes out the acknowledgement of a message that was decoded and held no request.
    pub(super) fn take_current(&mut self) -> Option<u64> {
        self.current.take()
    }

    /// Whether the response to the request with this id is an acknowledgement.
    pub(super) fn wants_response(&self, id: Option<u64>) -> bool {
        !self.requests.is_empty() && id.is_some_and(|id| self.requests.iter().any(|(known, _)| *known == id))
    }

    /// Takes out the acknowledgement that the response to the request with this id is.
    pub(super) fn take_response(&mut self, id: Option<u64>) -> Option<u64> {
        let at = self.requests.iter().position(|(known, _)| Some(*known) == id)?;
        Some(self.requests.remove(at).1)
    }
}
