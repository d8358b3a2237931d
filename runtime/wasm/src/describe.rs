//! The description of a component, read and checked when the component is loaded.

use anyhow::bail;

use super::error::LoadError;
use super::loader::Plan;
use super::sandbox::Sandbox;
use super::types;
use wireplug_core::codec::{Description, Reason, Secrets};
use wireplug_core::framing::{Delimiter, Framing, LengthField, MessageFraming, Payload, Varint};

/// The largest length of a name and of a version, in bytes.
const MAX_NAME: usize = 64;

/// Reads the description of a component in a new sandbox.
pub(super) fn describe(plan: &Plan) -> Result<Description, LoadError> {
    asked(plan).map_err(|error| LoadError::Description(error.into()))
}

fn asked(plan: &Plan) -> anyhow::Result<Description> {
    let abilities = plan.abilities;
    let mut sandbox = Sandbox::new(&plan.blueprint, &Secrets::default())?;
    let described = sandbox.call(|guest, store| guest.describe(store))?;

    if !(1..=MAX_NAME).contains(&described.name.len()) || described.version.len() > MAX_NAME {
        bail!("its name has 1 to {MAX_NAME} bytes and its version at most {MAX_NAME}");
    }
    let framing = match described.framing {
        None => None,
        Some(types::Framing::Delimiter(bytes)) => Some(Framing::Delimiter(Delimiter::new(&bytes)?)),
        Some(types::Framing::Length(field)) => Some(Framing::Length(LengthField::new(
            field.offset,
            field.width,
            field.little_endian,
            field.adjust,
        )?)),
        Some(types::Framing::Varint(offset)) => Some(Framing::Varint(Varint::new(offset))),
    };
    let messages = match described.messages {
        types::MessageFraming::None => None,
        types::MessageFraming::One => Some(MessageFraming::One),
        types::MessageFraming::Framed => Some(MessageFraming::Framed),
        types::MessageFraming::Continuous => Some(MessageFraming::Continuous),
    };
    let payload = match described.payload {
        types::Payload::Binary => Payload::Binary,
        types::Payload::Text => Payload::Text,
        types::Payload::Tagged => Payload::Tagged,
    };
    let description = Description {
        name: Reason::new(described.name).to_string(),
        version: Reason::new(described.version).to_string(),
        framing,
        messages,
        payload,
        json: described.json,
        handshake: described.handshake,
        client_requests: described.client_requests,
        coalesces: described.coalesces,
        max_packet: described.max_packet,
    };
    let has_framing = description.framing.is_some();
    if abilities.framer && has_framing {
        bail!("it exports `framer` and describes a framing too: its `framing` must be none");
    }
    if abilities.tls_upgrade && !abilities.framer {
        bail!("it exports `tls-upgrade`, which needs `framer`");
    }
    if abilities.requests && description.client_requests == 0 {
        bail!("it exports `requests`, which needs `client-requests` in its description");
    }
    let framed = matches!(messages, Some(MessageFraming::Framed | MessageFraming::Continuous));
    if framed && !has_framing && !abilities.framer {
        bail!("its `messages` needs a framing or `framer`, and it has none");
    }
    let is_delimited = matches!(description.framing, Some(Framing::Delimiter(_)));
    if payload == Payload::Text && framed && !abilities.framer && !is_delimited {
        bail!(
            "its packets are text, and the lengths that frame them in messages are not: use a delimiter, or `one` packet \
             in each message"
        );
    }
    if payload == Payload::Tagged && messages != Some(MessageFraming::One) {
        bail!("its packets are `tagged`, which needs `one` packet in each message");
    }
    if !has_framing && !abilities.framer && messages.is_none() {
        bail!(
            "it takes neither streams nor messages: it has no framing, no `framer`, and `messages` is none"
        );
    }
    if description.max_packet == Some(0) {
        bail!("its `max-packet` is 0, so that it could send and receive nothing");
    }
    Ok(description)
}
