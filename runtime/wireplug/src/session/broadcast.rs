//! A push to many, which is encoded once for each class of sessions that share encodings.
//!
//! The caller of a push calls no codec. Each receiver's outbox gets the same [`SharedPush`], in the
//! order of the calls. The first connection of a class that reaches the push encodes it for the
//! class, and the others take the packets. No connection waits for another one: a connection that
//! reaches the push during the encoding encodes it for itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::Message;
use crate::codec::{Codec, Reason};
use wireplug_base::limited;
use wireplug_core::framing::Packets;

/// A class of sessions that get the same bytes for the same push: one class of one codec.
#[derive(Clone)]
pub(crate) struct BroadcastClass {
    pub(crate) codec: Arc<dyn Codec>,
    pub(crate) class: u32,
}

impl PartialEq for BroadcastClass {
    fn eq(&self, other: &Self) -> bool {
        self.class == other.class && Arc::ptr_eq(&self.codec, &other.codec)
    }
}

/// One push, as it waits in the outboxes of all its receivers.
pub(crate) struct SharedPush {
    pub(crate) message: Message,
    /// The classes that have enough receivers.
    classes: Vec<ClassEncoding>,
}

/// The encoding of a push for one class.
struct ClassEncoding {
    share: BroadcastClass,
    /// Whether a receiver has begun to encode.
    begun: AtomicBool,
    encoding: OnceLock<Encoding>,
}

/// The result of the encoding for a class.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Encoding {
    /// All sessions of the class get these packets. There is none if the message has no form on the
    /// wire.
    Packets(Arc<Packets>),
    /// The codec refused or failed. Each session encodes for itself, and counts a message that
    /// cannot be encoded.
    Apart,
}

/// How a receiver encodes a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// The receiver's class shares an encoding, which [`SharedPush::encoded`] returns for this
    /// index.
    Class(usize),
    /// The receiver encodes the message in its own sandbox.
    Apart,
}

/// The shared encoding of a push, as a receiver gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    Packets(Arc<Packets>),
    /// The receiver encodes the message in its own sandbox.
    Apart,
}

impl SharedPush {
    /// Creates a push whose receivers share an encoding in each of these classes.
    pub(crate) fn new(message: Message, classes: impl IntoIterator<Item = BroadcastClass>) -> Self {
        let class = |share| ClassEncoding { share, begun: AtomicBool::new(false), encoding: OnceLock::new() };
        Self { message, classes: classes.into_iter().map(class).collect() }
    }

    /// Returns how a session of this class encodes the push now.
    pub(crate) fn sharing(&self, share: Option<&BroadcastClass>) -> Sharing {
        let Some(index) = self.class_of(share) else { return Sharing::Apart };
        let class = &self.classes[index];
        match class.encoding.get() {
            Some(Encoding::Apart) => Sharing::Apart,
            Some(Encoding::Packets(_)) => Sharing::Class(index),
            // Another connection is encoding it.
            None if class.begun.load(Ordering::Relaxed) => Sharing::Apart,
            None => Sharing::Class(index),
        }
    }

    /// Returns the index of the class of a session, if sessions of the class share an encoding.
    pub(crate) fn class_of(&self, share: Option<&BroadcastClass>) -> Option<usize> {
        let share = share?;
        self.classes.iter().position(|class| class.share == *share)
    }

    /// Returns the packets for the class with this index. Encodes the push if no connection has
    /// begun to.
    pub(crate) fn encoded(&self, index: usize) -> Shared {
        self.try_encoded(index).unwrap_or(Shared::Apart)
    }

    /// Returns the packets for the class with this index, as [`SharedPush::encoded`] does, or
    /// `None` while another connection is encoding them.
    pub(crate) fn try_encoded(&self, index: usize) -> Option<Shared> {
        let class = &self.classes[index];
        if let Some(encoding) = class.encoding.get() {
            return Some(encoding.into());
        }
        if class.begun.swap(true, Ordering::Relaxed) {
            return None;
        }
        let _begun = Begun(class);
        let encoding = encode(&class.share, &self.message);
        let shared = Shared::from(&encoding);
        // No other connection has begun, so the encoding is not set yet.
        let _ = class.encoding.set(encoding);
        Some(shared)
    }
}

/// An encoding that has begun. If it does not end because of a panic, no session waits for it.
struct Begun<'a>(&'a ClassEncoding);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        // This changes nothing if the encoding has ended.
        let _ = self.0.encoding.set(Encoding::Apart);
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
            Encoding::Packets(packets) => Shared::Packets(Arc::clone(packets)),
            Encoding::Apart => Shared::Apart,
        }
    }
}

fn encode(share: &BroadcastClass, message: &Message) -> Encoding {
    match share.codec.encode_shared(share.class, message.into()) {
        Ok(packets) => Encoding::Packets(packets.into()),
        Err(error) => {
            limited!(DEBUG, route = %Reason::new(&*message.route), %error, "no shared encoding: each session encodes for itself");
            Encoding::Apart
        }
    }
}
