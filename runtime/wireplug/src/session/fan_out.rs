//! A push to many, put into the outboxes of all its receivers.

use std::sync::Arc;

use super::broadcast::{BroadcastClass, SharedPush};
use super::{Message, Session};
use crate::codec::Codec;

/// Sends a push to many. Returns how many sessions took it. A session whose outbox is full does not
/// take it; the other sessions are not affected. `place` is the place of the command in the order
/// of frames, if it was sent to the other process of an upgrade.
pub(crate) fn send_to_all<'a, I>(sessions: impl Fn() -> I, message: &Message, place: Option<u64>) -> usize
where
    I: Iterator<Item = &'a Session>,
{
    let mut receivers = Receivers::default();
    for session in sessions() {
        session.outbox().with_broadcast_class(|share| receivers.count(share));
    }
    let push = Arc::new(SharedPush::new(message.clone(), receivers.shared()));
    sessions().filter(|session| session.send_shared(&push, place).is_ok()).count()
}

/// The classes of a push's receivers.
#[derive(Default)]
struct Receivers {
    codecs: Vec<CodecReceivers>,
}

/// The receivers on one generation of a codec. Each generation has its own limits, so a generation
/// with many classes does not keep another one from sharing.
struct CodecReceivers {
    codec: Arc<dyn Codec>,
    min_receivers: usize,
    max_classes: usize,
    /// The classes, each with its number of receivers.
    classes: Vec<(u32, usize)>,
}

impl Receivers {
    fn count(&mut self, BroadcastClass { codec, class }: &BroadcastClass) {
        // There are few codecs: usually one, and two after a swap.
        let known = self.codecs.iter().position(|known| Arc::ptr_eq(&known.codec, codec));
        let at = known.unwrap_or_else(|| {
            let sharing = codec.sharing();
            self.codecs.push(CodecReceivers {
                codec: Arc::clone(codec),
                min_receivers: sharing.min_receivers,
                max_classes: sharing.max_classes,
                classes: Vec::new(),
            });
            self.codecs.len() - 1
        });
        let CodecReceivers { classes, max_classes, .. } = &mut self.codecs[at];
        if let Some((_, receivers)) = classes.iter_mut().find(|(known, _)| known == class) {
            *receivers += 1;
        } else if classes.len() < *max_classes {
            classes.push((*class, 1));
        }
    }

    /// Returns the classes that have enough receivers to share an encoding.
    fn shared(self) -> impl Iterator<Item = BroadcastClass> {
        self.codecs.into_iter().flat_map(|CodecReceivers { codec, min_receivers, classes, .. }| {
            let enough = classes.into_iter().filter(move |(_, receivers)| *receivers >= min_receivers);
            enough.map(move |(class, _)| BroadcastClass { codec: Arc::clone(&codec), class })
        })
    }
}
