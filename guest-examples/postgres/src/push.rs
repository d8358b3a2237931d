//! What the application pushes. PostgreSQL allows these messages at any time.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wireplug_guest::{Broadcast, Message, Packets};

use crate::Postgres;
use crate::report::{Kind, Report};
use crate::session::Client;
use crate::writer::{Output, Writer, text};

/// A message to those that listen to a channel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notification {
    channel: String,
    #[serde(default)]
    payload: String,
    /// The process number of the session that sent it.
    #[serde(default)]
    process: u32,
}

/// A parameter that has changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    name: String,
    value: String,
}

/// Writes the message for a push. It is not much longer than the body, so it always fits into a
/// packet.
pub(crate) fn write(message: &Message, packets: &mut Packets<'_>) -> Result<(), String> {
    let mut writer = Writer::new(packets, usize::MAX);
    match message.route {
        "postgres.notification" => {
            let Notification { channel, payload, process } = read(message)?;
            let mut fields = process.to_be_bytes().to_vec();
            text(&channel, &mut fields);
            text(&payload, &mut fields);
            writer.short(b'A', &fields);
        }
        "postgres.notice" => writer.report(Kind::Notice, &read::<Report>(message)?),
        "postgres.parameter" => {
            let Parameter { name, value } = read(message)?;
            write_parameter(&name, &value, &mut writer).map_err(|report| report.message().to_owned())?;
        }
        _ => return Err("the route of a push is not postgres.notification, .notice or .parameter".to_owned()),
    }
    Ok(())
}

/// Writes ParameterStatus.
pub(crate) fn write_parameter<O: Output>(
    name: &str,
    value: &str,
    writer: &mut Writer<'_, O>,
) -> Result<(), Report> {
    writer.message(b'S', |out| {
        text(name, out);
        text(value, out);
        Ok(())
    })
}

fn read<T: DeserializeOwned>(message: &Message) -> Result<T, String> {
    serde_json::from_slice(message.body).map_err(|error| format!("the push is not valid: {error}"))
}

impl Broadcast for Postgres {
    /// All sessions share one class: a push does not depend on the session.
    fn broadcast_class(_session: &Client) -> Option<u32> {
        Some(0)
    }

    fn encode_shared(&self, _class: u32, message: &Message, packets: &mut Packets) -> Result<(), String> {
        write(message, packets)
    }
}
