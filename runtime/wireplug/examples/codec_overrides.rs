//! Two codec overrides. Each is a pure function, which is enough for a protocol without state. Here
//! a packet is `ROUTE=BODY`, and there are no requests.
//!
//! `cargo run --release --example codec_overrides` serves it. `docs/connectors.md` explains it.

use wireplug::session::Message;
use wireplug::{App, Listener, Server, Session};
use wireplug_core::codec::MessageRef;
use wireplug_core::codec::overrides::{Decode, DecodeError, Decoded, Encode};
use wireplug_core::framing::{Delimiter, Framing};

/// Decodes `ROUTE=BODY` as a notification.
pub struct ByRoute;

impl Decode for ByRoute {
    fn decode<'a>(&self, packet: &'a [u8]) -> Result<Decoded<'a>, DecodeError> {
        let text = std::str::from_utf8(packet).map_err(|_| DecodeError::Fatal("not UTF-8".into()))?;
        let (route, body) = text.split_once('=').ok_or(DecodeError::Rejected("no route".into()))?;
        Ok(Decoded { id: None, route: route.into(), body: body.as_bytes().into() })
    }

    // Used only if the listener has no codec.
    fn framing(&self) -> Option<Framing> {
        Delimiter::new(b"\n").ok().map(Framing::Delimiter)
    }
}

/// Encodes each message as `ROUTE=BODY`.
pub struct AsPairs;

impl Encode for AsPairs {
    fn encode(&self, message: MessageRef<'_>, packet: &mut Vec<u8>) -> Result<(), String> {
        packet.extend_from_slice(message.route.as_bytes());
        packet.push(b'=');
        packet.extend_from_slice(message.body);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::new().route("say", |session: Session| async move {
        let _ = session.send(Message::push("heard", "you"));
    });
    let listener = Listener::at("tcp://127.0.0.1:4000").decode(ByRoute).encode(AsPairs);
    let server = Server::new(app).listener(listener).start().await?;
    println!("try: echo say=hello | nc -N 127.0.0.1 4000");
    tokio::signal::ctrl_c().await?;
    println!("{}", server.shutdown().await);
    Ok(())
}
