//! Tests of what follows from a description: the layouts, the payload on each carrier, and the
//! largest packet.

use super::script::Script;
use crate::codec::{Abilities, Carrier, Description};
use crate::framing::{Delimiter, Framing, Layout, MessageFraming, Payload};

fn description(change: impl FnOnce(&mut Description)) -> Description {
    let mut description = Script::default().description;
    change(&mut description);
    description
}

/// Returns the layouts on a stream, in messages, and in datagrams.
fn layouts(
    messages: Option<MessageFraming>,
    framing: Option<&Framing>,
    abilities: Abilities,
) -> [Option<Layout>; 3] {
    let description = description(|description| {
        (description.messages, description.framing) = (messages, framing.cloned());
    });
    [Carrier::Bytes, Carrier::Messages, Carrier::Datagrams]
        .map(|carrier| description.layout(abilities, carrier))
}

#[test]
fn each_framing_has_its_layouts() {
    let framing = Framing::Delimiter(Delimiter::new(b"\n").unwrap());
    let layouts = |messages, framing| layouts(messages, framing, Abilities::default());
    let stream = Some(Layout::Stream(framing.clone()));
    assert_eq!(layouts(None, Some(&framing)), [stream.clone(), None, None]);
    let (one, framed) = (Some(Layout::One), Some(Layout::Framed(framing.clone())));
    assert_eq!(layouts(Some(MessageFraming::One), None), [None, one.clone(), one.clone()]);
    assert_eq!(layouts(Some(MessageFraming::One), Some(&framing)), [stream.clone(), one.clone(), one]);
    let all = layouts(Some(MessageFraming::Framed), Some(&framing));
    assert_eq!(all, [stream.clone(), framed.clone(), framed]);
    // A datagram may be lost, so packets do not run across datagrams.
    let continuous = Some(Layout::Continuous(framing.clone()));
    let all = layouts(Some(MessageFraming::Continuous), Some(&framing));
    assert_eq!(all, [stream, continuous, None]);
    for messages in [None, Some(MessageFraming::Framed), Some(MessageFraming::Continuous)] {
        assert_eq!(layouts(messages, None), [None, None, None]);
    }
}

#[test]
fn a_codec_with_a_framer_cuts_everything_but_bare_packets() {
    let abilities = Abilities { framer: true, ..Abilities::default() };
    let layouts = |messages| layouts(messages, None, abilities);
    let framer = |whole_messages| Some(Layout::Framer { whole_messages });
    assert_eq!(layouts(None), [framer(false), None, None]);
    let one = Some(Layout::One);
    assert_eq!(layouts(Some(MessageFraming::One)), [framer(false), one.clone(), one]);
    let framed = layouts(Some(MessageFraming::Framed));
    assert_eq!(framed, [framer(false), framer(true), framer(true)]);
    let continuous = layouts(Some(MessageFraming::Continuous));
    assert_eq!(continuous, [framer(false), framer(false), None]);
}

#[test]
fn packets_have_tags_on_messages_alone() {
    use Carrier::{Bytes, Datagrams, Messages};
    use Payload::{Binary, Tagged, Text};
    for (payload, carrier, expected) in [
        (Binary, Bytes, Binary),
        (Binary, Messages, Binary),
        (Binary, Datagrams, Binary),
        (Text, Bytes, Text),
        (Text, Messages, Text),
        (Text, Datagrams, Text),
        (Tagged, Bytes, Binary),
        (Tagged, Messages, Tagged),
        (Tagged, Datagrams, Binary),
    ] {
        let description = description(|description| description.payload = payload);
        assert_eq!(description.payload_on(carrier), expected, "{payload:?} on {carrier:?}");
    }
}

#[test]
fn the_largest_packet_is_the_smaller_of_the_codec_s_and_the_listener_s() {
    let largest =
        |own, listener| description(|description| description.max_packet = own).max_packet(listener);
    assert_eq!(largest(None, 100), 100);
    assert_eq!(largest(Some(99), 100), 99);
    assert_eq!(largest(Some(100), 100), 100);
    assert_eq!(largest(Some(u32::MAX), 100), 100);
}

#[test]
fn a_transport_has_its_carrier() {
    for (transport, carrier) in [
        ("tcp", Carrier::Bytes),
        ("tls", Carrier::Bytes),
        ("unix", Carrier::Bytes),
        ("ws", Carrier::Messages),
        ("wss", Carrier::Messages),
        ("socketio", Carrier::Messages),
        ("shm", Carrier::Messages),
        ("udp", Carrier::Datagrams),
        ("unknown", Carrier::Bytes),
    ] {
        assert_eq!(Carrier::of_transport(transport), carrier, "{transport}");
    }
}
