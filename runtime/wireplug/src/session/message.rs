//! One message of the application.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{MessageRef, Role};

/// One message of the application to a client. Cheap to clone: route and body are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(crate) role: Role,
    /// The id of a request or response; 0 in a push.
    pub(crate) id: u64,
    /// The route: `on<Event>` in a push, and the route of the request in its response.
    pub route: Arc<str>,
    /// The payload.
    pub body: Bytes,
    /// The status of a response, as in HTTP; 200 in any other message.
    pub(crate) status: u16,
}

impl Message {
    /// Creates a push: a message that expects no answer.
    pub fn push(route: impl Into<Arc<str>>, body: impl Into<Bytes>) -> Self {
        Self { role: Role::Notice, id: 0, route: route.into(), body: body.into(), status: MessageRef::OK }
    }

    /// Creates a request to the client.
    pub(crate) fn request(id: u64, route: Arc<str>, body: Bytes) -> Self {
        Self { role: Role::Request, id, route, body, status: MessageRef::OK }
    }

    /// Creates the response to the request with this id. The contract with codecs allows the
    /// statuses 100 to 599. Any other status of the application becomes 500.
    pub(crate) fn response(id: u64, route: Arc<str>, status: u16, body: Bytes) -> Self {
        let status = if (100..600).contains(&status) { status } else { MessageRef::FAILED };
        Self { role: Role::Response, id, route, body, status }
    }

    /// Returns the memory that the message takes up while it waits, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.route.len() + self.body.len()
    }
}

impl<'a> From<&'a Message> for MessageRef<'a> {
    fn from(Message { role, id, route, body, status }: &'a Message) -> Self {
        MessageRef { role: *role, id: *id, route, body, status: *status }
    }
}
