//! One message of the application.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::MessageRef;

/// One message of the application, on its way in or out. Cheap to clone: route and body are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id of the request, or of the request that the message answers. `None` for a notification
    /// and for a push.
    pub id: Option<u64>,
    /// The route: `<serverType>.<handler>.<method>` from a client, `on<Event>` in a push.
    pub route: Arc<str>,
    /// The payload.
    pub body: Bytes,
    /// The status, as in HTTP. It is 200 in a push.
    pub status: u16,
}

impl Message {
    /// Creates a push: a message that answers no request.
    pub fn push(route: impl Into<Arc<str>>, body: impl Into<Bytes>) -> Self {
        Self { id: None, route: route.into(), body: body.into(), status: 200 }
    }

    /// Returns the memory that the message takes up while it waits, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.route.len() + self.body.len()
    }
}

impl<'a> From<&'a Message> for MessageRef<'a> {
    fn from(Message { id, route, body, status }: &'a Message) -> Self {
        MessageRef { id: *id, route, body, status: *status }
    }
}
