//! Tests that messages reach a codec unchanged, and that its packets are checked.

use proptest::prelude::*;
use proptest::sample::select;

use crate::codec::{Encoded, MessageRef, Messages, Refusal, Role, Violation};
use crate::framing::Packets;

type Owned = (Role, u64, String, Vec<u8>, u16);

fn messages() -> impl Strategy<Value = Vec<Owned>> {
    let role = select(vec![Role::Notice, Role::Request, Role::Response]);
    proptest::collection::vec((role, any::<u64>(), any::<String>(), any::<Vec<u8>>(), any::<u16>()), 0..20)
}

proptest! {
    #[test]
    fn what_was_pushed_is_read(sent in messages()) {
        let mut messages = Messages::new();
        for (role, id, route, body, status) in &sent {
            messages.push(MessageRef { role: *role, id: *id, route, body, status: *status });
        }
        let owned = |m: MessageRef<'_>| (m.role, m.id, m.route.to_owned(), m.body.to_vec(), m.status);
        prop_assert_eq!(messages.len(), sent.len());
        prop_assert_eq!(messages.byte_len(), sent.iter().map(|m| m.2.len() + m.3.len()).sum::<usize>());
        prop_assert_eq!(messages.iter().map(owned).collect::<Vec<_>>(), sent);
        messages.clear();
        prop_assert!(messages.is_empty() && messages.iter().next().is_none());
    }

    #[test]
    fn packets_that_were_pushed_are_read(sent: Vec<Vec<u8>>, at in any::<proptest::sample::Index>()) {
        let mut packets: Packets = sent.iter().map(Vec::as_slice).collect();
        prop_assert!(packets.is_well_formed());
        prop_assert_eq!(packets.len(), sent.len());
        prop_assert!(packets.iter().eq(&sent));
        let at = at.index(sent.len() + 1);
        prop_assert!(packets.range(0..at).eq(&sent[..at]));
        prop_assert!(packets.range(at..sent.len()).eq(&sent[at..]));
        packets.clear();
        prop_assert!(packets.is_empty() && packets.byte_len() == 0);
    }

    #[test]
    fn packets_that_pass_the_check_can_be_read(
        bytes in proptest::collection::vec(any::<u8>(), 0..20),
        ends in proptest::collection::vec(0..25_u32, 0..8),
        sources in proptest::collection::vec(0..10_u32, 0..8),
        refused in proptest::collection::vec(0..10_u32, 0..4),
        messages in 0..10_usize,
    ) {
        let encoded = encoded(bytes, &ends, &sources, &refused);
        if encoded.check(messages).is_ok() {
            prop_assert_eq!(encoded.packets.iter().count(), sources.len());
            for source in sources {
                prop_assert!((source as usize) < messages && !refused.contains(&source));
            }
        }
    }
}

fn encoded(bytes: Vec<u8>, ends: &[u32], sources: &[u32], refused: &[u32]) -> Encoded {
    let refused = refused.iter().map(|&message| Refusal { message, reason: String::new() }).collect();
    Encoded { packets: Packets { bytes, ends: ends.to_vec() }, sources: sources.to_vec(), refused }
}

/// Checks packets with these ends, each of a message of its own.
fn check_ends(ends: &[u32]) -> Result<(), Violation> {
    let sources: Vec<u32> = (0..).take(ends.len()).collect();
    encoded(b"bytes".to_vec(), ends, &sources, &[]).check(ends.len())
}

/// Checks this number of packets of three messages.
fn check(packets: usize, sources: &[u32], refused: &[u32]) -> Result<(), Violation> {
    encoded(b"bytes".to_vec(), &vec![5; packets], sources, refused).check(3)
}

#[test]
fn ends_that_go_back_or_past_the_buffer_are_violations() {
    assert_eq!(check_ends(&[0, 2, 2, 5]), Ok(()));
    assert_eq!(check_ends(&[3, 2]), Err(Violation::Offset));
    assert_eq!(check_ends(&[6]), Err(Violation::Offset));
    assert_eq!(check_ends(&[u32::MAX, 5]), Err(Violation::Offset));
}

#[test]
fn a_message_may_have_no_packet_one_or_several() {
    assert_eq!(check(0, &[], &[]), Ok(()));
    assert_eq!(check(3, &[0, 1, 2], &[]), Ok(()));
    assert_eq!(check(4, &[0, 2, 2, 2], &[]), Ok(()));
    assert_eq!(check(3, &[1, 1, 1], &[]), Ok(()));
    assert_eq!(check(1, &[2], &[0, 1]), Ok(()));
}

#[test]
fn there_is_one_source_for_each_packet() {
    assert_eq!(check(2, &[0], &[]), Err(Violation::Sources), "too few");
    assert_eq!(check(2, &[], &[]), Err(Violation::Sources), "none");
    assert_eq!(check(1, &[0, 0], &[]), Err(Violation::Sources), "too many");
    assert_eq!(check(0, &[0], &[]), Err(Violation::Sources), "too many");
}

#[test]
fn sources_never_go_down() {
    assert_eq!(check(2, &[1, 0], &[]), Err(Violation::Sources));
    assert_eq!(check(3, &[0, 2, 1], &[]), Err(Violation::Sources));
}

#[test]
fn a_source_is_the_index_of_a_message() {
    assert_eq!(check(1, &[2], &[]), Ok(()));
    assert_eq!(check(1, &[3], &[]), Err(Violation::Sources));
    assert_eq!(check(1, &[u32::MAX], &[]), Err(Violation::Sources));
    assert_eq!(encoded(Vec::new(), &[0], &[0], &[]).check(0), Err(Violation::Sources));
}

#[test]
fn a_message_that_was_refused_has_no_packet() {
    assert_eq!(check(2, &[0, 2], &[1]), Ok(()));
    for refused in 0..3 {
        assert_eq!(check(3, &[0, 1, 2], &[refused]), Err(Violation::RefusedSource));
    }
    assert_eq!(check(4, &[0, 1, 1, 2], &[1]), Err(Violation::RefusedSource));
}

#[test]
fn a_refusal_of_no_message_or_out_of_order_is_a_violation() {
    assert_eq!(check(0, &[], &[0, 2]), Ok(()));
    assert_eq!(check(0, &[], &[0, 3]), Err(Violation::MessageIndex));
    assert_eq!(check(0, &[], &[2, 0]), Err(Violation::MessageIndex));
    assert_eq!(check(0, &[], &[1, 1]), Err(Violation::MessageIndex));
    assert_eq!(check(0, &[], &[u32::MAX]), Err(Violation::MessageIndex));
}

#[test]
fn messages_are_made_by_their_role() {
    let (notice, request) = (MessageRef::notice("r", b"b"), MessageRef::request(7, "r", b"b"));
    assert_eq!((notice.role, notice.id, notice.status), (Role::Notice, 0, 200));
    assert_eq!((request.role, request.id, request.status), (Role::Request, 7, 200));
    let response = MessageRef::response(7, "r", 404, b"b");
    assert_eq!((response.role, response.id, response.status), (Role::Response, 7, 404));
    assert_eq!(response.as_failed(), MessageRef::response(7, "r", 500, b""));
}
