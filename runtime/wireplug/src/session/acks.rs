//! The acknowledgements that a client waits for, if its transport has any. A request is
//! acknowledged by its response.

/// The acknowledgements that a client waits for, by the numbers that the client gave them.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// The acknowledgement of the message that is decoded next, or that is being decoded.
    current: Option<u64>,
    /// The requests that are not answered yet, in order: the id of each and its acknowledgement.
    requests: Vec<(u64, u64)>,
}

impl Acks {
    /// Returns whether the client waits for none.
    pub(super) fn is_empty(&self) -> bool {
        self.current.is_none() && self.requests.is_empty()
    }

    /// Notes that the client wants this acknowledgement for the message that is decoded next.
    pub(super) fn want(&mut self, ack: u64) {
        self.current = Some(ack);
    }

    /// Notes that the message being decoded holds a request with this id. The response to the
    /// request is then the acknowledgement of the message.
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
    pub(super) fn wants_response(&self, id: u64) -> bool {
        self.requests.iter().any(|(known, _)| *known == id)
    }

    /// Takes out the acknowledgement that is sent with the response to the request with this id.
    pub(super) fn take_response(&mut self, id: u64) -> Option<u64> {
        let at = self.requests.iter().position(|(known, _)| *known == id)?;
        Some(self.requests.remove(at).1)
    }
}
