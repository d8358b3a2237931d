//! The description of a component, read and checked when the component is loaded.

use anyhow::{anyhow, bail};

use super::Plan;
use super::bindings;
use super::error::LoadError;
use super::sandbox::Sandbox;
use wireplug_core::codec::{Description, Reason};
use wireplug_core::framing::{Delimiter, Framing, LengthField, MessageUnit, Varint};

/// The largest length of a name and of a version, in bytes.
const MAX_NAME: usize = 64;

/// Reads the description of a component in a new sandbox.
pub(super) fn describe(plan: &Plan) -> Result<Description, LoadError> {
    asked(plan).map_err(|error| LoadError::Description(error.into()))
}

fn asked(plan: &Plan) -> anyhow::Result<Description> {
    let mut sandbox = Sandbox::new(&plan.blueprint)?;
    let instance = sandbox.instance;
    let describe = plan.exports.describe(&instance, sandbox.store()).map_err(|error| {
        anyhow!("its types are not those of the contract: {}", Reason::new(format!("{error:#}")))
    })?;
    let described = sandbox.call(&describe, ())?;

    if !(1..=MAX_NAME).contains(&described.name.len()) || described.version.len() > MAX_NAME {
        bail!("its name has 1 to {MAX_NAME} bytes and its version at most {MAX_NAME}");
    }
    let framing = match described.framing {
        None => None,
        Some(bindings::Framing::Delimiter(bytes)) => Some(Framing::Delimiter(Delimiter::new(&bytes)?)),
        Some(bindings::Framing::Length(field)) => Some(Framing::Length(LengthField::new(
            field.offset,
            field.width,
            field.little_endian,
            field.adjust,
        )?)),
        Some(bindings::Framing::Varint(offset)) => Some(Framing::Varint(Varint::new(offset))),
    };
    let message = match described.message {
        bindings::MessageUnit::Refused => None,
        bindings::MessageUnit::One => Some(MessageUnit::One),
        bindings::MessageUnit::Framed => Some(MessageUnit::Framed),
        bindings::MessageUnit::Bytes => Some(MessageUnit::Bytes),
    };
    let description = Description {
        name: Reason::new(described.name).to_string(),
        version: Reason::new(described.version).to_string(),
        framing,
        message,
        text: described.text,
        json: described.json,
        handshake: described.handshake,
        merges: described.merges,
    };
    if message.is_some() && description.message_layout().is_none() {
        bail!("its message unit needs a framing, and it has none");
    }
    let framed = matches!(message, Some(MessageUnit::Framed | MessageUnit::Bytes));
    if description.text && framed && !matches!(description.framing, Some(Framing::Delimiter(_))) {
        bail!(
            "its packets are text, and the lengths that frame them in messages are not: use a delimiter, or the unit `one`"
        );
    }
    if description.stream_layout().is_none() && message.is_none() {
        bail!("it has neither a framing for streams nor a unit for messages");
    }
    Ok(description)
}
