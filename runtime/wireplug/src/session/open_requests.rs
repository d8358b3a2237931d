//! The requests of the application that wait for a response of the client.
//!
//! A protocol may allow only so many unanswered requests at a time. The others are held back here,
//! in the order of the calls, while pushes go on.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Message;
use super::request::{ClientResponse, RequestError};

/// The requests to one client that wait for a response.
#[derive(Debug)]
pub(super) struct OpenRequests {
    /// The id of the latest request. Ids count from 1, fit 32 bits, and are never used again in a
    /// session.
    last: u32,
    open: BTreeMap<u64, OpenRequest>,
    /// The largest number of open requests.
    max: usize,
    /// The open requests that the protocol does not allow yet.
    held: VecDeque<Message>,
    /// How many unanswered requests the protocol allows at a time. 0 if the codec takes no requests
    /// to the client.
    max_sent: usize,
    /// Whether no response can come any more.
    is_closed: bool,
    /// Requests that the codec has encoded and that nobody waits for any more.
    abandoned: VecDeque<u64>,
}

#[derive(Debug)]
struct OpenRequest {
    answer: oneshot::Sender<Result<ClientResponse, RequestError>>,
    /// Whether the codec has got the request.
    is_encoded: bool,
}

/// Receives the response to a request.
pub(super) type Answer = oneshot::Receiver<Result<ClientResponse, RequestError>>;

/// What a response from the client is to the requests of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matched {
    /// The response to an open request.
    Open,
    /// The response to a request that is open no more.
    Late,
    /// The response to no request.
    Unknown,
}

impl OpenRequests {
    pub(super) fn new(max: usize) -> Self {
        Self {
            last: 0,
            open: BTreeMap::new(),
            max,
            held: VecDeque::new(),
            max_sent: 0,
            is_closed: false,
            abandoned: VecDeque::new(),
        }
    }

    /// Returns whether no request waits for a response, and the codec has nothing to learn.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.abandoned.is_empty()
    }

    /// Returns the id of the latest request, or 0.
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// Continues with the ids of a session from another process.
    pub(super) fn resume(&mut self, last: u32) {
        self.last = last;
    }

    /// Returns how many requests wait for a response.
    #[cfg(feature = "control")]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Sets the largest number of open requests.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Sets how many unanswered requests the protocol allows at a time.
    pub(super) fn set_max_sent(&mut self, max_sent: usize) {
        self.max_sent = max_sent;
    }

    /// Holds back a request that has just been opened, if the protocol does not allow it yet.
    /// Otherwise returns the request, which may be sent.
    pub(super) fn hold(&mut self, request: Message) -> Option<Message> {
        // This request is open already.
        if self.sent() <= self.max_sent {
            return Some(request);
        }
        self.held.push_back(request);
        None
    }

    /// Returns the next request that was held back, if the protocol allows it now. A codec without
    /// requests to the client gets them all, so that they fail.
    pub(super) fn release(&mut self) -> Option<Message> {
        if self.max_sent > 0 && self.sent() >= self.max_sent {
            return None;
        }
        self.held.pop_front()
    }

    /// Returns how many requests wait in the outbox or were sent. An abandoned request counts until
    /// the codec has learned of it.
    fn sent(&self) -> usize {
        self.open.len() - self.held.len() + self.abandoned.len()
    }

    /// Returns the size of the requests that are held back, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.iter().map(Message::size).sum()
    }

    /// Opens a request, and returns its id.
    ///
    /// # Errors
    /// Returns an error if the codec takes no requests, too many are open, or all ids are used.
    pub(super) fn open(&mut self) -> Result<(u64, Answer), RequestError> {
        if self.is_closed {
            return Err(RequestError::Closed);
        }
        if self.max_sent == 0 {
            return Err(RequestError::Unsupported);
        }
        if self.open.len() >= self.max {
            return Err(RequestError::TooMany { max: self.max });
        }
        self.last = self.last.checked_add(1).ok_or(RequestError::NoIds)?;
        let (answer, answered) = oneshot::channel();
        let id = u64::from(self.last);
        self.open.insert(id, OpenRequest { answer, is_encoded: false });
        Ok((id, answered))
    }

    /// Notes that the codec gets a request now. Returns false if nobody waits for the request any
    /// more.
    pub(super) fn encoding(&mut self, id: u64) -> bool {
        let Some(request) = self.open.get_mut(&id) else { return false };
        request.is_encoded = true;
        true
    }

    /// Passes a response on to the sender of its request.
    pub(super) fn answer(&mut self, id: u64, status: u16, body: Bytes) -> Matched {
        // A client may guess the id of a request that the codec has not got yet.
        if self.open.get(&id).is_some_and(|request| !request.is_encoded) {
            return Matched::Unknown;
        }
        match self.open.remove(&id) {
            Some(request) => {
                // The sender may have given up at this moment.
                let _ = request.answer.send(Ok(ClientResponse { status, body }));
                Matched::Open
            }
            None if (1..=u64::from(self.last)).contains(&id) => Matched::Late,
            None => Matched::Unknown,
        }
    }

    /// Ends a request that cannot be sent.
    pub(super) fn fail(&mut self, id: u64, error: RequestError) {
        match self.open.remove(&id) {
            Some(request) => drop(request.answer.send(Err(error))),
            // The sender gave up while the codec was asked. The codec has no such request.
            None => self.abandoned.retain(|abandoned| *abandoned != id),
        }
    }

    /// Ends a request for which nobody waits any more. Returns whether the codec has got it, and so
    /// must learn this; or `None` if the request had ended before.
    pub(super) fn abandon(&mut self, id: u64) -> Option<bool> {
        let OpenRequest { is_encoded, .. } = self.open.remove(&id)?;
        self.held.retain(|request| request.id != id);
        if is_encoded {
            self.abandoned.push_back(id);
        }
        Some(is_encoded)
    }

    /// Takes out the first of the requests that were abandoned after the codec had got them. Also
    /// returns whether there are others.
    pub(super) fn take_abandoned(&mut self) -> (Option<u64>, bool) {
        (self.abandoned.pop_front(), !self.abandoned.is_empty())
    }

    /// Ends all requests, because the connection has ended.
    pub(super) fn close(&mut self) {
        // Whoever waits learns from the dropped sender that the connection has ended.
        self.is_closed = true;
        self.open.clear();
        self.held = VecDeque::new();
        self.abandoned = VecDeque::new();
    }
}
