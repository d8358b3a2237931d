//! Sessions that are called for each packet or message, for comparing the two ways.

/// The functions of `batch` that a codec's sessions do not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Singly {
    /// The sessions call `decode` for each packet.
    Decode,
    /// The sessions call `encode` for each message.
    Encode,
    /// The sessions use neither function, as if `batch` were not exported.
    Both,
}
