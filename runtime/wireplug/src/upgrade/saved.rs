//! A session on its way to another process.

use serde::{Deserialize, Serialize};

use crate::codec::Role;
use crate::server::SavedDeadlines;
use crate::session::{ClientInfo, Message, SavedMachine, SavedOutbox, SavedProfile, SavedVitals};
use wireplug_connectors::SavedMeter;

/// Everything that makes a session, except for its descriptor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedSession {
    pub(crate) id: u64,
    /// Which of the listeners of [`Sockets`](super::message::Sockets) it came to.
    pub(crate) listener: u32,
    /// Which of the codecs that came before it speaks.
    pub(crate) codec: u32,
    pub(crate) client: SavedClient,
    pub(crate) machine: SavedMachine,
    pub(crate) messages: Vec<SavedMessage>,
    pub(crate) last_request: u32,
    pub(crate) profile: SavedProfile,
    pub(crate) vitals: SavedVitals,
    /// The session time of the codec, in milliseconds.
    pub(crate) session_ms: u64,
    pub(crate) deadlines: SavedDeadlines,
    pub(crate) rates: SavedMeter,
    /// The bytes that were read and written, as the connection counts them.
    pub(crate) bytes: (u64, u64),
    /// The class of sessions with which it shares encodings, if it sleeps.
    pub(crate) class: Option<u32>,
    /// The state of its socket, as the connector saved it.
    #[serde(with = "serde_bytes")]
    pub(crate) socket: Vec<u8>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedClient {
    transport: String,
    address: String,
    attributes: Vec<(String, String)>,
}

/// A message that waits to be encoded.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedMessage {
    kind: MessageKind,
    id: u64,
    route: String,
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
    status: u16,
}

#[derive(Debug, Serialize, Deserialize)]
enum MessageKind {
    Push,
    Response,
}

impl From<ClientInfo> for SavedClient {
    fn from(ClientInfo { transport, address, attributes }: ClientInfo) -> Self {
        Self { transport, address, attributes }
    }
}

impl From<SavedClient> for ClientInfo {
    fn from(SavedClient { transport, address, attributes }: SavedClient) -> Self {
        Self { transport, address, attributes }
    }
}

impl From<Message> for SavedMessage {
    fn from(message: Message) -> Self {
        let kind = match message.role {
            Role::Response => MessageKind::Response,
            // No request waits in a session that moves.
            Role::Notice | Role::Request => MessageKind::Push,
        };
        let (route, body) = (message.route.to_string(), message.body.to_vec());
        Self { kind, id: message.id, route, body, status: message.status }
    }
}

impl From<SavedMessage> for Message {
    fn from(SavedMessage { kind, id, route, body, status }: SavedMessage) -> Self {
        match kind {
            MessageKind::Push => Message::push(route, body),
            MessageKind::Response => Message::response(id, route.into(), status, body.into()),
        }
    }
}

impl SavedSession {
    /// Takes out the client.
    pub(crate) fn take_client(&mut self) -> ClientInfo {
        std::mem::take(&mut self.client).into()
    }

    /// Takes out what the application keeps with the session.
    pub(crate) fn take_profile(&mut self) -> SavedProfile {
        std::mem::take(&mut self.profile)
    }

    /// Takes out the messages that wait.
    pub(crate) fn take_outbox(&mut self) -> SavedOutbox {
        let messages = std::mem::take(&mut self.messages).into_iter().map(Message::from).collect();
        SavedOutbox { messages, last_request: self.last_request }
    }
}
