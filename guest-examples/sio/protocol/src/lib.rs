//! What Pomelo's clients say over Socket.IO, and what they are told: texts in, messages out, and back.
//!
//! There is no handshake and no state: a packet is read, and a message written, by itself. The Wasm component beside
//! it is a thin cover.
//!
//! | module | its job |
//! |---|---|
//! | `request` | what a client says: id, route and body |
//! | `answer` | what it is told: responses, pushes, the kick; and many of them as one array |
//! | `options` | what the person who runs the listener may choose |

mod answer;
mod options;
mod request;

pub use answer::{Batch, Message, encode, farewell};
pub use options::Options;
pub use request::{Request, decode};
