//! Frames that wait for a COMMIT.

use serde::{Deserialize, Serialize};

use crate::frame::Frame;

/// The largest number of open transactions of a client.
pub(crate) const MAX_TRANSACTIONS: usize = 16;

/// The largest number of frames that wait in all transactions of a client. All may become messages
/// in one call.
pub(crate) const MAX_FRAMES: usize = 128;

/// The memory for frames that wait, in bytes.
pub(crate) const MAX_BYTES: usize = 256 << 10;

/// The longest identifier of a transaction, in bytes.
const MAX_NAME: usize = 256;

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Transaction {
    id: String,
    frames: Vec<Vec<u8>>,
}

/// The open transactions of a client.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Transactions(Vec<Transaction>);

impl Transactions {
    /// Opens a transaction.
    ///
    /// # Errors
    /// Returns an error if the frame is wrong, or if there is no room.
    pub(crate) fn begin(&mut self, frame: &Frame<'_>) -> Result<(), String> {
        let id = frame.required("transaction", MAX_NAME)?;
        if self.0.iter().any(|open| open.id == id) {
            return Err("a transaction with this name is open already".to_owned());
        }
        if self.0.len() == MAX_TRANSACTIONS {
            return Err(format!("a client may have {MAX_TRANSACTIONS} open transactions"));
        }
        self.0.push(Transaction { id: id.to_owned(), frames: Vec::new() });
        Ok(())
    }

    /// Keeps the packet of a frame that names a transaction.
    ///
    /// # Errors
    /// Returns an error if the transaction is not open, or if there is no room.
    pub(crate) fn add(&mut self, frame: &Frame<'_>, packet: &[u8]) -> Result<(), String> {
        let frames = || self.0.iter().flat_map(|open| &open.frames);
        if frames().count() == MAX_FRAMES {
            return Err(format!("more than {MAX_FRAMES} frames wait in transactions"));
        }
        if frames().map(Vec::len).sum::<usize>() + packet.len() > MAX_BYTES {
            return Err(format!("the frames in transactions have more than {MAX_BYTES} bytes"));
        }
        let index = self.find(frame)?;
        self.0[index].frames.push(packet.to_vec());
        Ok(())
    }

    /// Closes a transaction and returns the packets of its frames.
    ///
    /// # Errors
    /// Returns an error if it is not open.
    pub(crate) fn end(&mut self, frame: &Frame<'_>) -> Result<Vec<Vec<u8>>, String> {
        let index = self.find(frame)?;
        Ok(self.0.remove(index).frames)
    }

    fn find(&self, frame: &Frame<'_>) -> Result<usize, String> {
        let id = frame.required("transaction", MAX_NAME)?;
        let found = self.0.iter().position(|open| open.id == id);
        found.ok_or_else(|| "no transaction with this name is open".to_owned())
    }
}
