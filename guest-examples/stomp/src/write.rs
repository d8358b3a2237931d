//! Writes frames.

use wireplug_guest::Packet;

/// What stands in front of a packet in a WebSocket message.
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// How frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In a stream.
    Stream,
    /// In WebSocket messages, which are text where they can be.
    Messages,
}

impl Form {
    /// Writes a frame. Headers are escaped.
    pub(crate) fn frame(self, packet: &mut Packet<'_>, command: &str, headers: &[(&str, &str)], body: &[u8]) {
        self.tag(packet, str::from_utf8(body).is_ok());
        packet.extend(command);
        packet.push(b'\n');
        for (name, value) in headers {
            packet.extend(name);
            packet.push(b':');
            escape(value, packet);
            packet.push(b'\n');
        }
        if !body.is_empty() {
            packet.extend(format!("content-length:{}\n", body.len()));
        }
        packet.push(b'\n');
        packet.extend(body);
        packet.push(0);
    }

    pub(crate) fn heart_beat(self, packet: &mut Packet<'_>) {
        self.tag(packet, true);
        packet.push(b'\n');
    }

    fn tag(self, packet: &mut Packet<'_>, is_text: bool) {
        if self == Self::Messages {
            packet.push(if is_text { TEXT } else { BINARY });
        }
    }
}

fn escape(text: &str, packet: &mut Packet<'_>) {
    for byte in text.bytes() {
        match byte {
            b'\n' => packet.extend("\\n"),
            b'\r' => packet.extend("\\r"),
            b':' => packet.extend("\\c"),
            b'\\' => packet.extend("\\\\"),
            byte => packet.push(byte),
        }
    }
}
