//! The records of a trace: one line of JSON each.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::Mask;
use crate::codec::{Event, MessageRef, Reason, Role, Secrets};
use crate::session::{CloseReason, SessionId};

/// The most bytes of a packet or a body that a record shows.
pub(super) const SHOWN: usize = 2048;

/// One record of a trace.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Record {
    pub(super) at_us: u64,
    pub(super) session: u64,
    /// `in`, `out`, `call`, `log` or `close`.
    pub(super) direction: &'static str,
    pub(super) hex: String,
    pub(super) text: String,
    pub(super) size: usize,
    pub(super) became: Vec<Value>,
    /// The time of the call in which the packet was decoded or encoded.
    pub(super) codec_us: Option<u64>,
    /// Always `None`: the sandboxes of a server count no fuel.
    pub(super) fuel: Option<u64>,
    /// How many packets or messages the call had, if there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

impl Record {
    pub(super) fn new(session: SessionId, direction: &'static str) -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            at_us: at.as_micros() as u64,
            session: session.0,
            direction,
            hex: String::new(),
            text: String::new(),
            size: 0,
            became: Vec::new(),
            codec_us: None,
            fuel: None,
            batch: None,
            note: None,
        }
    }

    pub(super) fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Shows a packet or a body.
    pub(super) fn showing(mut self, bytes: &[u8], shown: &Shown<'_>) -> Self {
        let visible = shown.bytes(bytes);
        self.size = bytes.len();
        self.hex = visible.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        self.text = String::from_utf8_lossy(&visible).into_owned();
        self
    }

    /// Returns the record as a line.
    pub(super) fn line(&self) -> Bytes {
        let mut line = serde_json::to_vec(self).expect("a record of texts and numbers is JSON");
        line.push(b'\n');
        line.into()
    }
}

/// What may be shown of bytes.
pub(super) struct Shown<'a> {
    pub(super) mask: &'a Mask,
    pub(super) secrets: &'a Secrets,
}

impl Shown<'_> {
    /// Returns the beginning of the bytes, without hidden fields and secrets.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let redacted = self.secrets.redact(bytes);
        let masked = self.mask.hide(&redacted);
        masked[..masked.len().min(SHOWN)].to_vec()
    }

    fn text(&self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(&self.bytes(bytes)).into_owned()
    }

    /// Returns a body: as JSON if it is JSON, and as text otherwise.
    fn body(&self, bytes: &[u8]) -> Value {
        let visible = self.bytes(bytes);
        serde_json::from_slice(&visible).unwrap_or_else(|_| String::from_utf8_lossy(&visible).into())
    }

    /// Returns an event of the codec.
    pub(super) fn event(&self, event: &Event<'_>) -> Value {
        match event {
            Event::Hello(body) => json!({ "event": "hello", "body": self.body(body) }),
            Event::Established => json!({ "event": "established" }),
            Event::Message { role, id, route, body, status } => {
                self.message(MessageRef { role: *role, id: *id, route, body, status: *status })
            }
            Event::Reply(packet) => json!({ "event": "reply", "size": packet.len() }),
            Event::Timer(ms) => json!({ "event": "timer", "ms": ms }),
            Event::AddressVerified => json!({ "event": "address-verified" }),
            Event::Log { level, text } => {
                json!({ "event": "log", "level": level.name(), "text": self.text(text) })
            }
            Event::Close { code, reason } => {
                json!({ "event": "close", "code": code, "reason": self.text(reason) })
            }
            Event::Rejected(reason) => json!({ "event": "rejected", "reason": self.text(reason) }),
            Event::Fatal(reason) => json!({ "event": "fatal", "reason": self.text(reason) }),
        }
    }

    /// Returns a message.
    pub(super) fn message(&self, message: MessageRef<'_>) -> Value {
        let MessageRef { role, id, route, body, status } = message;
        let route = Reason::new(route);
        let (route, body) = (route.as_str(), self.body(body));
        match role {
            Role::Notice => json!({ "event": "notice", "route": route, "body": body }),
            Role::Request => json!({ "event": "request", "id": id, "route": route, "body": body }),
            Role::Response => {
                json!({ "event": "response", "id": id, "route": route, "status": status, "body": body })
            }
        }
    }
}

/// Returns the last record of a session.
pub(crate) fn close_record(session: SessionId, reason: &CloseReason) -> Bytes {
    let note = format!("{}: {reason}", reason.cause());
    Record::new(session, "close").noted(note).line()
}
