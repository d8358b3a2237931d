//! Tests that messages reach a codec unchanged, and that its packets are checked.

use proptest::prelude::*;

use crate::codec::{Encoded, MessageRef, Messages, Refusal, Violation};
use crate::framing::Packets;

type Owned = (Option<u64>, String, Vec<u8>, u16);

proptest! {
    #[test]
    fn what_was_pushed_is_read(sent: Vec<Owned>) {
        let mut messages = Messages::new();
        for (id, route, body, status) in &sent {
            messages.push(MessageRef { id: *id, route, body, status: *status });
        }
        let owned = |m: MessageRef<'_>| (m.id, m.route.to_owned(), m.body.to_vec(), m.status);
        prop_assert_eq!(messages.len(), sent.len());
        prop_assert_eq!(messages.byte_len(), sent.iter().map(|m| m.1.len() + m.2.len()).sum::<usize>());
        prop_assert_eq!(messages.iter().map(owned).collect::<Vec<_>>(), sent);
        messages.clear();
        prop_assert!(messages.is_empty() && messages.iter().next().is_none());
    }

    #[test]
    fn packets_that_were_pushed_are_read(sent: Vec<Vec<u8>>) {
        let mut packets: Packets = sent.iter().map(Vec::as_slice).collect();
        prop_assert!(packets.is_well_formed());
        prop_assert_eq!(packets.len(), sent.len());
        prop_assert!(packets.iter().eq(&sent));
        packets.clear();
        prop_assert!(packets.is_empty() && packets.byte_len() == 0);
    }

    #[test]
    fn packets_that_pass_the_check_can_be_read(
        bytes in proptest::collection::vec(any::<u8>(), 0..20),
        ends in proptest::collection::vec(0..25_u32, 0..8),
        refused in proptest::collection::vec(0..10_u32, 0..4),
        messages in 0..10_usize,
    ) {
        let encoded = encoded(bytes, ends, &refused);
        if encoded.check(messages).is_ok() {
            prop_assert!(encoded.packets.iter().count() + refused.len() <= messages);
        }
    }
}

fn encoded(bytes: Vec<u8>, ends: Vec<u32>, refused: &[u32]) -> Encoded {
    let refused = refused.iter().map(|&message| Refusal { message, reason: String::new() }).collect();
    Encoded { packets: Packets { bytes, ends }, refused }
}

fn check(ends: &[u32], refused: &[u32], messages: usize) -> Result<(), Violation> {
    encoded(b"bytes".to_vec(), ends.to_vec(), refused).check(messages)
}

#[test]
fn ends_that_go_back_or_past_the_buffer_are_violations() {
    assert_eq!(check(&[0, 2, 2, 5], &[], 4), Ok(()));
    assert_eq!(check(&[3, 2], &[], 2), Err(Violation::Offset));
    assert_eq!(check(&[6], &[], 1), Err(Violation::Offset));
    assert_eq!(check(&[u32::MAX, 5], &[], 2), Err(Violation::Offset));
}

#[test]
fn more_packets_and_refusals_than_messages_are_a_violation() {
    assert_eq!(check(&[1, 2], &[], 1), Err(Violation::Count));
    assert_eq!(check(&[1], &[0], 1), Err(Violation::Count));
    assert_eq!(check(&[1], &[0], 2), Ok(()));
    // The protocol may have no packet for a message.
    assert_eq!(check(&[], &[], 2), Ok(()));
}

#[test]
fn a_refusal_of_no_message_or_out_of_order_is_a_violation() {
    assert_eq!(check(&[], &[0, 2], 3), Ok(()));
    assert_eq!(check(&[], &[0, 3], 3), Err(Violation::MessageIndex));
    assert_eq!(check(&[], &[2, 0], 3), Err(Violation::MessageIndex));
    assert_eq!(check(&[], &[1, 1], 3), Err(Violation::MessageIndex));
    assert_eq!(check(&[], &[u32::MAX], 3), Err(Violation::MessageIndex));
}
