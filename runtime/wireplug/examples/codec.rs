//! A native codec of one's own, in full: a protocol of text lines, for `nc` or `telnet`.
//!
//! ```text
//! client:  7 chat.say hello everybody      request 7 on the route chat.say
//! client:  - chat.typing                   a notification: nobody answers
//! server:  7 200 {"delivered":3}           the response to request 7, its status and body
//! server:  - onChat hello everybody        a push
//! server:  bye kicked for spam             the last line
//! ```
//!
//! `cargo run --release --example codec` serves it; `docs/connectors.md` goes through it.

use std::sync::Arc;

use bytes::Bytes;
use wireplug::codec::{
    Abilities, Codec, CodecError, CodecSession, Description, Encoded, Events, Kind, MessageRef, Messages,
    Peer, Refusal,
};
use wireplug::framing::{Delimiter, Framing, MessageUnit, Packets};
use wireplug::{App, CodecSource, Server};

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
            message: Some(MessageUnit::One),
            text: true,
            json: false,
            // Clients need not introduce themselves, and each message is a packet of its own.
            handshake: false,
            merges: false,
        };
        Self { description }
    }
}

impl Codec for Lines {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        // It has a last word. Whatever is said here, the runtime asks for.
        Abilities { farewell: true, ..Abilities::default() }
    }

    fn open(&self, _peer: Peer) -> Result<Box<dyn CodecSession>, CodecError> {
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
        _now_ms: u64,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        for (index, packet) in packets.iter().enumerate() {
            let index = index as u32;
            match parse(packet) {
                Ok((id, route, body)) => events.push_message(index, id, route, body.as_bytes()),
                // The packet is dropped and counted, and the client goes on. `Kind::Fatal` would
                // end the session.
                Err(why) => events.push(index, Kind::Rejected, why.as_bytes()),
            }
        }
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _now_ms: u64,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        for (index, message) in messages.iter().enumerate() {
            match line(message) {
                Ok(line) => encoded.packets.push(line.as_bytes()),
                // This message alone is lost, and counted. A response is asked for again, as status
                // 500.
                Err(why) => encoded.refused.push(Refusal { message: index as u32, reason: why.into() }),
            }
        }
        Ok(())
    }

    fn farewell(&mut self, reason: &str, _now_ms: u64) -> Result<Option<Vec<u8>>, CodecError> {
        Ok(Some(format!("bye {reason}").into_bytes()))
    }
}

/// `ID ROUTE BODY`, the id `-` for a notification.
fn parse(packet: &[u8]) -> Result<(Option<u64>, &str, &str), &'static str> {
    let line = std::str::from_utf8(packet).map_err(|_| "not UTF-8")?.trim_end_matches('\r');
    let (id, rest) = line.split_once(' ').ok_or("no route")?;
    let id = match id {
        "-" => None,
        id => Some(id.parse().map_err(|_| "the id is neither a number nor -")?),
    };
    let (route, body) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok((id, route, body))
}

/// `ID STATUS BODY` for a response, `- ROUTE BODY` for a push.
fn line(message: MessageRef<'_>) -> Result<String, &'static str> {
    let body = std::str::from_utf8(message.body).map_err(|_| "the body is not UTF-8")?;
    Ok(match message.id {
        Some(id) => format!("{id} {} {body}", message.status),
        None => format!("- {} {body}", message.route),
    })
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
