//! A complete native codec: a protocol of text lines, for `nc` or `telnet`.
//!
//! ```text
//! client:  7 chat.say hello everybody      request 7 on the route chat.say
//! client:  - chat.typing                   a notification, which gets no answer
//! server:  7 200 {"delivered":3}           the response to request 7: its status and body
//! server:  - onChat hello everybody        a push
//! server:  bye no spam, please             the last line, with the reason
//! ```
//!
//! `cargo run --release --example codec` serves it. `docs/connectors.md` explains it step by step.

use std::sync::Arc;

use bytes::Bytes;
use wireplug::{App, CodecSource, Server};
use wireplug_core::codec::{
    Abilities, Cause, Codec, CodecError, CodecSession, Description, Encoded, Events, Instant, Kind,
    MessageRef, Messages, Peer, Refusal, Role,
};
use wireplug_core::framing::{Delimiter, Framing, MessageFraming, Packets, Payload};

/// The protocol, ready to open sessions.
pub struct Lines {
    description: Description,
}

impl Default for Lines {
    fn default() -> Self {
        let newline = Delimiter::new(b"\n").expect("one byte is a delimiter");
        let description = Description {
            name: "lines".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            // On a stream a packet is a line. A message of a message transport is a line without
            // its end.
            framing: Some(Framing::Delimiter(newline)),
            messages: Some(MessageFraming::One),
            payload: Payload::Text,
            json: false,
            // Clients need not introduce themselves, the application sends no requests to them, and
            // each message is a packet of its own.
            handshake: false,
            client_requests: 0,
            coalesces: false,
            // The listener decides how long a line may be.
            max_packet: None,
        };
        Self { description }
    }
}

impl Codec for Lines {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        // The runtime calls only the functions of these abilities, and the required ones.
        Abilities { farewell: true, ..Abilities::default() }
    }

    fn open(&self, _peer: Peer, _now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        // What a protocol must remember of one client stands in its session. This one remembers
        // nothing.
        Ok(Box::new(LinesSession))
    }
}

struct LinesSession;

impl CodecSession for LinesSession {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        _now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        for (index, packet) in (0..).zip(packets.iter()) {
            match parse(packet) {
                Ok(message) => events.push_message(index, message),
                // The runtime drops and counts the packet, and the session continues. `Kind::Fatal`
                // would end the session.
                Err(why) => events.push(index, Kind::Rejected, why.as_bytes()),
            }
        }
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        for (index, message) in (0..).zip(messages.iter()) {
            match line(message) {
                // A message may have several packets. This one has one.
                Ok(line) => encoded.push(index, line.as_bytes()),
                // The runtime drops and counts only this message. If it is a response, the runtime
                // asks once more, with status 500 and an empty body.
                Err(why) => encoded.refused.push(Refusal { message: index, reason: why.into() }),
            }
        }
        Ok(())
    }

    fn farewell(
        &mut self,
        _cause: Cause,
        reason: &str,
        _now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        events.push(0, Kind::Reply, format!("bye {reason}").as_bytes());
        Ok(())
    }
}

/// Reads `ID ROUTE BODY`. The id of a notification is `-`.
fn parse(packet: &[u8]) -> Result<MessageRef<'_>, &'static str> {
    let line = std::str::from_utf8(packet).map_err(|_| "not UTF-8")?.trim_end_matches('\r');
    let (id, rest) = line.split_once(' ').ok_or("no route")?;
    let (route, body) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok(match id {
        "-" => MessageRef::notice(route, body.as_bytes()),
        id => {
            let id = id.parse().map_err(|_| "the id is neither a number nor -")?;
            MessageRef::request(id, route, body.as_bytes())
        }
    })
}

/// Writes `ID STATUS BODY` for a response, and `- ROUTE BODY` for a push.
fn line(message: MessageRef<'_>) -> Result<String, &'static str> {
    let body = std::str::from_utf8(message.body).map_err(|_| "the body is not UTF-8")?;
    match message.role {
        Role::Response => Ok(format!("{} {} {body}", message.id, message.status)),
        Role::Notice => Ok(format!("- {} {body}", message.route)),
        Role::Request => Err("the protocol has no requests to the client"),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::new().route("echo", |body: Bytes| async move { body });
    let server = Server::new(app)
        .listen("tcp://127.0.0.1:4000", CodecSource::native(Arc::new(Lines::default())))
        .start()
        .await?;
    println!("try: echo '1 echo hello' | nc -N 127.0.0.1 4000");
    tokio::signal::ctrl_c().await?;
    println!("{}", server.shutdown().await);
    Ok(())
}
