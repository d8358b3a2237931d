//! One push to many: encoded once for each class of sessions that share encodings.
//!
//! The caller of a push calls no codec. Each receiver's outbox gets the same [`SharedPush`], in its place in
//! the order of the calls. When a receiver's connection flushes, the first of a class encodes for the class
//! and the others take the packet; nobody waits for anybody, so that one who comes while another encodes does
//! it for itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::handle::ShareClass;
use super::{Message, Session};
use crate::codec::Codec;
use crate::codec::Reason;
use wireplug_base::limited;

/// One push, as it waits in the outboxes of all its receivers.
pub(crate) struct SharedPush {
    pub(crate) message: Message,
    /// The classes that have enough receivers.
    classes: Vec<ClassEncoding>,
}

/// The encoding of a push for one class.
struct ClassEncoding {
    share: ShareClass,
    /// A receiver has begun to encode.
    begun: AtomicBool,
    encoding: OnceLock<Encoding>,
}

/// What the encoding for a class has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Encoding {
    /// All of the class get this packet.
    Packet(Bytes),
    /// The message has no form on the wire.
    Nothing,
    /// The codec refused, or failed: each session encodes for itself, and counts what cannot be encoded.
    Apart,
}

/// What a receiver does with a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Its class shares an encoding: [`SharedPush::encoded`] with this index.
    Class(usize),
    /// It encodes the message in its own sandbox.
    Apart,
}

/// What a receiver writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    Packet(Bytes),
    Nothing,
    /// It encodes the message in its own sandbox.
    Apart,
}

/// Sends a push to many. Returns how many took it: one whose outbox is full does not, and loses this message
/// alone.
pub(crate) fn send_to_all<'a, I>(sessions: impl Fn() -> I, message: &Message) -> usize
where
    I: Iterator<Item = &'a Session>,
{
    let mut audience = Audience::default();
    for session in sessions() {
        session.with_share_class(|share| audience.count(share));
    }
    let push = Arc::new(SharedPush { message: message.clone(), classes: audience.shared() });
    sessions().filter(|session| session.send_shared(&push).is_ok()).count()
}

/// The classes of a push's receivers.
#[derive(Default)]
struct Audience {
    codecs: Vec<CodecAudience>,
}

/// Those of one generation of a codec: each has its own limits, so that one with many classes keeps no other
/// from sharing.
struct CodecAudience {
    codec: Arc<dyn Codec>,
    min_receivers: usize,
    max_classes: usize,
    /// The class and its receivers.
    classes: Vec<(u32, usize)>,
}

impl Audience {
    fn count(&mut self, ShareClass { codec, class }: &ShareClass) {
        // Few: as a rule one, and two after a swap.
        let known = self.codecs.iter().position(|known| Arc::ptr_eq(&known.codec, codec));
        let at = known.unwrap_or_else(|| {
            let sharing = codec.sharing();
            self.codecs.push(CodecAudience {
                codec: Arc::clone(codec),
                min_receivers: sharing.min_receivers,
                max_classes: sharing.max_classes,
                classes: Vec::new(),
            });
            self.codecs.len() - 1
        });
        let CodecAudience { classes, max_classes, .. } = &mut self.codecs[at];
        if let Some((_, receivers)) = classes.iter_mut().find(|(known, _)| known == class) {
            *receivers += 1;
        } else if classes.len() < *max_classes {
            classes.push((*class, 1));
        }
    }

    /// The classes that share an encoding.
    fn shared(self) -> Vec<ClassEncoding> {
        let mut shared = Vec::new();
        for CodecAudience { codec, min_receivers, classes, .. } in self.codecs {
            for (class, _) in classes.into_iter().filter(|(_, receivers)| *receivers >= min_receivers) {
                let share = ShareClass { codec: Arc::clone(&codec), class };
                shared.push(ClassEncoding {
                    share,
                    begun: AtomicBool::new(false),
                    encoding: OnceLock::new(),
                });
            }
        }
        shared
    }
}

impl SharedPush {
    /// What a session of this class does with the push now.
    pub(crate) fn sharing(&self, share: Option<&ShareClass>) -> Sharing {
        let Some(share) = share else { return Sharing::Apart };
        let Some(index) = self.classes.iter().position(|class| class.share == *share) else {
            return Sharing::Apart;
        };
        let class = &self.classes[index];
        match class.encoding.get() {
            Some(Encoding::Apart) => Sharing::Apart,
            Some(Encoding::Packet(_) | Encoding::Nothing) => Sharing::Class(index),
            // Another connection encodes it just now.
            None if class.begun.load(Ordering::Relaxed) => Sharing::Apart,
            None => Sharing::Class(index),
        }
    }

    /// The packet for the class of this index, which is encoded now unless it was before.
    pub(crate) fn encoded(&self, index: usize) -> Shared {
        let class = &self.classes[index];
        if let Some(encoding) = class.encoding.get() {
            return encoding.into();
        }
        if class.begun.swap(true, Ordering::Relaxed) {
            return Shared::Apart;
        }
        let encoding = encode(&class.share, &self.message);
        let shared = Shared::from(&encoding);
        // Nobody else has begun, so that it was not set before.
        let _ = class.encoding.set(encoding);
        shared
    }
}

impl fmt::Debug for SharedPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPush").field("message", &self.message).finish_non_exhaustive()
    }
}

impl From<&Encoding> for Shared {
    fn from(encoding: &Encoding) -> Self {
        match encoding {
            Encoding::Packet(packet) => Shared::Packet(packet.clone()),
            Encoding::Nothing => Shared::Nothing,
            Encoding::Apart => Shared::Apart,
        }
    }
}

fn encode(share: &ShareClass, message: &Message) -> Encoding {
    match share.codec.encode_shared(share.class, message.into()) {
        Ok(Some(packet)) => Encoding::Packet(packet.into()),
        Ok(None) => Encoding::Nothing,
        Err(error) => {
            limited!(DEBUG, route = %Reason::new(&*message.route), %error, "no shared encoding: each session encodes for itself");
            Encoding::Apart
        }
    }
}
