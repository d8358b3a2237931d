//! Tests that the description of a framing lets a person check it against the protocol.

use crate::framing::{Delimiter, Framing, LengthField, MessageFraming, Payload, Varint};

#[test]
fn each_framing_has_its_words() {
    let length = |offset, width, little, adjust| {
        Framing::Length(LengthField::new(offset, width, little, adjust).unwrap()).to_string()
    };
    assert_eq!(length(0, 1, false, 0), "a length of 1 byte before each packet");
    assert_eq!(
        length(1, 3, false, 0),
        "a length of 3 bytes, big-endian, after the first byte of each packet"
    );
    assert_eq!(
        length(2, 4, true, -6),
        "a length of 4 bytes, little-endian, after the first 2 bytes of each packet; minus 6 it is what follows it"
    );
    assert_eq!(
        length(0, 2, false, 1),
        "a length of 2 bytes, big-endian, before each packet; plus 1 it is what follows it"
    );
    let delimiter = Framing::Delimiter(Delimiter::new(b"\r\n\0").unwrap());
    assert_eq!(delimiter.to_string(), "\"\\r\\n\\x00\" behind each packet");
    assert_eq!(Framing::Varint(Varint::new(0)).to_string(), "a LEB128 length before each packet");
    assert_eq!(
        Framing::Varint(Varint::new(1)).to_string(),
        "a LEB128 length after the first byte of each packet"
    );
}

#[test]
fn each_framing_of_messages_and_each_payload_has_its_words() {
    let messages = [MessageFraming::One, MessageFraming::Framed, MessageFraming::Continuous];
    assert_eq!(
        messages.map(|messages| messages.to_string()),
        ["one packet, bare", "whole packets, framed", "a piece of the stream"]
    );
    let payloads = [Payload::Binary, Payload::Text, Payload::Tagged];
    assert_eq!(payloads.map(|payload| payload.to_string()), ["binary", "text", "tagged"]);
}
