//! Pomelo's message format over Socket.IO as a pure library. It reads texts of a client, and writes
//! texts for it.
//!
//! The format has no handshake and no state. The Wasm component in `component/` is a thin layer
//! over this library.
//!
//! | module | content |
//! |---|---|
//! | `request` | reads a client's request: id, route and body |
//! | `answer` | writes responses, pushes and the kick, and joins several messages into one array |
//! | `options` | the options of the codec |

mod answer;
mod options;
mod request;

pub use answer::{Batch, Message, Texts, encode, farewell};
pub use options::Options;
pub use request::{Request, decode};
